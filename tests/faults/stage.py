"""On what are faults played? A PostgreSQL of its own, the proxy in front of it, the service as people start it, and its users."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path

import asyncpg
import httpx
import msgspec
import psutil

from app import embedded, migrate
from app.simulator.server import Simulator, serving
from app.simulator.world import World
from tests.cast import Person, bearer
from tests.conftest import SECRET, memory_folder
from tests.faults.client import Client
from tests.faults.proxy import Proxy, running_proxy
from tests.processes import running_process
from tests.standby import Standby, allow_replication, running_standby
from tests.usage.exports import export, imports

READERS, TOKENS_PER_READER = 10, 2
WRITERS = 6
WORKERS = 2
POOL_SIZE = 10
RATE_LIMIT = 250  # of each token, in a minute; what it is not a fault's business to reach
CLIENT_TIMEOUT_SECONDS = 10.0  # what takes longer hangs
IMPORT_TIMEOUT_SECONDS = 70.0  # but an import, whose statements may take a minute each
# what is acknowledged is on disk, and what comes back is that
CAREFUL = ("fsync = on", "max_connections = 100", "shared_buffers = 32MB")


class Needs(msgspec.Struct, frozen=True):
    """What a fault asks of its stage."""

    postgres: tuple[str, ...] = ()  # further lines of postgresql.conf
    environ: tuple[tuple[str, str], ...] = ()  # of the service; {folder} stands for the stage's
    workers: int = WORKERS
    standby: bool = False
    disk_mib: int | None = None  # the database on a file system of its own, so small
    separate_scheduler: bool = False
    openrouter: bool = False  # keys to be read
    log_is_a_pipe: bool = False


class Reader(msgspec.Struct):
    """Whose figures are read, and how to recognise them."""

    person: Person
    mark: str
    cost: Decimal
    tokens: list[str]


class Stage(msgspec.Struct):
    """Everything that is running."""

    needs: Needs
    folder: Path
    place: embedded.Place
    proxy: Proxy
    process: subprocess.Popen[bytes]
    client: httpx.AsyncClient
    line: Client  # of the load
    log: Path
    readers: list[Reader]
    writers: list[Person]
    simulator: Simulator
    watcher: Person | None = None  # has keys at OpenRouter
    standby: Standby | None = None
    scheduler: subprocess.Popen[bytes] | None = None
    drain: Drain | None = None
    secrets: list[str] = []
    database_url: str = ""  # behind the proxy's back; another one after a failover

    @property
    def server(self) -> embedded._Server:
        """The database's, to be stopped and started."""
        return embedded._Server(self.place)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        return [child for child in psutil.Process(self.process.pid).children() if _is_worker(child)]

    def resident_mib(self) -> float:
        """Of the service's largest process."""
        return max(process.memory_info().rss for process in self.workers()) / 2**20

    def backends(self) -> list[psutil.Process]:
        """All processes of the database, the first of them its postmaster."""
        pid = int((self.place.cluster / "postmaster.pid").read_text().splitlines()[0])
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[asyncpg.Connection]:
        """A look behind the service's back, at whichever server is the primary now."""
        connection = await asyncpg.connect(self.database_url, timeout=5)
        try:
            yield connection
        finally:
            connection.terminate()


class Drain:
    """Reads what the service says from a pipe, into a file; until it does not."""

    def __init__(self, pipe: Path, into: Path) -> None:
        """`pipe` is made, and open from now on, so that writers do not wait for a reader."""
        os.mkfifo(pipe)
        self._pipe = pipe
        self._into = into
        self.open()

    def open(self) -> None:
        """There is a reader."""
        self._descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        self.flow()

    def stall(self) -> None:
        """Nobody reads."""
        asyncio.get_running_loop().remove_reader(self._descriptor)

    def flow(self) -> None:
        """Somebody reads."""
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """There is none: who writes hears of it."""
        self.stall()
        os.close(self._descriptor)

    def _read(self) -> None:
        with self._into.open("ab") as file:
            file.write(os.read(self._descriptor, 65536))


