"""What the commands do. Each module is loaded only when one of its commands is called; their names are in `app/cli.py`."""
