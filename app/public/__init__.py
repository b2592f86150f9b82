"""The public API: what programs read with an API token."""
