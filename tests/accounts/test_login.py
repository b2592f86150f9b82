"""What does a login give, and what does its refusal tell?"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode

import asyncpg
import httpx
import msgspec

from app.accounts import repository
from app.accounts.addresses import parse_address
from app.database import Database
from tests.accounts.bodies import assert_problem, assert_refuses_bad_bodies
from tests.cast import PASSWORD, Person, bearer, log_in

LONG = " Ein langes Paßwort, das niemand je erraten wird, mit Leerzeichen vorn und hinten und mehr als 100 Zeichen lang. €  "


async def attempt(client: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


async def disable(database_url: str, email: str, *, is_disabled: bool = True) -> None:
    """As the operator does."""
    db = Database(database_url)
    await db.open()
    await repository.set_disabled(db, parse_address(email), is_disabled=is_disabled)
    await db.close()


async def test_login_gives_tokens_that_work(alice: Person, client: httpx.AsyncClient) -> None:
    answer = await attempt(client, alice.email, PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"}
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 900
    assert tokens["refresh_expires_in"] == 7 * 86400
    me = await client.get("/api/auth/me", headers=bearer(tokens["access_token"]))
    assert me.json()["id"] == alice.id
    refreshed = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200


async def test_access_token_is_what_the_contract_says(alice: Person) -> None:
    header, claims = (
        msgspec.json.decode(urlsafe_b64decode(part + "==")) for part in alice.tokens["access_token"].split(".")[:2]
    )
    assert (header["alg"], header["typ"]) == ("HS256", "at+jwt")
    assert header["kid"]
    assert claims["iss"] == claims["aud"] == "openrouter-watcher"
    assert claims["sub"] == str(alice.id)
    assert claims["exp"] - claims["iat"] == 900
    assert claims["sid"]
    assert claims["jti"]


async def test_each_login_is_a_session_of_its_own(alice: Person, client: httpx.AsyncClient) -> None:
    again = await log_in(client, alice.email)
    assert again["access_token"] != alice.tokens["access_token"]
    assert again["refresh_token"] != alice.tokens["refresh_token"]
    assert (await client.post("/api/auth/logout", headers=bearer(again["access_token"]))).status_code == 204
    assert (await alice.get("/api/auth/me")).status_code == 200


async def test_address_is_recognised_in_any_case(alice: Person, client: httpx.AsyncClient) -> None:
    assert (await attempt(client, alice.email.upper(), PASSWORD)).status_code == 200


async def test_bad_bodies_are_refused(alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    before = await connection.fetchval("SELECT count(*) FROM sessions")
    await assert_refuses_bad_bodies(client, "POST", "/api/auth/login", {"email": alice.email, "password": PASSWORD})
    assert await connection.fetchval("SELECT count(*) FROM sessions") == before


async def test_nobody_logs_in_by_get_or_query(alice: Person, client: httpx.AsyncClient) -> None:
    credentials = {"email": alice.email, "password": PASSWORD}
    answer = await client.get("/api/auth/login", params=credentials)
    assert_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]
    assert (await client.post("/api/auth/login", params=credentials, json=credentials)).status_code == 422


async def test_unknown_address_wrong_password_and_disabled_account_look_the_same(
    alice: Person, bob: Person, client: httpx.AsyncClient, database_url: str
) -> None:
    await disable(database_url, bob.email)
    answers = [
        await client.post("/api/auth/login", json=body, headers={"X-Request-ID": "the-same"})
        for body in (
            {"email": "nobody@example.com", "password": PASSWORD},
            {"email": alice.email, "password": "not the right password"},
            {"email": bob.email, "password": PASSWORD},  # the right one
            {"email": bob.email, "password": "not the right password"},
            {"email": "no address at all", "password": PASSWORD},
            {"email": "", "password": ""},
            {"email": alice.email, "password": ""},
            {"email": alice.email, "password": "x" * 2000},
            {"email": "nobody@example.com", "password": "x" * 2000},
        )
    ]
    assert_problem(answers[0], 401, "wrong_credentials")
    assert answers[0].headers["www-authenticate"] == 'Bearer realm="openrouter-watcher"'
    assert len({(answer.status_code, answer.content, str(answer.headers)) for answer in answers}) == 1


async def test_deleted_account_cannot_log_in(alice: Person, client: httpx.AsyncClient) -> None:
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert_problem(await attempt(client, alice.email, PASSWORD), 401, "wrong_credentials")


async def test_enabled_again_can_log_in_again(alice: Person, client: httpx.AsyncClient, database_url: str) -> None:
    await disable(database_url, alice.email)
    assert (await attempt(client, alice.email, PASSWORD)).status_code == 401
    await disable(database_url, alice.email, is_disabled=False)
    assert (await attempt(client, alice.email, PASSWORD)).status_code == 200


async def test_every_character_of_a_password_counts(client: httpx.AsyncClient) -> None:
    body = {"email": "carol@example.com", "password": LONG}
    assert (await client.post("/api/auth/register", json=body)).status_code == 201
    assert (await attempt(client, "carol@example.com", LONG)).status_code == 200
    for almost in (LONG[:-1], LONG[1:], LONG.strip(), LONG.lower(), LONG[:72], LONG[:100], LONG + " "):
        assert (await attempt(client, "carol@example.com", almost)).status_code == 401, almost


async def test_odd_addresses_find_nobody(alice: Person, client: httpx.AsyncClient) -> None:
    for email in (
        "' OR 1=1 --",
        f"{alice.email}' --",
        "%",
        "%@example.com",
        f"{alice.email}, bob@nas.local",
        f" {alice.email}",
    ):
        assert_problem(await attempt(client, email, PASSWORD), 401, "wrong_credentials")


async def test_many_logins_at_once_are_as_many_sessions(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    answers = await asyncio.gather(*(attempt(client, alice.email, PASSWORD) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 12
    assert await connection.fetchval("SELECT count(*) FROM sessions WHERE user_id = $1", alice.id) == 13
