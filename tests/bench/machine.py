"""What do the measurements need of the machine: a folder for a database, and how much memory a server takes."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil


@contextmanager
def temporary_folder() -> Generator[Path]:
    """As root the database runs under another user, who must be able to go there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def resident_mib(client: httpx.AsyncClient) -> float:
    """Of the largest process of the server that this client talks to: its worker."""
    port = str(client.base_url.port)
    mine = psutil.Process().children(recursive=True)
    found = [process for process in mine if "python" in process.name() and process.environ().get("PORT") == port]
    return max(process.memory_info().rss for process in found) / 1024 / 1024
