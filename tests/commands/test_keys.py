"""Can the operator see an account's OpenRouter keys, and have them read?"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import asyncpg

from app.simulator.faults import Fault
from tests.cast import Person
from tests.commands.running import environment_of, run
from tests.usage.watching import watching


async def test_keys_are_read_now_and_told_one_by_one(
    alice: Person, connection: asyncpg.Connection, database_url: str
) -> None:
    async with watching(database_url, connection, datetime.now(UTC)) as watch:
        watch.user_id = alice.id
        good, bad = (watch.world.add_account().add_key(name) for name in ("good", "bad"))
        ids = {key.name: await watch.adds(key) for key in (good, bad)}
        environment = environment_of(database_url, OPENROUTER_BASE_URL=watch.simulator.base_url)

        done = await asyncio.to_thread(run, environment, "keys", "sync", "--user", alice.email)
        assert (done.returncode, done.stdout) == (0, "2 keys: 2 read, 0 not\n"), done.stderr
        watch.world.faults = [Fault("status", status=500, secret=bad.secret)]
        failed = await asyncio.to_thread(run, environment, "keys", "sync", "--user", alice.email, "--json")
        assert failed.returncode == 1
        told = {entry["name"]: (entry["id"], entry["status"]) for entry in json.loads(failed.stdout)}
        assert told == {"good": (ids["good"], "ok"), "bad": (ids["bad"], "error")}
        listed = await asyncio.to_thread(run, environment, "keys", "list", "--user", alice.email, "--json")
        assert {entry["name"]: entry["sync_status"] for entry in json.loads(listed.stdout)} == {
            "good": "ok",
            "bad": "error",
        }
        assert not [key for key in (good, bad) if key.secret[9:] in listed.stdout + failed.stdout + failed.stderr]
