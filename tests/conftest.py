"""The real database for every test, and the application on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest
import structlog
from litestar.types import ASGIApp

from app import embedded, migrate
from app.accounts.passwords import Passwords
from app.batching import ONE_LANE, Lanes
from app.connections import create_database
from app.database import Database
from app.limits import Limit
from app.main import create_app
from app.settings import Settings
from app.simulator.server import Simulator, serving
from app.simulator.world import Account, World
from tests import pooler
from tests.cast import PASSWORD, Person
from tests.databases import Databases
from tests.web.chromium import lacking

# applications inside the tests' own process say only what went wrong
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))

SECRET = bytes(range(32))
# a server whose data nobody will miss
MEMORY_FOLDER_MIN_BYTES = 4 * 1024**3
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 300")
_databases: dict[str, Databases] = {}


@pytest.fixture(scope="session")
def server_url() -> Generator[str]:
    """A PostgreSQL server: the one given, else a container where Docker answers, else the embedded one."""
    with ExitStack() as stack:
        url = os.environ.get("TEST_DATABASE_URL") or _container(stack) or _embedded(stack)
        stack.enter_context(pooler.as_asked(url))
        yield url


def _container(stack: ExitStack) -> str | None:
    """None where no Docker answers, or with TEST_CONTAINERS=off."""
    if os.environ.get("TEST_CONTAINERS") == "off" or not shutil.which("docker"):
        return None
    # the command rather than the library, which leaves open sockets behind when nobody answers
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        return None
    import docker.errors  # noqa: PLC0415 -- takes half a second that a machine without Docker need not spend
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # we stop it ourselves
    try:
        container = PostgresContainer("postgres:18", driver=None, command="-c fsync=off -c max_connections=300")
        return stack.enter_context(container).get_connection_url()
    except (docker.errors.DockerException, OSError):
        return None


def _embedded(stack: ExitStack) -> str:
    folder = Path(tempfile.mkdtemp(prefix="watcher-tests-", dir=memory_folder()))
    folder.chmod(0o711)  # as root the server runs under another user
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return stack.enter_context(embedded.running(folder, settings=FAST)).url


def memory_folder() -> str | None:
    """Where making a database's thousand files costs a tenth of the time; None where there is no such place, or a small one."""
    folder = Path("/dev/shm")  # noqa: S108 -- what is made in there gets a name of its own
    is_roomy = (
        folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > MEMORY_FOLDER_MIN_BYTES
    )
    return str(folder) if is_roomy else None


