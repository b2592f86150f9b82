"""How often is something tried that goes wrong only sometimes? A few times with every change, many with TEST_ROUNDS=many."""

from __future__ import annotations

import os


def rounds(few: int, many: int) -> int:
    """`make test` takes the few, `make rounds` the many."""
    return many if os.environ.get("TEST_ROUNDS") == "many" else few
