"""Does only the process that holds a key write what it read, and does it hold nothing else meanwhile?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from app.database import Database
from app.keys import register
from app.keys.repository import LeaseLost, renew_lease
from app.keys.structs import SyncReport
from app.metrics.repository import list_sync_states
from app.simulator.faults import Fault
from app.simulator.world import Key
from app.usage.reading import Sync
from app.usage.sync import sync_claimed
from tests.usage.watching import Watching, watching


@pytest.fixture
async def watch(database_url: str, connection: asyncpg.Connection) -> AsyncGenerator[Watching]:
    async with watching(database_url, connection) as watching_:
        yield watching_


async def reads_while(watch: Watching, key_id: int, act: Callable[[], Awaitable[object]]) -> SyncReport:
    """Something happens between the question and the answer."""
    watch.world.faults = [Fault("slow", seconds=0.3)]
    asked = watch.simulator.calls()
    reading = asyncio.create_task(watch.reads(key_id))
    async with asyncio.timeout(5):
        while watch.simulator.calls() == asked:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)
    watch.world.faults = []
    await act()
    return await reading


async def stored(watch: Watching, name: str = "prod") -> tuple[Key, int]:
    key = watch.account.add_key(name)
    key_id = await watch.adds(key)
    watch.account.spend(key, Decimal("0.5"))
    return key, key_id


async def facts(watch: Watching) -> int:
    return await watch.connection.fetchval("SELECT count(*) FROM usage_facts")


async def test_key_that_is_deleted_while_it_is_read_gets_no_figures(watch: Watching) -> None:
    _, key_id = await stored(watch)

    async def delete() -> None:
        await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)

    assert (await reads_while(watch, key_id, delete)).rows == 0
    assert await facts(watch) == 0
    assert (await watch.row(key_id))["secret"] is None


async def test_key_that_is_replaced_while_it_is_read_gets_no_figures_of_the_old_one(watch: Watching) -> None:
    _, key_id = await stored(watch)
    new = watch.account.add_key("new")

    async def replace() -> None:
        change = register.Change(None, None, new.secret)
        await register.change_key(watch.sync, watch.user_id, key_id, change, 10)

    assert (await reads_while(watch, key_id, replace)).rows == 0
    assert await facts(watch) == 0
    assert (await watch.row(key_id))["hash"] == new.hash
    assert [claim.key_id for claim in await watch.sync.claim_due(10)] == [key_id]  # due at once


async def test_keys_of_deleted_accounts_are_neither_read_nor_missed(watch: Watching) -> None:
    await stored(watch)
    assert [state.total for state in await list_sync_states(watch.sync.db)] == [1]
    await watch.connection.execute("UPDATE users SET deleted_at = now(), email_key = NULL WHERE id = $1", watch.user_id)
    assert await watch.sync.claim_due(10) == []
    assert await list_sync_states(watch.sync.db) == []  # for whoever is woken when keys are overdue


async def test_answer_that_comes_late_does_not_undo_a_later_one(watch: Watching) -> None:
    """The account's list was asked for before the key itself, and is written after it."""
    key, key_id = await stored(watch)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(key_id)
    watch.passes(minutes=1)
    watch.world.faults = [Fault("slow", path="/activity", seconds=0.5, times=1)]
    asked = watch.simulator.calls("/activity")
    reading = asyncio.create_task(watch.reads(manager_id))
    async with asyncio.timeout(5):
        while watch.simulator.calls("/activity") == asked:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)
    watch.account.spend(key, Decimal("0.25"))
    watch.passes(minutes=1)
    await watch.reads(key_id)
    assert (await reading).status == "ok"
    assert await watch.total(key_id) == Decimal("0.75")
    readings = await watch.connection.fetch("SELECT cost_total FROM usage_readings WHERE key_id = $1", key_id)
    assert [row["cost_total"] for row in readings] == [Decimal("0.75")]


async def test_account_that_is_deleted_while_its_key_is_read_gets_no_figures(watch: Watching) -> None:
    _, key_id = await stored(watch)

    async def delete() -> None:
        await watch.connection.execute(
            "UPDATE users SET deleted_at = now(), email_key = NULL WHERE id = $1", watch.user_id
        )

    assert (await reads_while(watch, key_id, delete)).rows == 0
    assert await facts(watch) == 0


async def test_lease_that_ran_out_writes_nothing_even_if_nobody_else_came(watch: Watching) -> None:
    _, key_id = await stored(watch)

    async def expire() -> None:
        await watch.connection.execute(
            "UPDATE openrouter_keys SET lease_until = now() - interval '1 second' WHERE id > 0"
        )

    assert (await reads_while(watch, key_id, expire)).rows == 0
    assert await facts(watch) == 0
    assert (await watch.row(key_id))["last_synced_at"] is None


