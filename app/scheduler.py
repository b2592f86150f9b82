"""What happens without anybody asking? Keys are read and the house is kept, by any number of processes that share the work
through the database."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from app.accounts import repository as accounts
from app.database import Database
from app.errors import Unavailable
from app.events import repository as events
from app.keys import repository as keys
from app.keys.structs import Claim
from app.tokens import repository as tokens
from app.usage import repository as usage
from app.usage.reading import Sync
from app.usage.sync import sync_claimed

PURGE_INTERVAL_SECONDS = 60.0
PURGE_BATCH = 1000
EVENT_RETENTION = timedelta(days=90)
# between batches, so that a big deletion does not keep the database from its other work
PURGE_PAUSE_SECONDS = 0.05

logger: FilteringBoundLogger = structlog.get_logger(__name__)

POLL_SECONDS = 1.0  # how soon a new key is noticed
SYNCS_AT_ONCE = 16


async def keep_house(db: Database, event_retention: timedelta) -> None:
    """Removes what has had its time, for ever. Processes do not get in each other's way: each takes rows that are not locked."""
    while True:
        # not all processes at the same moment
        await asyncio.sleep(PURGE_INTERVAL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        await purge(db, event_retention)


async def purge(db: Database, event_retention: timedelta = EVENT_RETENTION) -> None:
    """Removes everything that is due now, in batches. What fails is left for the next time, and holds up nothing else."""
    for purge_batch in (partial(events.purge_events, retention=event_retention), *_PURGES):
        with _outliving("housekeeping failed"):
            while await purge_batch(db, PURGE_BATCH) == PURGE_BATCH:  # noqa: ASYNC110 -- a pause, not a wait
                await asyncio.sleep(PURGE_PAUSE_SECONDS)


async def purge_histories(db: Database, limit: int) -> int:
    """Removes a part of a deleted history; `limit` while there may be more."""
    key = await keys.find_history_to_purge(db)
    if key is None:
        return 0
    if await usage.purge_history(db, key.user_id, key.key_id, limit) == 0:
        await keys.set_history_purged(db, key.key_id)
    return limit


# children before their parents: an account goes last
_PURGES = (
    purge_histories,
    accounts.purge_attempts,
    accounts.purge_refresh_tokens,
    accounts.purge_sessions,
    accounts.purge_sessions_of_deleted,
    tokens.purge_tokens,
    usage.purge_generations,
    usage.purge_facts,
    usage.purge_rollups,
    usage.purge_totals,
    usage.purge_readings,
    usage.purge_workspaces,
    usage.purge_versions,
    keys.purge_keys,
    events.purge_events_of_deleted,
    accounts.purge_users,
)


async def keep_watch(sync: Sync) -> None:
    """Reads the keys that are due, for ever. One that hangs takes one place of many, and none from another key's data."""
    reading: set[asyncio.Task[object]] = set()
    try:
        while True:
            claims: list[Claim] = []
            with _outliving("watching failed"):
                claims = await sync.claim_due(SYNCS_AT_ONCE - len(reading))
            reading |= {asyncio.create_task(_read(sync, claim)) for claim in claims}
            if len(reading) >= SYNCS_AT_ONCE:
                await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            elif not claims:
                await asyncio.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
            reading = {task for task in reading if not task.done()}
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _read(sync: Sync, claim: Claim) -> None:
    with _outliving("reading failed"):  # the lease runs out, and then it is due again
        await sync_claimed(sync, claim)


@contextmanager
def _outliving(sentence: str) -> Generator[None]:
    """Work that nobody asks for must go on after any one failure; that the database is away is not even worth a line."""
    try:
        yield
    except Unavailable:
        pass
    except Exception as error:  # noqa: BLE001 -- see above
        logger.error(sentence, kind=type(error).__name__)  # noqa: TRY400 -- traces may quote values


async def run(sync: Sync, event_retention: timedelta) -> None:
    """Everything above as a process of its own, until SIGTERM or SIGINT; what is being read is given back for others to take."""
    stop = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    await sync.db.open()
    work = [asyncio.create_task(keep_house(sync.db, event_retention)), asyncio.create_task(keep_watch(sync))]
    try:
        await stop.wait()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await sync.openrouter.close()
        await sync.db.close()
