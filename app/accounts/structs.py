"""What do accounts and sessions look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.limits import Limit


class _Secretive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct that holds a secret: it shows nothing of itself where a repr ends up in a log."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Credentials(_Secretive, frozen=True):
    """An address and a password."""

    email: str
    password: str


class RefreshRequest(_Secretive, frozen=True):
    """A refresh token to be exchanged."""

    refresh_token: str


class PasswordChange(_Secretive, frozen=True):
    """The password as it is, and as it shall be."""

    current_password: str
    new_password: str


class Confirmation(_Secretive, frozen=True):
    """The password, once more."""

    password: str


class Account(msgspec.Struct, frozen=True):
    """What a user sees of their account."""

    id: int
    email: str
    created_at: datetime


class ListedUser(msgspec.Struct, frozen=True):
    """An account as the operator sees it, and how much it holds that is in use."""

    id: int
    email: str
    created_at: datetime
    is_enabled: bool
    api_tokens: int
    openrouter_keys: int


class Tokens(_Secretive, frozen=True):
    """What a login gives: a short-lived access token, and a refresh token for the next one."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, Meta(description="seconds until the access token expires")]
    refresh_expires_in: Annotated[int, Meta(description="seconds until the refresh token expires")]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the scheme's name


class SessionEntry(msgspec.Struct, frozen=True):
    """One live session. `last_used_at` is the login or the last refresh; in a browser its last use, to the minute."""

    id: int
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    client_address: str
    client_agent: str
    is_current: bool


class Caller(msgspec.Struct, frozen=True):
    """Whom an access token speaks for."""

    user_id: int
    session_id: int
    email: str
    created_at: datetime


class StoredUser(msgspec.Struct, frozen=True):
    """What verifying a password needs to know."""

    id: int
    email: str
    password_hash: str
    is_enabled: bool

    def __repr__(self) -> str:
        """Without the hash."""
        return f"StoredUser({self.id})"


class OpenedSession(msgspec.Struct, frozen=True):
    """A session after its login or a refresh. `refresh_hash` is of the refresh token that is good for it now.

    `refresh_expires_in`: seconds until that refresh token expires.
    """

    id: int
    user_id: int
    refresh_expires_in: int
    refresh_hash: bytes


class Ended(msgspec.Struct, frozen=True):
    """Whose session was to be ended, and whether it had not ended before."""

    is_own: bool
    is_new: bool


class Attempt(msgspec.Struct, frozen=True):
    """The answer of a limit: when the attempt was counted, or None, and when to come back."""

    attempted_at: datetime | None
    retry_after_seconds: int


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's rules for accounts. A limit that is None is off."""

    registration: Literal["open", "first", "closed"]
    password_min_length: int
    login_limit: Limit | None
    login_client_limit: Limit | None
    registration_limit: Limit | None
    session_lifetime: timedelta = timedelta(days=30)
    session_idle_lifetime: timedelta = timedelta(days=7)
    refresh_grace: timedelta = timedelta(seconds=10)
