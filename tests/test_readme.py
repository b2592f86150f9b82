"""The README keeps its word: the walk in it is copied out and run against a real server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.processes import PROJECT, running_server


async def test_walk_of_the_readme_shows_what_it_says(database_url: str, tmp_path: Path) -> None:
    walk = re.search(r"```sh\n# walk\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert walk
    async with running_server(database_url, tmp_path / "log") as client:
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", walk[1]],
            cwd=PROJECT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "BASE": str(client.base_url)},
            capture_output=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    answers = read_all(done.stdout.decode())
    registered, imported, stats, listed, refused = answers
    assert registered["email"] == "you@home.lan"
    assert (imported["imported"], imported["total_cost"]) == (159, Decimal("1.071850"))
    assert stats["summary"]["total_requests"] == 159
    assert stats["summary"]["total_cost"] == Decimal("1.071850")
    assert stats["summary"]["total_tokens_input"] == 17_386_716
    assert [token["name"] for token in listed] == ["finance script"]
    assert "or_api_" not in json.dumps([registered, imported, stats, refused], default=str)
    assert refused["status"] == 401


def read_all(text: str) -> list:
    """JSON documents one after the other."""
    decoder, documents = json.JSONDecoder(parse_float=Decimal), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents


@pytest.mark.parametrize(
    "page", sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]), ids=lambda path: path.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    code = (PROJECT / "app/settings.py").read_text(encoding="utf-8")
    page = (PROJECT / "docs/configure.md").read_text(encoding="utf-8")
    read = set(re.findall(r'read\(\s*"([A-Z_]+)"', code))
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall("`([A-Z_]+)`", row)
    }
    assert read == described


def test_every_path_in_the_progress_table_exists() -> None:
    page = (PROJECT / "docs/progress.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall("`([^`]+)`", page) if path.startswith(("app/", "tests/", "sql/", ".ci"))]
    assert len(paths) > 20
    assert [path for path in paths if not (PROJECT / path).exists()] == []
