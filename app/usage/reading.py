"""What does it take to read OpenRouter's keys, and to write what was read?

No connection of the pool is held while OpenRouter is asked. What is written is written under the claim's lease, each key and
window in one transaction: whatever happens, the old figures are there or the new ones.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec

from app.database import Connection, Database
from app.errors import NotFound
from app.keys import repository as keys
from app.keys.structs import Claim
from app.keys.vault import Vault
from app.usage import repository
from app.usage.openrouter import OpenRouter

LEASE_SECONDS = 60.0
JITTER = 0.1  # of the interval, to both sides


def nobody(_: str, __: float) -> None:
    """Wants to know."""


class Sync(msgspec.Struct, frozen=True):
    """What reading keys takes. `places` bounds how much of the pool it takes from everybody else."""

    db: Database
    vault: Vault
    openrouter: OpenRouter
    interval_seconds: float
    places: asyncio.Semaphore
    observe: Callable[[str, float], None] = (
        nobody  # told of each key that was read: how it ended, and after how many seconds
    )

    async def claim_due(self, limit: int) -> list[Claim]:
        """Up to so many keys that are due, for this process alone."""
        return await keys.claim_due(self.db, limit, LEASE_SECONDS)

    async def claim(self, key_id: int) -> Claim | None:
        """One key, due or not; None while somebody else is reading it."""
        return await keys.claim_key(self.db, key_id, LEASE_SECONDS)

    @asynccontextmanager
    async def writing(self, claim: Claim) -> AsyncGenerator[Connection]:
        """A transaction that changes the usage of the key's owner. Raises LeaseLost."""
        async with self.places, self.db.transaction() as connection:
            try:
                await repository.begin_change(connection, claim.user_id)
            except NotFound:
                raise keys.LeaseLost from None  # the account is gone
            await keys.lock_lease(connection, claim)
            yield connection

    @property
    def stale_seconds(self) -> float:
        """How old figures may be before they are called old: some attempts may fail."""
        return 3 * self.interval_seconds

    @property
    def next_seconds(self) -> float:
        """Until a key is read again: not all of them at the same moment."""
        return self.interval_seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 -- no secret