@pytest.mark.parametrize("fault", [None, Fault("status", status=500)], ids=["answer", "failure"])
async def test_key_that_somebody_else_has_taken_meanwhile_is_left_to_them(watch: Watching, fault: Fault | None) -> None:
    """Nothing is written, neither figures nor the failure, and their lease is neither renewed nor ended."""
    _, key_id = await stored(watch)
    before = await watch.row(key_id)
    first = await watch.sync.claim(key_id)
    assert first
    await watch.connection.execute("UPDATE openrouter_keys SET lease_until = now() WHERE id = $1", key_id)
    second = await watch.sync.claim(key_id)
    assert second
    held = await watch.row(key_id)
    watch.world.faults = [fault] if fault else []
    await sync_claimed(watch.sync, first)
    with pytest.raises(LeaseLost):
        await renew_lease(watch.sync.db, first, 60)
    assert await watch.row(key_id) == held
    assert held["sync_status"] == before["sync_status"]
    assert await facts(watch) == 0
    watch.world.faults = []
    assert (await sync_claimed(watch.sync, second)).status == "ok"
    assert await facts(watch) == 1


async def test_failure_of_a_lost_lease_is_not_noted(watch: Watching) -> None:
    key, key_id = await stored(watch)
    claim = await watch.sync.claim(key_id)
    assert claim
    await watch.connection.execute("UPDATE openrouter_keys SET fence = fence + 1 WHERE id = $1", key_id)
    key.disabled = True
    assert (await sync_claimed(watch.sync, claim)).status == "unauthorized"
    assert (await watch.row(key_id))["sync_status"] == "pending"


async def test_claim_is_exclusive(watch: Watching) -> None:
    ids = {(await stored(watch, f"key {number}"))[1] for number in range(12)}
    claims = await asyncio.gather(*(watch.sync.claim_due(5) for _ in range(6)))
    taken = [claim.key_id for found in claims for claim in found]
    assert sorted(taken) == sorted(ids)
    assert await watch.sync.claim(next(iter(ids))) is None


NEVER = 3600.0


async def until_asked(watch: Watching, requests: int) -> None:
    async with asyncio.timeout(10):
        while watch.simulator.concurrent < requests:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)


async def assert_free(db: Database, asking: Sequence[asyncio.Task[Any]]) -> None:
    """Whoever comes gets a connection, while all of these wait for OpenRouter."""
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    assert not any(task.done() for task in asking)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


@pytest.fixture
async def small(watch: Watching, database_url: str) -> AsyncGenerator[Sync]:
    """A service whose pool has one connection."""
    db = Database(database_url, pool_size=1)
    await db.open()
    yield Sync(db, watch.sync.vault, watch.sync.openrouter, 900.0, asyncio.Semaphore(1))
    await db.close()


async def test_no_connection_is_held_while_keys_are_asked_for(watch: Watching, small: Sync) -> None:
    ids = [(await stored(watch, f"key {number}"))[1] for number in range(5)]
    claims = [claim for key_id in ids if (claim := await small.claim(key_id))]
    watch.world.options.latency_seconds = NEVER
    reading = [asyncio.create_task(sync_claimed(small, claim)) for claim in claims]
    await until_asked(watch, len(ids))
    await assert_free(small.db, reading)


@pytest.mark.parametrize(
    ("path", "calls"),
    [
        ("/key", 1),
        ("/workspaces", 1),
        ("/keys", 1),
        ("/credits", 1),
        ("/activity", 1),
        ("/activity", 2),
        ("/activity", 3),
    ],
)
async def test_no_connection_is_held_while_an_account_is_asked_for(
    watch: Watching, small: Sync, path: str, calls: int
) -> None:
    """Activity is asked for the workspace, key by key, and of a key that was deleted with its history."""
    key = watch.account.add_key("kept")
    forgotten = watch.account.add_key("forgotten")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    forgotten_id = await watch.id_of(forgotten)
    assert forgotten_id
    await register.delete_key(watch.sync.db, watch.user_id, forgotten_id, with_history=True)
    watch.account.revise(watch.world.clock.now().date() - timedelta(days=1), key, Decimal(1))
    claim = await small.claim(manager_id)
    assert claim
    asked = watch.simulator.calls(path)
    watch.world.faults = [Fault("slow", path=path, seconds=NEVER, spared=calls - 1)]
    reading = asyncio.create_task(sync_claimed(small, claim))
    async with asyncio.timeout(10):
        while watch.simulator.calls(path) < asked + calls:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)
    await assert_free(small.db, [reading])


async def test_no_connection_is_held_while_a_new_key_is_asked_about(watch: Watching, small: Sync) -> None:
    _, key_id = await stored(watch)
    new, other = watch.account.add_key("new"), watch.account.add_key("other")
    watch.world.options.latency_seconds = NEVER
    asking = [
        asyncio.create_task(register.add_key(small, watch.user_id, "new", new.secret, 10)),
        asyncio.create_task(
            register.change_key(small, watch.user_id, key_id, register.Change(None, None, other.secret), 10)
        ),
    ]
    await until_asked(watch, len(asking))
    await assert_free(small.db, asking)
