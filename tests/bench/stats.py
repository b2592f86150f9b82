"""Do figures cost the same at any size? `python -m tests.bench.stats`

One server for each size of store, all on one PostgreSQL; the same user's questions go to all of them in turn. Filling the largest
takes most of an hour; `--folder` keeps what was filled for the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import msgspec

from app import embedded, migrate
from app.accounts import repository as accounts
from app.accounts.jwt import Signer, digest_refresh_token, make_refresh_token
from app.accounts.structs import StoredUser
from tests.bench.machine import resident_mib, temporary_folder
from tests.bench.store import Store, fill
from tests.cast import POLICY, Person, bearer
from tests.conftest import SECRET
from tests.processes import running_process

ROUNDS = 7
TURN_SECONDS = 0.5  # for each question, store and round; a few requests if they take longer
TURN_REQUESTS = (3, 40)
COUNTED = 10
REPORT_SECONDS = 11  # after so long an idle connection tells the database's statistics what it has read
# What grows is users and years: the measured user has 10 keys and 20 models and asks for the same 30 days.
STORES = {
    "1e4": Store(users=1, keys=10, models=20, days=50),
    "1e6": Store(users=14, keys=10, models=20, days=357),
    "3e7": Store(users=100, keys=10, models=20, days=1500),
    "2,000 models": Store(users=1, keys=10, models=2000, days=50),
    "1e7 of one": Store(users=1, keys=10, models=500, days=2000),
}
STREAMED = "1e7 of one"
QUESTIONS = {
    "/api/v1/stats": "/api/v1/stats",
    "/api/v1/stats, unchanged (304)": "/api/v1/stats",
    "/api/v1/usage": "/api/v1/usage",
    "/api/v1/usage of a key": "/api/v1/usage?api_key_id={key}",
    "/api/v1/usage of a model": "/api/v1/usage?model=maker/model-7",
    "/api/stats": "/api/stats",
    "/api/v1/keys": "/api/v1/keys",
    "/api/v1/metrics": "/api/v1/metrics",
}
GROWING = ["usage_facts", "usage_rollups", "usage_totals"]
SETTINGS = (
    "fsync = off", "wal_level = minimal", "max_wal_senders = 0", "max_wal_size = 8GB", "maintenance_work_mem = 512MB",
    "max_connections = 200", "shared_preload_libraries = 'pg_stat_statements'",
)  # fmt: skip


class Place(msgspec.Struct):
    """A store, its server and its user."""

    name: str
    client: httpx.AsyncClient
    connection: asyncpg.Connection
    access: dict[str, str]
    token: dict[str, str]
    key_id: int
    etag: str = ""

    async def ask(self, question: str) -> httpx.Response:
        """One request."""
        path = QUESTIONS[question].format(key=self.key_id)
        is_known = "304" in question
        headers = (self.token if "/v1/" in path else self.access) | ({"If-None-Match": self.etag} if is_known else {})
        answer = await self.client.get(path, headers=headers)
        assert answer.status_code == (304 if is_known else 200), answer.text
        return answer


async def measure(folder: Path, names: Sequence[str]) -> None:
    """Prints what it finds."""
    with embedded.running(folder, settings=SETTINGS) as server:
        addresses = {name: await _filled(server.url, name) for name in names}
        async with AsyncExitStack() as stack:
            places = [await stack.enter_async_context(_place(folder, *address)) for address in addresses.items()]
            times = await _times(places)
            print("\nmedian ms | compared with the first | statements | rows of usage read, by request")
            for question in QUESTIONS:
                print(question)
                first = statistics.median(times[places[0].name, question])
                for place, (statements, rows) in zip(places, await _costs(places, question), strict=True):
                    median = statistics.median(times[place.name, question])
                    print(
                        f"  {place.name:>12} {median * 1000:8.2f} {median / first:6.2f} {statements:5.1f} {rows:9.1f}"
                    )
            for place in places:
                if place.name == STREAMED:
                    await _stream(place)


@asynccontextmanager
async def _place(folder: Path, name: str, address: str) -> AsyncGenerator[Place]:
    connection = await asyncpg.connect(address)
    # what is remembered would be read once, and would cost the same whatever the store's size
    quiet = {"SYNC_INTERVAL_MINUTES": "1440", "PUBLIC_RATE_LIMIT": "off"}
    log = folder / "service.log"
    async with running_process(address, log, "tests.bench.variants", "forgetful", **quiet) as (client, _):
        yield await _log_in(name, client, connection)
    await connection.close()


async def _filled(url: str, name: str) -> str:
    """The address of the store, which is filled unless it was before."""
    database = "bench_" + "".join(filter(str.isalnum, name))
    admin = await asyncpg.connect(url)
    address, filling = (urlunsplit(urlsplit(url)._replace(path=f"/{path}")) for path in (database, "filling"))
    if not await admin.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", database):
        await admin.execute("DROP DATABASE IF EXISTS filling")
        await admin.execute("CREATE DATABASE filling")
        await migrate.migrate(filling)
        connection = await asyncpg.connect(filling)
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        started = time.perf_counter()
        await fill(connection, STORES[name])
        seconds = time.perf_counter() - started
        size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
        print(f"{name}: {STORES[name].facts} facts, {size}, filled in {seconds:.0f} s", flush=True)
        await connection.close()
        await admin.execute(f"ALTER DATABASE filling RENAME TO {database}")
    await admin.close()
    return address


async def _log_in(name: str, client: httpx.AsyncClient, connection: asyncpg.Connection) -> Place:
    """As the user in the middle."""
    users = await connection.fetch("SELECT id FROM users ORDER BY id")
    user_id = users[len(users) // 2]["id"]
    user = StoredUser(user_id, "", "x", is_enabled=True)
    digest = digest_refresh_token(make_refresh_token())
    session = await accounts.create_session(connection, user, POLICY, digest, "127.0.0.1", "bench")
    assert session
    person = Person(client, "", user_id, {"access_token": Signer([SECRET]).sign(user_id, session.id)})
    await connection.execute("DELETE FROM api_tokens WHERE user_id = $1", user_id)  # of the last time
    token = bearer((await person.creates_token())["token"])
    key_id = await connection.fetchval("SELECT max(id) FROM openrouter_keys WHERE user_id = $1", user_id)
    place = Place(name, client, connection, person.headers, token, key_id)
    place.etag = (await place.ask("/api/v1/stats")).headers["etag"]
    return place


async def _times(places: Sequence[Place]) -> dict[tuple[str, str], list[float]]:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(ROUNDS + 1):
        for question in QUESTIONS:
            for place in places:
                turn = await _turn(place, question)
                if number:  # the first round warms up
                    times[place.name, question] += turn
    return times


async def _turn(place: Place, question: str) -> list[float]:
    times: list[float] = []
    at_least, at_most = TURN_REQUESTS
    while len(times) < at_most and (len(times) < at_least or sum(times) < TURN_SECONDS):
        started = time.perf_counter()
        await place.ask(question)
        times.append(time.perf_counter() - started)
    return times


async def _costs(places: Sequence[Place], question: str) -> list[tuple[float, float]]:
    """Statements (the guard's included, BEGIN and COMMIT not), and index entries and table rows of usage read."""
    await asyncio.sleep(REPORT_SECONDS)
    rows = [await _rows_read(place) for place in places]
    statements = [await _count_statements(place, question) for place in places]
    await asyncio.sleep(REPORT_SECONDS)
    return [
        (count, (await _rows_read(place) - before) / COUNTED)
        for place, count, before in zip(places, statements, rows, strict=True)
    ]


async def _count_statements(place: Place, question: str) -> float:
    before = await _calls(place)
    for _ in range(COUNTED):
        await place.ask(question)
    after = await _calls(place)
    # what was called less often belongs to nobody's request
    return sum(grown for query in after if (grown := after[query] - before.get(query, 0)) >= COUNTED) / COUNTED


async def _calls(place: Place) -> dict[str, int]:
    rows = await place.connection.fetch(
        """
        SELECT s.query, sum(s.calls)::bigint
        FROM pg_stat_statements AS s INNER JOIN pg_database AS d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND s.query !~* '^(BEGIN|COMMIT|RESET|SELECT pg_|CLOSE|UNLISTEN)'
        GROUP BY s.query
        """
    )
    return dict(rows)


async def _rows_read(place: Place) -> int:
    return await place.connection.fetchval(
        """
        SELECT (
            (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = ANY($1))
            + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = ANY($1))
        )::bigint
        """,
        GROWING,
    )


async def _stream(place: Place) -> None:
    """The whole history as CSV, and the server's memory meanwhile."""
    started, size, lines = time.perf_counter(), 0, 0
    path = "/api/v1/usage?days=3660&format=csv"
    memory = {0.0: resident_mib(place.client)}
    async with place.client.stream("GET", path, headers=place.token, timeout=600) as answer:
        async for piece in answer.aiter_raw():
            size += len(piece)
            lines += piece.count(b"\n")
            share = lines * 10 // STORES[place.name].facts / 10
            if share not in memory:
                memory[share] = resident_mib(place.client)
    seconds = time.perf_counter() - started
    print(
        f"\nCSV of {place.name}: {lines - 1} rows, {size / 1e6:.0f} MB in {seconds:.0f} s; the server's resident MiB:"
    )
    print("  " + ", ".join(f"{share:.0%}: {mib:.0f}" for share, mib in memory.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", nargs="*", choices=STORES, default=list(STORES))
    parser.add_argument("--folder", type=Path, help="of the database, which stays; else a temporary one")
    arguments = parser.parse_args()
    with nullcontext(arguments.folder) if arguments.folder else temporary_folder() as place:
        asyncio.run(measure(place, arguments.stores))
