"""The demonstration as a process, and somebody signed in to it: for pictures and measurements."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from playwright.async_api import Browser

from app.demo import ADDRESS, PASSWORD
from tests.ports import free_port
from tests.processes import PROJECT
from tests.web.browsing import Person

START_TIMEOUT_SECONDS = 120


class Demonstration(msgspec.Struct):
    """Where it is."""

    base_url: str

    async def visitor(self, browser: Browser, **options: Any) -> Person:
        """Somebody who has signed in with what it printed."""
        person = await Person.sits_down(browser, self.base_url, **options)
        await person.signs_in(ADDRESS, PASSWORD)
        return person


@asynccontextmanager
async def running_demonstration() -> AsyncGenerator[Demonstration]:
    """`make demo`, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="watcher-demo-") as folder:
        await asyncio.to_thread(Path(folder).chmod, 0o711)  # as root the database runs under another user
        environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DATA_DIR"}}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "demo", cwd=PROJECT, env=environ | {"PORT": str(free_port()), "TMPDIR": folder},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout
        try:
            said = ""
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                while "listens on" not in said:
                    line = (await process.stdout.readline()).decode()
                    assert line, said
                    said += line
            found = re.search(r"listens on (\S+)", said)
            assert found
            await asyncio.sleep(2)  # until the port is there
            yield Demonstration(found[1])
        finally:
            process.terminate()
            await process.communicate()
