"""How is usage written line by line? CSV for spreadsheets (RFC 4180), JSON lines for programs. No I/O."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.encoding import encode
from app.stats.structs import UsageEntry, UsageRow

COLUMNS = UsageEntry.__struct_fields__
CSV_HEADER = (",".join(COLUMNS) + "\r\n").encode()
# what makes a spreadsheet take a text for a formula (OWASP, "CSV injection"), the full-width forms included
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")


def csv_lines(rows: Sequence[UsageEntry]) -> bytes:
    """Without the header. Null is an empty cell; a text that a spreadsheet would run begins with an apostrophe instead."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    return lines.getvalue().encode()


def json_lines(rows: Sequence[UsageRow]) -> bytes:
    """An object a line, as in the items of a page."""
    return b"".join(encode(entry) + b"\n" for entry in entries_of(rows))


def entries_of(rows: Sequence[UsageRow]) -> list[UsageEntry]:
    """What is published of the rows."""
    return msgspec.convert(rows, list[UsageEntry], from_attributes=True)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in _FORMULA else value
    return format(value, "f") if isinstance(value, Decimal) else value
