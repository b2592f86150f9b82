"""Can a person start a simulator, and move it by hand?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator

import httpx
import pytest

from tests.processes import PROJECT

STOP_SECONDS = 10


@pytest.fixture
def started() -> Generator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process, and what it printed: addresses and keys by their names."""
    command = ["simulate-openrouter", "--port", "0", "--keys", "2", "--days", "3", "--now", "2026-11-11 12:00:00"]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *command],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout
    printed: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().partition("=" if line.startswith("OPENROUTER") else ": ")
        printed[name] = value
        if "management" in name:
            break
    try:
        yield process, printed
    finally:
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
        process.stdout.close()


def test_simulator_is_started_and_moved_by_hand(started: tuple[subprocess.Popen[str], dict[str, str]]) -> None:
    _, printed = started
    base_url = printed["OPENROUTER_BASE_URL"]
    control = base_url.replace("/api/v1", "/_simulator")
    secret = printed["inference key 'key 1'"]
    with httpx.Client(headers={"Authorization": f"Bearer {secret}"}, trust_env=False) as http:
        before = http.get(f"{base_url}/key").json()["data"]["usage"]
        assert http.post(f"{control}/spend", json={"key": "key 1", "cost": 0.5}).status_code == 200
        assert http.get(f"{base_url}/key").json()["data"]["usage"] == pytest.approx(before + 0.5)
        world = http.post(f"{control}/clock", json={"advance_seconds": 86_400}).json()
        assert world["now"].startswith("2026-11-12T12:0")
        assert http.get(f"{base_url}/key").json()["data"]["usage_daily"] == 0
        assert {key["name"] for key in world["keys"]} == {"key 1", "key 2", "admin"}
        http.post(f"{control}/faults", json=[{"kind": "status", "status": 500, "times": 1}])
        assert [http.get(f"{base_url}/key").status_code for _ in range(2)] == [500, 200]
        assert http.post(f"{control}/options", json={"counter_lag_seconds": 86_460}).status_code == 200
        assert http.get(f"{base_url}/key").json()["data"]["usage"] == pytest.approx(before)
        for path, body in (
            ("/clock", {"now": "soon"}),
            ("/faults", [{"kind": "dragon"}]),
            ("/options", {"mood": "bad"}),
            ("/options", {"page_size": "many"}),
            ("/spend", {"key": "?", "cost": 1}),
        ):
            assert http.post(control + path, json=body).status_code == 400
        assert http.get(f"{control}/world", headers={"Host": "evil.example"}).status_code == 403


def test_programs_are_told_where_it_is_in_json() -> None:
    command = [
        sys.executable,
        "-m",
        "app",
        "simulate-openrouter",
        "--port",
        "0",
        "--keys",
        "1",
        "--days",
        "1",
        "--json",
    ]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        key, admin = told["keys"]
        assert (key["kind"], admin["kind"]) == ("inference", "management")
        headers = {"Authorization": f"Bearer {key['key']}"}
        assert httpx.get(f"{told['openrouter_base_url']}/key", headers=headers, trust_env=False).status_code == 200
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
