"""Real server processes for the tests: the same command that people start."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.conftest import SECRET
from tests.pooler import application_pooler, application_url
from tests.ports import free_port

PROJECT = Path(__file__).parent.parent
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30


@asynccontextmanager
async def running_server(
    database_url: str, log: Path, module: str = "app", **environ: str
) -> AsyncGenerator[httpx.AsyncClient]:
    """`python -m app run` on a database, and a client of it. What the process says is appended to `log`."""
    async with running_process(database_url, log, module, **environ) as (client, _):
        yield client


@asynccontextmanager
async def running_process(
    database_url: str,
    log: Path,
    module: str = "app",
    command: str = "run",
    *,
    folder: Path = PROJECT,
    python: str = sys.executable,
    **environ: str,
) -> AsyncGenerator[tuple[httpx.AsyncClient, subprocess.Popen[bytes]]]:
    """The same, and the process itself; also of another checkout, in its own environment."""
    port = free_port()
    settings = {
        "DATABASE_URL": application_url(database_url),
        "DATABASE_POOLER": application_pooler(database_url),
        "JWT_SECRETS": base64.b64encode(SECRET).decode(),
        "ENCRYPTION_KEYS": base64.b64encode(SECRET).decode(),
        "PORT": str(port),
        "LOGIN_LIMIT": "off",
        "REGISTRATION_LIMIT": "off",
        "PUBLIC_RATE_LIMIT": "off",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 -- returns at once
            [python, "-m", module, command],
            cwd=folder,
            env={**os.environ, **settings, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30, trust_env=False
        ) as client:
            await _until_ready(client, process, log)
            yield client, process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


async def _until_ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT_SECONDS):
        while True:
            assert process.poll() is None, _said(log)
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def _said(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
