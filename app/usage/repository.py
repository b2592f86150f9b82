"""Which statements does the usage store need?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from app.database import Connection, Executor, Query
from app.errors import NotFound
from app.keys.structs import Counter, KeyState
from app.usage.counters import Growth, Reading, growth_between
from app.usage.structs import Activity, Cell, Measures, Merged, NamedId, NameIds, StoredReading

BATCH_TIMEOUT_SECONDS = 60.0  # as in usage/set_patience
DAYS_AT_ONCE = 100
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
_list_readings = Query("usage/list_readings", StoredReading)
_list_readings_elsewhere = Query("usage/list_readings_elsewhere", StoredReading)
_merge_readings = Query("usage/merge_readings")
_merge_counters = Query("usage/merge_counters")
_delete_activity = Query("usage/delete_activity", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_create_activity = Query("usage/create_activity", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_delete_workspace_usage = Query("usage/delete_workspace_usage")
_create_workspace_usage = Query("usage/create_workspace_usage")
_set_counted = Query("usage/set_counted", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_delete_unexplained = Query("usage/delete_unexplained", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_create_unexplained = Query("usage/create_unexplained", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_set_uncounted = Query("usage/set_uncounted", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_set_rollups_without = Query("usage/set_rollups_without", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_delete_rollups_of = Query("usage/delete_rollups_of", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_set_workspace_usage_without = Query("usage/set_workspace_usage_without", timeout_seconds=BATCH_TIMEOUT_SECONDS)
_delete_workspaces = Query("usage/delete_workspaces", date, timeout_seconds=BATCH_TIMEOUT_SECONDS)
_purge_facts_of = Query("usage/purge_facts_of")
_purge_generations_of = Query("usage/purge_generations_of")
_purge_readings_of = Query("usage/purge_readings_of")
_purge_readings = Query("usage/purge_readings")
_purge_workspaces = Query("usage/purge_workspaces")
_purge_generations = Query("usage/purge_generations")
_purge_facts = Query("usage/purge_facts")
_purge_rollups = Query("usage/purge_rollups")
_purge_totals = Query("usage/purge_totals")
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
    await refresh_days(connection, user_id, merged.days)
    return merged


async def refresh_days(connection: Connection, user_id: int, days: Collection[date]) -> None:
    """After facts of these days have changed: which of them count, what nothing explains, and the totals."""
    if not days:
        return
    await _set_counted.run(connection, user_id, days)
    await _delete_unexplained.run(connection, user_id, days)
    await _create_unexplained.run(connection, user_id, days)
    await _delete_rollups.run(connection, user_id, days)
    await _create_rollups.run(connection, user_id, days)


# --- counters


async def book_readings(
    connection: Connection, user_id: int, readings: Mapping[int, KeyState], *, with_idle_days: bool
) -> set[tuple[int, date]]:
    """What keys' counters have grown by since they were last read; the keys and days of which something changed.

    A reading that is older than the last one is ignored. `with_idle_days`: a day without growth is kept too, as one of
    which only the cost is known.
    """
    previous = await _last_readings(connection, user_id, {key_id: state.hash for key_id, state in readings.items()})
    taken: list[tuple[int, date, KeyState]] = []
    grown: list[tuple[int, Growth]] = []
    for key_id, state in readings.items():
        last = previous.get(key_id)
        if last is not None and last.taken_at > state.moment:
            continue
        day, growths = growth_between(last and _reading(last), Reading(state.moment.date(), state.cost, state.byok))
        taken.append((key_id, day, state))
        grown += [
            (key_id, growth)
            for growth in growths
            if growth.cost or growth.byok or (with_idle_days and (last is None or growth.day > last.day))
        ]
    await _merge_readings.run(
        connection,
        user_id,
        [key_id for key_id, _, _ in taken],
        [state.hash for _, _, state in taken],
        [day for _, day, _ in taken],
        [state.moment for _, _, state in taken],
        [state.cost.total for _, _, state in taken],
        [state.cost.today for _, _, state in taken],
        [state.byok.total for _, _, state in taken],
        [state.byok.today for _, _, state in taken],
    )
    await _merge_counters.run(
        connection,
        user_id,
        [key_id for key_id, _ in grown],
        [growth.day for _, growth in grown],
        [growth.cost for _, growth in grown],
        [growth.byok for _, growth in grown],
        [growth.is_estimated for _, growth in grown],
    )
    return {(key_id, growth.day) for key_id, growth in grown}


async def _last_readings(connection: Connection, user_id: int, hashes: Mapping[int, str]) -> dict[int, StoredReading]:
    """By key; `hashes` by key."""
    stored = await _list_readings.fetch(connection, user_id, list(hashes), list(hashes.values()))
    if new := hashes.keys() - {row.key_id for row in stored}:
        stored += await _list_readings_elsewhere.fetch(connection, user_id, new, [hashes[key_id] for key_id in new])
    return {row.key_id: row for row in stored}


def _reading(row: StoredReading) -> Reading:
    return Reading(row.day, Counter(row.cost_total, row.cost_today), Counter(row.byok_total, row.byok_today))


# --- activity


async def name_ids(db: Executor, activities: Collection[Activity]) -> NameIds:
    """The ids of all models and providers in there.

    Before the transaction that books them: others wait for a new name no longer than it takes to make it.
    """
    cells = {cell for activity in activities for cell in activity.cells}
    return NameIds(
        await model_ids(db, {cell.model for cell in cells}),
        await provider_ids(db, {cell.provider for cell in cells if cell.provider}),
    )


async def book_activity(
    connection: Connection,
    user_id: int,
    activities: Mapping[int, Activity],
    ids: NameIds,
    first_day: date,
    last_day: date,
) -> int:
    """Replaces what is known of some keys between two days by what activity says; how many facts that makes."""
    await _delete_activity.run(connection, user_id, list(activities), first_day, last_day)
    rows = [
        (key_id, cell, measures)
        for key_id, activity in activities.items()
        for cell, measures in activity.cells.items()
        if first_day <= cell.day <= last_day
    ]
    columns = _columns([(cell, measures) for _, cell, measures in rows], ids)
    await _create_activity.run(connection, user_id, [key_id for key_id, _, _ in rows], *columns)
    return len(rows)


async def clear_workspace(
    connection: Connection, user_id: int, workspace: str, first_day: date, last_day: date
) -> None:
    """Forgets what a workspace has used between two days."""
    await _delete_workspace_usage.run(connection, user_id, workspace, first_day, last_day)


async def book_workspace(
    connection: Connection, user_id: int, workspace: str, activity: Activity, ids: NameIds
) -> None:
    """Replaces what is known of a whole workspace."""
    await clear_workspace(connection, user_id, workspace, activity.first_day, activity.last_day)
    await _create_workspace_usage.run(connection, user_id, workspace, *_columns(list(activity.cells.items()), ids))


def _columns(rows: Sequence[tuple[Cell, Measures]], ids: NameIds) -> list[list[Any]]:
    """As the arrays of usage/create_activity from `days` on."""
    return [
        [cell.day for cell, _ in rows],
        [ids.models[cell.model] for cell, _ in rows],
        [ids.providers.get(cell.provider, UNKNOWN) for cell, _ in rows],
        [measures.requests for _, measures in rows],
        [measures.cost for _, measures in rows],
        [measures.byok_cost for _, measures in rows],
        [measures.tokens_input for _, measures in rows],
        [measures.tokens_output for _, measures in rows],
        [measures.tokens_reasoning for _, measures in rows],
        [measures.tokens_cached for _, measures in rows],
    ]


# --- deleted histories


async def hide_history(connection: Connection, user_id: int, key_ids: Sequence[int]) -> None:
    """Takes the usage of some keys out of every total at once; the rows follow in batches."""
    await _set_uncounted.run(connection, user_id, key_ids)
    await _set_rollups_without.run(connection, user_id, key_ids)
    await _delete_rollups_of.run(connection, user_id, key_ids)
    await _set_workspace_usage_without.run(connection, user_id, key_ids)


async def forget_workspaces(connection: Connection, user_id: int, workspaces: Sequence[str]) -> None:
    """Removes what workspaces have used without a key."""
    days = await _delete_workspaces.fetch(connection, user_id, workspaces)
    for start in range(0, len(days), DAYS_AT_ONCE):
        await refresh_days(connection, user_id, days[start : start + DAYS_AT_ONCE])


async def purge_history(db: Executor, user_id: int, key_id: int, limit: int) -> int:
    """How many rows of a key's deleted history were removed; 0 when nothing is left."""
    counts = [
        await query.run(db, user_id, key_id, limit)
        for query in (_purge_facts_of, _purge_generations_of, _purge_readings_of)
    ]
    return sum(counts)


async def purge_readings(db: Executor, limit: int) -> int:
    """How many readings of deleted accounts were removed, at most `limit`."""
    return await _purge_readings.run(db, limit)


async def purge_workspaces(db: Executor, limit: int) -> int:
    """How many workspaces' days of deleted accounts were removed, at most `limit`."""
    return await _purge_workspaces.run(db, limit)


async def purge_generations(db: Executor, limit: int) -> int:
    """How many generations of deleted accounts were removed, at most `limit`."""
    return await _purge_generations.run(db, limit)


async def purge_facts(db: Executor, limit: int) -> int:
    """How many facts of deleted accounts were removed, at most `limit`."""
    return await _purge_facts.run(db, limit)


async def purge_rollups(db: Executor, limit: int) -> int:
    """How many roll-ups of deleted accounts were removed, at most `limit`."""
    return await _purge_rollups.run(db, limit)


async def purge_totals(db: Executor, limit: int) -> int:
    """How many totals of deleted accounts were removed, at most `limit`."""
    return await _purge_totals.run(db, limit)


async def purge_versions(db: Executor, limit: int) -> int:
    """How many usage versions of deleted accounts were removed, at most `limit`."""
    return await _purge_versions.run(db, limit)
