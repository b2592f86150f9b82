"""OpenRouter Watcher: keeps what your OpenRouter keys spend, shows it, and hands out tokens that read it."""

__version__ = "0.1.0"
