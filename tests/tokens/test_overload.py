"""What happens to requests with tokens when the database is slower than they come?"""

from __future__ import annotations

import asyncio

import asyncpg
import httpx

from app.batching import Lanes
from app.settings import Settings
from tests.accounts.bodies import assert_problem
from tests.cast import Person, bearer
from tests.conftest import running_app
from tests.locks import bound, waiting_backend

TOKEN = "/api/v1/token"


async def test_line_has_an_end_and_everybody_in_it_is_answered(
    settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    token = (await alice.creates_token())["token"]
    await bound(connection, "lock_timeout", "60s")
    await bound(connection, "statement_timeout", "60s")
    async with running_app(settings, lanes=Lanes(waiting_max=20)) as client:

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
