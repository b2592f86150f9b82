"""An OpenRouter for trying out and for tests: it speaks the same HTTP, on loopback. It imports nothing of the service."""
