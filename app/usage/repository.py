"""Which statements does the usage store need?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from app.database import Connection, Executor, Query
from app.errors import NotFound
from app.usage.structs import Merged, NamedId

BATCH_TIMEOUT_SECONDS = 60.0  # as in usage/set_patience
UNKNOWN = 0  # the row that stands for an unknown model or provider

_lock_usage = Query("usage/lock_usage", int, timeout_seconds=BATCH_TIMEOUT_SECONDS)
_set_patience = Query("usage/set_patience")
_create_staging = Query("usage/create_staging")
_merge_generations = Query("usage/merge_generations", Merged, timeout_seconds=BATCH_TIMEOUT_SECONDS)
_delete_rollups = Query("usage/delete_rollups", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_create_rollups = Query("usage/create_rollups", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_create_models = Query("usage/create_models")
_list_models = Query("usage/list_models", NamedId)
_create_providers = Query("usage/create_providers")
_list_providers = Query("usage/list_providers", NamedId)
_purge_generations = Query("usage/purge_generations")
_purge_facts = Query("usage/purge_facts")
_purge_rollups = Query("usage/purge_rollups")
_purge_versions = Query("usage/purge_versions")

STAGED_COLUMNS = (
    "line", "generation_id", "created_at", "key_id", "model_id", "provider_id", "cost", "byok_cost", "tokens_input",
    "tokens_output", "tokens_reasoning", "tokens_cached",
)  # fmt: skip


async def model_ids(db: Executor, slugs: Collection[str]) -> dict[str, int]:
    """The ids of models, made where they are new."""
    return await _ids(db, _list_models, _create_models, slugs)


async def provider_ids(db: Executor, names: Collection[str]) -> dict[str, int]:
    """The ids of providers, made where they are new."""
    return await _ids(db, _list_providers, _create_providers, names)


async def _ids(db: Executor, listing: Query[NamedId], making: Query[None], names: Collection[str]) -> dict[str, int]:
    found = await listing.fetch(db, names)
    if missing := set(names) - {row.name for row in found}:
        await making.run(db, missing)
        found = await listing.fetch(db, names)
    return {row.name: row.id for row in found}


async def begin_change(connection: Connection, user_id: int) -> None:
    """First statement of a transaction that changes a user's usage. Raises NotFound when the account is gone."""
    await _set_patience.run(connection)
    if await _lock_usage.find(connection, user_id) is None:
        raise NotFound("This account does not exist any more.")


async def merge_generations(connection: Connection, user_id: int, rows: Sequence[tuple[Any, ...]]) -> Merged:
    """`rows` as STAGED_COLUMNS. Adds those that are new to generations and facts, and makes the days' roll-ups anew."""
    await _create_staging.run(connection)
    await connection.copy_records_to_table(
        "staged_generations", records=rows, columns=STAGED_COLUMNS, timeout=BATCH_TIMEOUT_SECONDS
    )
    merged = await _merge_generations.get(connection, user_id)
    await refresh_rollups(connection, user_id, merged.days)
    return merged


async def refresh_rollups(connection: Connection, user_id: int, days: Sequence[date]) -> None:
    """Makes the totals of these days equal to their facts again."""
    await _delete_rollups.run(connection, user_id, days)
    await _create_rollups.run(connection, user_id, days)


async def purge_generations(db: Executor, limit: int) -> int:
    """How many generations of deleted accounts were removed, at most `limit`."""
    return await _purge_generations.run(db, limit)


async def purge_facts(db: Executor, limit: int) -> int:
    """How many facts of deleted accounts were removed, at most `limit`."""
    return await _purge_facts.run(db, limit)


async def purge_rollups(db: Executor, limit: int) -> int:
    """How many roll-ups of deleted accounts were removed, at most `limit`."""
    return await _purge_rollups.run(db, limit)


async def purge_versions(db: Executor, limit: int) -> int:
    """How many usage versions of deleted accounts were removed, at most `limit`."""
    return await _purge_versions.run(db, limit)
