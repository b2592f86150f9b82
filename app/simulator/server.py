"""How does the simulated OpenRouter speak HTTP? HTTP/1.1 on loopback, with everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec

from app.simulator import api, control
from app.simulator.answers import Answer, encode, error
from app.simulator.faults import Fault
from app.simulator.world import World

BASE = "/api/v1"
ASKED_MAX = 100_000
READ_BYTES = 65_536
BODY_MAX_BYTES = 1_000_000
HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad gateway</h1></body></html>"
ZOD = {"success": False, "error": {"name": "ZodError", "message": '[{"code":"invalid_type"}]'}}


class Asked(msgspec.Struct, frozen=True):
    """What was asked, and how it was answered; status 0 where there was no whole answer."""

    moment: datetime
    method: str
    path: str
    query: Mapping[str, str]
    key_hash: str | None
    status: int


class Simulator:
    """A running one."""

    def __init__(self, world: World) -> None:
        """It speaks for this world."""
        self.world = world
        self.base_url = ""
        self.requests: deque[Asked] = deque(maxlen=ASKED_MAX)
        self.concurrent = 0
        self.concurrent_max = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def calls(self, path: str | None = None, key: Any = None) -> int:
        """How many requests there were, of a path (after /api/v1) or with a key."""
        return sum(
            (path is None or asked.path == path) and (key is None or asked.key_hash == key.hash)
            for asked in self.requests
        )

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests, one after the other, until the client goes or something goes wrong on purpose."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- streams start a task for each connection
        self._tasks.add(task)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=READ_BYTES)
        try:
            while (request := await _next_request(connection, reader)) is not None:
                self.concurrent += 1
                self.concurrent_max = max(self.concurrent, self.concurrent_max)
                try:
                    is_over = await self._serve(connection, writer, *request)
                finally:
                    self.concurrent -= 1
                if is_over or connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def end(self) -> None:
        """Closes what is still open."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
    ) -> bool:
        """One request; whether the connection is over with it."""
        method, target = request.method.decode(), urlsplit(request.target.decode("latin-1"))
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        if target.path.startswith(control.BASE):
            answer = control.answer(self.world, method, target.path.removeprefix(control.BASE), headers, body)
            await _send(connection, writer, self._head(answer), encode(answer.value))
            return False
        path = target.path.removeprefix(BASE) if target.path.startswith(f"{BASE}/") else "/-"
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        known = self.world.find(secret)
        if self.world.options.latency_seconds:
            await asyncio.sleep(self.world.options.latency_seconds)
        fault = next((fault for fault in self.world.faults if fault.is_for(path, secret)), None)
        answer = api.answer(
            self.world, method, path, query, secret if scheme.lower() == "bearer" and secret else None, body
        )
        asked = Asked(
            self.world.clock.now(), method, path, query, known and known[1].hash, 0 if fault else answer.status
        )
        self.requests.append(asked)
        if fault is None:
            await _send(connection, writer, self._head(answer), encode(answer.value))
            return False
        return await self._misbehave(connection, writer, fault, answer)

    def _head(self, answer: Answer, content_type: str = "application/json") -> h11.Response:
        headers = {
            "Date": format_datetime(self.world.clock.now(), usegmt=True),
            "Content-Type": content_type,
            "Access-Control-Allow-Origin": "*",
            **answer.headers,
        }
        return h11.Response(status_code=answer.status, headers=list(headers.items()))

    async def _misbehave(  # noqa: C901, PLR0912 -- a list of cases
        self, connection: h11.Connection, writer: asyncio.StreamWriter, fault: Fault, answer: Answer
    ) -> bool:
        body = encode(answer.value)
        match fault.kind:
            case "slow":
                await asyncio.sleep(fault.seconds)
                await _send(connection, writer, self._head(answer), body)
            case "status":
                bad = error(fault.status, HTTPStatus(fault.status).phrase, fault.headers)
                await _send(connection, writer, self._head(bad), (fault.body or encode(bad.value).decode()).encode())
            case "html":
                bad = Answer(fault.status, None, fault.headers)
                await _send(connection, writer, self._head(bad, "text/html; charset=UTF-8"), HTML.encode())
            case "zod":
                await _send(connection, writer, self._head(Answer(400, None)), encode(ZOD))
            case "redirect":
                moved = Answer(302, None, {"Location": fault.location})
                await _send(connection, writer, self._head(moved), b"")
            case "patch":
                text = (
                    fault.body if fault.body is not None else encode(fault.change(_plain(body)) if fault.change else {})
                )
                await _send(connection, writer, self._head(answer), text.encode() if isinstance(text, str) else text)
            case "truncated_json":
                await _send(connection, writer, self._head(answer), body[: len(body) // 2])
            case "gzip":
                packed = Answer(200, None, {"Content-Encoding": "gzip"})
                await _send(connection, writer, self._head(packed), gzip.compress(b" " * 50_000_000))
            case "reset":
                writer.transport.abort()
                return True
            case "garbage":
                writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
                await writer.drain()
                return True
            case "cut":
                writer.write(_raw_head(answer, len(body)) + body[: len(body) // 2])
                await writer.drain()
                return True
            case "slow_body":
                writer.write(_raw_head(answer, len(body)))
                for byte in body:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(fault.seconds)
                return True
            case "endless":
                writer.write(_raw_head(answer, None) + b'{"data":[')
                while True:
                    writer.write(b" " * READ_BYTES)
                    await writer.drain()
        return False


def _plain(body: bytes) -> Any:
    """Mutable, and with every number's own digits."""
    return msgspec.json.decode(body)


def _raw_head(answer: Answer, length: int | None) -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {answer.status} OK\r\nContent-Type: application/json\r\n{size}Connection: close\r\n\r\n".encode()


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """The next one with its body; None when the client is gone."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MAX_BYTES:
                return None
        elif isinstance(event, h11.EndOfMessage):
            return None if request is None else (request, bytes(body))
        else:
            return None


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, head: h11.Response, body: bytes) -> None:
    head = h11.Response(
        status_code=head.status_code, headers=[*head.headers, (b"Content-Length", str(len(body)).encode())]
    )
    writer.write(b"".join(connection.send(event) or b"" for event in (head, h11.Data(data=body), h11.EndOfMessage())))
    await writer.drain()


@asynccontextmanager
async def serving(
    world: World, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Simulator]:
    """A simulator on a port, a free one if 0; gone with all its connections at the end."""
    simulator = Simulator(world)
    server = await asyncio.start_server(simulator.serve_connection, host, port, ssl=tls, backlog=1024)
    scheme = "http" if tls is None else "https"
    simulator.base_url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}{BASE}"
    try:
        yield simulator
    finally:
        server.close()
        await simulator.end()
        await server.wait_closed()
