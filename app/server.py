"""How is the application served? granian, with bounds on everything it leaves open by default."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import click
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from app.errors import OperatorError
from app.settings import Settings
from app.web.assets import Assets

HEADER_READ_TIMEOUT_MS = 10_000
STOP_TIMEOUT_SECONDS = 20
BACKLOG = 2048
ENDING = signal.SIGUSR1  # to the workers: SIGTERM will follow
PORT_PATIENCE_SECONDS = 5.0
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name


def tell(url: str) -> None:
    """Where it is, to whoever watches."""
    click.echo(f"OpenRouter Watcher listens on {url}", err=True)


def serve(
    settings: Settings, application: str = "app.worker:application", announce: Callable[[str], None] = tell
) -> None:
    """Serves what that factory makes until SIGTERM or SIGINT, then finishes what is under way.

    Raises OperatorError when the port is taken.
    """
    _require_free_port(settings.host, settings.port)
    if not Assets().are_complete:
        click.echo("The dashboard's files are not there: run `make assets`. Everything else works without.", err=True)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    announce(f"http://{host}:{settings.port}")
    # ignored until a worker listens for it, and by those that are only starting: they inherit this
    signal.signal(ENDING, signal.SIG_IGN)
    with _shared_folder(settings.workers):
        _server(settings, application).serve()


@contextmanager
def _shared_folder(workers: int) -> Generator[None]:
    """Where several workers keep their figures for `/metrics`, each start anew; one keeps them in its memory."""
    os.environ.pop(METRICS_FOLDER, None)
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="openrouter-watcher-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder  # workers read their settings from the environment
        yield


def _server(settings: Settings, application: str) -> _Server:
    return _Server(
        application,
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,  # while it finds out which version a client speaks, it waits for ever
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT_SECONDS,
        log_level=LogLevels.warning,
        log_access=False,
        # or else its words go to standard output, as they are
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
        delay_seconds=settings.shutdown_delay_seconds,
    )


class _Server(MPServer):
    """Tells its workers that the end is near, and gives load balancers time to notice, before it stops to listen."""

    def __init__(self, *arguments: Any, delay_seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._delay_seconds = delay_seconds
        self._is_ending = False

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        """Of SIGTERM and SIGINT; the second one does not wait any longer."""
        stop = partial(super().signal_handler_interrupt, *arguments, **options)
        if self._is_ending or not self._delay_seconds:
            self._tell_workers()
            stop()
            return
        self._is_ending = True
        self._tell_workers()
        timer = threading.Timer(self._delay_seconds, stop)
        timer.daemon = True
        timer.start()

    def _tell_workers(self) -> None:
        for worker in self.wrks:
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, ENDING)


def _require_free_port(host: str, port: int) -> None:
    """granian shares ports between processes, so a second server would start without a word and take half the requests.

    Workers that outlived a kill -9 end within a second or two; they are waited for.
    """
    deadline = time.monotonic() + PORT_PATIENCE_SECONDS
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if time.monotonic() > deadline:
                raise OperatorError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
            time.sleep(0.25)
        else:
            return
