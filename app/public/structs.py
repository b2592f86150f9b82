"""What does the public API publish?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from app.stats.structs import Period, Summary
from app.tokens.structs import TokenEntry


class Stats(msgspec.Struct, frozen=True):
    """What a selection of usage comes to."""

    period: Period
    summary: Summary
    data_as_of: Annotated[datetime | None, Meta(description="the oldest last success among the selected keys")]


class RateLimit(msgspec.Struct, frozen=True):
    """At most `limit` requests in any window of that length."""

    limit: int
    window_seconds: int


class CallingToken(TokenEntry, frozen=True):
    """The token that made this request."""

    rate_limit: Annotated[RateLimit | None, Meta(description="null: not limited")] = None
