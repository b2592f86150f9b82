"""What does a key look like in the database?"""

from __future__ import annotations

import msgspec


class NamedKey(msgspec.Struct, frozen=True):
    """Which key a name means."""

    name: str
    id: int
