"""How long do others wait while clients hold connections and say nothing, or too slowly? `python -m tests.bench.idle`"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import asyncpg
import httpx

from app import embedded, migrate
from app.accounts.passwords import Passwords
from tests.bench.machine import resident_mib, temporary_folder
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import SECRET
from tests.processes import running_server

CLIENTS = 500
ASKED_PER_SECOND = 50
HEAD = b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
# what each kind sends at once, and then every second until it is cut off
KINDS: dict[str, tuple[bytes, bytes]] = {
    "nobody else": (b"", b""),
    "silent": (b"", b""),
    "kept alive": (b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    "slow heads": (b"GET /livez HTTP/1.1\r\nHost: h\r\n", b"X"),
    "slow bodies": (HEAD + b"Content-Length: 60000\r\n\r\n", b"{"),
    "slow chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
}


async def measure(seconds: float) -> None:
    """Prints a line for each kind of client."""
    with temporary_folder() as folder, embedded.running(folder) as database:
        await migrate.migrate(database.url)
        async with running_server(database.url, folder / "log") as client:
            header = bearer((await (await _owner(client, database.url)).creates_token())["token"])
            print(
                f"{'beside':<14}{'asked':>8}{'not 200':>9}{'p50':>10}{'p99':>10}{'longest':>10}{'memory':>11}{'held for':>11}"
            )
            for kind, (start, more) in KINDS.items():
                clients = 0 if kind == "nobody else" else CLIENTS
                async with _idle(client.base_url.port or 0, clients, start, more) as held:
                    waits, failed = await _ask(client, header, seconds)
                    memory = resident_mib(client)
                p99 = statistics.quantiles(waits, n=100)[98]
                longest_held = f"{max(held):>9.1f} s" if held else ""
                print(
                    f"{kind:<14}{len(waits):>8}{failed:>9}{statistics.median(waits):>7.1f} ms{p99:>7.1f} ms"
                    f"{max(waits):>7.1f} ms{memory:>7.0f} MiB{longest_held:>11}"
                )


async def _owner(client: httpx.AsyncClient, url: str) -> Person:
    passwords = Passwords(min_length=8)
    connection = await asyncpg.connect(url)
    try:
        return await Person.is_there(client, connection, "a@b.de", await passwords.hash(PASSWORD), SECRET)
    finally:
        await connection.close()
        passwords.close()


@asynccontextmanager
async def _idle(port: int, clients: int, start: bytes, more: bytes) -> AsyncGenerator[list[float]]:
    """So many at any time: who is cut off comes again. Gives how many seconds each was held."""
    held: list[float] = []
    tasks = [asyncio.create_task(_again_and_again(lambda: _hold(port, start, more), held)) for _ in range(clients)]
    await asyncio.sleep(1)
    try:
        yield held
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again_and_again(hold: Callable[[], Any], held: list[float]) -> None:
    while True:
        began = perf_counter()
        with contextlib.suppress(OSError):
            await hold()
            held.append(perf_counter() - began)


async def _hold(port: int, start: bytes, more: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(start)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    if not await reader.read(65_536):
                        return
            writer.write(more)
            await writer.drain()
    finally:
        writer.close()


async def _ask(client: httpx.AsyncClient, header: dict[str, str], seconds: float) -> tuple[list[float], int]:
    """How many milliseconds each answer took, and how many were not 200."""
    waits, failed, end = list[float](), 0, perf_counter() + seconds
    while (began := perf_counter()) < end:
        failed += (await client.get("/api/v1/token", headers=header)).status_code != httpx.codes.OK
        waits.append((perf_counter() - began) * 1000)
        await asyncio.sleep(max(0.0, 1 / ASKED_PER_SECOND - (perf_counter() - began)))
    return waits, failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    asyncio.run(measure(parser.parse_args().seconds))
