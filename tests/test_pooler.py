"""Does the service work through PgBouncer in transaction mode? In short; `make test-pgbouncer` has all the API tests do it."""

from __future__ import annotations

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest

from app import migrate
from tests.cast import Person, bearer
from tests.conftest import SECRET, quiet_settings, running_app
from tests.pooler import is_installed, running_pooler

needs_pgbouncer = pytest.mark.skipif(not is_installed(), reason="PgBouncer is not installed (apt install pgbouncer)")


@needs_pgbouncer
async def test_service_shares_few_connections_through_a_pooler_in_transaction_mode(
    server_url: str, empty_database_url: str, password_hash: str
) -> None:
    with running_pooler(server_url) as address:
        url = f"{address}{urlsplit(empty_database_url).path}"
        await migrate.migrate(url)
        settings = msgspec.structs.replace(quiet_settings(url), database_pooler="transaction")
        connection = await asyncpg.connect(empty_database_url)
        async with running_app(settings) as client, running_app(settings) as other:
            people = [
                await Person.is_there(client, connection, f"{name}@example.com", password_hash, SECRET)
                for name in ("alice", "bob")
            ]
            tokens = [(await person.creates_token())["token"] for person in people * 2]
            places = asyncio.Semaphore(10)

            async def get(app: httpx.AsyncClient, path: str, token: str) -> httpx.Response:
                async with places:
                    return await app.get(f"/api/v1/{path}", headers=bearer(token))

            # two applications, whose statements take turns on the pooler's connections
            answers = await asyncio.gather(
                *(
                    get(app, path, token)
                    for _ in range(10)
                    for path in ("stats", "usage", "keys", "token", "metrics")
                    for token in tokens
                    for app in (client, other)
                )
            )
            assert Counter(answer.status_code for answer in answers) == {200: 400}
            counts = await connection.fetch("SELECT request_count FROM api_token_meters")
            assert [row["request_count"] for row in counts] == [100] * 4
            made = await asyncio.gather(*(people[0].post("/api/tokens", {"name": "n"}) for _ in range(10)))
            assert Counter(answer.status_code for answer in made) == {201: 3, 400: 7}
        await connection.close()
