"""What does the service say of itself and of each request, and does it wait for those who listen?"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from app.logs import WAITING_MAX_BYTES, Outlet
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import SECRET, admin, new_database
from tests.processes import running_process, running_server

FIELDS = {
    "event",
    "logger",
    "level",
    "timestamp",
    "request_id",
    "method",
    "route",
    "status",
    "duration_ms",
    "bytes",
    "client",
}
CANARY = "canary"


class Told(msgspec.Struct):
    """What was asked, and the lines about it by their request ids."""

    lines: dict[str, dict[str, Any]]
    text: str
    user_id: int
    token_id: int


@pytest.fixture(scope="module")
async def told(server_url: str, template: str, password_hash: str, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A server's whole life: what it said in the end is there, too."""
    log: Path = tmp_path_factory.mktemp("told") / "log"
    async with (
        new_database(server_url, template) as url,
        admin(url) as connection,
        running_server(url, log, LOG_LEVEL="debug", TRUSTED_PROXIES="127.0.0.0/8") as client,
    ):
        alice = await Person.is_there(client, connection, "alice@example.com", password_hash, SECRET)
        token = await alice.creates_token(f"{CANARY} name")

        async def ask(request_id: str, method: str, path: str, **more: Any) -> None:
            headers = {"X-Request-ID": request_id} | more.pop("headers", {})
            await client.request(method, path, headers=headers, **more)

        await ask("health", "GET", "/livez")
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        await ask("token", "GET", f"/api/v1/token?x={CANARY}", headers=bearer(token["token"]))
        await ask("read", "GET", "/api/v1/token", headers=bearer(token["token"]) | forwarded)
        await ask("head", "HEAD", "/api/auth/me", headers=alice.headers)
        await ask("object", "GET", "/api/tokens/987654321", headers=alice.headers)
        await ask("nowhere", "GET", f"/{CANARY}/x?y={CANARY}")
        wrong = {"email": f"{CANARY}@example.com", "password": CANARY}
        await ask("login", "POST", "/api/auth/login", json=wrong)
        await ask("page", "POST", "/sign-in", data=wrong, headers={"Sec-Fetch-Site": "same-origin"})
    return read(log, alice.id, token["id"])


def read(log: Path, user_id: int, token_id: int) -> Told:
    text = log.read_text(encoding="utf-8")
    entries = [msgspec.json.decode(line) for line in text.splitlines() if line.startswith("{")]
    lines = {entry["request_id"]: entry for entry in entries if entry["event"] == "answered"}
    return Told(lines, text, user_id, token_id)


def test_a_line_tells_who_asked_what_and_how_it_ended(told: Told) -> None:
    line = told.lines["read"]
    assert line.keys() == FIELDS | {"user_id", "token_id"}
    assert (line["method"], line["route"], line["status"], line["level"]) == ("GET", "/api/v1/token", 200, "info")
    assert (line["user_id"], line["token_id"]) == (told.user_id, told.token_id)
    assert line["client"] == "203.0.113.7"
    assert line["bytes"] > 100
    assert line["duration_ms"] > 0
    assert line["timestamp"].endswith("Z")


def test_what_went_wrong_is_told_by_its_code(told: Told) -> None:
    problems = {name: (line["status"], line.get("problem")) for name, line in told.lines.items()}
    assert problems["token"] == (422, "invalid")
    assert problems["object"] == (404, "not_found")
    assert problems["nowhere"] == (404, "not_found")
    assert problems["login"] == (401, "wrong_credentials")
    assert problems["page"] == (401, "wrong_credentials")
    assert problems["read"] == (200, None)


def test_routes_are_told_and_never_addresses(told: Told) -> None:
    assert told.lines["object"]["route"] == "/api/tokens/{token_id}"
    assert told.lines["nowhere"]["route"] is None
    assert "987654321" not in told.text
    assert CANARY not in told.text
    assert PASSWORD not in told.text


def test_head_is_told_as_it_was_asked(told: Told) -> None:
    line = told.lines["head"]
    assert (line["method"], line["bytes"], line["user_id"]) == ("HEAD", 0, told.user_id)
    assert "token_id" not in line


def test_health_is_only_for_those_who_want_every_detail(told: Told) -> None:
    assert told.lines["health"]["level"] == "debug"
    assert {line["level"] for name, line in told.lines.items() if line["route"] not in {"/livez", "/readyz"}} == {
        "info"
    }


def says(form: str) -> str:
    """What a process says that logs one line, at the end of its life."""
    script = (
        "import logging, structlog; from app.logs import configure_logs; configure_logs('info', {!r});"
        "structlog.get_logger('x').info('told', number=1); logging.getLogger('other').warning('theirs')"
    )
    done = subprocess.run([sys.executable, "-c", script.format(form)], capture_output=True, check=True)
    return done.stderr.decode()


def test_lines_are_json_unless_people_read_them() -> None:
    ours, theirs = (msgspec.json.decode(line) for line in says("auto").splitlines())
    assert ours | {"timestamp": ""} == {"event": "told", "number": 1, "logger": "x", "level": "info", "timestamp": ""}
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("theirs", "other", "warning")
    for_people = says("console").splitlines()
    assert len(for_people) == 2
    assert "told" in for_people[0]
    assert "number=1" in for_people[0]


def test_nobody_waits_for_a_reader_that_stalls() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    line = b"x" * 999 + b"\n"
    for _ in range(2 * WAITING_MAX_BYTES // len(line)):
        outlet.write(line)  # would never come back if it waited: nobody reads
    read: list[bytes] = []

    def read_all() -> None:
        while piece := os.read(reading, 65_536):
            read.append(piece)

    reader = threading.Thread(target=read_all)
    reader.start()
    outlet.close()
    os.close(writing)
    reader.join()
    os.close(reading)
    lines = b"".join(read).splitlines(keepends=True)
    assert WAITING_MAX_BYTES // len(line) - 1 <= len(lines) < 1.5 * WAITING_MAX_BYTES // len(line)
    assert set(lines) == {line}  # each is whole


def standard_streams(pid: int) -> list[str]:
    """Which files they are."""
    return [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)]


async def test_service_without_standard_streams_serves_and_ends(server_url: str, template: str, tmp_path: Path) -> None:
    """A connection to the database would get their numbers, and with them what is meant for the log."""
    start = tmp_path / "start"
    start.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" <&- >&- 2>&-\n')
    start.chmod(0o755)
    async with (
        new_database(server_url, template) as url,
        running_process(url, tmp_path / "log", python=str(start), LOG_LEVEL="debug") as (client, process),
    ):
        alice = await Person.arrives(client, "alice@example.com")
        token = (await alice.creates_token())["token"]
        for _ in range(20):
            assert (await client.get("/api/v1/stats", headers=bearer(token))).status_code == 200
            assert (await client.get("/api/v1/stats", headers=bearer(CANARY))).status_code == 401
        parent = psutil.Process(process.pid)
        for one in (parent, *parent.children(recursive=True)):
            assert standard_streams(one.pid) == [os.devnull] * 3
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert (tmp_path / "log").read_text() == ""
