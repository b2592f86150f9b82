"""How long does it take to read many inference keys, and what does it cost? `python -m tests.bench.sync`

The service, its database, the simulator of OpenRouter and somebody who asks /readyz all the while share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from decimal import Decimal

import asyncpg
import httpx

from app import embedded, migrate
from app.database import Database
from app.keys.register import add_key
from app.keys.vault import Vault
from app.simulator.server import Simulator, serving
from app.simulator.world import Key, World
from app.usage.openrouter import OpenRouter
from app.usage.reading import Sync
from tests.bench.machine import resident_mib, temporary_folder
from tests.conftest import SECRET
from tests.processes import running_server

KEYS_PER_USER = 10
DOLLARS_PER_ROUND = Decimal("0.000012345")


async def measure(keys: int, rounds: int, latency_ms: float) -> None:
    """Prints what it finds."""
    world = World(seed=1)
    account = world.add_account()
    made = [account.add_key(f"key {number}") for number in range(keys)]
    with temporary_folder() as folder, embedded.running(folder) as place:
        await migrate.migrate(place.url)
        async with serving(world) as simulator:
            await store(place.url, simulator, made)
            world.options.latency_seconds = latency_ms / 1000
            log = folder / "service.log"
            async with running_server(place.url, log, OPENROUTER_BASE_URL=simulator.base_url) as client:
                await run_rounds(place.url, simulator, client, rounds)
        print(
            f"booked of what was spent: {await booked(place.url)} of {sum(account.total(key) for key in made)} dollars"
        )
        print(f"lines in the service's log that tell of failures: {log.read_text().count('failed')}")


async def store(url: str, simulator: Simulator, made: Sequence[Key]) -> None:
    """Ten for each user."""
    connection = await asyncpg.connect(url)
    db = Database(url)
    await db.open()
    sync = Sync(db, Vault([SECRET]), OpenRouter(simulator.base_url), 900.0, asyncio.Semaphore(3))
    started = time.perf_counter()
    for start in range(0, len(made), KEYS_PER_USER):
        user_id = await connection.fetchval(
            "INSERT INTO users (email, email_key, password_hash) VALUES ($1, $1, 'x') RETURNING id", f"{start}@b.c"
        )
        for key in made[start : start + KEYS_PER_USER]:
            await add_key(sync, user_id, key.name, key.secret, KEYS_PER_USER)
    print(f"{len(made)} keys stored in {time.perf_counter() - started:.1f} s")
    await sync.openrouter.close()
    await db.close()
    await connection.close()


async def run_rounds(url: str, simulator: Simulator, client: httpx.AsyncClient, rounds: int) -> None:
    """Each makes every key due, all of which have spent something meanwhile."""
    (account,) = simulator.world.accounts
    connection = await asyncpg.connect(url)
    asking = asyncio.create_task(ask_all_the_while(client))
    for number in range(rounds):
        for key in account.keys:
            account.spend(key, DOLLARS_PER_ROUND)
        await connection.execute(
            "UPDATE openrouter_keys SET next_sync_at = now(), last_synced_at = NULL WHERE secret IS NOT NULL"
        )
        calls, started = simulator.calls(), time.perf_counter()
        connections = 0
        while await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE last_synced_at IS NULL AND id > 0"):
            used = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'openrouter-watcher'"
            connections = max(connections, await connection.fetchval(used))
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - started
        print(
            f"round {number + 1}: {seconds:.1f} s, {simulator.calls() - calls} calls, at most {connections} connections, "
            f"{resident_mib(client):.0f} MiB resident"
        )
    asking.cancel()
    waits, refused = await asking
    print(f"/readyz meanwhile: {len(waits)} times, median {statistics.median(waits) * 1000:.1f} ms, "
          f"longest {max(waits) * 1000:.0f} ms, {refused} not 200")  # fmt: skip
    await connection.close()


async def booked(url: str) -> Decimal:
    """Dollars, of all users."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT sum(cost) FROM usage_totals WHERE key_id = -1 AND model_id = -1")
    finally:
        await connection.close()


async def ask_all_the_while(client: httpx.AsyncClient) -> tuple[list[float], int]:
    """How long each took, and how many were refused."""
    waits, refused = [], 0
    try:
        while True:
            started = time.perf_counter()
            answer = await client.get("/readyz")
            waits.append(time.perf_counter() - started)
            refused += answer.status_code != httpx.codes.OK
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return waits, refused


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=100.0, help="of OpenRouter's answers")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.keys, arguments.rounds, arguments.latency_ms))
