"""What does a security event look like, on the wire and in the database? And who asks for what becomes one?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Kind = Literal[
    "registered", "login", "login_failed", "password_refused", "logout", "session_ended", "other_sessions_ended",
    "refresh_token_reused", "password_changed", "account_disabled", "account_enabled", "token_created", "token_revoked",
    "key_added", "key_replaced", "key_removed", "usage_imported", "usage_exported",
]  # fmt: skip


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from. `network`: what counts as one client for limits. `address` None: from the command line."""

    address: str | None
    agent: str
    network: str


# whoever may run commands
OPERATOR = Client(address=None, agent="command line", network="")


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an account. The object is the session, token or key that it is about."""

    id: int
    kind: Kind
    occurred_at: datetime
    client_address: Annotated[str | None, Meta(description="null: from the server's own command line")]
    client_agent: Annotated[str, Meta(description="what the client calls itself, at most 200 characters")]
    object_id: Annotated[int | None, Meta(description="of the session, token or key")]
    object_name: Annotated[str | None, Meta(description="the token's or key's name at that moment")]