@asynccontextmanager
async def admin(server_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A connection to the server's own database."""
    connection = await asyncpg.connect(server_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def new_database(server_url: str, template: str = "template0") -> AsyncGenerator[str]:
    """A database that lives as long as the block."""
    async with databases(server_url).new(template) as url:
        yield url


def databases(server_url: str) -> Databases:
    """Of that server."""
    if server_url not in _databases:
        _databases[server_url] = Databases(server_url)
    return _databases[server_url]


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncGenerator[str]:
    """The name of a database that our own migrations made."""
    async with new_database(server_url) as url:
        await migrate.migrate(url)
        yield urlsplit(url).path.strip("/")


@pytest.fixture
async def empty_database_url(server_url: str) -> AsyncGenerator[str]:
    """A database without a schema."""
    async with new_database(server_url) as url:
        yield url


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncGenerator[str]:
    """A database of the test's own, migrated and empty."""
    async with databases(server_url).lent(template) as url:
        yield url


@pytest.fixture
async def connection(database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A look behind the service's back."""
    async with admin(database_url) as connection:
        yield connection


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Limits that count attempts are off where a test does not speak about them."""
    return quiet_settings(database_url)


def quiet_settings(database_url: str) -> Settings:
    """Without the limits that count attempts."""
    return Settings(
        jwt_secrets=(SECRET,),
        encryption_keys=(SECRET,),
        database_url=pooler.application_url(database_url),
        database_pooler=pooler.application_pooler(database_url),
        login_limit=None,
        login_client_limit=None,
        registration_limit=None,
        public_rate_limit=None,
    )


class _Apps:
    """Applications that are up, to be lent to one test after the other.

    Making one takes longer than most tests. So it stays, and with each test its pool goes to another database, as if the old one
    had been restarted somewhere else.
    """

    KEPT_MAX = 30

    def __init__(self) -> None:
        self._idle: dict[tuple[Settings, Lanes], list[tuple[ASGIApp, Database, AsyncExitStack]]] = {}

    @asynccontextmanager
    async def lent(self, settings: Settings, lanes: Lanes) -> AsyncGenerator[ASGIApp]:
        """One that has the settings, in nobody else's hands."""
        kind = (msgspec.structs.replace(settings, database_url=None), lanes)
        idle = self._idle.pop(kind, [])
        if idle:
            app, db, stack = idle.pop()
            await _moves(db, settings.database_url or "")
        else:
            stack = AsyncExitStack()
            db = create_database(settings)
            app = create_app(settings, lanes=lanes, db=db)
            await stack.enter_async_context(lifespan(app))
        self._idle[kind] = idle
        try:
            yield app
        finally:
            self._idle.setdefault(kind, []).append((app, db, stack))
            while sum(map(len, self._idle.values())) > self.KEPT_MAX:
                await self._end_oldest()

    async def close(self) -> None:
        """Shuts them all down."""
        while self._idle:
            await self._end_oldest()

    async def _end_oldest(self) -> None:
        kind = next(iter(self._idle))
        for _, _, stack in self._idle.pop(kind):
            await stack.aclose()


async def _moves(db: Database, url: str) -> None:
    """To another database, unless it is there already."""
    if db.url != url:
        await db.close()
        db.url = url
        await db.open()


_apps = _Apps()


@pytest.fixture(scope="session", autouse=True)
async def _ends() -> AsyncGenerator[None]:
    """What stays between tests ends with them."""
    yield
    await _apps.close()
    for served in _databases.values():
        await served.close()


@asynccontextmanager
async def running_app(
    settings: Settings, client_address: str = "127.0.0.1", lanes: Lanes = ONE_LANE
) -> AsyncGenerator[httpx.AsyncClient]:
    """The whole application with its life span, and a client of it."""
    async with _apps.lent(settings, lanes) as app:
        transport = httpx.ASGITransport(app=app, client=(client_address, 50000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://watcher.test") as client:
            yield client


@asynccontextmanager
async def lifespan(app: Any) -> AsyncGenerator[None]:
    """The server's part of ASGI's lifespan protocol."""
    to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await task


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application on the test's own database."""
    async with running_app(settings) as client:
        yield client


@pytest.fixture(scope="session")
def _simulator_port() -> list[int]:
    """Where the last one was: at one place for all tests, applications that know it can be lent again."""
    return [0]


@pytest.fixture
async def simulator(_simulator_port: list[int]) -> AsyncGenerator[Simulator]:
    """OpenRouter, with one account."""
    async with AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(serving(World(seed=7), port=_simulator_port[0]))
        except OSError:  # somebody else has taken it meanwhile
            running = await stack.enter_async_context(serving(World(seed=7)))
        _simulator_port[0] = urlsplit(running.base_url).port or 0
        running.world.add_account()
        yield running


@pytest.fixture
def account(simulator: Simulator) -> Account:
    """At OpenRouter."""
    return simulator.world.accounts[0]


@pytest.fixture(scope="session")
async def password_hash() -> str:
    """Of everybody's PASSWORD: hashing it for each test would be most of the time of all of them."""
    passwords = Passwords(min_length=8)
    try:
        return await passwords.hash(PASSWORD)
    finally:
        passwords.close()


@pytest.fixture
async def alice(client: httpx.AsyncClient, connection: asyncpg.Connection, password_hash: str) -> Person:
    """Owns things."""
    return await Person.is_there(client, connection, "alice@example.com", password_hash, SECRET)


@pytest.fixture
async def bob(client: httpx.AsyncClient, connection: asyncpg.Connection, password_hash: str) -> Person:
    """Has an account too, and no business with Alice's things."""
    return await Person.is_there(client, connection, "bob@nas.local", password_hash, SECRET)


def with_limits(settings: Settings, **limits: Limit | None) -> Settings:
    """The same settings with limits on."""
    return msgspec.structs.replace(settings, **limits)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what was left out for want of a browser."""
    if reason := lacking():
        terminalreporter.write_line(f"Left out: the dashboard's browser tests, because {reason}.")
