"""What does an API token look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new token shall be called, and how long it shall live; without `expires_in_days`, until it is revoked."""

    name: Annotated[str, Meta(description="1 to 100 characters, trimmed; need not be unique")]
    expires_in_days: Annotated[int, Meta(ge=1, le=365)] | None = None


class CreatedToken(msgspec.Struct, frozen=True):
    """A new token. This is the only time that `token` is shown: store it now."""

    id: int
    name: str
    token: Annotated[str, Meta(description="the secret itself; shown this once and never again, so store it at once")]
    hint: str
    created_at: datetime
    expires_at: datetime | None

    def __repr__(self) -> str:
        """Without the secret."""
        return f"CreatedToken({self.id})"


class TokenEntry(msgspec.Struct, frozen=True):
    """A token as its owner sees it. `is_active`: neither revoked nor expired."""

    id: int
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    request_count: int
    is_active: bool
    revoked_at: datetime | None


class StoredToken(msgspec.Struct, frozen=True):
    """What the database adds to a token when it is stored."""

    id: int
    created_at: datetime
    expires_at: datetime | None


class LeakedToken(msgspec.Struct, frozen=True):
    """A token that was found where it should not be. `is_revoked_now`: it was not revoked before."""

    id: int
    name: str
    hint: str
    user_id: int
    email: str
    is_revoked_now: bool


class Revoked(msgspec.Struct, frozen=True):
    """Whose token was to be revoked, what it is called, and whether it was not revoked before."""

    is_own: bool
    is_new: bool
    name: str


class Bearer(msgspec.Struct, frozen=True):
    """Whom a live token speaks for, and in which state that user's figures are on which UTC day."""

    token_id: int
    user_id: int
    usage_version: int
    today: date


class Verdict(msgspec.Struct, frozen=True):
    """On the requests of one live token. `free`: how many may pass.

    `renewed_at` (epoch seconds) and `renewed_in_seconds`: when more may, where there is a limit. `is_locked`: another session
    holds the meter, so nothing was decided and nothing counted.
    """

    digest: bytes
    token_id: int
    user_id: int
    usage_version: int
    today: date
    is_locked: bool
    free: int
    renewed_at: int
    renewed_in_seconds: int
