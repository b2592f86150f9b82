"""How does the load speak HTTP? As little of it as is needed: a general client would take half of a small machine for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """One that is whole."""

    status: int
    headers: dict[str, str]
    text: str


class Client:
    """As many connections as there are requests under way, kept for the next ones."""

    def __init__(self, port: int, timeout_seconds: float) -> None:
        """`timeout_seconds` of a request from its beginning to the end of its answer."""
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Raises OSError (TimeoutError is one) or EOFError where there is no whole answer."""
        head = [f"{method} {path} HTTP/1.1", "Host: watcher.test", f"Content-Length: {len(content)}"]
        head += [f"{name}: {value}" for name, value in (headers or {}).items()]
        async with asyncio.timeout(timeout_seconds or self._timeout_seconds):
            reader, writer = await self._connection()
            try:
                writer.write("\r\n".join([*head, "", ""]).encode() + content)
                answer = await _read(reader)
            except BaseException:
                writer.transport.abort()
                raise
        if answer.headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return answer

    def close(self) -> None:
        """Those that are idle."""
        for _, writer in self._idle:
            writer.transport.abort()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)


async def _read(reader: asyncio.StreamReader) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(lines[0].split(" ")[1]), headers, body.decode())
