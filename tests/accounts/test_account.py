"""What may people do with their own account?"""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import httpx

from app import scheduler
from app.accounts import repository
from app.accounts.addresses import parse_address
from app.database import Database
from tests.accounts.bodies import assert_problem, assert_refuses_bad_bodies, assert_unauthenticated
from tests.accounts.test_refresh import is_alive, refresh
from tests.cast import PASSWORD, POLICY, Person, bearer, log_in

NEW_PASSWORD = "another horse battery staple"

GUARDED = (
    ("GET", "/api/auth/me"),
    ("DELETE", "/api/auth/me"),
    ("POST", "/api/auth/password"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/sessions"),
    ("DELETE", "/api/auth/sessions"),
    ("DELETE", "/api/auth/sessions/1"),
)


async def test_nobody_gets_in_without_an_access_token(client: httpx.AsyncClient, alice: Person) -> None:
    token = alice.tokens["access_token"]
    api_token = (await alice.creates_token())["token"]
    elsewhere = {"Cookie": f"access_token={token}", "X-API-Key": token}
    for method, path in GUARDED:
        assert_unauthenticated(await client.request(method, path), credential_sent=False)
        for wrong in (alice.tokens["refresh_token"], api_token, "garbage"):
            answer = await client.request(method, path, headers=bearer(wrong))
            assert_unauthenticated(answer, credential_sent=True)
        answer = await client.request(method, path, params={"access_token": token}, headers=elsewhere)
        assert_unauthenticated(answer, credential_sent=False)
    assert await is_alive(client, alice.tokens)


async def test_me_tells_whose_token_it_is(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        answer = await person.get("/api/auth/me")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        account = answer.json()
        assert account.keys() == {"id", "email", "created_at"}
        assert (account["id"], account["email"]) == (person.id, person.email)
        assert account["created_at"].endswith("Z")


async def test_head_is_get_without_a_body(alice: Person) -> None:
    get, head = await alice.get("/api/auth/me"), await alice.call("HEAD", "/api/auth/me")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_password_change_ends_all_sessions_but_this_one(
    alice: Person, bob: Person, client: httpx.AsyncClient
) -> None:
    other = await log_in(client, alice.email)
    answer = await alice.post("/api/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    assert not await is_alive(client, other)
    assert_unauthenticated(await refresh(client, other), credential_sent=True)
    assert await is_alive(client, alice.tokens)
    assert (await refresh(client, alice.tokens)).status_code == 200
    assert await is_alive(client, bob.tokens)
    refused = await client.post("/api/auth/login", json={"email": alice.email, "password": PASSWORD})
    assert_problem(refused, 401, "wrong_credentials")
    assert await log_in(client, alice.email, NEW_PASSWORD)


async def test_password_change_needs_the_current_password(alice: Person, client: httpx.AsyncClient) -> None:
    for wrong in ("not the right password", "", PASSWORD + " ", PASSWORD * 100, NEW_PASSWORD):
        answer = await alice.post("/api/auth/password", {"current_password": wrong, "new_password": NEW_PASSWORD})
        assert_problem(answer, 403, "wrong_password")
        assert "www-authenticate" not in answer.headers
    assert await is_alive(client, alice.tokens)
    assert await log_in(client, alice.email)


async def test_new_password_must_be_strong(alice: Person, client: httpx.AsyncClient) -> None:
    for weak in ("short", "passwordpassword", alice.email, "openrouterwatcher", "x" * 1025):
        answer = await alice.post("/api/auth/password", {"current_password": PASSWORD, "new_password": weak})
        assert_problem(answer, 422, "weak_password", "#/new_password")
    assert await log_in(client, alice.email)


async def test_bad_bodies_change_no_password(alice: Person, client: httpx.AsyncClient) -> None:
    good = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    await assert_refuses_bad_bodies(client, "POST", "/api/auth/password", good, alice.headers)
    assert await log_in(client, alice.email)


async def test_of_two_password_changes_at_once_only_one_had_the_current_password(
    alice: Person, client: httpx.AsyncClient
) -> None:
    """Else a thief's change that is under way would undo the owner's, which is there to shut the thief out."""
    thief = await log_in(client, alice.email)
    current = PASSWORD
    for round_ in range(3):
        choices = [f"the owner's choice of words {round_}", f"the thief's choice of words {round_}"]
        answers = await asyncio.gather(
            *(
                client.post(
                    "/api/auth/password",
                    json={"current_password": current, "new_password": choice},
                    headers=bearer(tokens["access_token"]),
                )
                for tokens, choice in zip((alice.tokens, thief), choices, strict=True)
            )
        )
        assert Counter(answer.status_code == 204 for answer in answers) == {True: 1, False: 1}
        winner = [answer.status_code for answer in answers].index(204)
        assert answers[1 - winner].status_code in {401, 403}
        current = choices[winner]
        loser = await client.post("/api/auth/login", json={"email": alice.email, "password": choices[1 - winner]})
        assert loser.status_code == 401
        alive = [await is_alive(client, alice.tokens), await is_alive(client, thief)]
        assert alive == [winner == 0, winner == 1]
        alice.tokens, thief = await log_in(client, alice.email, current), await log_in(client, alice.email, current)


async def test_deleted_account_is_refused_at_once_and_its_address_is_free(
    alice: Person, bob: Person, client: httpx.AsyncClient
) -> None:
    other = await log_in(client, alice.email)
    answer = await alice.delete("/api/auth/me", json={"password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    for tokens in (alice.tokens, other):
        answer = await client.get("/api/auth/me", headers=bearer(tokens["access_token"]))
        assert_unauthenticated(answer, credential_sent=True)
        assert_unauthenticated(await refresh(client, tokens), credential_sent=True)
    again = await Person.arrives(client, alice.email)
    assert again.id != alice.id
    assert len((await again.get("/api/auth/sessions")).json()) == 1
    assert not await is_alive(client, alice.tokens)
    assert await is_alive(client, bob.tokens)


async def test_session_of_a_deleted_account_does_not_exist(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    bobs = await connection.fetchval("SELECT id FROM sessions WHERE user_id = $1", bob.id)
    assert (await bob.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert_problem(await alice.delete(f"/api/auth/sessions/{bobs}"), 404, "not_found")


async def test_nothing_is_left_of_a_deleted_account(
    alice: Person, bob: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, database_url: str
) -> None:
    assert (await refresh(client, alice.tokens)).status_code == 200
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    shown = await connection.fetchrow("SELECT email, email_key, password_hash FROM users WHERE id = $1", alice.id)
    assert tuple(shown) == ("", None, "")  # what is personal goes first
    db = Database(database_url)
    await db.open()
    await scheduler.purge(db)
    await db.close()
    assert await connection.fetchval("SELECT array_agg(id) FROM users") == [bob.id]
    assert await connection.fetchval("SELECT array_agg(user_id) FROM sessions") == [bob.id]
    assert await connection.fetchval("SELECT count(*) FROM refresh_tokens") == 1
    assert await is_alive(client, bob.tokens)


async def test_deletion_needs_the_password(alice: Person, client: httpx.AsyncClient) -> None:
    for wrong in ("not the right password", "", PASSWORD * 100):
        answer = await alice.delete("/api/auth/me", json={"password": wrong})
        assert_problem(answer, 403, "wrong_password")
    assert await is_alive(client, alice.tokens)
    assert await log_in(client, alice.email)


async def test_bad_bodies_delete_nothing(alice: Person, client: httpx.AsyncClient) -> None:
    await assert_refuses_bad_bodies(client, "DELETE", "/api/auth/me", {"password": PASSWORD}, alice.headers)
    assert await is_alive(client, alice.tokens)


async def test_purge_leaves_live_sessions_and_takes_those_long_past(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, database_url: str
) -> None:
    await log_in(client, alice.email)
    await connection.execute(
        "UPDATE sessions SET expires_at = now() - interval '25 hours' WHERE id = (SELECT max(id) FROM sessions)"
    )
    db = Database(database_url)
    await db.open()
    await scheduler.purge(db)
    await db.close()
    assert await connection.fetchval("SELECT count(*) FROM sessions") == 1
    assert await is_alive(client, alice.tokens)
    assert (await refresh(client, alice.tokens)).status_code == 200


async def test_purge_takes_no_account_token_or_browser_session_that_lives(
    alice: Person, connection: asyncpg.Connection, database_url: str, password_hash: str
) -> None:
    """None of them need have anything that hangs on it."""
    token = await alice.creates_token()
    carol = await repository.create_user(connection, parse_address("carol@example.com"), password_hash)
    user = await repository.find_credentials(connection, alice.id)
    assert user
    assert await repository.create_browser_session(connection, user, POLICY, b"x" * 32, "127.0.0.1", "x")
    db = Database(database_url)
    await db.open()
    await scheduler.purge(db)
    await db.close()
    assert await repository.authorize_cookie(connection, POLICY, b"x" * 32)
    assert await repository.find_credentials(connection, carol.id)
    assert (await alice.get(f"/api/tokens/{token['id']}")).status_code == 200
