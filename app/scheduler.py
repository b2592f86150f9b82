"""What happens without anybody asking? Housekeeping, in every server process, sharing the work through the database."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from app.accounts import repository as accounts
from app.database import Database
from app.errors import Unavailable
from app.keys import repository as keys
from app.tokens import repository as tokens
from app.usage import repository as usage

PARENT_CHECK_SECONDS = 1.0
PURGE_INTERVAL_SECONDS = 60.0
PURGE_BATCH = 1000
# between batches, so that a big deletion does not keep the database from its other work
PURGE_PAUSE_SECONDS = 0.05

logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# children before their parents: an account goes last
_PURGES = (
    accounts.purge_attempts,
    accounts.purge_refresh_tokens,
    accounts.purge_sessions,
    accounts.purge_sessions_of_deleted,
    tokens.purge_tokens,
    usage.purge_generations,
    usage.purge_facts,
    usage.purge_rollups,
    usage.purge_versions,
    keys.purge_keys,
    accounts.purge_users,
)


async def keep_house(db: Database) -> None:
    """Removes what has had its time, for ever. Processes do not get in each other's way: each takes rows that are not locked."""
    while True:
        # not all processes at the same moment
        await asyncio.sleep(PURGE_INTERVAL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        await purge(db)


async def purge(db: Database) -> None:
    """Removes everything that is due now, in batches. What fails is left for the next time, and holds up nothing else."""
    for purge_batch in _PURGES:
        try:
            while await purge_batch(db, PURGE_BATCH) == PURGE_BATCH:  # noqa: ASYNC110 -- a pause, not a wait
                await asyncio.sleep(PURGE_PAUSE_SECONDS)
        except Unavailable:
            continue
        except Exception as error:  # noqa: BLE001 -- housekeeping must outlive any one failure
            logger.error("housekeeping failed", kind=type(error).__name__)  # noqa: TRY400 -- traces may quote values


def exit_with_parent(app: ASGIApp) -> ASGIApp:
    """Ends a worker whose server process is gone: after a kill -9 it would serve on, and keep the port, for ever."""
    parent = os.getppid()
    watches: set[asyncio.Task[None]] = set()

    async def watch() -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 -- nobody signals the death of a parent
            await asyncio.sleep(PARENT_CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "lifespan":  # which Litestar's types leave out
            watches.add(asyncio.get_running_loop().create_task(watch()))
        await app(scope, receive, send)

    return watched
