"""The documentation keeps its word: what it says to type is typed, against a real server, and what it names is there."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path

import asyncpg
import click
import pytest

from app import settings
from app.cli import cli
from app.settings import Settings
from app.simulator.server import serving
from app.simulator.world import World
from tests.conftest import SECRET
from tests.documentation import ELSEWHERE, PAGES, blocks, commands
from tests.processes import PROJECT, running_server
from tests.usage.exports import ACTIVITY
from tests.walk import bash, walk

SECRETS = base64.b64encode(SECRET).decode()
# what the page on commands is about to find: a token in a file, and in a repository
LEAK = """
echo "my token is $TOKEN, keep it" > paste.txt
git init --quiet && git add paste.txt && git -c user.name=you -c user.email=you@home.lan commit --quiet --message leak
"""
PAGE_IDS = [page.name for page in PAGES]


# --- what can be typed


async def test_what_the_pages_say_to_type_works(
    database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """The README's walk first, for the other pages go on with its account."""
    (tmp_path / "activity.csv").write_bytes(ACTIVITY)
    async with serving(World(seed=1)) as openrouter:
        key = openrouter.world.add_account().add_management_key("company account")
        environ = {"OPENROUTER_BASE_URL": openrouter.base_url, "REGISTRATION": "first"}
        async with running_server(database_url, tmp_path / "log", **environ) as client:
            base_url = str(client.base_url)
            await walk(base_url)
            script = commands("docs/api.md") + LEAK + commands("docs/commands.md")
            said = await bash(
                script, tmp_path, BASE=base_url, OPENROUTER_KEY=key.secret, DATABASE_URL=database_url, JWT_SECRETS=SECRETS,
                ENCRYPTION_KEYS=SECRETS, PYTHONPATH=str(PROJECT),
            )  # fmt: skip
            assert "1.071850" in said, "the sum in Python"
            assert "\n304\n" in said, "the entity tag"
            assert (tmp_path / "usage.csv").read_bytes().count(b"\r\n") == 10
            assert '"duplicates":159' in said.replace(" ", ""), "the export that the walk has imported already"
            assert "1 tokens found: 1 revoked" in said, "the leaked one"
            assert "1 tokens found: 0 revoked, 1 revoked before" in said, "and again, from a repository"
            assert await bash(commands("docs/install.md"), tmp_path, BASE=base_url) == '{"status":"ok"}' * 2
    for block in (block for page in PAGES for block in blocks(page)):
        if block.language == "sql" and block.place != ELSEWHERE:
            await connection.execute(block.text)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_block_can_be_read_by_what_it_is_for(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            assert subprocess.run(["bash", "-n"], input=block.text.encode(), check=False).returncode == 0, block.text
        elif block.language == "python":
            compile(block.text, page.name, "exec")
        elif block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_command_that_a_page_names_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for typed in re.findall(r"python -m app ([a-z][^\n`#|;)]*)", text):
        command: click.Command = cli
        words = typed.split()
        while isinstance(command, click.Group) and words and not words[0].startswith("…"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, typed
            command = found
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}, typed


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_every_target_of_make_that_a_page_names_is_one(page: Path) -> None:
    typed = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    named = re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))
    assert {*named, *re.findall(r"^make ([a-z-]+)", typed, re.MULTILINE)} <= targets()


def targets() -> set[str]:
    """What the Makefile can make and `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


# --- what is named


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", page.read_text(encoding="utf-8")):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as the places that show it make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def described_variables() -> dict[str, str]:
    """The variables of docs/configure.md and their defaults, as they are written there."""
    page = (PROJECT / "docs/configure.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for named, defaults in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", page, re.MULTILINE):
        names = re.findall("`([A-Z_]+)`", named)
        found |= zip(names, defaults.split(", ") if len(names) > 1 else [defaults], strict=True)
    return found


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    code = (PROJECT / "app/settings.py").read_text(encoding="utf-8")
    between_processes = {"PROMETHEUS_MULTIPROC_DIR"}  # the server tells it its workers
    assert set(re.findall(r'read\(\s*"([A-Z_]+)"', code)) - between_processes == described_variables().keys()


def test_every_documented_default_is_the_default(tmp_path: Path) -> None:
    """Written as a value it can be set, and then changes nothing; in words it stands for nothing at all."""
    place = {"DATA_DIR": str(tmp_path)}
    default = settings.load(place)
    for name, written in described_variables().items():
        if name == "DATA_DIR":
            assert written == f"`{Settings(jwt_secrets=(), encryption_keys=()).data_dir}`"
        elif re.fullmatch(r"`[^` ]+`|[0-9]+", written):
            given = settings.load(place | {name: written.strip("`")})
            assert [getattr(given, field) for field in given.__struct_fields__] == [
                getattr(default, field) for field in default.__struct_fields__
            ], name
        elif not written.startswith("made and kept"):
            assert not getattr(default, name.lower()), name


def test_every_test_that_a_promise_names_is_there() -> None:
    promises = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(test_\w+))?`", promises)
    assert len(named) > 15
    for path, name in named:
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE), f"{path}::{name}"


def test_every_path_in_the_progress_table_exists() -> None:
    page = (PROJECT / "docs/progress.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall("`([^`]+)`", page) if path.startswith(("app/", "tests/", "sql/", ".ci"))]
    assert len(paths) > 20
    assert [path for path in paths if not (PROJECT / path).exists()] == []