@asynccontextmanager
async def stage(needs: Needs, password_hash: str) -> AsyncGenerator[Stage]:
    """All of it, from nothing to the first answers."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder())
        home = stack.enter_context(_disk(folder / "disk", needs.disk_mib)) if needs.disk_mib else folder
        place = stack.enter_context(embedded.running(home, settings=settings_of(needs)))
        await migrate.migrate(place.url)
        standby = await stack.enter_async_context(_following(place)) if needs.standby else None
        proxy = await stack.enter_async_context(running_proxy(place.url))
        simulator = await stack.enter_async_context(serving(World(seed=7)))
        log, drain = folder / "log", None
        if needs.log_is_a_pipe:
            drain = Drain(folder / "pipe", log)
            stack.callback(drain.close)
        environ = {
            "WORKERS": str(needs.workers),
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "PUBLIC_RATE_LIMIT": f"{RATE_LIMIT}/minute",
            "OPENROUTER_BASE_URL": simulator.base_url,
            "LOG_LEVEL": "debug",
            **{name: value.format(folder=folder) for name, value in needs.environ},
        }
        command = "serve" if needs.separate_scheduler else "run"
        output = folder / "pipe" if drain else log
        client, process = await stack.enter_async_context(
            running_process(proxy.url, output, command=command, **environ)
        )
        line = Client(client.base_url.port or 0, CLIENT_TIMEOUT_SECONDS)
        stack.callback(line.close)
        made = Stage(
            needs, folder, place, proxy, process, client, line, log, [], [], simulator, None, standby, None, drain
        )
        made.database_url = place.url
        await _populate(made, password_hash)
        if needs.separate_scheduler:
            made.scheduler = start_scheduler(made)
            stack.callback(lambda: made.scheduler and made.scheduler.kill())
        yield made


def settings_of(needs: Needs) -> tuple[str, ...]:
    """Lines of postgresql.conf."""
    return (*CAREFUL, *needs.postgres)


def start_scheduler(stage: Stage) -> subprocess.Popen[bytes]:
    """In a process of its own, with the settings of the service's."""
    environ = psutil.Process(stage.process.pid).environ()
    with stage.log.open("ab") as output:
        return subprocess.Popen([stage.process.args[0], "-m", "app", "scheduler"], env=environ, stdout=output, stderr=output)  # type: ignore[index]  # fmt: skip


@contextmanager
def _folder() -> Generator[Path]:
    """Short enough for a socket, and open to the user under whom servers run for root. Memory outlives processes as disks do."""
    folder = Path(tempfile.mkdtemp(prefix="watcher-faults-", dir=memory_folder()))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk(folder: Path, size_mib: int) -> Generator[Path]:
    """A file system that is soon full. Only root may make one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0711", "watcher", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@asynccontextmanager
async def _following(place: embedded.Place) -> AsyncGenerator[Standby]:
    """What is acknowledged is there too."""
    connection = await asyncpg.connect(place.url)
    await allow_replication(place, connection)
    with running_standby(place) as standby:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        yield standby


async def _populate(stage: Stage, password_hash: str) -> None:
    """Readers whose sums are nobody else's, and writers with nothing yet."""
    async with stage.database() as connection:

        async def person(name: str) -> Person:
            return await Person.is_there(stage.client, connection, f"{name}@example.com", password_hash, SECRET)

        for number in range(READERS):
            alice = await person(f"reader-{number}")
            mark, cost = f"mark-{number}-of-its-owner", Decimal(1 + 2**number)
            await imports(alice, export({"generation_id": mark, "cost_total": cost, "api_key_name": mark}))
            tokens = [(await alice.creates_token(mark))["token"] for _ in range(TOKENS_PER_READER)]
            stage.readers.append(Reader(alice, mark, cost, tokens))
            stage.secrets += [*tokens, alice.tokens["access_token"], alice.tokens["refresh_token"]]
        stage.writers += [await person(f"writer-{number}") for number in range(WRITERS)]
        stage.secrets += [writer.tokens["access_token"] for writer in stage.writers]
        stage.watcher = await person("watcher")
    if stage.needs.openrouter:
        await _watch(stage, stage.watcher)
    answer = await stage.client.get("/api/v1/stats", headers=bearer(stage.readers[0].tokens[0]))
    assert answer.status_code == 200, answer.text


async def _watch(stage: Stage, watcher: Person) -> None:
    """Keys at OpenRouter, one that only counts and one that tells all."""
    account = stage.simulator.world.add_account()
    own, managed = account.add_key("own"), account.add_key("managed")
    account.generate(30, keys=[managed])
    account.spend(own, Decimal("0.5"))
    keys = (own, account.add_management_key("admin"))
    for key in keys:
        answer = await watcher.post("/api/keys", {"name": key.name, "key": key.secret})
        assert answer.status_code == 201, answer.text
    stage.secrets += [key.secret for key in keys]


def _is_worker(process: psutil.Process) -> bool:
    """And neither dead nor the interpreter's own little helper."""
    try:
        return "resource_tracker" not in " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


def each(processes: list[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    """To those that are still there."""
    for process in processes:
        try:
            act(process)
        except psutil.NoSuchProcess:
            continue
