"""A proxy that puts the service below a path, as an operator's nginx does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

HEAD_MAX = 64 * 1024


@asynccontextmanager
async def proxy_below(path: str, port: int, target_port: int) -> AsyncGenerator[list[str]]:
    """On `port`; what is asked for outside of `path` is 404, and noted."""
    strays: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, headers = head.partition(b"\r\n")
            method, target, version = line.split(b" ")
            if not target.startswith(path.encode() + b"/"):
                strays.append(target.decode())
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target_port)
            kept = b"\r\n".join(
                header for header in headers.split(b"\r\n") if not header.lower().startswith(b"connection:")
            )
            inner_writer.write(b" ".join([method, target[len(path) :], version]) + b"\r\nConnection: close\r\n" + kept)
            sending = asyncio.create_task(_pass_on(reader, inner_writer))
            await _pass_on(inner_reader, writer)
            sending.cancel()
            inner_writer.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=HEAD_MAX)
    async with server:
        yield strays


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(HEAD_MAX):
        writer.write(piece)
        await writer.drain()
