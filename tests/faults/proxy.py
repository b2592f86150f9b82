"""What can happen on the way between the service and its database? A proxy on loopback that does it on demand."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

from app import embedded

READ_BYTES = 65_536
SLOW_PIECE_BYTES = 256
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing says RST, not FIN


class Proxy:
    """Takes connections on a port and passes them on to a database."""

    def __init__(self, database_url: str) -> None:
        """`database_url`: of the database behind it. It may be changed at any time, for connections from then on."""
        self.database_url = database_url
        self.port = 0
        self.latency_seconds = 0.0  # of each piece, each way
        self.bytes_per_second: float | None = None
        self.cuts_after: bytes | None = (
            None  # a connection whose client has sent this ends with RST, once it was passed on
        )
        self.cuts = 0
        self._passes = asyncio.Event()
        self._passes.set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The same database, this way. One that listens on a socket knows the proxy, and asks for no password."""
        parts = urlsplit(self.database_url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query="sslmode=disable"))

    def swallow(self) -> None:
        """From now on nothing goes through, and nobody is told: no FIN, no RST."""
        self._passes.clear()

    def pass_on(self) -> None:
        """As before; what was swallowed goes through now."""
        self._passes.set()

    def reset_all(self) -> None:
        """Ends every connection with RST."""
        for client in [*self._clients]:
            self._reset(client)

    async def close(self) -> None:
        """Ends everything."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until one of the two ends."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._clients.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):  # the other end is away: so is this one
                await self._passes.wait()
                answers, upstream = await _connect(self.database_url)
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._pump(reader, upstream, writer))
                    directions.create_task(self._pump(answers, writer, None))
        except (ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter | None
    ) -> None:
        while piece := await source.read(SLOW_PIECE_BYTES if self.bytes_per_second else READ_BYTES):
            delay = self.latency_seconds + (len(piece) / self.bytes_per_second if self.bytes_per_second else 0)
            if delay:
                await asyncio.sleep(delay)
            await self._passes.wait()
            sink.write(piece)
            await sink.drain()
            if client is not None and self.cuts_after and self.cuts_after in piece:
                self._reset(client)
        raise ConnectionResetError  # ends the other direction too

    def _reset(self, client: asyncio.StreamWriter) -> None:
        self.cuts += 1
        connection: socket.socket = client.get_extra_info("socket")
        with suppress(OSError):  # it has gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.transport.abort()


async def _connect(database_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(database_url)
    if folder := parse_qs(parts.query).get("host"):
        return await asyncio.open_unix_connection(f"{folder[0]}/{embedded.SOCKET_NAME}")
    return await asyncio.open_connection(parts.hostname, parts.port or 5432)


@asynccontextmanager
async def running_proxy(database_url: str) -> AsyncGenerator[Proxy]:
    """In front of this database."""
    proxy = Proxy(database_url)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
