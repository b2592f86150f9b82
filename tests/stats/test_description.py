"""Does the service keep what its OpenAPI description says of the routes of figures, whatever is asked?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
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

from tests.cast import Person
from tests.conftest import SECRET, new_database
from tests.processes import running_server
from tests.readers import BOTH, Reader, today
from tests.usage.facts import Fact, book

ROUTES = [
    "/api/stats",
    "/api/usage",
    "/api/v1/stats",
    "/api/v1/usage",
    "/api/v1/keys",
    "/api/v1/metrics",
    "/api/v1/token",
]
EXAMPLES = 40


class Served(msgspec.Struct):
    """A running service: where it is, what it says of itself, and who may ask."""

    url: str
    description: Any
    readers: dict[str, Reader]


@pytest.fixture(scope="module")
async def served(
    server_url: str, template: str, password_hash: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served]:
    """With somebody's usage."""
    log: Path = tmp_path_factory.mktemp("served") / "log"
    async with new_database(server_url, template) as url, running_server(url, log, PUBLIC_RATE_LIMIT="off") as client:
        connection = await asyncpg.connect(url)
        owner = await Person.is_there(client, connection, "alice@example.com", password_hash, SECRET)
        days = [today() - timedelta(days=back) for back in range(40)]
        facts = [
            Fact(day, key, model, "p", cost=Decimal(1)) for day in days for key in ("a", None) for model in ("m", None)
        ]
        await book(connection, owner.id, *facts)
        await connection.close()
        document = (await client.get("/schema/openapi.json")).json()
        readers = {root: await Reader.of(owner, root) for root in BOTH}
        yield Served(str(client.base_url).rstrip("/"), schemathesis.openapi.from_dict(document), readers)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
@pytest.mark.parametrize("path", ROUTES)
def test_answers_are_as_described(served: Served, path: str, mode: GenerationMode) -> None:
    reader = served.readers["/api/v1" if path.startswith("/api/v1") else "/api"]
    operation = served.description[path]["GET"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def ask(case: Any) -> None:
        response = case.call(base_url=served.url, headers=reader.headers)
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
