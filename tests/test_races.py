"""Do promises hold when everything happens at once through four of the service? (Those about API tokens: tests/tokens.)

Four applications with pools of their own, as the database sees them four processes; in `make rounds` they are four processes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from app import scheduler
from app.database import Database
from app.settings import Settings
from app.simulator.server import Simulator
from app.simulator.world import Account, Key
from tests.accounts.test_refresh import refresh
from tests.cast import PASSWORD, Person, bearer, log_in
from tests.conftest import running_app
from tests.processes import running_server
from tests.rounds import rounds

FEW = 2
ROUNDS = rounds(FEW, 100)
TABLES_OF_USERS = """
    SELECT table_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'user_id' AND table_name <> 'users'
"""
ASKED_FOR = ("reading", "refreshing", "login", "import", "key", "token")
EXPORT = "generation_id,created_at,cost_total,model_permaslug\ng1,2026-11-01 10:00:00.000,1,m/m\n"


@pytest.fixture
async def four(settings: Settings, simulator: Simulator, tmp_path: Path) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Clients of four on one database."""
    async with AsyncExitStack() as stack:
        if ROUNDS > FEW:
            assert settings.database_url
            servers = [
                running_server(settings.database_url, tmp_path / f"{name}.log", OPENROUTER_BASE_URL=simulator.base_url)
                for name in "abcd"
            ]
        else:
            same = msgspec.structs.replace(settings, openrouter_base_url=simulator.base_url, database_pool_size=4)
            servers = [running_app(same) for _ in range(4)]
        yield await asyncio.gather(*(stack.enter_async_context(server) for server in servers))


async def at_once(count: int, ask: Callable[[int], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """So many of them."""
    return await asyncio.gather(*(ask(number) for number in range(count)))


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def test_refresh_token_used_fifty_times_at_once_has_one_successor(
    four: list[httpx.AsyncClient], alice: Person, connection: asyncpg.Connection
) -> None:
    tokens = alice.tokens
    for round_ in range(1, ROUNDS + 1):
        sent = tokens
        answers = await at_once(50, lambda number, sent=sent: refresh(four[number % 4], sent))
        assert statuses(answers) == {200: 50}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        assert await connection.fetchval("SELECT count(*) FROM refresh_tokens") == 1 + round_
        tokens = answers[0].json()
    assert await connection.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 1


async def test_address_registered_by_many_at_once_is_one_account(
    four: list[httpx.AsyncClient], connection: asyncpg.Connection
) -> None:
    spellings = ("carol{}@example.com", "Carol{}@Example.com", "CAROL{}@EXAMPLE.COM")
    for round_ in range(rounds(1, 20)):
        answers = await at_once(
            rounds(12, 50),
            lambda number, round_=round_: four[number % 4].post(
                "/api/auth/register", json={"email": spellings[number % 3].format(round_), "password": PASSWORD}
            ),
        )
        assert statuses(answers) == {201: 1, 409: len(answers) - 1}
        assert await connection.fetchval("SELECT count(*) FROM users") == 1 + round_
        await log_in(four[0], spellings[0].format(round_))


async def test_key_added_twenty_times_at_once_is_there_once(
    four: list[httpx.AsyncClient], alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    for _ in range(ROUNDS):
        key = account.add_key("prod")
        body = {"name": "prod", "key": key.secret}
        answers = await at_once(
            20, lambda number, body=body: four[number % 4].post("/api/keys", json=body, headers=alice.headers)
        )
        assert statuses(answers) == {201: 1, 409: 19}
        assert await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE user_id = $1", alice.id) == 1
        await connection.execute("DELETE FROM openrouter_keys WHERE user_id = $1", alice.id)


class Leaving(msgspec.Struct):
    """Somebody whose account is deleted while they and their programs go on asking; and what they were answered."""

    person: Person
    api_token: str
    key: Key
    four: list[httpx.AsyncClient]
    answers: list[tuple[bool, str, int]] = []  # whether it was asked for after the end, what, and the status
    is_over: bool = False

    async def ask(self, what: str, client: httpx.AsyncClient) -> httpx.Response:
        """One of the things that they do."""
        headers = self.person.headers
        match what:
            case "reading":
                return await client.get("/api/v1/stats", headers=bearer(self.api_token))
            case "refreshing":
                answer = await refresh(client, self.person.tokens)
                if answer.status_code == 200:
                    self.person.tokens = answer.json()
                return answer
            case "login":
                credentials = {"email": self.person.email, "password": PASSWORD}
                return await client.post("/api/auth/login", json=credentials)
            case "import":
                headers = headers | {"Content-Type": "text/csv"}
                return await client.post("/api/imports/activity", content=EXPORT, headers=headers)
            case "key":
                body = {"name": "prod", "key": self.key.secret}
                return await client.post("/api/keys", json=body, headers=headers)
            case _:
                return await client.post("/api/tokens", json={"name": "x"}, headers=headers)

    async def keep_asking(self, what: str, client: httpx.AsyncClient) -> None:
        """Until it was refused for good."""
        refused = 0
        while refused < 2:
            is_over = self.is_over
            answer = await self.ask(what, client)
            self.answers.append((is_over, what, answer.status_code))
            refused += is_over

    async def leave(self, db: Database) -> None:
        """In the middle of it; and the rows go while the last requests end."""
        while len(self.answers) < 12:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.005)
        body = {"password": PASSWORD}
        answer = await self.four[1].request("DELETE", "/api/auth/me", json=body, headers=self.person.headers)
        assert answer.status_code == 204, answer.text
        self.is_over = True
        await scheduler.purge(db)


async def test_account_deleted_in_the_middle_of_everything_is_gone_and_nothing_of_it_comes_back(
    four: list[httpx.AsyncClient], bob: Person, account: Account, connection: asyncpg.Connection, database_url: str
) -> None:
    """Requests that are under way when it goes leave nothing behind, whether they succeed or not."""
    db = Database(database_url)
    await db.open()
    bobs_token = (await bob.creates_token())["token"]
    tables = [row["table_name"] for row in await connection.fetch(TABLES_OF_USERS)]
    assert len(tables) > 5
    for round_ in range(ROUNDS):
        person = await Person.arrives(four[0], f"leaver{round_}@example.com")
        token = (await person.creates_token())["token"]
        leaving = Leaving(person, token, account.add_key(f"key {round_}"), four)
        asking = [leaving.keep_asking(what, four[number % 4]) for number, what in enumerate(ASKED_FOR)]
        await asyncio.gather(leaving.leave(db), *asking)
        assert {status for is_over, _, status in leaving.answers if is_over} == {401}
        assert {status for _, _, status in leaving.answers} <= {200, 201, 400, 401, 404, 409}
        await scheduler.purge(db)
        for table in tables:
            left = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE user_id = $1", person.id)  # noqa: S608 -- ours
            assert left == 0, table
        assert await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", person.id) == 0
        assert (await four[2].get("/api/v1/token", headers=bearer(bobs_token))).status_code == 200
    await db.close()
