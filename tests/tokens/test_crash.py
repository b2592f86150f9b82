"""The database is killed under load: is everybody told to come back, is all right again soon, and which counts are lost?"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import msgspec
import psutil
import pytest

from app import embedded
from tests.cast import Person, bearer
from tests.processes import running_server

LOST_SECONDS = 1.0  # what a crash of the database may forget of the counts
RETURN_SECONDS = 5.0  # by then everything is right again


class Use(msgspec.Struct, frozen=True):
    """One request with one of the tokens."""

    token: int
    began_at: float
    ended_at: float
    status: int


@pytest.fixture
def place() -> Generator[embedded.Place]:
    """A database server of the test's own, on a disk, and as careful as for people."""
    with tempfile.TemporaryDirectory(prefix="watcher-crash-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs under another user
        with embedded.running(Path(folder)) as place:
            yield place


@pytest.fixture
async def servers(place: embedded.Place, tmp_path: Path) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Two processes of the service."""
    async with (
        running_server(place.url, tmp_path / "a.log", PUBLIC_RATE_LIMIT="1000000/hour") as first,
        running_server(place.url, tmp_path / "b.log", PUBLIC_RATE_LIMIT="1000000/hour") as second,
    ):
        yield [first, second]


def kill(place: embedded.Place) -> None:
    """kill -9, of all its processes."""
    postmaster = psutil.Process(int((place.cluster / "postmaster.pid").read_text().splitlines()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes)


@contextmanager
def load(servers: list[httpx.AsyncClient], tokens: list[str]) -> Generator[list[Use]]:
    """Clients that use the tokens through both servers, and never wait."""
    uses: list[Use] = []

    async def client(number: int) -> None:
        while True:
            token = number % len(tokens)
            began_at = time.monotonic()
            answer = await servers[number % 2].get("/api/v1/stats", headers=bearer(tokens[token]))
            uses.append(Use(token, began_at, time.monotonic(), answer.status_code))

    clients = [asyncio.create_task(client(number)) for number in range(12)]
    try:
        yield uses
    finally:
        for task in clients:
            task.cancel()


async def test_killed_database_loses_a_second_of_counts_at_most_and_nobody_for_longer(
    place: embedded.Place, servers: list[httpx.AsyncClient]
) -> None:
    alice = await Person.arrives(servers[0], "alice@example.com")
    created = [await alice.creates_token() for _ in range(3)]
    with load(servers, [entry["token"] for entry in created]) as uses:
        await asyncio.sleep(2)
        killed_at = time.monotonic()
        await asyncio.to_thread(kill, place)
        await asyncio.sleep(1)
        returns_at = time.monotonic()
        await asyncio.to_thread(embedded._Server(place).start, ())
        returned_at = time.monotonic()
        await asyncio.sleep(RETURN_SECONDS + 0.5)
    before = [use for use in uses if use.ended_at < killed_at]
    away = [use for use in uses if use.began_at > killed_at + 0.1 and use.ended_at < returns_at]
    after = [use for use in uses if use.began_at > returned_at + RETURN_SECONDS]
    assert {use.status for use in before} == {200}
    assert {use.status for use in away} == {503}
    assert {use.status for use in after} == {200}
    assert {use.status for use in uses} == {200, 503}
    await assert_counts(place, created, uses, killed_at)


async def assert_counts(
    place: embedded.Place, created: list[dict[str, int]], uses: list[Use], killed_at: float
) -> None:
    """What was let in long enough before the end is counted, and nothing twice."""
    let_in = Counter(use.token for use in uses if use.status == 200)
    may_be_lost = Counter(
        use.token for use in uses if use.status == 200 and killed_at - LOST_SECONDS < use.ended_at < killed_at + 0.1
    )
    unclear = Counter(use.token for use in uses if use.status == 503)  # counted, perhaps, and then the answer was lost
    connection = await asyncpg.connect(place.url)
    for number, entry in enumerate(created):
        counted = await connection.fetchval(
            "SELECT request_count FROM api_token_meters WHERE token_id = $1", entry["id"]
        )
        assert let_in[number] - may_be_lost[number] <= counted <= let_in[number] + unclear[number]
    await connection.close()
