"""What does the public API publish?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.keys.structs import Kind, SyncStatus
from app.tokens.structs import TokenEntry


class RateLimit(msgspec.Struct, frozen=True):
    """At most `limit` requests in any window of that length."""

    limit: int
    window_seconds: int


class CallingToken(TokenEntry, frozen=True):
    """The token that made this request."""

    rate_limit: Annotated[RateLimit | None, Meta(description="null: not limited")] = None


class PublicKey(msgspec.Struct, frozen=True):
    """An OpenRouter key of the token's owner, without what only its owner needs."""

    id: int
    name: str
    label: Annotated[str | None, Meta(description="what OpenRouter shows of the key")]
    kind: Kind
    is_active: bool
    limit: Annotated[Decimal | None, Meta(description="US dollars; null is without limit, 0 is blocked")]
    limit_remaining: Annotated[Decimal | None, Meta(description="US dollars left until the limit is reset")]
    usage_total: Annotated[Decimal | None, Meta(description="US dollars in the life of the key, as OpenRouter counts")]
    usage_today: Annotated[Decimal | None, Meta(description="US dollars on this UTC day, as OpenRouter counts")]
    last_synced_at: datetime | None
    sync_status: SyncStatus


class KeysPage(msgspec.Struct, frozen=True):
    """Some of the keys, the newest first."""

    items: list[PublicKey]
    total: Annotated[int, Meta(description="how many there are on all pages")]
    next_cursor: Annotated[str | None, Meta(description="null on the last page")]
    timezone: Literal["UTC"] = "UTC"
