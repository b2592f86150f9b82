"""Which statements do API tokens need, and what do their failures mean?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from app.database import Connection, Database, Executor, Query
from app.errors import NotFound, NotYours, TokenLimitReached, Unauthenticated
from app.events import repository as events
from app.events.structs import OPERATOR, Client
from app.limits import Limit
from app.tokens import secret
from app.tokens.structs import CreatedToken, LeakedToken, Revoked, StoredToken, TokenEntry, Verdict

_lock_owner = Query("tokens/lock_owner", int)
_count_active = Query("tokens/count_active", int)
_check_form = Query("tokens/check_form", bool)
_create_token = Query("tokens/create_token", StoredToken)
_list_tokens = Query("tokens/list_tokens", TokenEntry)
_find_token = Query("tokens/find_token", TokenEntry)
_check_exists = Query("tokens/check_exists", bool)
_revoke_token = Query("tokens/revoke_token", Revoked)
_revoke_leaked = Query("tokens/revoke_leaked", LeakedToken)
_authorize = Query("tokens/authorize", Verdict)
_lock_meter = Query("tokens/lock_meter", int)
_purge_tokens = Query("tokens/purge_tokens")

State = Literal["active", "all"]


class SentTwice(Exception):
    """The form that asks for a token has been sent before, and made one then."""


async def create_token(
    db: Database,
    user_id: int,
    name: str,
    expires_in_days: int | None,
    active_max: int,
    form_id: UUID | None = None,
    client: Client = OPERATOR,
) -> CreatedToken:
    """The one place that ever holds the secret. Raises TokenLimitReached, exactly, however many try at once.

    `form_id`: of a form that must not make two, however often it is sent. Raises SentTwice.
    """
    token = secret.make()
    hint = secret.hint(token)
    async with db.transaction() as connection:
        if await _lock_owner.find(connection, user_id) is None:
            raise Unauthenticated(credential_sent=True)  # deleted or disabled since the guard looked
        # statements of their own: they must see what was committed while the one before waited for its lock
        if form_id is not None and await _check_form.get(connection, user_id, form_id):
            raise SentTwice
        if await _count_active.get(connection, user_id) >= active_max:
            raise TokenLimitReached(f"Maximum {active_max} API tokens allowed")
        digest = secret.digest(token)
        stored = await _create_token.get(connection, user_id, digest, name, hint, expires_in_days, form_id)
        await events.note(connection, user_id, "token_created", client, stored.id, name)
    return CreatedToken(stored.id, name, token, hint, stored.created_at, stored.expires_at)


async def list_tokens(
    db: Executor, user_id: int, state: State, before: tuple[datetime, int] | None, limit: int
) -> list[TokenEntry]:
    """Newest first; those that come after `before` (creation time and id) in that order."""
    created_before, id_before = before or (None, None)
    return await _list_tokens.fetch(db, user_id, state == "active", created_before, id_before, limit)


async def find_token(db: Executor, token_id: int, user_id: int) -> TokenEntry:
    """Raises NotFound or NotYours."""
    token = (await find_tokens(db, [(token_id, user_id)]))[token_id, user_id]
    if token is None:
        raise NotYours if await _check_exists.get(db, token_id) else NotFound
    return token


async def find_tokens(db: Executor, asked: Collection[tuple[int, int]]) -> dict[tuple[int, int], TokenEntry | None]:
    """Tokens by their ids and their owners'; None where there is no such token of theirs."""
    entries = await _find_token.fetch(db, [token_id for token_id, _ in asked], [user_id for _, user_id in asked])
    found = {entry.id: entry for entry in entries}
    return {(token_id, user_id): found.get(token_id) for token_id, user_id in asked}


async def revoke_token(db: Database, token_id: int, user_id: int, client: Client = OPERATOR) -> None:
    """From the moment this returns nobody is let in with it. Raises NotFound or NotYours; twice is no error."""
    async with db.transaction() as connection:
        revoked = await _revoke_token.find(connection, token_id, user_id)
        if revoked is None:
            raise NotFound
        if not revoked.is_own:
            raise NotYours
        if revoked.is_new:
            await events.note(connection, user_id, "token_revoked", client, token_id, revoked.name)


async def revoke_leaked(db: Database, digests: Collection[bytes]) -> list[LeakedToken]:
    """Of whomever they are; those that are known here. From the moment this returns nobody is let in with any of them."""
    async with db.transaction() as connection:
        leaked = await _revoke_leaked.fetch(connection, digests)
        for token in leaked:
            if token.is_revoked_now:
                await events.note(connection, token.user_id, "token_revoked", OPERATOR, token.id, token.name)
    return leaked


async def authorize_tokens(
    db: Executor, requests: Mapping[bytes, int], limit: Limit | None
) -> dict[bytes, Verdict | None]:
    """The verdicts on so many requests with each of these tokens, by digest; those that pass are counted. None: not alive."""
    count, window = (limit.count, limit.window_seconds) if limit else (None, None)
    verdicts = await _authorize.fetch(db, list(requests), list(requests.values()), count, window)
    return dict.fromkeys(requests) | {verdict.digest: verdict for verdict in verdicts}


async def lock_meter(connection: Connection, digest: bytes) -> None:
    """Keeps other sessions from a token's meter until the end of the transaction. Raises Unavailable when that takes too long."""
    await _lock_meter.find(connection, digest)


async def purge_tokens(db: Executor, limit: int) -> int:
    """How many tokens of deleted accounts were removed, at most `limit`."""
    return await _purge_tokens.run(db, limit)
