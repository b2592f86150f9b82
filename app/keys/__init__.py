"""The OpenRouter keys whose usage is kept."""
