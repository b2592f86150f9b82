"""Is the embedded server safe to rely on: private, durable, one at a time, and plain in its words where it cannot start?"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from app import embedded
from app.embedded import EmbeddedError, Place
from app.errors import OperatorError
from tests.conftest import FAST

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

# holds a server until it is killed
HOLDER = """
import sys, time
from pathlib import Path
from app import embedded
with embedded.running(Path(sys.argv[1]), settings=("fsync = off",)):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder() -> Generator[Path]:
    """A place to put DATA_DIR. Not pytest's own, which is closed to the server's system user."""
    path = Path(tempfile.mkdtemp(prefix="watcher-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


async def ask(place: Place, statement: str) -> object:
    connection = await asyncpg.connect(place.url, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def postmaster(place: Place) -> int:
    return int((place.cluster / "postmaster.pid").read_text().split("\n")[0])


def is_there(pid: int) -> bool:
    """A zombie that nobody has buried is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def refusal(data_dir: Path) -> str:
    """One plain sentence."""
    with pytest.raises(OperatorError) as caught, embedded.running(data_dir, settings=FAST):
        pass
    assert isinstance(caught.value, OperatorError)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what it is for


async def test_data_survives_a_restart_and_nobody_else_can_start_or_disturb_it(folder: Path) -> None:
    data_dir = folder / "new" / "data"
    assert embedded.database_url(data_dir) == embedded.locate(data_dir).url  # known before there is a server
    with embedded.running(data_dir, settings=FAST) as place:
        assert place.url == embedded.database_url(data_dir)
        await ask(place, "CREATE TABLE kept AS SELECT 42 AS answer")

        # private
        assert [mode(path) for path in (place.folder, place.cluster, place.sockets)] == [0o700] * 3
        assert mode(data_dir / "lock") == 0o600
        assert mode(place.cluster / "pg_hba.conf") == 0o600
        assert await ask(place, "SHOW listen_addresses") == ""
        assert (place.cluster / "pg_hba.conf").read_text() == "local all watcher peer map=service\n"
        assert await ask(place, "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolcanlogin") == "watcher"
        # what was sent must not end up in its log
        assert await ask(place, "SHOW log_min_error_statement") == "panic"
        assert await ask(place, "SHOW data_checksums") == "on"

        # one at a time
        message = refusal(data_dir)
        assert f"Another process ({os.getpid()}) is using {data_dir}" in message
        # but a short command joins it, and leaves it running
        with embedded.running_or_joined(data_dir) as joined:
            assert joined == place
            assert await ask(joined, "SELECT answer FROM kept") == 42
        assert await ask(place, "SELECT answer FROM kept") == 42
        pid = postmaster(place)
    wait_until(lambda: not is_there(pid))
    assert not (place.cluster / "postmaster.pid").exists()

    configuration = (place.cluster / "postgresql.conf").read_text()
    with embedded.running_or_joined(data_dir) as place:  # there is none to join: it starts one
        assert await ask(place, "SELECT answer FROM kept") == 42
        pid = postmaster(place)
    wait_until(lambda: not is_there(pid))
    assert (place.cluster / "postgresql.conf").read_text() == configuration


@pytest.fixture(scope="module")
def prepared() -> Generator[Path]:
    """A DATA_DIR whose cluster is there already, to be copied: making one is what takes time."""
    path = Path(tempfile.mkdtemp(prefix="watcher-"))
    path.chmod(0o711)
    with embedded.running(path, settings=FAST):
        pass
    yield path
    shutil.rmtree(path)


@pytest.fixture
def data_dir(prepared: Path, folder: Path) -> Path:
    """Used before, stopped now."""
    copy = folder / "data"
    subprocess.run(["cp", "-a", prepared, copy], check=True)
    return copy


@contextmanager
def held(data_dir: Path) -> Generator[subprocess.Popen[str]]:
    """Another process that is running the server."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, data_dir], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("server_too", [False, True], ids=["the service", "the service and the server"])
async def test_start_after_kill_9_works_and_what_was_committed_is_there(server_too: bool, data_dir: Path) -> None:
    place = embedded.locate(data_dir)
    with held(data_dir) as process:
        await ask(place, "CREATE TABLE kept AS SELECT 42 AS answer")
        orphan = postmaster(place)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if server_too:
        os.kill(orphan, signal.SIGKILL)
    else:
        assert is_there(orphan)
    with embedded.running(data_dir, settings=FAST):
        assert not is_there(orphan)
        assert postmaster(place) != orphan
        assert await ask(place, "SELECT answer FROM kept") == 42
        last = postmaster(place)
    wait_until(lambda: not is_there(last))


def test_number_of_a_dead_server_that_another_process_has_now_is_left_alone(data_dir: Path) -> None:
    """Process ids are used again, in containers soon: `pg_ctl` would take any process for the server, and stop it."""
    place = embedded.locate(data_dir)
    user = {"user": place.user} if os.geteuid() == 0 else {}
    innocent = subprocess.Popen(["sleep", "60"], **user)
    try:
        file = place.cluster / "postmaster.pid"
        file.write_text(
            f"{innocent.pid}\n{place.cluster}\n1700000000\n5432\n{place.sockets}\n\n    12345     67890\nready   \n"
        )
        shutil.chown(file, place.user)
        with embedded.running(data_dir, settings=FAST):
            assert postmaster(place) != innocent.pid
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


async def test_start_after_a_first_start_that_was_killed_works(folder: Path) -> None:
    half = embedded.locate(folder / "data").folder / "draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded.running(folder / "data", settings=FAST) as place:
        assert await ask(place, "SELECT 1") == 1
    assert not half.exists()


# --- where it cannot start


def test_data_dir_that_is_a_file_is_a_sentence(folder: Path) -> None:
    (folder / "data").touch()
    assert refusal(folder / "data") == f"DATA_DIR {folder}/data is not a folder."
    assert "Not a directory" in refusal(folder / "data" / "below")


@contextmanager
def mounted(path: Path, options: str) -> Generator[Path]:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine does not let us mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@as_root
def test_folder_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    with mounted(folder / "data", "ro,mode=0755") as data_dir:
        assert "Read-only file system" in refusal(data_dir)
        assert "Read-only file system" in refusal(data_dir / "below")


@as_root
@pytest.mark.parametrize("size", ["4k", "2m", "20m"])
def test_full_disk_is_a_sentence_and_leaves_nothing_half_done(size: str, folder: Path) -> None:
    with mounted(folder / "data", f"size={size},mode=0755") as data_dir:
        assert re.search(r"No space left on device|could not (extend|write)", refusal(data_dir))
        place = embedded.locate(data_dir)
        assert not (place.cluster / "PG_VERSION").exists()
        assert not (place.folder / "draft").exists()


def test_broken_configuration_is_a_sentence_that_says_what(data_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"did not start: .*service\.conf"), \
            embedded.running(data_dir, settings=("max_connections = many",)):  # fmt: skip
        pass
    with embedded.running(data_dir, settings=FAST):
        pass  # and the lock is free again


# --- long paths, whose sockets must be elsewhere


@contextmanager
def long_path(folder: Path) -> Generator[tuple[Path, Path]]:
    """A DATA_DIR with a path that no socket can have, and the folder where its socket is instead."""
    data_dir = folder / ("long-" * 12) / ("path-" * 12)
    sockets = embedded.locate(data_dir).sockets
    assert sockets.parent == Path(tempfile.gettempdir())
    try:
        yield data_dir, sockets
    finally:
        with suppress(FileNotFoundError):
            sockets.unlink() if sockets.is_symlink() else shutil.rmtree(sockets)


async def test_long_path_works_and_its_socket_is_private_too(folder: Path) -> None:
    with long_path(folder) as (data_dir, sockets):
        with embedded.running(data_dir, settings=FAST) as place:
            assert await ask(place, "SELECT 1") == 1
            assert mode(sockets) == 0o700
        with embedded.running(data_dir, settings=FAST) as place:  # where the folder is there already
            assert await ask(place, "SELECT 1") == 1


def test_socket_folder_that_somebody_else_made_first_is_refused(folder: Path) -> None:
    """That folder is everybody's: a link there must not make us give a folder of the system's away."""
    target = folder / "precious"
    target.mkdir(mode=0o755)
    with long_path(folder) as (data_dir, sockets):
        sockets.symlink_to(target)
        before = target.stat()
        assert refusal(data_dir) == f"{sockets} belongs to another user."
        assert (target.stat().st_uid, target.stat().st_mode) == (before.st_uid, before.st_mode)
        if os.geteuid() == 0:
            sockets.unlink()
            sockets.mkdir()
            shutil.chown(sockets, "nobody")
            assert refusal(data_dir) == f"{sockets} belongs to another user."


# --- who may come in


@as_root
async def test_under_a_home_closed_to_the_server_the_data_lies_elsewhere_and_it_says_so(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    data_dir = home / "project" / ".data"
    place = embedded.locate(data_dir)
    try:
        with embedded.running(data_dir, settings=FAST) as running:
            assert running == place
            assert place.home.parent == Path("/var/lib/openrouter-watcher")
            assert await ask(place, "SELECT 1") == 1
            assert mode(place.folder) == 0o700
            with embedded.running_or_joined(data_dir) as joined:
                assert joined == place
        said = capfd.readouterr().out
        assert f"keeps its data in {place.home} instead.\n" in said
        assert said.count("\n") == 1
        assert mode(home) == 0o700  # nothing was opened to the world
        assert home.stat().st_uid == 0
        assert mode(folder) == 0o711
    finally:
        shutil.rmtree(place.home)


def knock(place: Place, user: str) -> str:
    """What a client that `user` runs hears from the server."""
    start = b"".join(word + b"\0" for word in (b"user", b"watcher", b"database", b"postgres", b""))
    with socket.socket(socket.AF_UNIX) as door:
        os.seteuid(pwd.getpwnam(user).pw_uid)
        try:
            door.connect(str(place.sockets / ".s.PGSQL.5432"))
        except PermissionError:
            return "closed"
        finally:
            os.seteuid(0)
        door.sendall(struct.pack("!ii", len(start) + 8, 196_608) + start)
        return door.recv(4096).decode("utf-8", "replace")


@as_root
def test_no_other_user_of_the_machine_can_connect(data_dir: Path) -> None:
    with embedded.running(data_dir, settings=FAST) as place:
        assert knock(place, "nobody") == "closed"
        # nor if they found a way to the socket: the operating system says who calls
        place.folder.chmod(0o711)
        place.sockets.chmod(0o711)
        (place.sockets / ".s.PGSQL.5432").chmod(0o777)
        assert "Peer authentication failed" in knock(place, "nobody")
        assert "server_version" in knock(place, "root")


def test_server_has_no_port(data_dir: Path) -> None:
    with embedded.running(data_dir, settings=FAST) as place:
        connections = psutil.Process(postmaster(place)).net_connections(kind="inet")
    assert [connection for connection in connections if connection.type == socket.SOCK_STREAM] == []
