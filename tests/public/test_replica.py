"""Reads on a real streaming replica: old figures keep their old tags, verdicts are the primary's, its death is nobody's 5xx."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from app import embedded, migrate
from app.replica import PATIENCE_SECONDS, PROBE_TIMEOUT_SECONDS, REST_SECONDS
from tests.cast import Person, bearer
from tests.conftest import FAST, SECRET, quiet_settings, running_app
from tests.standby import Standby, allow_replication, running_standby
from tests.usage.exports import export, imports

STATS = "/api/v1/stats?days=3660"
PATHS = (STATS, "/api/v1/usage?days=3660", "/api/v1/keys", "/api/v1/metrics")
BOUND_SECONDS = PATIENCE_SECONDS + PROBE_TIMEOUT_SECONDS + 1


@pytest.fixture
def folder() -> Generator[Path]:
    """Short enough for a socket, and open to the user under whom servers run for root."""
    folder = Path(tempfile.mkdtemp(prefix="watcher-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def place(folder: Path) -> AsyncGenerator[embedded.Place]:
    with embedded.running(folder, settings=FAST) as place:
        await migrate.migrate(place.url)
        yield place


@pytest.fixture
async def primary(place: embedded.Place) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(place.url)
    yield connection
    await connection.close()


@pytest.fixture
async def replica(place: embedded.Place, primary: asyncpg.Connection) -> AsyncGenerator[Standby]:
    await allow_replication(place, primary)
    with running_standby(place) as standby:
        yield standby


class Lagging(msgspec.Struct):
    """Alice's program, and the two servers behind the application that it asks."""

    client: httpx.AsyncClient
    alice: Person
    headers: dict[str, str]
    primary: asyncpg.Connection
    standby: asyncpg.Connection

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=self.headers | headers)

    async def requests(self) -> int:
        answer = await self.get(STATS)
        assert answer.status_code == 200, answer.text
        return answer.json()["summary"]["total_requests"]

    async def pause(self) -> None:
        """From now on the replica shows what it knows already."""
        await self.standby.execute("SELECT pg_wal_replay_pause()")

    async def catch_up(self) -> None:
        """Until it knows everything."""
        await self.standby.execute("SELECT pg_wal_replay_resume()")
        lsn = await self.primary.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        async with asyncio.timeout(20):
            while not await self.standby.fetchval(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"):  # noqa: ASYNC110 -- our own
                await asyncio.sleep(0.02)

    async def is_read_on_the_replica(self) -> bool:
        """Where time can be made to stand still."""
        await self.pause()
        before = await self.requests()
        await imports(self.alice, export({"generation_id": os.urandom(8).hex(), "cost_total": "1"}))
        after = await self.requests()
        await self.catch_up()
        assert await self.requests() == before + 1
        return after == before

    async def assert_all_are_answered(self, within_seconds: float) -> None:
        """Whatever has become of the replica."""
        began = time.monotonic()
        answers = await asyncio.gather(*(self.get(path) for path in PATHS * 5))
        assert {answer.status_code for answer in answers} == {200}
        assert time.monotonic() - began < within_seconds


@pytest.fixture
async def lagging(
    place: embedded.Place, primary: asyncpg.Connection, replica: Standby, password_hash: str
) -> AsyncGenerator[Lagging]:
    settings = msgspec.structs.replace(quiet_settings(place.url), database_replica_url=replica.url)
    async with running_app(settings) as client:
        alice = await Person.is_there(client, primary, "alice@example.com", password_hash, SECRET)
        await imports(alice, export({"generation_id": "a", "cost_total": "1", "api_key_name": "first"}))
        headers = bearer((await alice.creates_token())["token"])
        lagging = Lagging(client, alice, headers, primary, await asyncpg.connect(replica.url))
        await lagging.catch_up()
        yield lagging
        await lagging.standby.close()


async def test_reads_of_programs_follow_the_replica_and_outlive_it(lagging: Lagging, replica: Standby) -> None:
    """One story, because two servers are dear to start."""
    await assert_old_figures_keep_their_old_tags(lagging)

    # it falls silent: whoever waits for it goes to the primary in bounded time
    with replica.silent():
        await lagging.assert_all_are_answered(BOUND_SECONDS)
        await lagging.assert_all_are_answered(BOUND_SECONDS)
    await asyncio.sleep(REST_SECONDS)
    assert await lagging.is_read_on_the_replica()

    # it dies and comes back
    await lagging.standby.close()
    await asyncio.to_thread(replica.stop)
    await lagging.assert_all_are_answered(BOUND_SECONDS)
    await asyncio.to_thread(replica.start)
    await asyncio.sleep(REST_SECONDS)
    lagging.standby = await asyncpg.connect(replica.url)
    assert await lagging.is_read_on_the_replica()


async def assert_old_figures_keep_their_old_tags(lagging: Lagging) -> None:
    alice = lagging.alice
    doomed = await alice.creates_token("doomed")
    await lagging.pause()
    old = {path: await lagging.get(path) for path in PATHS}
    await imports(alice, export({"generation_id": "b", "cost_total": "2", "api_key_name": "second"}))
    assert (await alice.get("/api/stats?days=3660")).json()["summary"]["total_cost"] == 3  # people see the primary
    for path, before in old.items():
        now = await lagging.get(path)
        assert (now.text, now.headers.get("etag")) == (before.text, before.headers.get("etag")), path
    tag = old[STATS].headers["etag"]
    assert (await lagging.get(STATS, **{"If-None-Match": tag})).status_code == 304

    # what the replica cannot know yet is looked for on the primary
    second = next(key["id"] for key in (await alice.get("/api/keys")).json() if key["name"] == "second")
    for path in (f"{STATS}&api_key_id={second}", f"/api/v1/usage?days=3660&api_key_id={second}"):
        assert (await lagging.get(path)).status_code == 200
    assert (await lagging.get(f"{STATS}&api_key_id=999")).status_code == 404

    # verdicts and counts do not lag
    assert (await alice.delete(f"/api/tokens/{doomed['id']}")).status_code == 204
    assert (await lagging.client.get(STATS, headers=bearer(doomed["token"]))).status_code == 401
    count = (await lagging.get("/api/v1/token")).json()["request_count"]
    assert (await lagging.get("/api/v1/token")).json()["request_count"] == count + 1

    await lagging.catch_up()
    new = await lagging.get(STATS, **{"If-None-Match": tag})
    assert (new.status_code, new.json()["summary"]["total_cost"], new.headers["etag"] != tag) == (200, 3, True)
