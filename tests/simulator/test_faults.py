"""Does everything go wrong that is asked to, as a plain HTTP client sees it?"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app.simulator.faults import Fault
from app.simulator.server import Simulator
from app.simulator.world import Account, Key
from tests.simulator.conftest import bearer


@pytest.fixture
def key(account: Account) -> Key:
    return account.add_key("prod")


async def get(
    simulator: Simulator, http: httpx.AsyncClient, key: Key, fault: Fault, path: str = "/key"
) -> httpx.Response:
    simulator.world.faults = [fault]
    return await http.get(path, headers=bearer(key))


async def test_status_has_openrouter_s_shape_or_a_body_of_its_own(
    simulator: Simulator, http: httpx.AsyncClient, key: Key
) -> None:
    answer = await get(simulator, http, key, Fault("status", status=429, headers={"Retry-After": "7"}))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == 429
    assert (await get(simulator, http, key, Fault("status", status=503, body="no"))).text == "no"


@pytest.mark.parametrize("status", [200, 502])
async def test_html_of_the_edge(simulator: Simulator, http: httpx.AsyncClient, key: Key, status: int) -> None:
    answer = await get(simulator, http, key, Fault("html", status=status))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=UTF-8")


async def test_second_shape_of_errors(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    answer = await get(simulator, http, key, Fault("zod"))
    assert (answer.status_code, answer.json()["error"]["name"]) == (400, "ZodError")


async def test_redirect(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    answer = await get(simulator, http, key, Fault("redirect", location="http://elsewhere.example/"))
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/")


@pytest.mark.parametrize("kind", ["reset", "cut", "garbage"])
async def test_connection_breaks(simulator: Simulator, http: httpx.AsyncClient, key: Key, kind: Any) -> None:
    with pytest.raises(httpx.TransportError):
        await get(simulator, http, key, Fault(kind))


@pytest.mark.parametrize("kind", ["slow", "slow_body", "endless"])
async def test_answer_does_not_come_to_its_end(
    simulator: Simulator, http: httpx.AsyncClient, key: Key, kind: Any
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await get(simulator, http, key, Fault(kind, seconds=0.2 if kind == "slow_body" else 2))


async def test_json_is_cut(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    answer = await get(simulator, http, key, Fault("truncated_json"))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


async def test_answer_is_packed_unasked(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    simulator.world.faults = [Fault("gzip")]
    async with http.stream("GET", "/key", headers=bearer(key)) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join([piece async for piece in answer.aiter_raw()])
    assert len(packed) < 100_000


async def test_value_is_changed_or_written_raw(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    changed = Fault("patch", change=lambda answer: answer | {"more": 1})
    assert (await get(simulator, http, key, changed)).json()["more"] == 1
    assert (await get(simulator, http, key, Fault("patch", body='{"data": NaN}'))).text == '{"data": NaN}'


async def test_fault_is_for_some_paths_and_keys_and_so_many_times(
    simulator: Simulator, http: httpx.AsyncClient, account: Account, key: Key
) -> None:
    simulator.world.faults = [Fault("status", status=500, path="/key", secret=key.secret, times=2, spared=1)]
    other = account.add_key("other")
    assert (await http.get("/key", headers=bearer(other))).status_code == 200
    assert (await http.get("/credits", headers=bearer(key))).status_code == 403
    assert [(await http.get("/key", headers=bearer(key))).status_code for _ in range(4)] == [200, 500, 500, 200]


async def test_requests_are_remembered(simulator: Simulator, http: httpx.AsyncClient, key: Key) -> None:
    await http.get("/key", headers=bearer(key))
    await http.get("/credits", headers=bearer(key))
    assert (simulator.calls(), simulator.calls("/key"), simulator.calls(key=key)) == (2, 1, 2)
    assert [asked.status for asked in simulator.requests] == [200, 403]
