"""What can anybody's bytes do to the parsers? `make fuzz` searches, guided by coverage; `make test` replays what it found.

Each target is a module with SEEDS, inputs of real shapes to begin with, and `feed`, which takes any bytes and catches the errors
that the code documents. What else escapes is a finding; its input stays in `cases/<target>/`.
"""

TARGETS = ("api_token", "access_token", "activity_export", "json_body", "openrouter")
