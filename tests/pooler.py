"""PgBouncer in transaction mode between the application and its database, in runs that ask for it; fixtures connect directly."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from app import system_user
from app.settings import Pooler
from tests.ports import free_port, is_listening

START_TIMEOUT_SECONDS = 10


def is_installed() -> bool:
    """Debian: `apt install pgbouncer`."""
    return shutil.which("pgbouncer") is not None


@contextmanager
def running_pooler(server_url: str) -> Generator[str]:
    """Its address, to which the name of any of the server's databases is appended."""
    url, port = urlsplit(server_url), free_port()
    target = {
        "host": unquote(parse_qs(url.query).get("host", [url.hostname or "127.0.0.1"])[0]),
        "port": str(url.port or 5432),
        "user": unquote(url.username or system_user.caller()),
        **({"password": unquote(url.password)} if url.password else {}),
    }
    folder = Path(tempfile.mkdtemp(prefix="watcher-pgbouncer-"))
    folder.chmod(0o711)  # as root it runs under another user
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = {' '.join(f'{name}={value}' for name, value in target.items())}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\nmax_client_conn = 2000\ndefault_pool_size = 20\nlog_connections = 0\n"
        "log_disconnections = 0\n",
        encoding="utf-8",
    )
    as_user = system_user.NAME if os.geteuid() == 0 and system_user.exists() else None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["pgbouncer", configuration], stdout=log, stderr=log, user=as_user, group=as_user)
    try:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_listening(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"postgresql://watcher@127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


class _Between:
    """What stands between the application and its database in this run of the tests."""

    address: str | None = None
    server_url: str = ""


between = _Between()


@contextmanager
def as_asked(server_url: str) -> Generator[None]:
    """A pooler for the whole run, with TEST_POOLER=pgbouncer."""
    if os.environ.get("TEST_POOLER") != "pgbouncer":
        yield
        return
    between.server_url = server_url
    with running_pooler(server_url) as between.address:
        yield


def application_url(database_url: str) -> str:
    """How the application reaches a database: through the pooler, if there is one in front of it."""
    return f"{between.address}{urlsplit(database_url).path}" if _is_pooled(database_url) else database_url


def application_pooler(database_url: str) -> Pooler:
    """What DATABASE_POOLER has to say."""
    return "transaction" if _is_pooled(database_url) else "none"


def _is_pooled(database_url: str) -> bool:
    """Some tests have servers of their own."""
    same = [urlsplit(url)._replace(path="") for url in (database_url, between.server_url)]
    return between.address is not None and same[0] == same[1]
