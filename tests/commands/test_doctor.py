"""Does the doctor find what is wrong, and nothing where all is well?"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg

from app.simulator.server import serving
from app.simulator.world import World
from tests.commands.running import environment_of, run

OTHER_KEY = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="


def states(output: str) -> dict[str, str]:
    found: list[dict[str, Any]] = json.loads(output)
    assert all(entry["remedy"] for entry in found if entry["state"] == "failed")
    return {entry["subject"]: entry["state"] for entry in found}


async def test_what_is_wrong_is_told_with_a_remedy_and_nothing_is_changed(
    database_url: str, empty_database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO encryption_canaries (key_id, canary) VALUES ('01020304', 'x')")
    await connection.execute("DELETE FROM encryption_canaries WHERE key_id <> '01020304'")
    async with serving(World()) as simulator:
        empty = environment_of(empty_database_url, OPENROUTER_BASE_URL=simulator.base_url)
        done = await asyncio.to_thread(run, empty, "doctor", "--json")
        assert done.returncode == 1
        assert states(done.stdout) | {"dashboard": "ok"} == {
            "settings": "ok",
            "database": "ok",
            "role": "failed",
            "clock of the database": "ok",
            "schema": "failed",
            "encryption": "ok",
            "OpenRouter": "ok",
            "dashboard": "ok",
        }
        wrong = environment_of(
            database_url, OPENROUTER_BASE_URL="http://127.0.0.1:1", DATABASE_REPLICA_URL=database_url
        )
        done = await asyncio.to_thread(run, wrong, "doctor")
        said = done.stdout.splitlines()
        assert [line for line in said if line.startswith("failed  encryption: ") and "01020304" in line]
        assert [line for line in said if line.startswith("failed  OpenRouter: ") and "OPENROUTER_BASE_URL" in line]
        assert [line for line in said if line.startswith("failed  replica: is no replica; ")]
        assert {"ok      schema: is up to date", "ok      role: has its timeouts"} <= set(said)

        await connection.execute("DELETE FROM encryption_canaries")
        well = environment_of(database_url, OPENROUTER_BASE_URL=simulator.base_url)
        done = await asyncio.to_thread(run, well, "doctor", "--json")
        assert (done.returncode, "failed" in states(done.stdout).values()) == (0, False)
    assert await connection.fetchval("SELECT count(*) FROM encryption_canaries") == 0


def test_what_cannot_even_be_asked_is_told_too() -> None:
    away = run(
        environment_of("postgresql://nobody@127.0.0.1:1/nothing", OPENROUTER_BASE_URL="http://127.0.0.1:1"), "doctor"
    )
    assert away.returncode == 1
    assert "failed  database: cannot be reached (ConnectionRefusedError); start it" in away.stdout
    misspelt = run(environment_of("mysql://h/d"), "doctor", "--json")
    assert (misspelt.returncode, states(misspelt.stdout)) == (1, {"settings": "failed"})
