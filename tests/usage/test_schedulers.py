"""Do real scheduler processes share the work, and does it survive that they are killed or stopped at any moment?"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from app.scheduler import keep_watch
from app.simulator.faults import Fault
from app.simulator.world import Key
from tests.cast import Person
from tests.conftest import SECRET
from tests.processes import PROJECT, running_server
from tests.rounds import rounds
from tests.usage.watching import Watching, watching

KILLS = rounds(5, 20)
# of twelve keys with a secret; and of an account with twelve more: its own key, workspaces and keys until a page is empty, its
# balance, its activity, and that of each key
CALLS = 12 + 7 + 12
PATIENCE_SECONDS = 30


@pytest.fixture
async def watch(database_url: str, connection: asyncpg.Connection) -> AsyncGenerator[Watching]:
    """Noon of the real day: the processes have the real time."""
    noon = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC) + timedelta(hours=12)
    async with watching(database_url, connection, noon) as watching_:
        yield watching_


@contextmanager
def scheduler(watch: Watching, database_url: str, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """`python -m app scheduler`; killed at the end, if nothing else has ended it."""
    secret = base64.b64encode(SECRET).decode()
    environ = {
        "DATABASE_URL": database_url,
        "JWT_SECRETS": secret,
        "ENCRYPTION_KEYS": secret,
        "OPENROUTER_BASE_URL": watch.simulator.base_url,
        "SYNC_INTERVAL_MINUTES": "60",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "scheduler"],
            cwd=PROJECT,
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until(watch: Watching, condition: str) -> None:
    """Something about all stored keys."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await watch.connection.fetchval(  # noqa: ASYNC110 -- nobody signals it
            f"SELECT bool_and({condition}) FROM openrouter_keys WHERE secret IS NOT NULL"  # noqa: S608 -- our own
        ):
            await asyncio.sleep(0.05)


async def until_asked(watch: Watching, calls: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while watch.simulator.calls() < calls:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)


async def make_due(watch: Watching) -> None:
    """As if the interval had passed, and the leases of the dead with it."""
    await watch.connection.execute(
        "UPDATE openrouter_keys SET next_sync_at = now(), lease_until = NULL WHERE secret IS NOT NULL"
    )


