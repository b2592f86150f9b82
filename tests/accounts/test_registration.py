"""Who gets an account, and what must it be called and locked with?"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings, SettingsError, load
from tests.accounts.bodies import assert_problem, assert_refuses_bad_bodies
from tests.cast import PASSWORD, Person, log_in
from tests.conftest import running_app


async def register(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/auth/register", json={"email": email, "password": password})


async def test_new_account_is_described_and_can_log_in(client: httpx.AsyncClient) -> None:
    answer = await register(client, "Carol@Example.COM")
    assert answer.status_code == 201
    account = answer.json()
    assert account.keys() == {"id", "email", "created_at"}
    assert isinstance(account["id"], int)
    assert account["email"] == "Carol@example.com"  # the domain has no case, the rest is the mailbox's own business
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", account["created_at"])
    assert datetime.now(UTC) - datetime.fromisoformat(account["created_at"]) < timedelta(minutes=1)
    assert answer.headers["cache-control"] == "no-store"
    assert await log_in(client, "carol@EXAMPLE.com")


async def test_bad_bodies_are_refused(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    good = {"email": "carol@example.com", "password": PASSWORD}
    await assert_refuses_bad_bodies(client, "POST", "/api/auth/register", good)
    assert await connection.fetchval("SELECT count(*) FROM users") == 0


async def test_what_is_wrong_with_a_body_is_told_with_its_place(client: httpx.AsyncClient) -> None:
    async def refused(body: dict[str, object]) -> str:
        answer = await client.post("/api/auth/register", json=body)
        return assert_problem(answer, 422, "invalid")["errors"][0]["pointer"]

    assert await refused({"email": "carol@example.com"}) == "#/password"
    assert await refused({"email": 1, "password": PASSWORD}) == "#/email"
    assert await refused({"email": "carol@example.com", "password": PASSWORD, "id": 1}) == "#/id"


async def test_query_parameters_are_refused(client: httpx.AsyncClient) -> None:
    body = {"email": "carol@example.com", "password": PASSWORD}
    answer = await client.post("/api/auth/register?is_admin=true", json=body)
    assert_problem(answer, 422, "invalid", "#/is_admin")


async def test_addresses_that_are_none_are_refused(client: httpx.AsyncClient) -> None:
    for email in (
        "", " ", "carol", "carol@", "@example.com", "a@b@example.com", "carol@example..com", "carol@-example.com",
        "carol smith@example.com", "carol@example.com\n", "Carol <carol@example.com>",
        f"{'a' * 300}@example.com", f"carol@{'a' * 250}.com", "carol@exam\u202eple.com", "=cmd()|' '!A1@example.com ",
    ):  # fmt: skip
        assert_problem(await register(client, email), 422, "invalid", "#/email")


async def test_addresses_that_only_work_at_home_and_in_other_scripts_are_accepted(client: httpx.AsyncClient) -> None:
    for email in ("bob@nas.local", "bob@router.lan", "bob@box.home.arpa", "bob@server.test", "用户@例子.中国"):
        assert (await register(client, email)).status_code == 201, email


async def test_taken_address_is_a_conflict(alice: Person, client: httpx.AsyncClient) -> None:
    for again in ("alice@example.com", "ALICE@example.com", "Alice@EXAMPLE.COM"):
        assert_problem(await register(client, again), 409, "email_taken")
    assert await log_in(client, alice.email)


async def test_password_needs_fifteen_code_points(client: httpx.AsyncClient) -> None:
    answer = await register(client, "carol@example.com", "k7#Qz9!wPx2&Lm")
    problem = assert_problem(answer, 422, "weak_password", "#/password")
    assert "15" in problem["detail"]
    assert (await register(client, "carol@example.com", "k7#Qz9!wPx2&Lmt")).status_code == 201


async def test_length_is_counted_in_code_points_of_any_script(client: httpx.AsyncClient) -> None:
    fifteen = "🦊🌵🎷🧲🪐🍉🚲🎈🧊🪁🐙🥁🛶🌋🧬"
    assert len(fifteen) == 15
    assert_problem(await register(client, "carol@example.com", fifteen[:14]), 422, "weak_password", "#/password")
    for number, password in enumerate((fifteen, "пароль длинный и хороший", "ひらがな で かいた ながい ことば")):
        email = f"carol{number}@example.com"
        assert (await register(client, email, password)).status_code == 201, password
        assert await log_in(client, email, password)


async def test_password_has_no_composition_rules(client: httpx.AsyncClient) -> None:
    for number, password in enumerate(("lower case letters without figures", "8135902746 5820946137")):
        assert (await register(client, f"carol{number}@example.com", password)).status_code == 201, password


async def test_password_may_have_1024_bytes_and_no_more(client: httpx.AsyncClient) -> None:
    longest = "correct horse battery staple " + "ä" * 497 + "."
    assert len(longest.encode()) == 1024
    assert (await register(client, "carol@example.com", longest)).status_code == 201
    assert await log_in(client, "carol@example.com", longest)
    answer = await register(client, "dave@example.com", longest + ".")
    assert "1024" in assert_problem(answer, 422, "weak_password", "#/password")["detail"]


async def test_guessable_password_is_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    reasons = {}
    for password in (
        "passwordpassword", "qwertyuiopasdfgh", "aaaaaaaaaaaaaaaaaaaa", "openrouterwatcher", "openrouter-watcher",
        "carol.unusualname@example.com", "carol.unusualname", "Carol.Unusualname1",
    ):  # fmt: skip
        answer = await register(client, "carol.unusualname@example.com", password)
        reasons[password] = assert_problem(answer, 422, "weak_password", "#/password")["errors"][0]["detail"]
    assert all(reason.startswith("is too easy to guess. ") for reason in reasons.values())
    assert "Repeats like" in reasons["aaaaaaaaaaaaaaaaaaaa"]
    assert "similar to a commonly used password" in reasons["qwertyuiopasdfgh"]


async def test_address_of_somebody_else_does_not_weaken_a_password(client: httpx.AsyncClient) -> None:
    assert (await register(client, "dave@example.com", "carol.unusualname")).status_code == 201


async def test_only_the_first_72_characters_of_a_password_are_judged(client: httpx.AsyncClient) -> None:
    answer = await register(client, "carol@example.com", "a" * 72 + " correct horse battery staple")
    assert_problem(answer, 422, "weak_password", "#/password")


async def test_operator_may_ask_for_shorter_or_longer_passwords(settings: Settings) -> None:
    async with running_app(msgspec.structs.replace(settings, password_min_length=8)) as client:
        answer = await register(client, "carol@example.com", "k7#Qz9!")
        assert "8" in assert_problem(answer, 422, "weak_password")["detail"]
        # eight are enough, guessable ones are still not
        assert_problem(await register(client, "carol@example.com", "password1"), 422, "weak_password")
        assert (await register(client, "carol@example.com", "k7#Qz9!wPx")).status_code == 201
    async with running_app(msgspec.structs.replace(settings, password_min_length=29)) as client:
        assert_problem(await register(client, "dave@example.com", PASSWORD), 422, "weak_password")


def test_operator_may_not_ask_for_less_than_eight() -> None:
    with pytest.raises(SettingsError, match="PASSWORD_MIN_LENGTH"):
        load({"PASSWORD_MIN_LENGTH": "7"})


async def test_closed_registration_refuses_everybody(settings: Settings, connection: asyncpg.Connection) -> None:
    async with running_app(msgspec.structs.replace(settings, registration="closed")) as client:
        assert_problem(await register(client, "carol@example.com"), 403, "registration_closed")
    assert await connection.fetchval("SELECT count(*) FROM users") == 0


async def test_registration_of_the_first_lets_exactly_one_in(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    settings = msgspec.structs.replace(settings, registration="first")
    async with running_app(settings) as one, running_app(settings) as other:
        racers = [register((one, other)[n % 2], f"carol{n}@example.com") for n in range(10)]
        answers = await asyncio.gather(*racers)
        assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 9}
        assert_problem(await register(other, "late@example.com"), 403, "registration_closed")
        # whose account is deleted, and not purged yet, is there no more
        await connection.execute("UPDATE users SET deleted_at = now(), email = '', email_key = NULL")
        assert (await register(other, "late@example.com")).status_code == 201
    assert await connection.fetchval("SELECT count(*) FROM users") == 2


async def test_password_is_not_stored(alice: Person, connection: asyncpg.Connection) -> None:
    row = await connection.fetchval("SELECT u::text FROM users AS u WHERE id = $1", alice.id)
    assert alice.email in row
    assert PASSWORD not in row
