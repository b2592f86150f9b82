"""Does a long CSV take nothing from anybody while its reader is slow, and is half of one never taken for the whole?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from app.stats import export
from tests.cast import Person
from tests.conftest import SECRET, running_app
from tests.processes import running_server
from tests.readers import Reader
from tests.usage.facts import Fact, book, key_ids

PERIOD = "start_date=2026-01-01&end_date=2026-12-31"
PAGES, ROWS = 10, 10_000
PATIENCE_SECONDS = 20
PIECE_MAX_BYTES = 200_000  # of 1,000 rows


class SlowReader:
    """Asks the application as a server does, and takes each piece of the answer only when it is told to."""

    def __init__(self, reader: Reader, path: str) -> None:
        self._wanted, self._pieces, self._gone = asyncio.Semaphore(0), asyncio.Queue[Any](), asyncio.Event()
        address = httpx.URL(f"http://watcher.test{reader.root}/{path}")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": address.path, "raw_path": address.raw_path, "root_path": "", "query_string": address.query,
            "headers": [(name.lower().encode(), value.encode()) for name, value in reader.headers.items()],
            "client": ("127.0.0.1", 50000), "server": ("watcher.test", 80), "state": {},
        }  # fmt: skip
        app: Any = reader.owner.client._transport.app  # pyright: ignore[reportAttributeAccessIssue]
        self.answer = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._wanted.acquire()
        await self._pieces.put(message)

    async def takes(self) -> Any:
        """The next message; None where none comes because the answer has broken off."""
        self._wanted.release()
        piece = asyncio.create_task(self._pieces.get())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait({piece, self.answer}, return_when=asyncio.FIRST_COMPLETED)
        if piece.done():
            return piece.result()
        piece.cancel()
        return None

    async def takes_all(self) -> list[Any]:
        """What is left, to the end of the answer or to where it breaks off."""
        messages = []
        while (message := await self.takes()) is not None:
            messages.append(message)
            if message.get("more_body") is False:
                await self.leaves()
                break
        return messages

    async def leaves(self) -> None:
        """Closes the connection, and sees that nobody works for it any more."""
        self._gone.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.answer


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """Of a service with one connection to its database."""
    async with running_app(msgspec.structs.replace(settings, database_pool_size=1)) as client:
        yield client


async def add_rows(connection: asyncpg.Connection, user_id: int) -> None:
    """Ten pages of a stream."""
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(20)]
    cells = [(day, f"key {key}", f"maker/model-{model}") for day in days for key in range(10) for model in range(50)]
    await book(connection, user_id, *(Fact(*cell, cost=Decimal(n).scaleb(-6)) for n, cell in enumerate(cells)))


async def poison(connection: asyncpg.Connection, user_id: int) -> None:
    """The last row of the list cannot be told: its sum is too large for the database."""
    await connection.execute(
        """
        INSERT INTO usage_facts (user_id, key_id, day, model_id, provider_id, source, tokens_input)
        SELECT $1, f.key_id, f.day, f.model_id, 0, source, 9223372036854775807
        FROM (SELECT key_id, day, model_id FROM usage_facts ORDER BY day, key_id, model_id LIMIT 1) AS f
        CROSS JOIN unnest(ARRAY['activity', 'counters']) AS source
        """,
        user_id,
    )


def costs(messages: list[Any]) -> list[Decimal]:
    """Of the lines in these pieces."""
    lines = b"".join(message.get("body", b"") for message in messages).decode().splitlines()
    return [Decimal(line.split(",")[-2]) for line in lines if line[:1].isdigit()]


async def nothing_is_held(connection: asyncpg.Connection) -> None:
    """Once the page under way is read: the service is in no transaction, keeps no view of the data and does no work."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'openrouter-watcher'
            AND (state <> 'idle' OR xact_start IS NOT NULL OR backend_xmin IS NOT NULL)
        """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval(query):  # noqa: ASYNC110 -- the database tells nobody
            await asyncio.sleep(0.01)


async def test_nothing_is_held_while_the_reader_waits(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_rows(connection, reader.owner.id)
    slow = [SlowReader(reader, f"usage?format=csv&{PERIOD}") for _ in range(3)]
    for _ in range(3):  # the headers, the first line, and a page
        assert all([await one.takes() for one in slow])
    # all three wait; the one connection is everybody's
    await nothing_is_held(connection)
    answers = [
        await reader.get("stats", PERIOD),
        await reader.get("usage", PERIOD),
        await reader.owner.get("/api/tokens"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    await nothing_is_held(connection)
    rest = [await one.takes_all() for one in slow]
    assert [messages[-1]["more_body"] for messages in rest] == [False] * 3
    assert [len(costs(messages)) for messages in rest] == [ROWS - ROWS // PAGES] * 3
    await nothing_is_held(connection)


async def test_pieces_are_pages_whatever_the_size_of_the_whole(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_rows(connection, reader.owner.id)
    start, first_line, *pages = await SlowReader(reader, f"usage?format=csv&{PERIOD}").takes_all()
    assert start["status"] == 200
    assert first_line["body"].startswith(b"date,")
    pages = [page for page in pages if page["body"]]
    assert [page["body"].count(b"\n") for page in pages] == [ROWS // PAGES] * PAGES
    assert max(len(page["body"]) for page in pages) < PIECE_MAX_BYTES
    found = costs(pages)
    assert (len(found), len(set(found))) == (ROWS, ROWS)


async def test_rows_that_stay_come_once_while_others_come_and_go(
    reader: Reader, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    days = [date(2026, 3, day) for day in range(1, 11)]
    facts = [Fact(day, key, model) for day in days for key in ("a", "b") for model in ("x", "y", "z")]
    facts = [msgspec.structs.replace(fact, cost=Decimal(n)) for n, fact in enumerate(facts)]
    await book(connection, reader.owner.id, *facts)
    slow = SlowReader(reader, f"usage?format=csv&{PERIOD}")
    seen = [await slow.takes() for _ in range(4)]
    gone = (await key_ids(connection, reader.owner.id))["a"]
    assert (await reader.owner.delete(f"/api/keys/{gone}?history=delete")).status_code == 204
    new = [Fact(day, "b", "new", cost=Decimal(100)) for day in days]
    await book(connection, reader.owner.id, *new, Fact(date(2026, 3, 20), "b", cost=Decimal(100)))
    found = [cost for cost in costs(seen + await slow.takes_all()) if cost != 100]
    assert len(found) == len(set(found))
    assert {fact.cost for fact in facts if fact.key == "b"} <= set(found)
    assert found == sorted(found, key=lambda cost: (facts[int(cost)].day, cost), reverse=True)


async def test_reader_who_leaves_ends_the_work(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_rows(connection, reader.owner.id)
    slow = SlowReader(reader, f"usage?format=csv&{PERIOD}")
    for _ in range(3):
        await slow.takes()
    await slow.leaves()
    assert (await reader.get("stats")).status_code == 200
    await nothing_is_held(connection)


async def test_failure_midway_leaves_the_answer_without_an_end(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_rows(connection, reader.owner.id)
    await poison(connection, reader.owner.id)
    slow = SlowReader(reader, f"usage?format=csv&{PERIOD}")
    messages = await slow.takes_all()
    assert messages[0]["status"] == 200
    assert len(costs(messages)) >= ROWS // PAGES
    assert all(message["more_body"] for message in messages[1:])
    assert slow.answer.exception() is not None


async def test_failure_midway_breaks_the_connection(
    database_url: str, connection: asyncpg.Connection, password_hash: str, tmp_path: Path
) -> None:
    async with running_server(database_url, tmp_path / "log") as client:
        person = await Person.is_there(client, connection, "carol@example.com", password_hash, SECRET)
        reader = await Reader.of(person, "/api/v1")
        await add_rows(connection, person.id)
        await poison(connection, person.id)
        received = b""
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 -- what came before counts too
            async with client.stream("GET", f"/api/v1/usage?format=csv&{PERIOD}", headers=reader.headers) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_bytes():
                    received += piece
        assert received.count(b"\n") > ROWS // PAGES
        # the service goes on, and the page itself tells of the failure as any other does
        assert (await reader.get("stats", PERIOD)).status_code == 200
        assert (await reader.ask("usage", "start_date=2026-03-01&end_date=2026-03-01&limit=1000")).status_code == 500
