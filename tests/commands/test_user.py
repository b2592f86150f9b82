"""Can the operator see and delete accounts?"""

from __future__ import annotations

import json

import asyncpg
import httpx

from tests.cast import PASSWORD, Person
from tests.commands.running import run


async def test_accounts_are_listed_with_what_they_hold(environment: dict[str, str], alice: Person, bob: Person) -> None:
    await alice.creates_token()
    await bob.delete(f"/api/tokens/{(await bob.creates_token())['id']}")
    rows = json.loads(run(environment, "user", "list", "--json").stdout)
    assert [(row["email"], row["api_tokens"], row["openrouter_keys"], row["is_enabled"]) for row in rows] == [
        (alice.email, 1, 0, True),
        (bob.email, 0, 0, True),
    ]
    plain = run(environment, "user", "list").stdout.splitlines()
    assert plain[0].split("\t") == ["id", "email", "created_at", "is_enabled", "api_tokens", "openrouter_keys"]
    assert plain[1].split("\t")[1] == alice.email


async def test_list_tells_who_is_shut_out_which_tokens_have_expired_and_nothing_of_deleted_accounts(
    environment: dict[str, str], alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    for person in (alice, bob):
        await person.creates_token(expires_in_days=1)
    await connection.execute("UPDATE api_tokens SET expires_at = now() WHERE user_id = $1", bob.id)
    assert run(environment, "user", "disable", bob.email).returncode == 0
    rows = json.loads(run(environment, "user", "list", "--json").stdout)
    assert [(row["email"], row["api_tokens"], row["is_enabled"]) for row in rows] == [
        (alice.email, 1, True),
        (bob.email, 0, False),
    ]
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert [row["email"] for row in json.loads(run(environment, "user", "list", "--json").stdout)] == [bob.email]


async def test_deleted_account_is_gone_and_only_on_purpose(
    environment: dict[str, str], alice: Person, client: httpx.AsyncClient
) -> None:
    refused = run(environment, "user", "delete", alice.email)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert (await alice.get("/api/auth/me")).status_code == 200
    assert run(environment, "user", "delete", alice.email, "--yes").returncode == 0
    assert (await alice.get("/api/auth/me")).status_code == 401
    again = await client.post("/api/auth/register", json={"email": alice.email, "password": PASSWORD})
    assert again.status_code == 201
