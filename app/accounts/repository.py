"""Which statements do accounts need, and what do their failures mean?"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import asyncpg
import msgspec

from app.accounts.addresses import Address
from app.accounts.structs import (
    Account,
    Attempt,
    Caller,
    Ended,
    ListedUser,
    OpenedSession,
    Policy,
    SessionEntry,
    StoredUser,
)
from app.database import Connection, Database, Executor, Query
from app.errors import EmailTaken, NotFound, NotYours, RegistrationClosed, TooManyRequests, Unauthenticated
from app.events import repository as events
from app.events.structs import OPERATOR, Client
from app.limits import Limit

_create_user = Query("accounts/create_user", Account)
_lock_registration = Query("accounts/lock_registration")
_check_any_user = Query("accounts/check_any_user", bool)
_find_user_by_email_key = Query("accounts/find_user_by_email_key", StoredUser)
_list_users = Query("accounts/list_users", ListedUser)
_find_credentials = Query("accounts/find_credentials", StoredUser)
_create_session = Query("accounts/create_session", OpenedSession)
_create_browser_session = Query("accounts/create_browser_session", int)
_rotate_refresh_token = Query("accounts/rotate_refresh_token", OpenedSession)
_find_caller = Query("accounts/find_caller", Caller)
_authorize_cookie = Query("accounts/authorize_cookie", Caller)
_list_sessions = Query("accounts/list_sessions", SessionEntry)
_end_session = Query("accounts/end_session", Ended)
_end_sessions = Query("accounts/end_sessions")
_set_password = Query("accounts/set_password")
_set_rehashed_password = Query("accounts/set_rehashed_password")
_set_disabled = Query("accounts/set_disabled", int)
_delete_user = Query("accounts/delete_user")
_take_attempt = Query("accounts/take_attempt", Attempt)
_return_attempt = Query("accounts/return_attempt")
_delete_attempts = Query("accounts/delete_attempts")
_purge_attempts = Query("accounts/purge_attempts")
_purge_refresh_tokens = Query("accounts/purge_refresh_tokens")
_purge_sessions = Query("accounts/purge_sessions")
_purge_sessions_of_deleted = Query("accounts/purge_sessions_of_deleted")
_purge_users = Query("accounts/purge_users")


async def create_user(db: Executor, address: Address, password_hash: str) -> Account:
    """Raises EmailTaken."""
    try:
        return await _create_user.get(db, address.email, address.key, password_hash)
    except asyncpg.UniqueViolationError as error:
        raise EmailTaken from error


async def create_first_user(db: Connection, address: Address, password_hash: str) -> Account:
    """Only while there is no account; of several at once, one is the first. Raises RegistrationClosed."""
    await _lock_registration.run(db)
    if await has_users(db):
        raise RegistrationClosed
    return await create_user(db, address, password_hash)


async def has_users(db: Executor) -> bool:
    """Whether there is an account at all."""
    return await _check_any_user.get(db)


async def find_user(db: Executor, address: Address) -> StoredUser | None:
    """By address."""
    return await _find_user_by_email_key.find(db, address.key)


async def list_users(db: Executor, after_id: int, limit: int) -> list[ListedUser]:
    """By id, from one on."""
    return await _list_users.fetch(db, after_id, limit)


async def find_credentials(db: Executor, user_id: int) -> StoredUser | None:
    """By id."""
    return await _find_credentials.find(db, user_id)


async def set_rehashed_password(db: Executor, user: StoredUser, password_hash: str) -> bool:
    """Whether it was still the password that had been verified."""
    return await _set_rehashed_password.run(db, user.id, user.password_hash, password_hash) == 1


async def create_session(
    db: Executor, user: StoredUser, policy: Policy, refresh_hash: bytes, client_address: str, client_agent: str
) -> OpenedSession | None:
    """None when the account or the verified password is gone by now."""
    lifetimes = (policy.session_lifetime, policy.session_idle_lifetime)
    return await _create_session.find(
        db, user.id, user.password_hash, refresh_hash, *lifetimes, client_address, client_agent
    )


async def create_browser_session(
    db: Executor, user: StoredUser, policy: Policy, cookie_hash: bytes, client_address: str, client_agent: str
) -> int | None:
    """The session's id; None when the account or the verified password is gone by now."""
    return await _create_browser_session.find(
        db, user.id, user.password_hash, cookie_hash, policy.session_lifetime, client_address, client_agent
    )


async def rotate_refresh_token(
    db: Executor, policy: Policy, token_hash: bytes, successor_hashes: list[bytes], client: Client
) -> OpenedSession:
    """`successor_hashes`: the first for a new successor, all to recognise one that was given out before.

    Raises Unauthenticated; by then a session whose old token came back has been ended, which is noted, and that stays.
    """
    lifetimes = (policy.session_idle_lifetime, policy.refresh_grace)
    session = await _rotate_refresh_token.find(
        db, token_hash, successor_hashes, *lifetimes, client.address, client.agent
    )
    if session is None:
        raise Unauthenticated(credential_sent=True)
    return session


