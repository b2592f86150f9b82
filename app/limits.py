"""How is "so many in so long" written down? Used for logins, registrations and tokens."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

_UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SHAPE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*([1-9][0-9]{0,5})?\s*(second|minute|hour|day)s?", re.ASCII)


class Limit(msgspec.Struct, frozen=True):
    """At most `count` in any window of `window_seconds`."""

    count: int
    window_seconds: int

    @property
    def window(self) -> timedelta:
        """The window's length, as PostgreSQL takes it."""
        return timedelta(seconds=self.window_seconds)


def parse_limit(text: str) -> Limit | None:
    """Reads `600/minute`, `10/15minutes` or `off` (None). Raises ValueError for anything else."""
    if text.strip() == "off":
        return None
    if not (match := _SHAPE.fullmatch(text.strip())):
        raise ValueError("must look like 600/minute, 10/15minutes or off")
    count, length, unit = match.groups()
    return Limit(int(count), int(length or 1) * _UNIT_SECONDS[unit])
