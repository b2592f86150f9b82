"""What does the schema look like after all migrations? `make schema` writes it to sql/schema.sql."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from app import embedded, migrate

SCHEMA = Path(__file__).parent.parent / "sql" / "schema.sql"
HEADER = """\
-- The schema as all migrations leave it, for people to read. Written by `make schema`; nothing runs it.

"""


def render(description: str) -> str:
    """The file's text, given what `migrate.describe` says."""
    return f"{HEADER}{description}\n"


async def _describe(url: str) -> str:
    await migrate.migrate(url)
    return await migrate.describe(url)


def main() -> None:
    """On a server of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="watcher-schema-") as folder:
        Path(folder).chmod(0o711)  # as root the server runs under another user
        with embedded.running(Path(folder), settings=("fsync = off",)) as place:
            SCHEMA.write_text(render(asyncio.run(_describe(place.url))), encoding="utf-8")
    print(f"wrote sql/{SCHEMA.name}")  # noqa: T201 -- a command


if __name__ == "__main__":
    main()
