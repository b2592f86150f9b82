"""What happens to requests with tokens when the database is slower than they come?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import httpx

from app.batching import Lanes
from app.settings import Settings
from tests.accounts.bodies import assert_problem
from tests.cast import Person, bearer
from tests.conftest import admin, new_database, running_app
from tests.locks import bound, waiting_backend
from tests.processes import running_process

TOKEN = "/api/v1/token"


async def test_line_has_an_end_and_everybody_in_it_is_answered(
    settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    token = (await alice.creates_token())["token"]
    await bound(connection, "lock_timeout", "60s")
    await bound(connection, "statement_timeout", "60s")
    async with running_app(settings, lanes=Lanes(waiting_max=20, hold_seconds=0.2)) as client:

        async def use() -> httpx.Response:
            return await client.get(TOKEN, headers=bearer(token))

        async with connection.transaction():
            await connection.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(use())
            await waiting_backend(connection)
            in_line = [asyncio.create_task(use()) for _ in range(20)]
            await asyncio.sleep(0)
            for answer in await asyncio.gather(*(use() for _ in range(10))):
                assert_problem(answer, 503, "unavailable")
                assert answer.headers["retry-after"] == "1"
        answers = await asyncio.gather(first, *in_line)
    assert [answer.status_code for answer in answers] == [200] * 21
    assert await connection.fetchval("SELECT request_count FROM api_token_meters") == 21


async def test_statement_that_takes_too_long_is_503_for_its_own_and_the_next_works(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    tokens = [(await alice.creates_token())["token"] for _ in range(3)]
    await bound(connection, "statement_timeout", "300ms")

    async def use(token: str) -> int:
        return (await client.get(TOKEN, headers=bearer(token))).status_code

    async with connection.transaction():
        await connection.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
        first = asyncio.create_task(use(tokens[0]))
        await waiting_backend(connection)
        second = [asyncio.create_task(use(token)) for token in tokens]
        assert await first == 503
        await waiting_backend(connection)  # the next is on its way
    assert await asyncio.gather(*second) == [200] * 3


async def test_client_that_goes_away_harms_nobody(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()

    async def use() -> int:
        return (await client.get(TOKEN, headers=bearer(created["token"]))).status_code

    async with connection.transaction():
        await connection.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
        under_way = [asyncio.create_task(use()) for _ in range(2)]
        await waiting_backend(connection)
        in_line = [asyncio.create_task(use()) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in (under_way[0], *in_line[:2]):
            task.cancel()
        await asyncio.sleep(0.05)
    assert await asyncio.gather(under_way[1], *in_line[2:]) == [200] * 3
    # one of those who went had been sent already, and is counted: it was let in
    assert await connection.fetchval("SELECT request_count FROM api_token_meters") == 4
    assert await use() == 200


async def test_end_of_the_service_answers_those_in_line(server_url: str, template: str, tmp_path: Path) -> None:
    async with (
        new_database(server_url, template) as url,
        admin(url) as connection,
        running_process(url, tmp_path / "log") as (client, process),
    ):
        alice = await Person.arrives(client, "alice@example.com")
        token = (await alice.creates_token())["token"]

        async def use() -> int:
            return (await client.get("/api/v1/stats", headers=bearer(token))).status_code

        async with connection.transaction():
            await connection.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
            requests = [asyncio.create_task(use())]
            await waiting_backend(connection)
            requests += [asyncio.create_task(use()) for _ in range(30)]
            await asyncio.sleep(0.3)
            process.terminate()
            await asyncio.sleep(0.3)
        assert await asyncio.gather(*requests) == [200] * 31
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert await connection.fetchval("SELECT request_count FROM api_token_meters") == 31
