"""Which statements do events need? What is told of something that is done in a transaction is told in the same one."""

from __future__ import annotations

from datetime import timedelta

from app.database import Executor, Query
from app.events.structs import Client, Event, Kind

_create_event = Query("events/create_event")
_create_failure = Query("events/create_failure")
_list_events = Query("events/list_events", Event)
_purge_events = Query("events/purge_events")
_purge_events_of_deleted = Query("events/purge_events_of_deleted")


async def note(
    db: Executor,
    user_id: int,
    kind: Kind,
    client: Client,
    object_id: int | None = None,
    object_name: str | None = None,
) -> None:
    """Of an account that is there; nothing otherwise."""
    await _create_event.run(db, user_id, kind, client.address, client.agent, object_id, object_name)


async def note_refusal(db: Executor, user_id: int | None, kind: Kind, client: Client) -> None:
    """Takes the same time, and notes nothing, where there is no such account (None)."""
    await _create_failure.run(db, user_id, kind, client.address, client.agent)


async def list_events(db: Executor, user_id: int, before_id: int | None, limit: int) -> list[Event]:
    """The latest first; those that come after `before_id` in that order."""
    return await _list_events.fetch(db, user_id, before_id, limit)


async def purge_events(db: Executor, limit: int, retention: timedelta) -> int:
    """How many old events were removed, at most `limit`."""
    return await _purge_events.run(db, limit, retention)


async def purge_events_of_deleted(db: Executor, limit: int) -> int:
    """How many events of deleted accounts were removed, at most `limit`."""
    return await _purge_events_of_deleted.run(db, limit)
