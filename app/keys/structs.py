"""What does a key look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Kind = Literal["inference", "management", "imported"]
SyncStatus = Literal["pending", "ok", "stale", "unauthorized", "error"]


class NamedKey(msgspec.Struct, frozen=True):
    """Which key a name means."""

    name: str
    id: int


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it takes to watch a key."""

    name: Annotated[str, Meta(description="trimmed; 1 to 100 characters", examples=["production"])]
    key: Annotated[
        str, Meta(description="the OpenRouter key itself; it never leaves the service", examples=["sk-or-v1-…"])
    ]

    def __repr__(self) -> str:
        """Without the key."""
        return f"KeyRequest({self.name!r}, …)"


class KeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be changed about a key; what is not given stays."""

    name: str | UnsetType = UNSET
    is_active: Annotated[bool, Meta(description="false pauses the watching")] | UnsetType = UNSET
    key: Annotated[str, Meta(description="another secret; it is checked like the first")] | UnsetType = UNSET

    def __repr__(self) -> str:
        """Without the key."""
        return "KeyChange(…)"


class StoredKey(msgspec.Struct, frozen=True):
    """One row of the list in the database."""

    id: int
    name: str
    label: str | None
    kind: Kind
    managed_by: int | None
    has_secret: bool
    is_active: bool
    limit: Decimal | None
    limit_remaining: Decimal | None
    limit_reset: str | None
    expires_at: datetime | None
    usage_total: Decimal | None
    usage_today: Decimal | None
    counted_cost: Decimal | None
    counted_since: date | None
    difference: Decimal | None
    created_at: datetime
    last_synced_at: datetime | None
    next_sync_at: datetime | None
    sync_status: SyncStatus
    sync_error: str | None
    credits_bought: Decimal | None
    credits_used: Decimal | None
    credits_left: Decimal | None
    credits_as_of: datetime | None


class KeysState(msgspec.Struct, frozen=True):
    """How many keys there are, and all that their list depends on."""

    today: date
    usage_version: int
    total: int
    failures: int
    stale: int


class Account(msgspec.Struct, frozen=True):
    """The balance of a management key's account, in US dollars."""

    credits: Decimal
    used: Decimal
    left: Decimal
    as_of: datetime | None


class KeyEntry(msgspec.Struct, frozen=True):
    """A key as its owner sees it: everything but the secret."""

    id: int
    name: str
    label: Annotated[str | None, Meta(description="what OpenRouter shows of the key")]
    kind: Kind
    managed_by: Annotated[int | None, Meta(description="the management key through which it is watched")]
    has_secret: bool
    is_active: bool
    limit: Annotated[Decimal | None, Meta(description="US dollars; null is without limit, 0 is blocked")]
    limit_remaining: Annotated[Decimal | None, Meta(description="US dollars left until the limit is reset")]
    limit_reset: Annotated[str | None, Meta(description="daily, weekly, monthly; null is never")]
    expires_at: datetime | None
    usage_total: Annotated[Decimal | None, Meta(description="US dollars in the life of the key, as OpenRouter counts")]
    usage_today: Annotated[Decimal | None, Meta(description="US dollars on this UTC day, as OpenRouter counts")]
    counted_cost: Annotated[Decimal | None, Meta(description="US dollars counted here since `counted_since`")]
    counted_since: Annotated[date | None, Meta(description="the first UTC day of which usage is known here")]
    difference: Annotated[
        Decimal | None, Meta(description="`usage_total` less `counted_cost`: what was spent before, or is not known")
    ]
    created_at: datetime
    last_synced_at: datetime | None
    next_sync_at: datetime | None
    sync_status: SyncStatus
    sync_error: str | None
    account: Annotated[Account | None, Meta(description="of a management key, where OpenRouter tells")]
    timezone: Literal["UTC"] = "UTC"


class Counter(msgspec.Struct, frozen=True):
    """Dollars since the key was made, and since the UTC day began."""

    total: Decimal
    today: Decimal


class KeyState(msgspec.Struct, frozen=True):
    """What OpenRouter says about a key. `moment`: by its own clock; `workspace`: where it is listed, else ""."""

    hash: str
    name: str
    label: str
    workspace: str
    is_management: bool
    is_disabled: bool
    is_unused: bool  # OpenRouter says that nothing was ever done with it
    limit: Decimal | None
    limit_remaining: Decimal | None
    limit_reset: str | None
    expires_at: datetime | None
    cost: Counter
    byok: Counter
    moment: datetime


class Credits(msgspec.Struct, frozen=True):
    """Dollars an account has bought and used, ever."""

    bought: Decimal
    used: Decimal
    moment: datetime


class Holder(msgspec.Struct, frozen=True):
    """The user's key with a certain hash."""

    key_id: int
    kind: str
    is_live: bool
    has_secret: bool


class Identity(msgspec.Struct, frozen=True):
    """Who a key is."""

    name: str
    kind: str
    hash: str | None
    is_live: bool
    has_secret: bool
    is_managed: bool
    workspaces: list[str]


class Claim(msgspec.Struct, frozen=True):
    """A key that this process may read until its lease runs out. `secret` is encrypted."""

    key_id: int
    user_id: int
    kind: str
    hash: str
    secret: bytes
    fence: int
    failures: int

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Claim({self.key_id}, fence {self.fence})"


class Watched(msgspec.Struct, frozen=True):
    """A key of a management key's account. Forgotten: its history was deleted here, and what it spends is not ours to tell."""

    key_id: int
    hash: str
    is_forgotten: bool
    activity_digest: bytes | None


class Untold(msgspec.Struct, frozen=True):
    """A key with usage between two days that its account's activity has not told yet, if it is of that account."""

    key_id: int
    hash: str
    is_of_account: bool
    first_day: date
    last_day: date


class Former(msgspec.Struct, frozen=True):
    """A key that was read in a row until another one took its place."""

    key_id: int
    hash: str
    last_day: date


class PurgedHistory(msgspec.Struct, frozen=True):
    """A key whose history is to be removed."""

    key_id: int
    user_id: int


class SyncReport(msgspec.Struct, frozen=True):
    """What became of a sync. `rows`: facts that were written."""

    started_at: datetime
    finished_at: datetime
    rows: int
    status: SyncStatus
