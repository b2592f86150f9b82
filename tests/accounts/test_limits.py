"""Do the limits for logins and registrations hold, against the stranger and for nobody else?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import asyncpg
import httpx
import msgspec

from app import scheduler
from app.database import Database
from app.limits import Limit
from app.settings import Settings
from tests.accounts.bodies import assert_problem
from tests.accounts.test_login import attempt
from tests.cast import PASSWORD, Person
from tests.conftest import running_app, with_limits

WRONG = "not the right password"
EMAIL = "alice@example.com"
FEW = Limit(3, 900)


async def register(client: httpx.AsyncClient, email: str = EMAIL, password: str = PASSWORD, **kwargs: object) -> int:
    """The status of the answer."""
    body = {"email": email, "password": password}
    return (await client.post("/api/auth/register", json=body, **kwargs)).status_code


async def fails(client: httpx.AsyncClient, times: int, email: str = EMAIL) -> None:
    """Wrong logins that are answered as such."""
    for _ in range(times):
        assert_problem(await attempt(client, email, WRONG), 401, "wrong_credentials")


def assert_limited(answer: httpx.Response, window_seconds: int) -> int:
    """The seconds until the next attempt has a chance."""
    assert_problem(answer, 429, "too_many_requests")
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= window_seconds
    return seconds


def behind_proxy(settings: Settings, *networks: str) -> Settings:
    return msgspec.structs.replace(settings, trusted_proxies=tuple(map(ip_network, networks)))


@asynccontextmanager
async def client_at(app: httpx.AsyncClient, forwarded_for: str) -> AsyncIterator[httpx.AsyncClient]:
    """Another client of the same application, as its proxy describes it."""
    before = app.headers.get("x-forwarded-for")
    app.headers["x-forwarded-for"] = forwarded_for
    try:
        yield app
    finally:
        del app.headers["x-forwarded-for"]
        if before is not None:
            app.headers["x-forwarded-for"] = before


async def move_back(connection: asyncpg.Connection, past: timedelta, count: int | None = None) -> None:
    """As if the oldest `count` attempts (or all) of every window had been made so much earlier."""
    await connection.execute(
        """
        UPDATE attempts SET attempted_at = ARRAY(
            SELECT CASE WHEN $2::integer IS NULL OR n <= $2 THEN t - $1::interval ELSE t END
            FROM unnest(attempted_at) WITH ORDINALITY AS u (t, n) ORDER BY n
        )
        """,
        past,
        count,
    )


async def test_ten_failures_in_fifteen_minutes_are_the_default(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    defaults = Settings(
        jwt_secrets=settings.jwt_secrets, encryption_keys=settings.encryption_keys, database_url=settings.database_url
    )
    async with running_app(defaults) as client:
        assert await register(client) == 201
        await fails(client, 10)
        assert assert_limited(await attempt(client, EMAIL, WRONG), 900) > 880
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)  # the right one tells a guesser nothing either
        await move_back(connection, timedelta(seconds=880))
        assert assert_limited(await attempt(client, EMAIL, WRONG), 900) <= 20
        await move_back(connection, timedelta(seconds=20))
        assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200


async def test_exactly_ten_of_forty_wrong_logins_at_once_are_tried_across_two_processes(settings: Settings) -> None:
    settings = with_limits(settings, login_limit=Limit(10, 900))
    async with running_app(settings) as one, running_app(settings) as other:
        assert await register(one) == 201
        answers = await asyncio.gather(*(attempt((one, other)[n % 2], EMAIL, WRONG) for n in range(40)))
        assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 30}
        for client in (one, other):
            assert_limited(await attempt(client, EMAIL, PASSWORD), 900)


async def test_window_slides(settings: Settings, connection: asyncpg.Connection) -> None:
    async with running_app(with_limits(settings, login_limit=Limit(4, 900))) as client:
        assert await register(client) == 201
        await fails(client, 4)
        await move_back(connection, timedelta(seconds=901), count=3)
        await fails(client, 3)  # as many as have left, and no more
        assert_limited(await attempt(client, EMAIL, WRONG), 900)
    assert await connection.fetchval("SELECT cardinality(attempted_at) FROM attempts") == 4  # what has left is gone


async def test_refused_attempts_do_not_prolong_the_refusal(settings: Settings, connection: asyncpg.Connection) -> None:
    async with running_app(with_limits(settings, login_limit=FEW)) as client:
        assert await register(client) == 201
        await fails(client, 3)
        await move_back(connection, timedelta(seconds=890))
        for _ in range(5):
            assert assert_limited(await attempt(client, EMAIL, WRONG), 900) <= 10
        await move_back(connection, timedelta(seconds=10))
        assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200


async def test_unknown_addresses_count_like_known_ones(settings: Settings) -> None:
    async with running_app(with_limits(settings, login_limit=FEW)) as client:
        assert await register(client) == 201
        for email in (EMAIL, "nobody@example.com", "no address at all"):
            await fails(client, 3, email)
            assert_limited(await attempt(client, email, WRONG), 900)
            assert_limited(await attempt(client, email.upper(), WRONG), 900)  # another spelling is no other address


async def test_stranger_cannot_lock_somebody_out(settings: Settings) -> None:
    settings = behind_proxy(with_limits(settings, login_limit=FEW, login_client_limit=Limit(5, 900)), "127.0.0.0/8")
    async with running_app(settings) as app:
        assert await register(app) == 201
        async with client_at(app, "198.51.100.7") as stranger:
            await fails(stranger, 3)
            await fails(stranger, 2, "bob@example.com")
            assert_limited(await attempt(stranger, EMAIL, PASSWORD), 900)
        async with client_at(app, "203.0.113.5") as owner:
            assert (await attempt(owner, EMAIL, PASSWORD)).status_code == 200
        async with client_at(app, "198.51.100.7") as stranger:  # whose count the owner's success leaves alone
            assert_limited(await attempt(stranger, EMAIL, WRONG), 900)


async def test_thirty_failures_of_one_client_are_the_limit_whatever_the_addresses(settings: Settings) -> None:
    settings = with_limits(settings, login_limit=Limit(10, 900), login_client_limit=Limit(30, 900))
    async with running_app(settings) as client:
        assert await register(client) == 201
        answers = await asyncio.gather(*(attempt(client, f"nobody{n}@example.com", WRONG) for n in range(40)))
        assert Counter(answer.status_code for answer in answers) == {401: 30, 429: 10}
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)


async def test_success_forgets_the_failures_of_the_pair(settings: Settings) -> None:
    async with running_app(with_limits(settings, login_limit=FEW)) as client:
        assert await register(client) == 201
        for _ in range(3):
            await fails(client, 2)
            assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200
        await fails(client, 3)
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)


async def test_success_gives_back_only_its_own_place_of_the_clients_window(settings: Settings) -> None:
    """Else whoever has an account of their own could clear the count between guesses at others."""
    async with running_app(with_limits(settings, login_client_limit=Limit(4, 900))) as client:
        assert await register(client) == 201
        for n in range(3):
            await fails(client, 1, f"nobody{n}@example.com")
            assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200
        await fails(client, 1, "nobody3@example.com")
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)


async def test_many_successes_at_once_use_up_nothing(settings: Settings) -> None:
    limits = with_limits(settings, login_limit=Limit(8, 900), login_client_limit=Limit(8, 900))
    async with running_app(limits) as client:
        assert await register(client) == 201
        for _ in range(2):
            answers = await asyncio.gather(*(attempt(client, EMAIL, PASSWORD) for _ in range(8)))
            assert {answer.status_code for answer in answers} == {200}
        await fails(client, 8)
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)


async def test_refusal_for_the_pair_uses_up_nothing_of_the_clients_window(settings: Settings) -> None:
    async with running_app(with_limits(settings, login_limit=FEW, login_client_limit=Limit(5, 900))) as client:
        assert await register(client) == 201
        await fails(client, 3, "nobody@example.com")
        for _ in range(6):
            assert_limited(await attempt(client, "nobody@example.com", WRONG), 900)
        assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200


async def test_asking_for_the_password_again_is_limited_like_a_login(settings: Settings) -> None:
    """Else a stolen access token would be a way to guess it."""
    async with running_app(with_limits(settings, login_limit=FEW)) as client:
        alice = await Person.arrives(client, EMAIL)
        change = {"current_password": WRONG, "new_password": "another horse battery staple"}
        assert_problem(await alice.post("/api/auth/password", change), 403, "wrong_password")
        assert_problem(await alice.delete("/api/auth/me", json={"password": WRONG}), 403, "wrong_password")
        await fails(client, 1)
        assert_limited(await alice.post("/api/auth/password", change | {"current_password": PASSWORD}), 900)
        assert_limited(await alice.delete("/api/auth/me", json={"password": PASSWORD}), 900)
        assert_limited(await attempt(client, EMAIL, PASSWORD), 900)
        assert (await alice.get("/api/auth/me")).status_code == 200


async def test_stranger_cannot_pass_for_others_by_a_header(settings: Settings) -> None:
    settings = with_limits(settings, login_limit=FEW)
    async with running_app(settings) as direct, running_app(behind_proxy(settings, "10.0.0.0/8")) as elsewhere:
        assert await register(direct) == 201
        statuses = []
        for n in range(8):  # one more hop each, and none of them written by a proxy that is trusted
            async with client_at((direct, elsewhere)[n % 2], f"198.51.100.{n}") as rotating:
                statuses.append((await attempt(rotating, EMAIL, WRONG)).status_code)
        assert statuses == [401] * 3 + [429] * 5


async def test_what_the_client_wrote_before_the_proxy_does_not_count(settings: Settings) -> None:
    settings = behind_proxy(with_limits(settings, login_limit=FEW), "127.0.0.0/8", "10.0.0.0/8")
    async with running_app(settings) as app:
        assert await register(app) == 201
        statuses = []
        for n in range(8):  # what the client made up, the client as the outer proxy saw it, the outer proxy
            async with client_at(app, f"203.0.113.{n}, 198.51.100.7, 10.1.2.3") as rotating:
                statuses.append((await attempt(rotating, EMAIL, WRONG)).status_code)
        assert statuses == [401] * 3 + [429] * 5
        for n, unreadable in enumerate(("unknown", "", "198.51.100.7:1234", "999.1.1.1")):
            async with client_at(app, f"203.0.113.{n}, {unreadable}") as hidden:  # counts as the proxy itself
                statuses.append((await attempt(hidden, EMAIL, WRONG)).status_code)
        assert statuses[8:] == [401] * 3 + [429]


async def test_a_whole_network_of_one_subscriber_is_one_client(settings: Settings) -> None:
    settings = behind_proxy(with_limits(settings, login_limit=FEW), "127.0.0.0/8")
    async with running_app(settings) as app:
        assert await register(app) == 201
        statuses = []
        for address in (
            "2001:db8::1",
            "2001:db8::2",
            "2001:DB8:0:0:ffff::3",
            "2001:db8::4",
            "2001:db8:0:1::1",
            "::ffff:198.51.100.7",
        ):
            async with client_at(app, address) as client:
                statuses.append((await attempt(client, EMAIL, WRONG)).status_code)
        assert statuses == [401, 401, 401, 429, 401, 401]


async def test_twenty_registrations_an_hour_are_the_limit_of_a_client(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    settings = with_limits(settings, registration_limit=Settings(jwt_secrets=(), encryption_keys=()).registration_limit)
    async with running_app(settings) as one, running_app(settings) as other:
        assert await register(one) == 201
        taken = await asyncio.gather(*(register((one, other)[n % 2]) for n in range(25)))
        assert Counter(taken) == {409: 19, 429: 6}  # that an address is taken is worth something to a stranger
        body = {"email": "carol@example.com", "password": PASSWORD}
        assert assert_limited(await one.post("/api/auth/register", json=body), 3600) > 3500
        await move_back(connection, timedelta(seconds=3601), count=1)
        assert await register(other, "carol@example.com") == 201
        assert await register(other, "dave@example.com") == 429


async def test_registrations_of_other_clients_are_not_limited_by_one(settings: Settings) -> None:
    settings = behind_proxy(with_limits(settings, registration_limit=Limit(1, 3600)), "127.0.0.0/8")
    async with running_app(settings) as app:
        for n in range(3):
            async with client_at(app, f"198.51.100.{n}") as client:
                assert await register(client, f"carol{n}@example.com") == 201
                assert await register(client, f"dave{n}@example.com") == 429


async def test_mistakes_in_the_form_use_up_no_registration(settings: Settings) -> None:
    async with running_app(with_limits(settings, registration_limit=Limit(1, 3600))) as client:
        for _ in range(3):
            assert await register(client, "no address") == 422
            assert await register(client, EMAIL, "short") == 422
        assert await register(client) == 201


async def test_changes_of_the_password_are_counted_like_registrations(settings: Settings) -> None:
    async with running_app(with_limits(settings, registration_limit=Limit(2, 3600))) as client:
        person = await Person.arrives(client, EMAIL)
        change = {"current_password": PASSWORD, "new_password": "passwordpassword"}
        for status in (422, 422, 429):
            assert (await person.post("/api/auth/password", change)).status_code == status


async def test_limits_that_are_off_refuse_nobody_and_remember_nothing(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with running_app(settings) as client:
        assert await register(client) == 201
        await fails(client, 11)
        assert (await attempt(client, EMAIL, PASSWORD)).status_code == 200
    assert await connection.fetchval("SELECT count(*) FROM attempts") == 0


async def test_attempts_are_remembered_no_longer_than_needed_and_not_readably(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with running_app(with_limits(settings, login_limit=FEW, login_client_limit=FEW)) as client:
        assert await register(client) == 201
        await fails(client, 1)
        await fails(client, 1, "nobody@example.com")
    rows = await connection.fetch("SELECT a::text AS shown FROM attempts AS a")
    assert len(rows) == 3
    for row in rows:
        assert "example" not in row["shown"]
        assert b"example".hex() not in row["shown"]
    await connection.execute(
        "UPDATE attempts SET expires_at = now() - interval '1 second'"
        " WHERE key <> (SELECT key FROM attempts ORDER BY key LIMIT 1)"
    )
    db = Database(settings.database_url or "")
    await db.open()
    await scheduler.purge(db)
    await db.close()
    assert await connection.fetchval("SELECT count(*) FROM attempts") == 1
