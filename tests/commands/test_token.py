"""Can the operator make, see and revoke API tokens, and those that have leaked, without a secret on the command line?"""

from __future__ import annotations

import asyncio
import json

import httpx

from app.tokens import secret
from tests.cast import PASSWORD, Person, bearer
from tests.commands.running import run


async def test_token_is_made_listed_and_revoked(environment: dict[str, str], alice: Person) -> None:
    made = await asyncio.to_thread(run, environment, "token", "create", "ci", "--user", alice.email)
    assert made.returncode == 0, made.stderr
    token = made.stdout.removesuffix("\n")
    assert secret.is_well_formed(token)  # and nothing else, so that a script can keep it
    assert token not in made.stderr
    assert (await alice.client.get("/api/v1/token", headers=bearer(token))).json()["name"] == "ci"

    listed = run(environment, "token", "list", "--user", alice.email)
    header, row = (line.split("\t") for line in listed.stdout.splitlines())
    shown = dict(zip(header, row, strict=True))
    assert (shown["name"], shown["request_count"], shown["is_active"]) == ("ci", "1", "yes")
    assert secret.hint(token) == shown["hint"]
    assert "\x1b" not in listed.stdout

    revoked = run(environment, "token", "revoke", shown["id"], "--user", alice.email)
    assert (revoked.returncode, revoked.stdout) == (0, f"revoked {shown['id']}\n")
    assert (await alice.client.get("/api/v1/token", headers=bearer(token))).status_code == 401
    assert run(environment, "token", "list", "--user", alice.email, "--active", "--json").stdout == "[]\n"


async def test_foreign_token_is_not_revoked_by_its_id(environment: dict[str, str], alice: Person, bob: Person) -> None:
    created = await alice.creates_token()
    done = run(environment, "token", "revoke", str(created["id"]), "--user", bob.email, "--json")
    assert (done.returncode, json.loads(done.stderr)["code"]) == (1, "not_yours")
    assert (await alice.client.get("/api/v1/token", headers=bearer(created["token"]))).status_code == 200


async def test_leaked_tokens_are_revoked_wherever_they_are_in_a_text(
    environment: dict[str, str], alice: Person, bob: Person, client: httpx.AsyncClient
) -> None:
    leaked = [await person.creates_token(f"leak {number}") for number, person in enumerate([alice, bob, bob])]
    kept = (await alice.creates_token("kept"))["token"]
    await bob.delete(f"/api/tokens/{leaked[2]['id']}")
    tokens = [entry["token"] for entry in leaked]
    unknown = secret.make()
    mistyped = kept[:-1] + ("0" if kept[-1] != "0" else "1")
    text = f"curl -H 'Bearer {tokens[0]}' \x1b[1m?key={tokens[1]}&x {tokens[0]} {unknown}{tokens[2]} {mistyped}"
    done = run(environment, "token", "revoke", "--file", "-", "--json", stdin=text.encode() + b"\xff\xfe\0")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["found"], report["unknown"]) == (4, 1)
    assert [(entry["id"], entry["email"], entry["is_revoked_now"]) for entry in report["tokens"]] == [
        (leaked[0]["id"], alice.email, True),
        (leaked[1]["id"], bob.email, True),
        (leaked[2]["id"], bob.email, False),
    ]
    assert not [token for token in tokens if token in done.stdout + done.stderr]
    for token, status in [(tokens[0], 401), (tokens[1], 401), (kept, 200)]:
        assert (await client.get("/api/v1/token", headers=bearer(token))).status_code == status
    assert (await bob.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    again = json.loads(run(environment, "token", "revoke", "--file", "-", "--json", stdin=text).stdout)
    assert [entry["id"] for entry in again["tokens"]] == [leaked[0]["id"]]  # nothing is told of who is gone


def test_asking_for_nothing_or_too_much_is_wrong_usage(environment: dict[str, str]) -> None:
    for arguments in ([], ["1"], ["--user", "a@b.de"], ["1", "--user", "a@b.de", "--file", "-"]):
        done = run(environment, "token", "revoke", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Give either --file, or --user and ids." in done.stderr
