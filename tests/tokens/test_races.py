"""Do the promises about tokens hold when many ask at once, through one process and through four?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from app.accounts import repository as accounts
from app.accounts.addresses import parse_address
from app.database import Database
from app.settings import Settings
from app.tokens import repository as tokens
from app.tokens import secret
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import admin, new_database, running_app
from tests.processes import running_server
from tests.rounds import rounds

ROUNDS = rounds(5, 100)
ACTIVE = """
    SELECT count(*) FROM api_tokens
    WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""


class Servers(msgspec.Struct):
    """Four server processes on one database."""

    clients: list[httpx.AsyncClient]
    database_url: str

    def client(self, number: int) -> httpx.AsyncClient:
        """One of the four, in turn."""
        return self.clients[number % len(self.clients)]

    async def arrives(self, name: str) -> Person:
        """Somebody of the test's own."""
        return await Person.arrives(self.clients[0], f"{name}@example.com")


@asynccontextmanager
async def running_servers(server_url: str, template: str, folder: Path, **environ: str) -> AsyncGenerator[Servers]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database(server_url, template))
        entering = [
            stack.enter_async_context(running_server(url, folder / f"{name}.log", **environ)) for name in "abcd"
        ]
        yield Servers(await asyncio.gather(*entering), url)


@pytest.fixture(scope="module")
async def servers(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Servers]:
    """Started once for all tests here."""
    async with running_servers(server_url, template, tmp_path_factory.mktemp("servers")) as servers:
        yield servers


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


async def test_fifty_creations_through_four_processes_make_exactly_five(servers: Servers) -> None:
    person = await servers.arrives("fifty")
    async with admin(servers.database_url) as connection:
        for _ in range(ROUNDS):
            answers = await asyncio.gather(*(create(servers.client(number), person) for number in range(50)))
            assert_five_and_forty_five(answers)
            assert await connection.fetchval(ACTIVE, person.id) == 5
            await connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE revoked_at IS NULL")


async def test_people_do_not_use_up_each_others_limit(servers: Servers) -> None:
    people = [await servers.arrives(f"neighbour{number}") for number in range(3)]
    answers = await asyncio.gather(
        *(create(servers.client(number), person) for number in range(12) for person in people)
    )
    for index in range(3):
        assert Counter(answer.status_code for answer in answers[index::3]) == {201: 5, 400: 7}


async def test_creations_racing_revocations_never_exceed_the_limit(servers: Servers) -> None:
    person = await servers.arrives("racer")
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
        async with admin(servers.database_url) as connection:
            while True:
                samples[await connection.fetchval(ACTIVE, person.id)] += 1

    sampler = asyncio.create_task(sample())
    await asyncio.gather(*(create_and_revoke(servers.client(number)) for number in range(16)))
    sampler.cancel()
    await asyncio.gather(sampler, return_exceptions=True)
    assert max(samples) == 5, samples  # it was reached, and never passed
    assert statuses.keys() == {201, 400}
    assert [(await create(servers.clients[0], person)).status_code for _ in range(6)] == [201] * 5 + [400]


# --- an end is an end at once


class Hammering(msgspec.Struct):
    """Clients that use a token through all servers, and what they saw: when each request began, and its status."""

    uses: list[tuple[float, int]]
    is_over: asyncio.Event

    async def use(self, client: httpx.AsyncClient, token: str) -> None:
        while not self.is_over.is_set():
            began_at = time.time()
            answer = await client.get("/api/v1/token", headers=bearer(token))
            self.uses.append((began_at, answer.status_code))

    def assert_let_in_until(self, moment: float) -> None:
        """Before it they were let in; who began after it was not."""
        assert 200 in {status for began_at, status in self.uses if began_at < moment}
        assert {status for began_at, status in self.uses if began_at >= moment} == {401}
        assert {status for _, status in self.uses} == {200, 401}


@asynccontextmanager
async def hammering(servers: Servers, token: str) -> AsyncGenerator[Hammering]:
    hammering = Hammering([], asyncio.Event())
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(hammering.use(servers.client(number), token))
        yield hammering
        hammering.is_over.set()


async def until_used(hammering: Hammering) -> None:
    """Requests are on their way in all processes."""
    while len(hammering.uses) < 16:  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.005)


async def until_refused(hammering: Hammering, moment: float) -> None:
    """Some requests have begun after the end, and were answered."""
    while sum(began_at >= moment for began_at, _ in hammering.uses) < 16:  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.005)


async def test_no_request_is_let_in_that_starts_after_the_revocation(servers: Servers) -> None:
    person = await servers.arrives("revoker")
    for number in range(ROUNDS):
        created = (await create(servers.client(number), person)).json()
        async with hammering(servers, created["token"]) as hammers:
            await until_used(hammers)
            path = f"/api/tokens/{created['id']}"
            assert (await servers.client(number).delete(path, headers=person.headers)).status_code == 204
            moment = time.time()
            await until_refused(hammers, moment)
        hammers.assert_let_in_until(moment)


async def test_no_request_is_let_in_that_starts_after_the_account_was_deleted(servers: Servers) -> None:
    for number in range(max(1, ROUNDS // 10)):
        person = await servers.arrives(f"leaver{number}")
        token = (await create(servers.client(number), person)).json()["token"]
        async with hammering(servers, token) as hammers:
            await until_used(hammers)
            body = {"password": PASSWORD}
            client = servers.client(number)
            answer = await client.request("DELETE", "/api/auth/me", json=body, headers=person.headers)
            assert answer.status_code == 204
            moment = time.time()
            await until_refused(hammers, moment)
        hammers.assert_let_in_until(moment)


async def test_no_request_is_let_in_that_starts_after_the_account_was_disabled(servers: Servers) -> None:
    person = await servers.arrives("disabled")
    token = (await create(servers.clients[0], person)).json()["token"]
    db = Database(servers.database_url, pool_size=1)
    await db.open()
    for _ in range(ROUNDS):
        async with hammering(servers, token) as hammers:
            await until_used(hammers)
            await accounts.set_disabled(db, parse_address(person.email), is_disabled=True)
            moment = time.time()
            await until_refused(hammers, moment)
        hammers.assert_let_in_until(moment)
        await accounts.set_disabled(db, parse_address(person.email), is_disabled=False)
    await db.close()


async def test_no_request_is_let_in_that_starts_after_the_expiry(servers: Servers) -> None:
    person = await servers.arrives("expiring")
    token = (await create(servers.clients[0], person)).json()["token"]
    async with admin(servers.database_url) as connection:
        for _ in range(ROUNDS):
            expires_at = await connection.fetchval(
                "UPDATE api_tokens SET expires_at = clock_timestamp() + interval '0.3 seconds' WHERE token_hash = $1"
                " RETURNING expires_at",
                secret.digest(token),
            )
            async with hammering(servers, token) as hammers:
                await until_refused(hammers, expires_at.timestamp())
            hammers.assert_let_in_until(expires_at.timestamp())


# --- counts


async def test_uses_through_four_processes_are_counted_exactly(servers: Servers) -> None:
    person = await servers.arrives("counter")
    created = [(await create(servers.clients[0], person)).json() for _ in range(3)]

    async def use(number: int) -> int:
        token = created[number % 3]["token"]
        return (await servers.client(number // 3).get("/api/v1/token", headers=bearer(token))).status_code

    last_used_at = [""] * 3
    for uses in range(1, 4):
        assert set(await asyncio.gather(*(use(number) for number in range(150)))) == {200}
        for number, token in enumerate(created):
            entry = (await servers.clients[0].get(f"/api/tokens/{token['id']}", headers=person.headers)).json()
            assert entry["request_count"] == uses * 50
            assert entry["last_used_at"] > last_used_at[number]
            last_used_at[number] = entry["last_used_at"]


async def test_last_use_never_goes_back_while_four_processes_write_it(servers: Servers) -> None:
    person = await servers.arrives("looker")
    created = (await create(servers.clients[0], person)).json()
    last_use = "SELECT last_used_at FROM api_token_meters WHERE token_id = $1"
    async with admin(servers.database_url) as connection, hammering(servers, created["token"]) as hammers:
        await until_used(hammers)
        seen: list[datetime] = []
        async with asyncio.timeout(60):
            while len(seen) < 300 or len(set(seen)) <= 10:
                seen.append(await connection.fetchval(last_use, created["id"]))
    assert seen == sorted(seen)


async def test_one_locked_meter_stops_nobody_else(servers: Servers) -> None:
    person = await servers.arrives("stuck")
    stuck, *others = [(await create(servers.clients[0], person)).json()["token"] for _ in range(5)]

    async def use(number: int, token: str) -> httpx.Response:
        return await servers.client(number).get("/api/v1/stats", headers=bearer(token))

    async with admin(servers.database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await tokens.lock_meter(connection, secret.digest(stuck))
        waiting = [asyncio.create_task(use(number, stuck)) for number in range(20)]
        began = time.monotonic()
        answered = 0
        while time.monotonic() - began < 5:  # longer than lock_timeout
            answers = await asyncio.gather(*(use(number, others[number % 4]) for number in range(40)))
            assert {answer.status_code for answer in answers} == {200}
            answered += len(answers)
        assert answered > 40
        refused = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in refused} == {503}
        assert all(answer.headers["retry-after"] for answer in refused)
    assert (await use(0, stuck)).status_code == 200
    entries = (await servers.clients[0].get("/api/tokens", headers=person.headers)).json()
    assert [entry["request_count"] for entry in entries][-1] == 1  # those that were refused are not counted


# --- the rate limit


async def test_four_hundred_requests_through_four_processes_pass_a_hundred_times(
    server_url: str, template: str, tmp_path: Path
) -> None:
    async with running_servers(server_url, template, tmp_path, PUBLIC_RATE_LIMIT="100/hour") as servers:
        for attempt in range(max(1, ROUNDS // 5)):
            person = await servers.arrives(f"limited{attempt}")
            token = (await create(servers.clients[0], person)).json()["token"]
            answers = await asyncio.gather(
                *(servers.client(number).get("/api/v1/token", headers=bearer(token)) for number in range(400))
            )
            assert Counter(answer.status_code for answer in answers) == {200: 100, 429: 300}
            remaining = sorted(
                int(answer.headers["x-ratelimit-remaining"]) for answer in answers if answer.status_code == 200
            )
            assert remaining == list(range(100))  # each pass is told another number


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
