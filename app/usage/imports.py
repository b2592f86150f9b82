"""How does an activity export get into the store? For the HTTP endpoint and the command line; any size, constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any

from app.database import Database
from app.events import repository as events
from app.events.structs import OPERATOR, Client
from app.keys import repository as keys
from app.usage import repository
from app.usage.activity_csv import ActivityReader, Generation, Rejected
from app.usage.money import EXACT
from app.usage.structs import ImportReport

# One transaction each: large enough that the day's roll-ups are not made anew too often, small enough for the memory.
BATCH_ROWS = 100_000
BATCH_BYTES = 24 * 1024 * 1024  # of the export; ordinary rows have fewer than 200
REPORTED_REJECTIONS_MAX = 100

Progress = Callable[[int], None]


async def import_activity(
    db: Database,
    user_id: int,
    pieces: AsyncIterable[bytes],
    key_id: int | None = None,
    progress: Progress | None = None,
    client: Client = OPERATOR,
) -> ImportReport:
    """Reads an export in pieces and books it, on `key_id` if given.

    What was booked before a failure stays, and importing again completes it: each generation counts once. Lines that cannot be
    read are reported and stop nothing. `progress` is told the number of bytes that were read. Raises Invalid when it is no
    export at all, NotFound or NotYours for `key_id`.
    """
    if key_id is not None:
        await keys.require_own(db, key_id, user_id)
    reader, report, batch = ActivityReader(), ImportReport(), list[Generation]()
    batch_bytes = 0
    booking = asyncio.create_task(_nothing())
    try:
        async for piece in pieces:
            # in a thread: neither other requests nor the booking wait for the reading
            _sort(await asyncio.to_thread(reader.feed, piece), batch, report)
            if progress:
                progress(len(piece))
            batch_bytes += len(piece)
            if len(batch) >= BATCH_ROWS or batch_bytes >= BATCH_BYTES:
                await booking
                # the database works on this batch while the next one is being read
                booking = asyncio.create_task(_book(db, user_id, batch, key_id, report, client))
                batch, batch_bytes = [], 0
        _sort(reader.finish(), batch, report)
    finally:
        await booking
    await _book(db, user_id, batch, key_id, report, client)
    return report


async def _nothing() -> None:
    """Nothing is being booked yet."""


def _sort(found: list[Generation | Rejected], batch: list[Generation], report: ImportReport) -> None:
    for row in found:
        if isinstance(row, Generation):
            batch.append(row)
            continue
        report.rejected_rows += 1
        if len(report.rejected) < REPORTED_REJECTIONS_MAX:
            report.rejected.append(row)
    report.rows += len(found)


async def _book(
    db: Database, user_id: int, batch: list[Generation], key_id: int | None, report: ImportReport, client: Client
) -> None:
    if not batch:
        return
    # Names become ids outside the transaction: other imports wait for new names no longer than it takes to make them.
    models = await repository.model_ids(db, {row.model for row in batch})
    providers = await repository.provider_ids(db, {row.provider for row in batch if row.provider})
    key_names = {row.key_name for row in batch if row.key_name} if key_id is None else set[str]()
    key_ids = await keys.ids_by_name(db, user_id, key_names)

    def staged(row: Generation) -> tuple[Any, ...]:
        return (
            row.line,
            row.generation_id,
            row.created_at,
            key_id if key_id is not None else key_ids[row.key_name] if row.key_name else keys.NO_KEY,
            models[row.model],
            providers[row.provider] if row.provider else repository.UNKNOWN,
            row.cost,
            row.byok_cost,
            row.tokens_input,
            row.tokens_output,
            row.tokens_reasoning,
            row.tokens_cached,
        )

    rows = await asyncio.to_thread(lambda: [staged(row) for row in batch])
    async with db.transaction() as connection:
        await repository.begin_change(connection, user_id)
        merged = await repository.merge_generations(connection, user_id, rows)
        await keys.set_imported_at(connection, user_id, key_ids.values() if key_id is None else [key_id])
        if not report.imported and not report.duplicates:  # the first of perhaps many transactions
            await events.note(connection, user_id, "usage_imported", client, key_id)
    report.imported += merged.imported
    report.duplicates += len(batch) - merged.imported
    report.total_cost = EXACT.add(report.total_cost, merged.cost)
    if merged.days:
        report.first_day = min(merged.days) if report.first_day is None else min(report.first_day, *merged.days)
        report.last_day = max(merged.days) if report.last_day is None else max(report.last_day, *merged.days)
