"""A user's OpenRouter for the tests: the simulator, a clock that is moved by hand, and the service's reading of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec

from app.database import Database
from app.keys.register import add_key
from app.keys.structs import SyncReport
from app.keys.vault import Vault
from app.simulator.clock import Clock
from app.simulator.server import Simulator, serving
from app.simulator.world import Account, Key, World
from app.usage.imports import import_activity
from app.usage.openrouter import OpenRouter
from app.usage.reading import Sync
from app.usage.sync import sync_claimed
from tests.conftest import SECRET

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)  # a Wednesday
TODAY = NOON.date()
MANY = 1000
MODEL = "maker/model"


class Watching(msgspec.Struct):
    """One user, one account at OpenRouter, and the service between them."""

    simulator: Simulator
    account: Account
    sync: Sync
    connection: asyncpg.Connection
    user_id: int

    @property
    def world(self) -> World:
        """What OpenRouter knows."""
        return self.simulator.world

    def passes(self, **time: float) -> None:
        """Time goes by, at OpenRouter and here."""
        self.world.clock.advance(timedelta(**time))

    async def adds(self, key: Key, name: str | None = None) -> int:
        """The user stores a key."""
        return await add_key(self.sync, self.user_id, name or key.name, key.secret, MANY)

    async def reads(self, key_id: int) -> SyncReport:
        """One key is read now."""
        claim = await self.sync.claim(key_id)
        assert claim is not None
        return await sync_claimed(self.sync, claim)

    async def reads_all(self) -> list[SyncReport]:
        """Every key with a secret is read now."""
        rows = await self.connection.fetch("SELECT id FROM openrouter_keys WHERE secret IS NOT NULL ORDER BY id")
        return [await self.reads(row["id"]) for row in rows]

    async def imports(self, rows: Sequence[tuple[str, str, date, Decimal]]) -> None:
        """An export: generation, name of the key, day and cost."""

        async def pieces() -> AsyncGenerator[bytes]:
            yield b"generation_id,created_at,cost_total,model_permaslug,api_key_name\n"
            for generation, name, day, cost in rows:
                yield f"{generation},{day} 10:00:00.000,{cost:f},{MODEL},{name}\n".encode()

        await import_activity(self.sync.db, self.user_id, pieces())

    async def costs(self, key_id: int | None = None) -> dict[date, Decimal]:
        """What the roll-ups say by day, of one key (0: usage without a key) or of all."""
        rows = await self.connection.fetch(
            "SELECT day, cost FROM usage_rollups WHERE user_id = $1 AND key_id = $2 AND model_id = -1 AND cost <> 0",
            self.user_id,
            -1 if key_id is None else key_id,
        )
        return {row["day"]: row["cost"] for row in rows}

    async def total(self, key_id: int | None = None) -> Decimal:
        """The sum of that."""
        return sum((await self.costs(key_id)).values(), Decimal(0))

    async def id_of(self, key: Key) -> int | None:
        """The row of a key, wherever it came from."""
        return await self.connection.fetchval(
            "SELECT id FROM openrouter_keys WHERE user_id = $1 AND hash = $2 AND history_deleted_at IS NULL",
            self.user_id,
            key.hash,
        )

    async def row(self, key_id: int) -> dict[str, Any]:
        """A key as it is stored."""
        return dict(await self.connection.fetchrow("SELECT * FROM openrouter_keys WHERE id = $1", key_id))

    async def assert_books_are_straight(self) -> None:
        """Every roll-up is the sum of the facts that count, and for no key and day more than one source counts."""
        facts = await self.connection.fetch("SELECT * FROM usage_facts WHERE user_id = $1 AND is_counted", self.user_id)
        expected: dict[tuple[int, int, date], Decimal] = defaultdict(Decimal)
        sources: dict[tuple[int, date], set[str]] = defaultdict(set)
        for fact in facts:
            sources[fact["key_id"], fact["day"]].add(fact["source"])
            for key_id in {fact["key_id"], -1}:
                for model_id in {fact["model_id"], -1}:
                    expected[key_id, model_id, fact["day"]] += fact["cost"]
        rollups = await self.connection.fetch("SELECT * FROM usage_rollups WHERE user_id = $1", self.user_id)
        assert {(r["key_id"], r["model_id"], r["day"]): r["cost"] for r in rollups} == expected
        assert all(len(found) == 1 for (key_id, _), found in sources.items() if key_id != 0)


@asynccontextmanager
async def watching(
    database_url: str, connection: asyncpg.Connection, start: datetime = NOON
) -> AsyncGenerator[Watching]:
    """The clock stands still at `start` until it is moved."""
    clock = Clock(start)
    clock.freeze()
    world = World(clock, seed=1)
    db = Database(database_url, pool_size=4)
    await db.open()
    user_id = await connection.fetchval(
        "INSERT INTO users (email, email_key, password_hash) VALUES ($1, $1, 'x') RETURNING id", f"{uuid4()}@b.c"
    )
    async with serving(world) as simulator:
        openrouter = OpenRouter(simulator.base_url, now=clock.now)
        sync = Sync(db, Vault([SECRET]), openrouter, 900.0, asyncio.Semaphore(2))
        try:
            yield Watching(simulator, world.add_account(), sync, connection, user_id)
        finally:
            await openrouter.close()
            await db.close()
