"""What does an import make of any file? One that begins with `--x` is a multipart form with that boundary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request

from app.errors import AppError, Invalid
from app.usage.activity_csv import TEXT_MAX, TOKENS_MAX, YEARS, ActivityReader, Generation, Rejected
from app.usage.money import is_money
from app.usage.uploads import uploaded_file

HEADER = (
    b"generation_id,created_at,cost_total,model_permaslug,byok_usage_inference,tokens_prompt,provider_name,api_key_name"
)
ROW = b"gen-1,2026-08-24 22:00:18.189,0.000153,openai/gpt-5.6-luna,0,264,Azure,sample-agent-key"
FILE = HEADER + b"\n" + ROW + b"\n"
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + FILE + b"\r\n--x--\r\n"
SEEDS = [
    FILE,
    b"\xef\xbb\xbf" + FILE.replace(b"\n", b"\r\n"),
    HEADER + b"\n" + ROW.replace(b"gen-1", b'"gen-1\n2"') + b"\n" + ROW,
    HEADER + b"\n" + ROW.replace(b"gen-1", b'"gen-1') + b"\n" + ROW,
    HEADER + b"\n" + ROW.replace(b"0.000153", b"1e-7").replace(b"264", b"99999999999") + b"\n\xff\x00,\n",
    HEADER + b"\n" + ROW.replace(b" 22:00:18.189", b"T23:59:60Z"),
    FORM,
    b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\ny\r\n' + FORM,
    FORM.replace(b"--x--\r\n", b""),
]


def feed(data: bytes) -> None:
    """Rows and complaints that the database and people can bear, the same however the file was cut; or a documented error."""
    content = data
    if data.startswith(b"--x"):
        try:
            content = asyncio.run(_file_in_form(data))
        except AppError as error:
            assert error.status < 500
            return
    whole = _read(content)
    assert whole == _read(*(content[start : start + 7] for start in range(0, len(content), 7)))
    for row in whole or []:
        _check(row)


class _Upload(Request[Any, Any, Any]):
    """A request whose body comes in two pieces."""

    def __init__(self, body: bytes) -> None:
        super().__init__({"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]})
        self._pieces = (body[:50], body[50:])

    async def stream(self) -> AsyncGenerator[bytes]:
        for piece in self._pieces:
            yield piece


async def _file_in_form(data: bytes) -> bytes:
    return b"".join([piece async for piece in uploaded_file(_Upload(data), "text/csv", "file")])


def _read(*pieces: bytes) -> list[Generation | Rejected] | None:
    reader = ActivityReader()
    try:
        return [row for piece in pieces for row in reader.feed(piece)] + reader.finish()
    except Invalid:
        return None


def _check(row: Generation | Rejected) -> None:
    assert row.line > 1
    if isinstance(row, Rejected):
        assert 0 < len(row.reason) < 500
        row.reason.encode()
        return
    texts = (row.generation_id, row.model, row.provider, row.key_name)
    assert all(
        text is None or (0 < len(text.encode()) <= 4 * max(TEXT_MAX.values()) and "\0" not in text) for text in texts
    )
    assert row.created_at.year in YEARS
    assert all(cost is None or (is_money(cost) and cost >= 0) for cost in (row.cost, row.byok_cost))
    tokens = (row.tokens_input, row.tokens_output, row.tokens_reasoning, row.tokens_cached)
    assert all(count is None or 0 <= count <= TOKENS_MAX for count in tokens)
