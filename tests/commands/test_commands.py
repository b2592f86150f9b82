"""Do the commands do what they say, and tell in a sentence where they cannot?"""

from __future__ import annotations

import json
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.cast import PASSWORD, Person, bearer, log_in
from tests.commands.running import run

EXPORT = Path("tests/data/activity-export-2026-08-24.csv")
OTHER_PASSWORD = "a different battery of horses"


async def test_created_user_can_log_in_even_when_registration_is_closed(
    environment: dict[str, str], client: httpx.AsyncClient
) -> None:
    done = run(environment | {"REGISTRATION": "closed"}, "user", "create", "Carol@nas.local", stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Carol@nas.local" in done.stdout
    assert (await log_in(client, "carol@NAS.local"))["token_type"] == "bearer"


@pytest.mark.parametrize(
    ("address", "stdin", "sentence"),
    [
        ("alice@example.com", "short\n", "at least 15 characters"),
        ("alice@example.com", "passwordpassword\n", "too easy to guess"),
        ("not an address", f"{PASSWORD}\n", "email"),
        ("alice@example.com", b"\xff\xfe" * 10 + b"\n", "UTF-8"),
    ],
)
def test_refused_user_is_told_in_a_sentence(
    environment: dict[str, str], address: str, stdin: str | bytes, sentence: str
) -> None:
    done = run(environment, "user", "create", address, stdin=stdin)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def test_taken_address_is_refused(environment: dict[str, str], alice: Person) -> None:
    done = run(environment, "user", "create", alice.email.upper(), stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stderr.strip()) == (1, "There is an account with this email address already.")


async def test_disabled_user_is_shut_out_until_enabled(environment: dict[str, str], alice: Person) -> None:
    token = (await alice.creates_token())["token"]
    assert run(environment, "user", "disable", alice.email).returncode == 0
    assert (await alice.get("/api/auth/me")).status_code == 401
    assert (await alice.client.get("/api/v1/token", headers=bearer(token))).status_code == 401
    refused = await alice.client.post("/api/auth/login", json={"email": alice.email, "password": PASSWORD})
    assert refused.status_code == 401

    assert run(environment, "user", "enable", alice.email).returncode == 0
    assert (await alice.get("/api/auth/me")).status_code == 401, "the old session must not come back"
    assert (await alice.client.get("/api/v1/token", headers=bearer(token))).status_code == 200
    await log_in(alice.client, alice.email)


async def test_set_password_ends_sessions_and_replaces_the_password(environment: dict[str, str], alice: Person) -> None:
    done = run(environment, "user", "set-password", alice.email, stdin=f"{OTHER_PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert (await alice.get("/api/auth/me")).status_code == 401
    old = await alice.client.post("/api/auth/login", json={"email": alice.email, "password": PASSWORD})
    assert old.status_code == 401
    await log_in(alice.client, alice.email, OTHER_PASSWORD)


@pytest.mark.parametrize("command", [["disable"], ["enable"], ["set-password"]])
def test_unknown_user_is_told(environment: dict[str, str], command: list[str]) -> None:
    done = run(environment, "user", *command, "nobody@example.com", stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stderr.strip()) == (1, "There is no account nobody@example.com.")


async def test_import_reports_and_counts_once(
    environment: dict[str, str], alice: Person, connection: asyncpg.Connection
) -> None:
    first = run(environment, "import-activity", str(EXPORT), "--user", alice.email)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        "159 rows: 159 imported, 0 known already, 0 rejected",
        "1.071850 dollars from 2026-08-18 to 2026-08-24 (UTC days)",
    ]
    again = run(environment, "import-activity", str(EXPORT), "--user", alice.email)
    assert again.stdout.splitlines() == ["159 rows: 0 imported, 159 known already, 0 rejected"]
    assert await connection.fetchval("SELECT count(*) FROM generations") == 159


def test_unreadable_lines_are_told_and_stop_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, "user", "create", "alice@example.com", stdin=f"{PASSWORD}\n")
    lines = EXPORT.read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*lines[:3], *["nonsense"] * 120, *lines[3:]]), encoding="utf-8")
    done = run(environment, "import-activity", str(broken), "--user", "alice@example.com")
    assert done.returncode == 0
    assert "279 rows: 159 imported, 0 known already, 120 rejected" in done.stdout
    assert done.stderr.splitlines()[0] == "line 4: has 1 columns instead of 24"
    assert done.stderr.splitlines()[-1] == "and 20 more lines that cannot be read"


async def test_import_on_one_key_refuses_a_foreign_one(
    environment: dict[str, str], alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    key_id = await connection.fetchval(
        "INSERT INTO openrouter_keys (user_id, name, kind) VALUES ($1, 'laptop', 'imported') RETURNING id", alice.id
    )
    foreign = run(environment, "import-activity", str(EXPORT), "--user", bob.email, "--api-key-id", str(key_id))
    assert foreign.returncode == 1
    assert "another user" in foreign.stderr
    own = run(environment, "import-activity", str(EXPORT), "--user", alice.email, "--api-key-id", str(key_id))
    assert own.returncode == 0
    assert await connection.fetchval("SELECT array_agg(DISTINCT key_id) FROM generations") == [key_id]


def test_no_export_is_told_in_a_sentence(environment: dict[str, str], tmp_path: Path) -> None:
    run(environment, "user", "create", "alice@example.com", stdin=f"{PASSWORD}\n")
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    done = run(environment, "import-activity", str(other), "--user", "alice@example.com")
    assert done.returncode == 1
    assert "generation_id" in done.stderr
    missing = run(environment, "import-activity", str(tmp_path / "nowhere.csv"), "--user", "alice@example.com")
    assert missing.returncode == 2


def test_migrate_makes_the_schema_that_schema_prints(environment: dict[str, str], empty_database_url: str) -> None:
    environment["DATABASE_URL"] = empty_database_url
    assert run(environment, "migrate").stdout.startswith("applied 0001_accounts\n")
    assert run(environment, "migrate").stdout == ""
    assert "CREATE TABLE api_tokens (" in run(environment, "schema").stdout


def test_unreachable_database_is_told_in_a_sentence(environment: dict[str, str]) -> None:
    environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    done = run(environment, "schema")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    told = run(environment, "schema", "--json")
    assert (told.returncode, json.loads(told.stderr)["code"]) == (3, "unavailable")


def test_wrong_setting_is_told_in_a_sentence(environment: dict[str, str]) -> None:
    done = run(environment | {"PORT": "none"}, "run")
    assert (done.returncode, done.stderr.strip()) == (1, "PORT must be a whole number from 1 to 65535")


def test_settings_show_no_secret(settings: Settings) -> None:
    assert repr(settings) == "Settings(…)"
