"""What does a worker process of the server load, and when does it end by itself?"""

from __future__ import annotations

import asyncio
import gc
import os
import signal

from litestar.types import ASGIApp, Receive, Scope, Send

from app import settings as settings_module
from app.health import Readiness
from app.logs import configure_logs
from app.main import create_app
from app.server import ENDING

PARENT_CHECK_SECONDS = 1.0
COLLECT_AFTER = 20_000  # new objects: what a thousand requests hold while they are answered is looked at once at most


def application() -> ASGIApp:
    """Everything, with the settings of the environment."""
    return _application(with_scheduler=True)


def application_without_scheduler() -> ASGIApp:
    """The same, where keys are read by processes of their own."""
    return _application(with_scheduler=False)


def _application(*, with_scheduler: bool) -> ASGIApp:
    settings = settings_module.load()
    configure_logs(settings.log_level, settings.log_format)
    readiness = Readiness()
    app = create_app(settings, with_scheduler=with_scheduler, readiness=readiness)
    gc.collect()
    gc.freeze()  # what is there by now stays: the collector need not walk through it again and again
    gc.set_threshold(COLLECT_AFTER)
    return attended(app, readiness)


def attended(app: ASGIApp, readiness: Readiness) -> ASGIApp:
    """Listens to the server process, and ends with it: after a kill -9 it would serve on, and keep the port, for ever."""
    parent = os.getppid()
    watches: set[asyncio.Task[None]] = set()

    async def watch() -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 -- nobody signals the death of a parent
            await asyncio.sleep(PARENT_CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    async def attended_app(scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "lifespan":  # which Litestar's types leave out
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(ENDING, readiness.end)
            watches.add(loop.create_task(watch()))
        await app(scope, receive, send)

    return attended_app
