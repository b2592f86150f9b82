"""How does a session begin and end? For the endpoints and the pages; each time it is noted among the account's events."""

from __future__ import annotations

from app.accounts import repository
from app.accounts.structs import Caller, OpenedSession, Policy, StoredUser
from app.database import Database
from app.events import repository as events
from app.events.structs import Client, Kind


async def open_session(
    db: Database, user: StoredUser, policy: Policy, refresh_hash: bytes, client: Client
) -> OpenedSession | None:
    """None when the account or the verified password is gone by now."""
    async with db.transaction() as connection:
        session = await repository.create_session(
            connection, user, policy, refresh_hash, client.address or "", client.agent
        )
        if session is not None:
            await events.note(connection, user.id, "login", client, session.id)
    return session


async def open_browser_session(
    db: Database, user: StoredUser, policy: Policy, cookie_hash: bytes, client: Client
) -> int | None:
    """The session's id; None when the account or the verified password is gone by now."""
    async with db.transaction() as connection:
        session_id = await repository.create_browser_session(
            connection, user, policy, cookie_hash, client.address or "", client.agent
        )
        if session_id is not None:
            await events.note(connection, user.id, "login", client, session_id)
    return session_id


async def end_session(db: Database, session_id: int, caller: Caller, client: Client) -> None:
    """One of the caller's, perhaps the one they are in; ending it again is no error. Raises NotFound or NotYours."""
    kind: Kind = "logout" if session_id == caller.session_id else "session_ended"
    async with db.transaction() as connection:
        if await repository.end_session(connection, session_id, caller.user_id):
            await events.note(connection, caller.user_id, kind, client, session_id)


async def end_other_sessions(db: Database, caller: Caller, client: Client) -> None:
    """All of the caller's but the one they are in."""
    async with db.transaction() as connection:
        if await repository.end_sessions(connection, caller.user_id, caller.session_id):
            await events.note(connection, caller.user_id, "other_sessions_ended", client)
