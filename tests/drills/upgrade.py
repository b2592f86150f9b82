"""Does the version before this one work on this one's schema: while it runs, and by all of its own tests?

`UPGRADE_FROM` names it. Otherwise it is the last release, or, before there is one, what came before the newest migration.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from app.migrate import read_migrations
from tests.cast import Person, bearer
from tests.conftest import SECRET, new_database
from tests.processes import PROJECT, running_process
from tests.usage.exports import ACTIVITY, imports
from tests.walk import bash

# what is asked over HTTP, and every query; not what is said of the schema itself
TESTS = ("accounts", "hygiene", "keys", "public", "stats", "tokens", "usage", "web", "test_routes.py", "test_sql.py")
TESTS_SECONDS_MAX = 1200
SECRETS = base64.b64encode(SECRET).decode()
WRITES = 20  # before, while and after the schema changes


class Before(msgspec.Struct):
    """A checkout of the version before."""

    name: str
    folder: Path
    python: str

    @property
    def migrations(self) -> int:
        """How many it has."""
        return len(list((self.folder / "sql/migrations").glob("*.sql")))


def git(*arguments: str) -> str:
    """Raises CalledProcessError."""
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True).stdout.decode().strip()


def version_before() -> str:
    """The name of a commit."""
    if given := os.environ.get("UPGRADE_FROM"):
        return given
    try:
        return git("describe", "--tags", "--abbrev=0", "HEAD~1")
    except subprocess.CalledProcessError:
        return git("log", "-1", "--diff-filter=A", "--format=%h~1", "--", "sql/migrations")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Generator[Before]:
    name, folder = version_before(), tmp_path_factory.mktemp("before") / "checkout"
    git("worktree", "add", "--detach", str(folder), name)
    try:
        shutil.copytree(PROJECT / "app/web/static/vendor", folder / "app/web/static/vendor", dirs_exist_ok=True)
        yield Before(name, folder, _python(folder))
    finally:
        git("worktree", "remove", "--force", str(folder))


def _python(folder: Path) -> str:
    """With what that version asks for: our own environment where it is the same, else one of its own."""
    lock = Path("requirements/dev.lock")
    if (folder / lock).read_bytes() == (PROJECT / lock).read_bytes():
        return sys.executable
    python = folder / ".venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", folder / lock], check=True)
    return str(python)


async def test_running_version_goes_on_while_and_after_its_database_is_migrated(
    before: Before, server_url: str, tmp_path: Path
) -> None:
    answers: Counter[int] = Counter()
    stages = [0]

    async def work(person: Person, token: str) -> None:
        while len(stages) < 4:
            created = await person.post("/api/tokens", {"name": "x"})
            shown = await person.client.get("/api/v1/stats", headers=bearer(token))
            listed = await person.get("/api/stats")
            revoked = await person.delete(f"/api/tokens/{created.json()['id']}")
            answers.update(answer.status_code for answer in (created, shown, listed, revoked))
            stages[-1] += 1

    async with (
        new_database(server_url) as url,
        running_process(url, tmp_path / "before.log", folder=before.folder, python=before.python) as (client, _),
    ):
        alice = await Person.arrives(client, "alice@example.com")
        token = (await alice.creates_token())["token"]
        await imports(alice, ACTIVITY)
        figures = (await alice.get("/api/stats?days=3660")).json()
        working = asyncio.create_task(work(alice, token))
        await _stage_over(stages, working)
        applied = await bash("python -m app migrate", DATABASE_URL=url, JWT_SECRETS=SECRETS, ENCRYPTION_KEYS=SECRETS)
        assert applied.count("applied ") == len(read_migrations()) - before.migrations
        await _stage_over(stages, working)
        async with running_process(url, tmp_path / "now.log") as (new, _):
            await _stage_over(stages, working)
            await working
            assert answers.keys() <= {200, 201, 204}, answers
            now = msgspec.structs.replace(alice, client=new)
            assert (await new.get("/api/v1/stats", headers=bearer(token))).status_code == 200
            told = (await now.get("/api/stats?days=3660")).json()
            assert {name: told[name] for name in figures.keys() & told.keys()} == figures
    print(f"{before.name}: {sum(answers.values())} answers, all good; {applied.split()[1::2] or 'nothing'} applied")


async def _stage_over(stages: list[int], working: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while stages[-1] < WRITES and not working.done():  # noqa: ASYNC110 -- several may make it true
            await asyncio.sleep(0.05)
    stages.append(0)


def test_tests_of_the_version_before_pass_on_this_schema(before: Before) -> None:
    shutil.rmtree(before.folder / "sql/migrations")
    shutil.copytree(PROJECT / "sql/migrations", before.folder / "sql/migrations")
    there = [f"tests/{name}" for name in TESTS if (before.folder / "tests" / name).exists()]
    done = subprocess.run(
        [before.python, "-m", "pytest", "--quiet", "--numprocesses", "2", "--dist", "worksteal", *there],
        cwd=before.folder,
        capture_output=True,
        timeout=TESTS_SECONDS_MAX,
        check=False,
    )
    said = done.stdout.decode()
    print(f"{before.name}: {said.strip().splitlines()[-1]}")
    assert done.returncode == 0, said
