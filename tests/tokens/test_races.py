"""Do the promises about tokens hold when many ask at once, through one process and through two?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from tests.cast import Person, bearer
from tests.conftest import admin, new_database, running_app
from tests.processes import running_server

ACTIVE = """
    SELECT count(*) FROM api_tokens
    WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


class Pair(msgspec.Struct):
    """Two server processes on one database."""

    clients: list[httpx.AsyncClient]
    database_url: str

    async def arrives(self, name: str) -> Person:
        """Somebody of the test's own."""
        return await Person.arrives(self.clients[0], f"{name}@example.com")


@pytest.fixture(scope="module")
async def pair(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pair]:
    """Started once for all tests here."""
    folder = tmp_path_factory.mktemp("servers")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database(server_url, template))
        yield Pair([await stack.enter_async_context(running_server(url, folder / f"{name}.log")) for name in "ab"], url)


async def create(client: httpx.AsyncClient, person: Person) -> httpx.Response:
    """One creation through that server."""
    return await client.post("/api/tokens", json={"name": "race"}, headers=person.headers)


def assert_five_and_forty_five(answers: list[httpx.Response]) -> None:
    """Exactly the limit, and a plain refusal for all others."""
    assert Counter(answer.status_code for answer in answers) == {201: 5, 400: 45}
    assert len({answer.json()["token"] for answer in answers if answer.status_code == 201}) == 5
    details = {answer.json()["detail"] for answer in answers if answer.status_code == 400}
    assert details == {"Maximum 5 API tokens allowed"}


async def test_fifty_creations_at_once_make_exactly_five(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    for _ in range(3):
        assert_five_and_forty_five(await asyncio.gather(*(create(client, alice) for _ in range(50))))
        assert await connection.fetchval(ACTIVE, alice.id) == 5
        await connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE revoked_at IS NULL")


async def test_fifty_creations_through_two_processes_make_exactly_five(pair: Pair) -> None:
    person = await pair.arrives("fifty")
    async with admin(pair.database_url) as connection:
        for _ in range(5):
            answers = await asyncio.gather(*(create(pair.clients[number % 2], person) for number in range(50)))
            assert_five_and_forty_five(answers)
            assert await connection.fetchval(ACTIVE, person.id) == 5
            await connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE revoked_at IS NULL")


async def test_people_do_not_use_up_each_others_limit(pair: Pair) -> None:
    people = [await pair.arrives(f"neighbour{number}") for number in range(3)]
    answers = await asyncio.gather(
        *(create(pair.clients[number % 2], person) for number in range(12) for person in people)
    )
    for index in range(3):
        assert Counter(answer.status_code for answer in answers[index::3]) == {201: 5, 400: 7}


async def test_creations_racing_revocations_never_exceed_the_limit(pair: Pair) -> None:
    person = await pair.arrives("racer")
    statuses: Counter[int] = Counter()
    samples: Counter[int] = Counter()

    async def create_and_revoke(client: httpx.AsyncClient) -> None:
        for _ in range(12):
            answer = await create(client, person)
            statuses[answer.status_code] += 1
            if answer.status_code == 201:
                path = f"/api/tokens/{answer.json()['id']}"
                assert (await client.delete(path, headers=person.headers)).status_code == 204

    async def sample() -> None:
        async with admin(pair.database_url) as connection:
            while True:
                samples[await connection.fetchval(ACTIVE, person.id)] += 1

    sampler = asyncio.create_task(sample())
    await asyncio.gather(*(create_and_revoke(pair.clients[number % 2]) for number in range(16)))
    sampler.cancel()
    await asyncio.gather(sampler, return_exceptions=True)
    assert max(samples) == 5, samples  # it was reached, and never passed
    assert statuses.keys() == {201, 400}
    assert [(await create(pair.clients[0], person)).status_code for _ in range(6)] == [201] * 5 + [400]


async def test_no_request_is_let_in_that_starts_after_the_revocation(pair: Pair) -> None:
    person = await pair.arrives("revoker")
    for attempt in range(5):
        created = (await create(pair.clients[0], person)).json()
        uses: list[list[tuple[float, int]]] = [[], []]
        is_over = asyncio.Event()

        async def hammer(
            number: int,
            token: str = created["token"],
            uses: list[list[tuple[float, int]]] = uses,
            is_over: asyncio.Event = is_over,
        ) -> None:
            while not is_over.is_set():
                started_at = time.monotonic()
                answer = await pair.clients[number % 2].get("/api/v1/token", headers=bearer(token))
                uses[number % 2].append((started_at, answer.status_code))

        hammers = [asyncio.create_task(hammer(number)) for number in range(8)]
        await asyncio.sleep(0.15)
        path = f"/api/tokens/{created['id']}"
        revoked = await pair.clients[attempt % 2].delete(path, headers=person.headers)
        revoked_at = time.monotonic()
        assert revoked.status_code == 204
        await asyncio.sleep(0.1)
        is_over.set()
        await asyncio.gather(*hammers)
        for process in uses:
            assert {status for started_at, status in process if started_at < revoked_at} >= {200}
            assert {status for started_at, status in process if started_at >= revoked_at} == {401}


async def test_uses_through_two_processes_are_counted_exactly(pair: Pair) -> None:
    person = await pair.arrives("counter")
    created = (await create(pair.clients[0], person)).json()
    answers = await asyncio.gather(
        *(pair.clients[number % 2].get("/api/v1/token", headers=bearer(created["token"])) for number in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}
    entry = (await pair.clients[0].get(f"/api/tokens/{created['id']}", headers=person.headers)).json()
    assert entry["request_count"] == 50


async def test_managing_tokens_has_no_rate_limit(alice: Person) -> None:
    created = await alice.creates_token()

    async def lists(count: int) -> Counter[int]:
        return Counter([(await alice.get("/api/tokens")).status_code for _ in range(count)])

    assert sum(await asyncio.gather(lists(301), lists(150), lists(150)), Counter()) == {200: 601}
    path = f"/api/tokens/{created['id']}"
    assert Counter([(await alice.delete(path)).status_code for _ in range(50)]) == {204: 50}
    assert Counter([(await alice.post("/api/tokens", {"name": ""})).status_code for _ in range(50)]) == {422: 50}


async def test_limit_of_two_processes_is_the_one_they_were_given(settings: Settings, alice: Person) -> None:
    small = msgspec.structs.replace(settings, max_api_tokens_per_user=2)
    async with running_app(small) as first, running_app(small) as second:
        answers = await asyncio.gather(*(create(client, alice) for _ in range(10) for client in (first, second)))
    assert Counter(answer.status_code for answer in answers) == {201: 2, 400: 18}
