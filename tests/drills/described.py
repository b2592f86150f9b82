"""Does the service keep what its OpenAPI description says, whatever is asked? With all that schemathesis can ask.

EXAMPLES of each operation (1,000), in OPTIONS of its own: `make schemathesis OPTIONS='--include-path /api/tokens'`.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg

from app.simulator.server import Simulator
from app.simulator.world import Account
from tests.cast import PASSWORD, Person
from tests.conftest import SECRET, new_database
from tests.processes import PROJECT, running_server
from tests.readers import today
from tests.usage.exports import ACTIVITY, imports
from tests.usage.facts import Fact, book

EXAMPLES = os.environ.get("EXAMPLES", "1000")
OPTIONS = shlex.split(os.environ.get("OPTIONS", ""))
EMAIL = "alice@example.com"


async def test_every_answer_is_as_described(
    server_url: str, template: str, password_hash: str, simulator: Simulator, account: Account, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    limits = {"MAX_API_TOKENS_PER_USER": "20", "OPENROUTER_BASE_URL": simulator.base_url}
    async with new_database(server_url, template) as url, running_server(url, log, **limits) as client:
        connection = await asyncpg.connect(url)
        owner = await Person.is_there(client, connection, EMAIL, password_hash, SECRET)
        await book(connection, owner.id, Fact(today() - timedelta(days=1), "a", "m", "p", cost=Decimal(1)))
        await connection.close()
        await imports(owner, ACTIVITY)
        stored = await owner.post("/api/keys", {"name": "watched", "key": account.add_key("watched").secret})
        assert stored.status_code == 201, stored.text
        token = (await owner.creates_token())["token"]
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("st"),
            *(
                "--config-file",
                PROJECT / "tests/drills/schemathesis.toml",
                "run",
                f"{client.base_url}/schema/openapi.json",
            ),
            *("--max-examples", EXAMPLES, "--workers", "4", "--report", "junit", "--report-dir", tmp_path, *OPTIONS),
            env=os.environ | {"EMAIL": EMAIL, "PASSWORD": PASSWORD, "API_TOKEN": token},
        )
        assert await process.wait() == 0
    said = log.read_text(encoding="utf-8")
    assert "Traceback" not in said
    assert "unexpected error" not in said
