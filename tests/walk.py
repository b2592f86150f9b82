"""What does the walk through the API show, which the README invites to?"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.documentation import commands
from tests.processes import PROJECT


async def bash(script: str, folder: Path = PROJECT, **environ: str) -> str:
    """What a shell prints that runs these lines in a folder; it must succeed."""
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environ},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


async def walk(base_url: str) -> None:
    """Takes it, against a service that has no account yet, and looks at each answer."""
    said = await bash(commands("README.md"), BASE=base_url)
    registered, imported, stats, listed, refused = _documents(said)
    assert registered["email"] == "you@home.lan"
    assert (imported["imported"], imported["total_cost"]) == (159, Decimal("1.071850"))
    assert stats["summary"]["total_requests"] == 159
    assert stats["summary"]["total_cost"] == Decimal("1.071850")
    assert stats["summary"]["total_tokens_input"] == 17_386_716
    assert [token["name"] for token in listed] == ["finance script"]
    assert "or_api_" not in json.dumps([registered, imported, stats, refused], default=str)
    assert refused["status"] == 401


def _documents(text: str) -> list:
    """JSON documents one after the other."""
    decoder, documents = json.JSONDecoder(parse_float=Decimal), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents
