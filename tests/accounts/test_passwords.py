"""Is hashing strong, bounded, and the same work for everybody?"""

from __future__ import annotations

import asyncio
import re
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import argon2
import asyncpg
import httpx
import pytest

from app.accounts.passwords import CONCURRENT_MAX, TURNS_AHEAD, WAITING_MAX, Passwords
from app.errors import Unavailable
from app.limits import Limit
from app.settings import Settings
from tests.accounts.bodies import assert_problem
from tests.accounts.test_login import attempt, disable
from tests.cast import PASSWORD, Person, log_in
from tests.conftest import running_app, with_limits

PHC = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
# OWASP: each at least as good as the others
RECOMMENDED = {(47104, 1, 1), (19456, 2, 1), (12288, 3, 1), (9216, 4, 1), (7168, 5, 1)}
PATIENCE_SECONDS = 20


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the Argon2 library was really asked to do, in order."""
    calls: list[str] = []

    def spy(name: str) -> None:
        real = getattr(argon2.PasswordHasher, name)

        def spied(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(argon2.PasswordHasher, name, spied)

    spy("hash")
    spy("verify")
    return calls


class Gate:
    """Holds every call of Argon2, in whatever thread it was made, until it is opened."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.call_count = 0
        self._real = real
        self._event = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.call_count += 1
        assert self._event.wait(PATIENCE_SECONDS), "not opened: the event loop itself must be hashing"
        return self._real(*arguments, **options)

    def open(self) -> None:
        self._event.set()


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, name: str, then: Callable[..., Any] | None = None) -> Iterator[Gate]:
    """Argon2 behind a gate; behind the gate its own function, or `then` to save the time."""
    gate = Gate(then or getattr(argon2.PasswordHasher, name))

    def gated(*arguments: Any, **options: Any) -> Any:  # unlike the gate itself it binds, as a method must
        return gate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(argon2.PasswordHasher, name, gated)
        try:
            yield gate
        finally:
            gate.open()


def wrong(*_: Any) -> None:
    """As Argon2 says it."""
    raise argon2.exceptions.VerifyMismatchError


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """One at once, two in line."""
    passwords = Passwords(min_length=15, concurrent_max=1, waiting_max=2, hold_seconds=0)
    yield passwords
    passwords.close()


async def stored_hash(connection: asyncpg.Connection, person: Person) -> str:
    return await connection.fetchval("SELECT password_hash FROM users WHERE id = $1", person.id)


async def store_hash(connection: asyncpg.Connection, person: Person, password_hash: str) -> None:
    await connection.execute("UPDATE users SET password_hash = $2 WHERE id = $1", person.id, password_hash)


async def test_passwords_are_kept_as_argon2id_with_recommended_parameters_and_their_own_salts(
    client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    parts = []
    for email in ("carol@example.com", "dave@example.com"):
        person = await Person.arrives(client, email)
        match = PHC.fullmatch(await stored_hash(connection, person))
        assert match
        assert tuple(map(int, match.groups()[:3])) in RECOMMENDED
        parts.append(match.groups()[3:])
    (salt, digest), (other_salt, other_digest) = parts
    assert salt != other_salt
    assert digest != other_digest
    assert len(salt) >= 22  # 16 bytes
    assert len(digest) >= 43  # 32 bytes


async def test_same_work_for_unknown_address_wrong_password_and_disabled_account(
    alice: Person, bob: Person, client: httpx.AsyncClient, database_url: str, hashed: list[str]
) -> None:
    await disable(database_url, bob.email)
    for email, password in (
        ("nobody@example.com", PASSWORD),  # first: nothing may have to be prepared for it
        (alice.email, "not the right password"),
        (bob.email, PASSWORD),
        (bob.email, "not the right password"),
        ("no address at all", PASSWORD),
    ):
        hashed.clear()
        assert (await attempt(client, email, password)).status_code == 401
        assert hashed == ["verify"], email


async def test_work_for_nobody_has_todays_parameters(monkeypatch: pytest.MonkeyPatch, passwords: Passwords) -> None:
    seen, real = [], argon2.PasswordHasher.verify

    def spied(self: argon2.PasswordHasher, stored: str, password: str) -> bool:
        seen.append(stored)
        return real(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spied)
    assert not await passwords.verify(PASSWORD, None)
    assert not passwords.needs_rehash(seen[0])
    ours, nobodys = PHC.fullmatch(await passwords.hash(PASSWORD)), PHC.fullmatch(seen[0])
    assert ours
    assert nobodys
    assert [len(part) for part in ours.groups()] == [len(part) for part in nobodys.groups()]


async def test_too_long_password_is_refused_without_any_hashing(
    alice: Person, client: httpx.AsyncClient, hashed: list[str]
) -> None:
    for email in (alice.email, "nobody@example.com"):
        assert (await attempt(client, email, "x" * 1025)).status_code == 401
    assert (await alice.delete("/api/auth/me", json={"password": "ü" * 513})).status_code == 403
    body = {"email": "carol@example.com", "password": "x" * 1025}
    assert (await client.post("/api/auth/register", json=body)).status_code == 422
    assert hashed == []


async def test_weaker_hash_is_replaced_at_the_next_login(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, hashed: list[str]
) -> None:
    today = await stored_hash(connection, alice)
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await store_hash(connection, alice, weak)
    assert (await attempt(client, alice.email, "not the right password")).status_code == 401
    assert await stored_hash(connection, alice) == weak
    assert await log_in(client, alice.email)
    replaced = await stored_hash(connection, alice)
    assert replaced.split("$")[:4] == today.split("$")[:4]
    hashed.clear()
    assert await log_in(client, alice.email)
    assert hashed == ["verify"]
    assert await stored_hash(connection, alice) == replaced


async def test_logins_at_once_all_succeed_while_the_hash_is_replaced(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await store_hash(connection, alice, weak)
    answers = await asyncio.gather(*(attempt(client, alice.email, PASSWORD) for _ in range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    for answer in answers:
        me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
        assert me.status_code == 200
    assert await stored_hash(connection, alice) != weak


@pytest.mark.parametrize("change", ["password_hash = $2", "deleted_at = now(), email_key = NULL, password_hash = $2"])
async def test_password_that_is_changed_while_the_old_one_s_hash_is_replaced_stays_changed(
    change: str,
    alice: Person,
    client: httpx.AsyncClient,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = (
        argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(password)
        for password in (PASSWORD, "another horse battery staple")
    )
    await store_hash(connection, alice, old)
    with held(monkeypatch, "hash") as gate:
        login = asyncio.create_task(attempt(client, alice.email, PASSWORD))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while gate.call_count == 0:  # noqa: ASYNC110 -- a thread tells no event
                await asyncio.sleep(0.01)
        await connection.execute(f"UPDATE users SET {change} WHERE id = $1", alice.id, new)  # noqa: S608 -- from above
        gate.open()
        assert_problem(await login, 401, "wrong_credentials")
    assert await stored_hash(connection, alice) == new


async def test_stored_hash_that_asks_for_too_much_is_refused_without_the_work(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, hashed: list[str]
) -> None:
    stored = await stored_hash(connection, alice)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for parameters in ("m=4194304,t=1,p=1", "m=47104,t=4000000,p=1", "m=47104,t=1,p=5000"):
        await store_hash(connection, alice, re.sub(r"m=\d+,t=\d+,p=\d+", parameters, stored))
        async with asyncio.timeout(10):
            assert_problem(await attempt(client, alice.email, PASSWORD), 401, "wrong_credentials")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 300 * 1024
    assert hashed == []


async def test_stored_hash_that_is_none_is_a_wrong_password(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    stored = await stored_hash(connection, alice)
    for broken in (
        "",
        "x",
        PASSWORD,
        "$2b$12$" + "a" * 53,
        "$argon2id$v=19$m=47104,t=1,p=1$$",
        stored[:-4],
        stored + "é",
        "$" * 9,
    ):
        await store_hash(connection, alice, broken)
        assert_problem(await attempt(client, alice.email, PASSWORD), 401, "wrong_credentials")


async def test_only_so_many_are_hashed_or_in_line(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, "hash") as gate:
        tasks = [asyncio.create_task(passwords.hash(f"password number {n}")) for n in range(5)]
        done, waiting = await asyncio.wait(tasks, timeout=0.3)
        assert [type(task.exception()) for task in done] == [Unavailable, Unavailable]
        assert gate.call_count == 1  # the others are in line
        gate.open()
        hashes = await asyncio.gather(*waiting)
    assert len(set(hashes)) == 3
    assert await passwords.hash(PASSWORD)  # the line is free again


async def test_who_goes_away_leaves_the_place_taken_until_the_work_is_done(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else clients that hang up at once would queue up any amount of work."""
    with held(monkeypatch, "hash"):
        tasks = [asyncio.create_task(passwords.hash(f"password number {n}")) for n in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        with pytest.raises(Unavailable):
            await passwords.hash(PASSWORD)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await passwords.hash(PASSWORD)
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                break


async def test_nobody_waits_for_a_turn_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of those before may take as long as a silent database is waited for."""
    monkeypatch.setattr("app.accounts.passwords.TURN_PATIENCE_SECONDS", 0.1)
    passwords = Passwords(min_length=15, concurrent_max=1, waiting_max=2, hold_seconds=0)
    async with AsyncExitStack() as stack:
        for _ in range(1 + TURNS_AHEAD):
            await stack.enter_async_context(passwords.turn())
        with pytest.raises(Unavailable):  # no place is left
            await stack.enter_async_context(passwords.turn())
    passwords = Passwords(min_length=15, concurrent_max=1, waiting_max=9)
    async with AsyncExitStack() as stack:
        for _ in range(1 + TURNS_AHEAD):
            await stack.enter_async_context(passwords.turn())
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(Unavailable):
                await stack.enter_async_context(passwords.turn())
    async with passwords.turn():  # free again
        pass


async def test_service_answers_while_it_hashes_and_says_when_it_is_too_busy(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = with_limits(settings, login_limit=Limit(200, 900), login_client_limit=Limit(200, 900))
    async with running_app(limits) as client:
        alice = await Person.arrives(client, "alice@example.com")
        with held(monkeypatch, "verify", then=wrong) as gate:
            places = CONCURRENT_MAX + WAITING_MAX
            waiting = {asyncio.create_task(attempt(client, alice.email, PASSWORD)) for _ in range(places + 5)}
            refused: set[asyncio.Task[httpx.Response]] = set()
            while len(refused) < 5:
                done, waiting = await asyncio.wait(waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
                assert done
                refused |= done
            assert len(waiting) == places
            for task in refused:
                assert_problem(task.result(), 503, "unavailable")
                assert int(task.result().headers["retry-after"]) >= 1
            # Argon2 has not let go of anything: these answers come past it
            assert (await client.get("/livez")).status_code == 200
            assert (await alice.get("/api/auth/me")).status_code == 200
            # nor do those in line ask the database for anything yet
            turns, counted = CONCURRENT_MAX + TURNS_AHEAD, 0
            async with asyncio.timeout(PATIENCE_SECONDS):
                while counted < turns or gate.call_count < CONCURRENT_MAX:
                    counted = await connection.fetchval("SELECT max(cardinality(attempted_at)) FROM attempts") or 0
            assert (counted, gate.call_count) == (turns, CONCURRENT_MAX)
            gate.open()
            answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {401}
        # what was not tried is no failure, neither of the address nor of the client
        counts = await connection.fetch("SELECT cardinality(attempted_at) FROM attempts")
        assert [count for (count,) in counts] == [places, places]
        assert await log_in(client, alice.email)
