"""A standby of an embedded server, made by pg_basebackup and fed by streaming."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec
import psutil

from app import embedded


class Standby(msgspec.Struct):
    """Follows its primary, until it is promoted."""

    server: embedded._Server
    folder: Path
    log: Path

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"postgresql://{embedded.ROLE}@/{embedded.DATABASE}?host={quote(str(self.folder.parent), safe='')}"

    def start(self) -> None:
        """Until it answers."""
        options = f"-c unix_socket_directories={self.folder.parent}"
        done = self.server._run("pg_ctl", "start", "-w", "-s", "-D", self.folder, "-l", self.log, "-o", options)
        assert done.returncode == 0, done.stdout + self.log.read_text()

    def stop(self) -> None:
        """As a crash would."""
        self.server._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", self.folder)

    def promote(self) -> None:
        """From now on it is a primary."""
        done = self.server._run("pg_ctl", "promote", "-w", "-s", "-D", self.folder)
        assert done.returncode == 0, done.stdout

    @contextmanager
    def silent(self) -> Generator[None]:
        """All its processes stand still; its socket goes on taking connections that nobody answers."""
        postmaster = psutil.Process(int((self.folder / "postmaster.pid").read_text().split("\n")[0]))
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@contextmanager
def running_standby(place: embedded.Place) -> Generator[Standby]:
    """Of the server in `place`, which has been told by `allow_replication`."""
    server = embedded._Server(place)
    standby = Standby(server, place.folder / "replica" / "data", place.folder / "replica.log")
    source = ("-h", place.sockets, "-U", embedded.ROLE)
    done = server._run("pg_basebackup", "-D", standby.folder, "-R", "-X", "stream", "-c", "fast", *source)
    assert done.returncode == 0, done.stdout
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


async def allow_replication(place: embedded.Place, primary: asyncpg.Connection) -> None:
    """To whoever may enter it anyway."""
    with (place.cluster / "pg_hba.conf").open("a") as rules:
        rules.write(f"local replication {embedded.ROLE} peer map=service\n")
    await primary.execute("SELECT pg_reload_conf()")
