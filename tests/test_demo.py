"""Does `make demo` show a year of usage to somebody who logs in, and leave nothing behind?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import httpx

from tests.ports import free_port
from tests.processes import PROJECT

START_SECONDS, STOP_SECONDS = 60, 30


def test_demonstration_has_a_year_of_usage_and_leaves_nothing(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DATA_DIR"}}
    environ |= {"PORT": str(free_port()), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    tmp_path.chmod(0o711)  # as root the database runs under another user
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "demo"],
        cwd=PROJECT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        said = ""
        while "listens on" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"Log in at (\S+) as (\S+) with the password: (.+)", said)
        assert found
        base_url, email, password = found.groups()
        with httpx.Client(base_url=base_url, trust_env=False, transport=httpx.HTTPTransport(retries=20)) as http:
            page = http.get("/", headers={"Accept": "text/html"}, follow_redirects=True)
            assert (page.status_code, page.url.path) == (200, "/sign-in")
            tokens = http.post("/api/auth/login", json={"email": email, "password": password}).json()
            header = {"Authorization": f"Bearer {tokens['access_token']}"}
            keys = http.get("/api/keys", headers=header).json()
            assert {key["kind"] for key in keys} == {"inference", "management"}
            token = http.post("/api/tokens", headers=header, json={"name": "look"}).json()["token"]
            totals = [
                http.get(f"/api/v1/stats?days={days}", headers={"Authorization": f"Bearer {token}"}).json()["summary"]
                for days in (30, 365)
            ]
        assert Decimal(str(totals[1]["total_cost"])) > 5 * Decimal(str(totals[0]["total_cost"])) > 0
        assert totals[1]["total_requests"] > 1000
    finally:
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
        process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_demonstration_does_not_touch_a_real_database() -> None:
    environ = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real"}
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo"], cwd=PROJECT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "unset DATABASE_URL" in done.stderr
