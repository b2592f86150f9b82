"""How do the tests call a command? In a process of its own, on a database of theirs."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

from tests.conftest import SECRET


def environment_of(database_url: str, **others: str) -> dict[str, str]:
    """Of a command that is to work on a certain database."""
    secret = base64.urlsafe_b64encode(SECRET).decode()
    return {**os.environ, "DATABASE_URL": database_url, "JWT_SECRETS": secret, "ENCRYPTION_KEYS": secret, **others}


def run(environment: dict[str, str], *arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """What it said and how it ended."""
    given = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments], input=given, env=environment, capture_output=True, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
