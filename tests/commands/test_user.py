"""Can the operator see and delete accounts?"""

from __future__ import annotations

import json

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
