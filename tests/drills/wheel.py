"""Does the wheel work far from the checkout it was built from: in an empty environment, in an empty folder?"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.documentation import commands
from tests.processes import PROJECT, free_port
from tests.walk import bash, walk

START_SECONDS = 60


@pytest.fixture
def folder() -> Generator[Path]:
    """Where the database's system user may come too, if root runs this."""
    folder = Path(tempfile.mkdtemp(prefix="watcher-wheel-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


async def test_installed_wheel_serves_with_sql_pages_and_assets(folder: Path) -> None:
    prefix, home, port = folder / "prefix", folder / "home", free_port()
    said = await bash(commands("docs/install.md", "wheel"), PREFIX=str(prefix))
    assert re.search(r"version [0-9]+\.[0-9]+\.[0-9]+", said)
    # and with the database that a wheel brings, because there is no other here
    await bash(f"{prefix}/bin/python -m pip install --quiet --require-hashes -r requirements/embedded.lock")
    # what runs whenever Python starts: nothing but setuptools' own, where the environment has that
    started = {path.name for path in (prefix / "lib").glob("python*/site-packages/*.pth")}
    assert started <= {"distutils-precedence.pth"}
    home.mkdir(mode=0o711)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 -- returns at once
            [prefix / "bin/openrouter-watcher", "run"],
            cwd=home,
            env={"PATH": os.environ["PATH"], "PORT": str(port), "HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
            await _until_ready(client, process, folder / "log")
            await walk(str(client.base_url))
            page = await client.get("/")
            assert page.headers["content-type"].startswith("text/html")
            assets = re.findall(r'(?:src|href)="(/[^"]+\.(?:css|js|svg)[^"]*)"', page.text)
            assert len(assets) >= 3
            assert {(await client.get(asset)).status_code for asset in assets} == {200}
            assert (await client.get("/schema/openapi.json")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()
    assert (home / ".data").is_dir()
    assert str(PROJECT) not in (folder / "log").read_text(encoding="utf-8")


async def _until_ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.poll() is None, await asyncio.to_thread(log.read_text)
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
