"""Does the service keep what its OpenAPI description says, whatever is asked? A few examples; `make schemathesis` has many."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.cast import Person, bearer, log_in
from tests.conftest import SECRET, new_database
from tests.processes import running_server
from tests.readers import today
from tests.test_routes import FRAMEWORK, HANDLERS, PAGES
from tests.usage.facts import Fact, book

OPERATIONS = sorted(key for key in HANDLERS.keys() - PAGES if not key[1].startswith(FRAMEWORK))
EXAMPLES = 12


class Served(msgspec.Struct):
    """A running service, what it says of itself, and who asks."""

    client: httpx.AsyncClient
    description: Any
    owner: Person
    token: str

    async def credential(self, path: str) -> dict[str, str]:
        """The one that the route asks for. Some end sessions, their own or others: each of those has a new one."""
        if path.startswith("/api/v1"):
            return bearer(self.token)
        if path.startswith("/api/auth/"):
            return bearer((await log_in(self.client, "bob@nas.local"))["access_token"])
        return self.owner.headers if path.startswith("/api/") else {}


@pytest.fixture(scope="module")
async def served(
    server_url: str, template: str, password_hash: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served]:
    """With somebody's usage."""
    log: Path = tmp_path_factory.mktemp("served") / "log"
    async with new_database(server_url, template) as url, running_server(url, log) as client:
        connection = await asyncpg.connect(url)
        owner = await Person.is_there(client, connection, "alice@example.com", password_hash, SECRET)
        await Person.is_there(client, connection, "bob@nas.local", password_hash, SECRET)
        days = [today() - timedelta(days=back) for back in range(40)]
        facts = [
            Fact(day, key, model, "p", cost=Decimal(1)) for day in days for key in ("a", None) for model in ("m", None)
        ]
        await book(connection, owner.id, *facts)
        await connection.close()
        document = (await client.get("/schema/openapi.json")).json()
        token = (await owner.creates_token())["token"]
        yield Served(client, schemathesis.openapi.from_dict(document), owner, token)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_answers_are_as_described(served: Served, method: str, path: str) -> None:
    operation, credential = served.description[path][method], await served.credential(path)
    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.definition.raw.keys() & {"parameters", "requestBody"}:
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(case=cases)
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def ask(case: Any) -> None:
        response = case.call(base_url=str(served.client.base_url).rstrip("/"), headers=credential)
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_headers_conformance,
                response_schema_conformance,
                negative_data_rejection,
            ],
        )

    ask()
