"""What does the database know about the state of the whole service?"""

from __future__ import annotations

import msgspec

from app.database import Executor, Query


class SyncState(msgspec.Struct, frozen=True):
    """So many keys whose last reading ended like this, and how overdue the most overdue of them is."""

    sync_status: str
    total: int
    lag_seconds: float


_list_sync_states = Query("metrics/list_sync_states", SyncState)


async def list_sync_states(db: Executor) -> list[SyncState]:
    """Of the keys that are read with secrets of their own, all users'."""
    return await _list_sync_states.fetch(db)
