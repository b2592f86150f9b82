"""Exports to import: the real one, and made ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.cast import Person

ACTIVITY = (Path(__file__).parent.parent / "data" / "activity-export-2026-08-24.csv").read_bytes()
IMPORT = "/api/imports/activity"
CSV = {"Content-Type": "text/csv"}

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def exact_text(text: bytes | str) -> Any:
    """JSON with its numbers as they were written."""
    return _decode(text)


def exact(answer: httpx.Response) -> Any:
    """A JSON answer with its numbers as they were written."""
    return exact_text(answer.content)


def export(*rows: dict[str, object], columns: Iterable[str] = ()) -> bytes:
    """A file with these rows; what is not given is as below, or empty."""
    given = [
        {"created_at": "2026-08-20 12:00:00.000", "cost_total": "0.1", "model_permaslug": "m"} | row for row in rows
    ]
    names = [*columns] or [*dict.fromkeys(name for row in ({"generation_id": ""}, *given) for name in row)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(given)
    return text.getvalue().encode()


async def send(person: Person, content: Any, query: str = "", **headers: str) -> httpx.Response:
    """The file as the body."""
    return await person.call("POST", IMPORT + query, content=content, headers=CSV | headers)


async def imports(person: Person, content: Any, query: str = "") -> dict[str, Any]:
    """The report of an import that succeeds."""
    answer = await send(person, content, query)
    assert answer.status_code == 200, answer.text
    return exact(answer)