async def find_caller(db: Executor, session_id: int, user_id: int) -> Caller:
    """Raises Unauthenticated when the session or the user has ended."""
    caller = await _find_caller.find(db, session_id, user_id)
    if caller is None:
        raise Unauthenticated(credential_sent=True)
    return caller


async def authorize_cookie(db: Executor, policy: Policy, cookie_hash: bytes) -> Caller | None:
    """Whom a session cookie speaks for; None when the session or the user has ended."""
    return await _authorize_cookie.find(db, cookie_hash, policy.session_idle_lifetime)


async def list_sessions(
    db: Executor, caller: Caller, idle_lifetime: timedelta, before_id: int | None, limit: int
) -> list[SessionEntry]:
    """The live ones, newest first."""
    return await _list_sessions.fetch(db, caller.user_id, caller.session_id, idle_lifetime, before_id, limit)


async def end_session(db: Executor, session_id: int, user_id: int) -> bool:
    """Whether it had not ended before. Raises NotFound or NotYours."""
    ended = await _end_session.find(db, session_id, user_id)
    if ended is None:
        raise NotFound
    if not ended.is_own:
        raise NotYours
    return ended.is_new


async def end_sessions(db: Executor, user_id: int, except_session_id: int | None = None) -> int:
    """All but one, or all: how many."""
    return await _end_sessions.run(db, user_id, except_session_id)


async def set_password(
    db: Database,
    user_id: int,
    password_hash: str,
    except_session_id: int | None = None,
    verified_hash: str | None = None,
    client: Client = OPERATOR,
) -> bool:
    """And end the sessions that were opened with the old one. False, and nothing done, unless that is `verified_hash`."""
    async with db.transaction() as connection:
        if await _set_password.run(connection, user_id, password_hash, verified_hash) == 0:
            return False
        # a statement of its own: it must see what was committed while the one before waited for its lock
        await end_sessions(connection, user_id, except_session_id)
        await events.note(connection, user_id, "password_changed", client)
    return True


async def set_disabled(db: Database, address: Address, *, is_disabled: bool) -> None:
    """And end the sessions, so that enabling brings none of them back. Raises NotFound."""
    async with db.transaction() as connection:
        user_id = await _set_disabled.find(connection, address.key, is_disabled)
        if user_id is None:
            raise NotFound(f"There is no account {address.email}.")
        await end_sessions(connection, user_id)
        await events.note(connection, user_id, "account_disabled" if is_disabled else "account_enabled", OPERATOR)


async def delete_user(db: Executor, user_id: int) -> None:
    """At once for everybody who looks; the rows follow by `purge`."""
    await _delete_user.run(db, user_id)


class TakenAttempt(msgspec.Struct, frozen=True):
    """A place in a window, which can be given back."""

    key: bytes
    attempt: Attempt


async def take_attempt(db: Executor, limit: Limit | None, *about: str) -> TakenAttempt | None:
    """Counts an attempt about something before it is made, so that attempts at once cannot slip through together.

    None when the limit is off. Raises TooManyRequests.
    """
    if limit is None:
        return None
    key = hashlib.sha256("\0".join(about).encode()).digest()
    attempt = await _take_attempt.get(db, key, limit.count, limit.window)
    if attempt.attempted_at is None:
        raise TooManyRequests(attempt.retry_after_seconds)
    return TakenAttempt(key, attempt)


async def return_attempt(db: Executor, taken: TakenAttempt | None) -> None:
    """It was no failure."""
    if taken is not None:
        await _return_attempt.run(db, taken.key, taken.attempt.attempted_at)


async def forget_attempts(db: Executor, taken: TakenAttempt | None) -> None:
    """Neither this one nor those before it count any longer."""
    if taken is not None:
        await _delete_attempts.run(db, taken.key)


async def purge_attempts(db: Executor, limit: int) -> int:
    """How many windows were removed, at most `limit`."""
    return await _purge_attempts.run(db, limit)


async def purge_refresh_tokens(db: Executor, limit: int) -> int:
    """How many refresh tokens of dead sessions were removed, at most `limit`."""
    return await _purge_refresh_tokens.run(db, limit)


async def purge_sessions(db: Executor, limit: int) -> int:
    """How many expired sessions were removed, at most `limit`."""
    return await _purge_sessions.run(db, limit)


async def purge_sessions_of_deleted(db: Executor, limit: int) -> int:
    """How many sessions of deleted accounts were removed, at most `limit`."""
    return await _purge_sessions_of_deleted.run(db, limit)


async def purge_users(db: Executor, limit: int) -> int:
    """How many deleted accounts were removed, at most `limit`."""
    return await _purge_users.run(db, limit)
