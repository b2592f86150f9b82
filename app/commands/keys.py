"""The commands about OpenRouter keys."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import click
import msgspec

from app.commands.answers import FAILED, Commands, answer, answer_rows
from app.commands.database import with_database
from app.commands.progress import progress
from app.commands.whose import find_user
from app.database import Database
from app.errors import AppError, NotFound
from app.keys import repository
from app.keys.structs import KeyEntry, SyncStatus
from app.settings import Settings
from app.usage.reading import Sync
from app.usage.sync import sync_now
from app.watching import create_sync

AT_ONCE = 4  # as many as there are connections
LISTED = ("id", "name", "kind", "is_active", "sync_status", "last_synced_at", "usage_total", "limit_remaining")

of_user = click.option("--user", "address", required=True, metavar="ADDRESS", help="whose")


class ReadKey(msgspec.Struct, frozen=True):
    """What became of one key. `error`: why it could not be read."""

    id: int
    name: str
    status: SyncStatus
    rows: int
    error: str | None


@click.group(cls=Commands)
def keys() -> None:
    """OpenRouter keys.

    Their secrets are never shown.
    """


@keys.command("list")
@of_user
def list_keys(address: str) -> None:
    """An account's OpenRouter keys, newest first."""

    async def show(settings: Settings, db: Database) -> None:
        user = await find_user(db, address)
        sync = create_sync(settings, db)
        answer_rows(LISTED, await repository.list_keys(db, user.id, sync.stale_seconds, None, repository.ALL))

    with_database(show)


@keys.command("sync")
@of_user
@click.option("--api-key-id", "key_id", type=click.IntRange(1, 2**63 - 1), help="only this one")
def sync_keys(address: str, key_id: int | None) -> None:
    """Read an account's keys at OpenRouter now. Ends with 1 unless all could be read."""

    async def read(settings: Settings, db: Database) -> list[ReadKey]:
        user = await find_user(db, address)
        sync = create_sync(settings, db)
        try:
            found = await repository.list_keys(db, user.id, sync.stale_seconds, None, repository.ALL)
            chosen = [key for key in found if (key.has_secret if key_id is None else key.id == key_id)]
            if key_id is not None and not chosen:
                raise NotFound(f"{address} has no key {key_id}.")
            with progress("reading", len(chosen)) as advance:
                return await _read_all(sync, user.id, chosen, advance)
        finally:
            await sync.openrouter.close()

    done = with_database(read)
    counts = Counter(key.status for key in done)
    troubles = [f"{key.id} {key.name}: {key.error}" for key in done if key.status != "ok"]
    answer(done, *troubles, f"{len(done)} keys: {counts['ok']} read, {len(done) - counts['ok']} not")
    if len(done) != counts["ok"]:
        raise SystemExit(FAILED)


async def _read_all(sync: Sync, user_id: int, chosen: list[KeyEntry], advance: Callable[[int], None]) -> list[ReadKey]:
    places = asyncio.Semaphore(AT_ONCE)

    async def read(key: KeyEntry) -> ReadKey:
        async with places:
            try:
                report = await sync_now(sync, user_id, key.id)
            except AppError as error:
                return ReadKey(key.id, key.name, "error", 0, error.detail)
            finally:
                advance(1)
            after = await repository.find_key(sync.db, key.id, user_id, sync.stale_seconds)
        return ReadKey(key.id, key.name, report.status, report.rows, after.sync_error)

    return await asyncio.gather(*map(read, chosen))
