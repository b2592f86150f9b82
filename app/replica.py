"""Where are figures read? On the read replica while it answers, else on the primary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import structlog

from app.database import Database
from app.errors import NotFound, Unavailable

T = TypeVar("T")

PATIENCE_SECONDS = 1.0  # then it is asked whether it is there at all
PROBE_TIMEOUT_SECONDS = 1.0
REST_SECONDS = 2.0  # one that failed is left alone for so long; then a single reader tries

logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reader:
    """Reads figures, which may be a little old, but never what decides about a request."""

    def __init__(self, primary: Database, replica: Database | None) -> None:
        """`replica` None: everything is read on the primary."""
        self._primary = primary
        self._replica = replica
        self._has_failed = False
        self._rests_until = 0.0

    async def open(self) -> None:
        """Opens the replica's pool; the primary is its owner's."""
        if self._replica is not None:
            await self._replica.open()

    async def close(self) -> None:
        """Closes it."""
        if self._replica is not None:
            await self._replica.close()

    @property
    def has_replica(self) -> bool:
        """Whether there is one, well or not."""
        return self._replica is not None

    async def read_primary(self, act: Callable[[Database], Awaitable[T]]) -> T:
        """For what the replica cannot know yet."""
        return await act(self._primary)

    async def read(self, act: Callable[[Database], Awaitable[T]]) -> T:
        """What `act` reads from one of the two. It must change nothing, for it may be run on both, one after the other.

        The primary is asked when the replica fails, falls silent or finds nothing: what is new may not have reached it.
        """
        if self._replica is None or self._is_resting():
            return await act(self._primary)
        try:
            answer = await self._read_replica(self._replica, act)
        except NotFound:
            return await act(self._primary)
        except (Unavailable, asyncpg.PostgresError) as error:  # also one whose schema is older than ours
            self._note_failure(error)
            return await act(self._primary)
        if self._has_failed:
            self._has_failed, self._rests_until = False, 0.0
            logger.info("figures are read on the replica again")
        return answer

    def _is_resting(self) -> bool:
        """While it rests, and for all but one reader afterwards."""
        now = time.monotonic()
        if now < self._rests_until:
            return True
        if self._has_failed:
            self._rests_until = now + REST_SECONDS
        return False

    def _note_failure(self, error: Exception) -> None:
        if not self._has_failed:
            reason = error.__cause__ or error
            logger.warning("the replica fails; figures are read on the primary", kind=type(reason).__name__)
        self._has_failed = True
        self._rests_until = time.monotonic() + REST_SECONDS

    async def _read_replica(self, replica: Database, act: Callable[[Database], Awaitable[T]]) -> T:
        """What is slow may take its time, what is dead may not. Raises Unavailable."""
        work = asyncio.ensure_future(act(replica))
        work.add_done_callback(_forget)
        try:
            while not (await asyncio.wait({work}, timeout=PATIENCE_SECONDS))[0]:
                if not await replica.answers(PROBE_TIMEOUT_SECONDS):
                    raise Unavailable
            return work.result()
        finally:
            work.cancel()


def _forget(work: asyncio.Future[Any]) -> None:
    """It may fail when nobody waits for it any more."""
    if not work.cancelled():
        work.exception()