async def expire_leases(watch: Watching) -> None:
    """As if they had run out. A process that was stopped in a transaction holds its rows until the database ends its session."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(asyncpg.LockNotAvailableError):
                await watch.connection.execute(
                    "UPDATE openrouter_keys SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
                )
                return


async def test_kills_leave_every_total_exact(watch: Watching, database_url: str, tmp_path: Path) -> None:
    """Whatever was under way, the old figures were there or the new ones, and the next process goes on."""
    dice = random.Random(20261124)  # noqa: S311 -- no secret
    keys = [watch.account.add_key(f"key {number}") for number in range(12)]
    watch.account.generate(30, per_day=8, keys=keys)
    other = watch.world.add_account()
    inference = [other.add_key(f"own {number}") for number in range(12)]
    for key in (watch.account.add_management_key("admin"), *inference):
        await watch.adds(key)
    watch.world.options.latency_seconds = 0.01
    yesterday = watch.world.clock.now().date() - timedelta(days=1)
    for _ in range(KILLS):
        for key in inference:
            other.spend(key, Decimal(dice.randrange(10**9)).scaleb(-9))
        watch.account.revise(yesterday, dice.choice(keys), Decimal(dice.randrange(10**9)).scaleb(-9))
        watch.account.revise(yesterday, None, Decimal(dice.randrange(10**9)).scaleb(-9))
        watch.account.spend(dice.choice(keys), Decimal(dice.randrange(10**9)).scaleb(-9))
        watch.passes(seconds=10)
        await make_due(watch)
        asked = watch.simulator.calls()
        with scheduler(watch, database_url, tmp_path / "log") as process:
            await until_asked(watch, asked + dice.randint(1, CALLS))
            await asyncio.sleep(dice.random() * 0.15)
            process.send_signal(signal.SIGKILL)
            process.wait()
        await watch.assert_books_are_straight()
    watch.passes(seconds=10)
    await make_due(watch)
    await watch.connection.execute("UPDATE openrouter_keys SET last_synced_at = NULL")
    with scheduler(watch, database_url, tmp_path / "log") as process:
        await until(watch, "last_synced_at IS NOT NULL")
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    for key in inference:
        assert await watch.total(await watch.id_of(key)) == other.total(key)
    for key in keys:
        assert await watch.costs(await watch.id_of(key)) == known(watch, key)
    assert await watch.costs(0) == known(watch, None)
    await watch.assert_books_are_straight()
    assert "failed" not in (tmp_path / "log").read_text()


def known(watch: Watching, key: Key | None) -> dict[object, Decimal]:
    """What OpenRouter can tell by now."""
    today = watch.world.clock.now().date()
    return {
        day: cost
        for day, cost in watch.account.cost_by_day(key).items()
        if cost and today - timedelta(days=30) <= day and (key is not None or day < today)
    }


async def test_four_schedulers_read_each_key_once_and_a_stopped_one_writes_nothing(
    watch: Watching, database_url: str, tmp_path: Path
) -> None:
    keys = [watch.account.add_key(f"key {number}") for number in range(40)]
    for key in keys:
        await watch.adds(key)
        watch.account.spend(key, Decimal("0.5"))
    watch.world.options.latency_seconds = 0.2
    watch.simulator.requests.clear()
    with (
        scheduler(watch, database_url, tmp_path / "1") as stopped,
        scheduler(watch, database_url, tmp_path / "2") as second,
        scheduler(watch, database_url, tmp_path / "3") as third,
        scheduler(watch, database_url, tmp_path / "4") as fourth,
    ):
        others = (second, third, fourth)
        await until(watch, "last_synced_at IS NOT NULL")
        assert {watch.simulator.calls(key=key) for key in keys} == {1}

        # The next interval: one process is stopped with keys in its hands, until their leases have run out.
        for key in keys:
            watch.account.spend(key, Decimal("0.25"))
        watch.passes(minutes=60)
        for process in others:
            process.send_signal(signal.SIGSTOP)
        await watch.connection.execute("UPDATE openrouter_keys SET last_synced_at = NULL, next_sync_at = now()")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not watch.simulator.concurrent:  # noqa: ASYNC110 -- nobody signals it
                await asyncio.sleep(0.01)
        await asyncio.sleep(random.random() * 0.3)  # noqa: S311 -- no secret
        stopped.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)
        assert await watch.connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE lease_until > now()") > 0
        for process in others:
            process.send_signal(signal.SIGCONT)
        await expire_leases(watch)
        await until(watch, "last_synced_at IS NOT NULL")
        before = await watch.connection.fetch("SELECT id, last_synced_at, fence FROM openrouter_keys ORDER BY id")
        stopped.send_signal(signal.SIGCONT)
        await asyncio.sleep(2)
        assert stopped.poll() is None
        after = await watch.connection.fetch("SELECT id, last_synced_at, fence FROM openrouter_keys ORDER BY id")
        assert after == before
        assert all(2 <= watch.simulator.calls(key=key) <= 3 for key in keys)
    for key in keys:
        assert await watch.total(await watch.id_of(key)) == Decimal("0.75")


async def test_stopped_scheduler_gives_back_what_it_holds(watch: Watching, database_url: str, tmp_path: Path) -> None:
    """After SIGTERM others need not wait for the lease to run out."""
    for number in range(5):
        await watch.adds(watch.account.add_key(f"key {number}"))
    watch.simulator.requests.clear()
    watch.world.options.latency_seconds = 20
    with scheduler(watch, database_url, tmp_path / "log") as process:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while watch.simulator.concurrent < 5:  # noqa: ASYNC110 -- nobody signals it
                await asyncio.sleep(0.02)
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 0
    due = "next_sync_at <= now() AND (lease_until IS NULL OR lease_until <= now())"
    assert await watch.connection.fetchval(f"SELECT count(*) FROM openrouter_keys WHERE {due}") == 5  # noqa: S608 -- our own


async def test_service_reads_what_is_new_without_being_asked_and_says_no_secret(
    watch: Watching, database_url: str, tmp_path: Path
) -> None:
    """Also where it says all it can, and where OpenRouter makes it say something."""
    own, managed = watch.world.add_account().add_key("own"), watch.account.add_key("managed")
    manager = watch.account.add_management_key("admin")
    watch.account.generate(30, keys=[managed])
    watch.world.accounts[1].spend(own, Decimal("0.5"))
    log = tmp_path / "log"
    async with running_server(
        database_url, log, OPENROUTER_BASE_URL=watch.simulator.base_url, LOG_LEVEL="debug"
    ) as client:
        person = await Person.arrives(client, "alice@example.com")
        watch.user_id = person.id
        for key in (own, manager):
            assert (await person.post("/api/keys", {"name": key.name, "key": key.secret})).status_code == 201
        await until(watch, "sync_status = 'ok' AND last_synced_at IS NOT NULL")
        entries = {entry["name"]: entry for entry in (await person.get("/api/keys")).json()}
        assert entries["own"]["counted_cost"] == 0.5
        assert entries["managed"]["managed_by"] == entries["admin"]["id"]
        assert await watch.costs(entries["managed"]["id"]) == known(watch, managed)
        assert await watch.costs(0) == known(watch, None)
        watch.world.faults = [Fault("status", status=500, times=1), Fault("reset")]
        for _ in watch.world.faults:
            report = await person.post(f"/api/keys/{entries['own']['id']}/sync")
            assert report.json()["status"] == "error"
    said = log.read_text()
    assert said
    assert not [key for key in (own, manager) if key.secret[9:] in said]


async def test_watching_outlives_what_nobody_thought_of(watch: Watching) -> None:
    """Say, a database that was brought back from a dump and is not whole for a moment."""
    key_id = await watch.adds(watch.account.add_key("prod"))
    await watch.connection.execute("ALTER TABLE openrouter_keys RENAME TO elsewhere")
    work = asyncio.create_task(keep_watch(watch.sync))
    await asyncio.sleep(0.5)
    assert not work.done()
    await watch.connection.execute("ALTER TABLE elsewhere RENAME TO openrouter_keys")
    await until(watch, "sync_status = 'ok'")
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert (await watch.row(key_id))["last_synced_at"] is not None
