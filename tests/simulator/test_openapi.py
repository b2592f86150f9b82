"""Is every answer what OpenRouter's own OpenAPI description says? Where that file is at hand, beside the project."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from app.simulator.server import Simulator
from app.simulator.world import Account, Key
from tests.simulator.conftest import bearer

FILE = Path(__file__).parents[2].parent / "shared" / "openrouter" / "openapi.json"

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="OpenRouter's OpenAPI description is not at hand")


@cache
def document() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def assert_described(answer: httpx.Response, method: str, path: str) -> None:
    """The status is one that is described, and the body fits it."""
    responses = document()["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in responses, f"{answer.status_code} {answer.text}"
    pointer = f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method.lower()}/responses/{answer.status_code}"
    registry = Registry().with_resource("urn:openrouter", Resource(document(), DRAFT202012))
    schema = {"$ref": f"urn:openrouter{pointer}/content/application~1json/schema"}
    response = responses[str(answer.status_code)]
    if "$ref" in response:
        name = response["$ref"].removeprefix("#/components/responses/")
        schema = {"$ref": f"urn:openrouter#/components/responses/{name}/content/application~1json/schema"}
    errors = sorted(Draft202012Validator(schema, registry=registry).iter_errors(answer.json()), key=str)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.fixture
def key(account: Account) -> Key:
    key = account.add_key("prod", limit=Decimal(5), limit_reset="daily")
    account.add_key("second")
    account.generate(20)
    return key


@pytest.mark.parametrize("is_older", [False, True])
async def test_every_answer_fits_its_schema(
    simulator: Simulator, http: httpx.AsyncClient, key: Key, manager: Key, is_older: bool
) -> None:
    simulator.world.options.older_schema = is_older
    query = {"metrics": ["request_count", "total_usage"], "dimensions": ["model"], "granularity": "day"}
    calls: list[tuple[str, str, str, Any]] = [
        ("GET", "/key", "/key", None),
        ("GET", "/keys", "/keys", None),
        ("POST", "/keys", "/keys", {"name": "new", "limit": 5}),
        ("GET", "/keys/{hash}", f"/keys/{key.hash}", None),
        ("PATCH", "/keys/{hash}", f"/keys/{key.hash}", {"name": "renamed"}),
        ("GET", "/credits", "/credits", None),
        ("GET", "/activity", "/activity", None),
        ("GET", "/activity", f"/activity?api_key_hash={key.hash}", None),
        ("GET", "/analytics/meta", "/analytics/meta", None),
        ("POST", "/analytics/query", "/analytics/query", query),
        ("GET", "/workspaces", "/workspaces", None),
        ("DELETE", "/keys/{hash}", f"/keys/{key.hash}", None),
    ]
    for method, path, target, body in calls:
        answer = await http.request(method, target, headers=bearer(manager), json=body)
        assert answer.is_success, f"{method} {target}: {answer.text}"
        assert_described(answer, method, path)


async def test_every_refusal_fits_its_schema(http: httpx.AsyncClient, key: Key, manager: Key) -> None:
    calls = [
        ("GET", "/key", "/key", {}, 401),
        ("GET", "/keys", "/keys", bearer(key), 401),
        ("GET", "/credits", "/credits", bearer(key), 403),
        ("GET", "/activity", "/activity", bearer(key), 403),
        ("GET", "/activity", "/activity?date=2026-11-11", bearer(manager), 400),
        ("GET", "/keys/{hash}", "/keys/" + "0" * 64, bearer(manager), 404),
        ("GET", "/analytics/meta", "/analytics/meta", bearer(key), 403),
        ("GET", "/workspaces", "/workspaces", bearer(key), 401),
    ]
    for method, path, target, headers, status in calls:
        answer = await http.request(method, target, headers=headers)
        assert answer.status_code == status, f"{target}: {answer.text}"
        assert_described(answer, method, path)
