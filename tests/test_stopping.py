"""Does the service stop as load balancers and clients need it: announced, with every answer whole, in time and with code 0?"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import asyncpg

from tests.cast import Person, bearer
from tests.processes import running_process

CLIENTS = 16
DELAY_SECONDS = 1
STOP_SECONDS = 30


async def hammer(port: int, head: bytes, outcomes: Counter[str]) -> None:
    """One request after the other on one connection, on another where that was closed, until nobody listens any more."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        try:
            while True:
                writer.write(head)
                received = await answer(reader)
                outcomes[received] += 1
                if received in {"closed", "cut"}:
                    break
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> str:
    """The status of a whole answer; closed: not a byte of one; cut: a part of one."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            piece = await reader.read(65_536)
            if not piece:
                return "cut" if received else "closed"
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            piece = await reader.read(65_536)
            if not piece:
                return "cut"
            body += piece
    except ConnectionError:
        return "cut" if received else "closed"
    return head.split(b" ", 2)[1].decode()


async def test_service_under_load_ends_announced_with_every_answer_whole(
    database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    environ = {"WORKERS": "2", "SHUTDOWN_DELAY_SECONDS": str(DELAY_SECONDS)}
    async with running_process(database_url, log, command="serve", **environ) as (client, process):
        alice = await Person.arrives(client, "alice@example.com")
        token, slow = [(await alice.creates_token())["token"] for _ in range(2)]
        port = client.base_url.port
        assert port
        head = f"GET /api/v1/stats HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        outcomes: Counter[str] = Counter()
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(hammer(port, head, outcomes))
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await asyncio.sleep(DELAY_SECONDS / 2)
            # announced: those who ask are told, those who come are served
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/livez")).status_code == 200
            # a request that takes until after the end of listening: somebody holds its token's meter
            async with connection.transaction():
                await connection.execute(
                    "SELECT FROM api_token_meters AS m INNER JOIN api_tokens AS t ON t.id = m.token_id"
                    " WHERE t.name = $1 FOR UPDATE OF m",
                    "grafana",
                )
                waiting = asyncio.create_task(client.get("/api/v1/token", headers=bearer(slow)))
                await asyncio.sleep(DELAY_SECONDS)
                assert not waiting.done()
            assert (await waiting).status_code == 200
        assert await asyncio.to_thread(process.wait, STOP_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS
    assert outcomes["200"] > CLIENTS
    assert outcomes.keys() <= {"200", "closed"}, outcomes
    assert "rror" not in log.read_text()
