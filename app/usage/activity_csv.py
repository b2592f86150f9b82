"""What does a line of an activity export say? Reads OpenRouter's CSV piece by piece; no I/O.

Source: the export of OpenRouter's Activity page, one row per generation. Columns are found by name, because their order
differs between exports. `created_at` has no zone and is UTC; money is dollars in decimal digits.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, TypeVar

import msgspec

from app.errors import Invalid

T = TypeVar("T")

REQUIRED = ("generation_id", "created_at", "cost_total", "model_permaslug")
OPTIONAL = (
    "byok_usage_inference", "tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached", "provider_name",
    "api_key_name",
)  # fmt: skip

RECORD_MAX_BYTES = 1024 * 1024  # an honest line has a few hundred bytes
# An honest record has one. The bound keeps hostile quotes cheap: each line is read at most so many times.
RECORD_MAX_LINES = 20
# A byte order mark, if there is one, stands before the first line. Loaded now: there may be no descriptor left by then.
_FIRST_CODEC = codecs.lookup("utf-8-sig").name
TEXT_MAX = {"generation_id": 200, "model_permaslug": 300, "provider_name": 300, "api_key_name": 300}  # code points
TOKENS_MAX = 10**10
YEARS = range(2000, 2101)

_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?([eE]-[0-9]{1,2})?", re.ASCII)
_TOKENS = re.compile("[0-9]{1,11}", re.ASCII)
_CREATED_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]{8,15}(Z|\+00(:?00)?)?", re.ASCII)
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Generation(NamedTuple):
    """One request to a model. None is "not in the export", never 0."""

    line: int
    generation_id: str
    created_at: datetime
    cost: Decimal
    model: str
    byok_cost: Decimal | None
    tokens_input: int | None
    tokens_output: int | None
    tokens_reasoning: int | None
    tokens_cached: int | None
    provider: str | None
    key_name: str | None


class Rejected(msgspec.Struct, frozen=True):
    """A line that cannot be read, and why. The header is line 1."""

    line: int
    reason: str


class ActivityReader:
    """Takes the bytes of an export in pieces, and gives what is complete. How they were cut makes no difference."""

    def __init__(self) -> None:
        """For one file."""
        self._rest = bytearray()  # of a line whose end has not come yet
        self._is_too_long = False  # that line, so that the rest of it is not kept
        self._codec = _FIRST_CODEC
        self._lines: list[str | None] = []  # whole, and not part of a record yet; None is one that was too long
        self._line = 1  # the number of the first of them
        self._pick: Callable[[list[str]], tuple[str, ...]] | None = None  # the columns we know, once there was a header
        self._width = 0

    def feed(self, piece: bytes) -> list[Generation | Rejected]:
        """Raises Invalid when the header lacks a required column."""
        start, *others = piece.split(b"\n")
        self._extend_line(start)
        for text in others:
            self._end_line()
            self._extend_line(text)
        return list(self._read_lines(is_all=False)) if others else []

    def finish(self) -> list[Generation | Rejected]:
        """The last line, which may have no end. Raises Invalid when there was no header at all."""
        if self._rest or self._is_too_long:
            self._end_line()
        found = list(self._read_lines(is_all=True))
        if self._pick is None:
            raise Invalid(("file", "is empty; its first line must name the columns"))
        return found

    def _extend_line(self, text: bytes) -> None:
        if len(self._rest) + len(text) > RECORD_MAX_BYTES:
            self._is_too_long = True
            self._rest.clear()
        if not self._is_too_long:
            self._rest += text

    def _end_line(self) -> None:
        # bytes that are no UTF-8 become surrogates, which no field may hold: so they cost their line and no other
        text = None if self._is_too_long else self._rest.decode(self._codec, "surrogateescape") + "\n"
        self._lines.append(text)
        self._is_too_long, self._codec = False, "utf-8"
        self._rest.clear()

    def _read_lines(self, *, is_all: bool) -> Iterator[Generation | Rejected]:
        done = 0
        while done < len(self._lines) and (record := self._next_record(done, is_all=is_all)):
            row, span = record
            line, done = self._line + done, done + span
            if not row:
                continue
            if self._pick is None:
                self._read_header(row)
                continue
            result = Rejected(line, row) if isinstance(row, str) else self._read_row(self._pick, line, row)
            if span > 1 and isinstance(result, Rejected):
                done -= span - 1  # a quote that was never closed swallowed the lines below: read them on their own
            yield result
        del self._lines[:done]
        self._line += done

    def _next_record(self, start: int, *, is_all: bool) -> tuple[list[str] | str, int] | None:
        """The row that begins there, or why it is none, and over how many lines it reaches. None: its end has not come yet."""
        line = self._lines[start]
        if line is None:
            return f"is longer than {RECORD_MAX_BYTES} bytes", 1
        window, is_cut = ([line], True) if '"' not in line else self._window(start)
        reader = csv.reader([*window, ""])  # only a record with an open quote asks for the last one
        try:
            row: list[str] | str = next(reader)
        except csv.Error as error:
            row = f"is not CSV: {error}"
        if reader.line_num <= len(window):
            return row, reader.line_num
        return ("has a quote that is not closed", 1) if is_cut or is_all else None

    def _window(self, start: int) -> tuple[list[str], bool]:
        """The lines that a record may reach over, and whether it could not reach further even if more lines came."""
        window: list[str] = []
        size = 0
        for line in self._lines[start : start + RECORD_MAX_LINES]:
            if line is None or (size := size + len(line)) > RECORD_MAX_BYTES + 1:
                return window, True
            window.append(line)
        return window, len(window) == RECORD_MAX_LINES

    def _read_header(self, row: Sequence[str] | str) -> None:
        names = [name.strip() for name in row] if not isinstance(row, str) else []
        if missing := [name for name in REQUIRED if name not in names]:
            raise Invalid(("file", f"has no column {', '.join(missing)}; is it an activity export of OpenRouter?"))
        if doubled := [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]:
            raise Invalid(("file", f"has more than one column {', '.join(doubled)}"))
        # a column that is not there is read from an empty field behind the last one
        self._pick = itemgetter(
            *(names.index(name) if name in names else len(names) for name in (*REQUIRED, *OPTIONAL))
        )
        self._width = len(names)

    def _read_row(
        self, pick: Callable[[list[str]], tuple[str, ...]], line: int, row: list[str]
    ) -> Generation | Rejected:
        if len(row) != self._width:
            return Rejected(line, f"has {len(row)} columns instead of {self._width}")
        generation_id, created_at, cost, model, byok_cost, prompt, completion, reasoning, cached, provider, key = pick(
            [*row, ""]
        )
        try:
            return Generation(
                line,
                _required(_text("generation_id", generation_id), "generation_id"),
                _moment(created_at.strip()),
                _required(_money("cost_total", cost), "cost_total"),
                _required(_name("model_permaslug", model), "model_permaslug"),
                _money("byok_usage_inference", byok_cost),
                _tokens("tokens_prompt", prompt),
                _tokens("tokens_completion", completion),
                _tokens("tokens_reasoning", reasoning),
                _tokens("tokens_cached", cached),
                _name("provider_name", provider),
                _name("api_key_name", key),
            )
        except ValueError as error:
            return Rejected(line, str(error))


def _required(value: T | None, name: str) -> T:
    if value is None:
        raise ValueError(f"{name} is empty")
    return value


def _text(name: str, text: str) -> str | None:
    text = text.strip()
    if len(text) > TEXT_MAX[name]:
        raise ValueError(f"{name} is longer than {TEXT_MAX[name]} characters")
    if _NOT_TEXT.search(text):
        raise ValueError(f"{name} holds control characters or bytes that are not UTF-8")
    return text or None


# names come again and again
_name = lru_cache(maxsize=4096)(_text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if _CREATED_AT.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None or moment.year not in YEARS:
        raise ValueError("created_at is not a time like 2026-08-24 22:00:18.189")
    return moment.replace(tzinfo=UTC)


def _money(name: str, text: str) -> Decimal | None:
    text = text.strip()
    if not text:
        return None
    if not _MONEY.fullmatch(text):
        raise ValueError(f"{name} is not an amount of dollars from 0 to 999999999")
    return Decimal(text)


def _tokens(name: str, text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not _TOKENS.fullmatch(text) or (count := int(text)) > TOKENS_MAX:
        raise ValueError(f"{name} is not a whole number from 0 to {TOKENS_MAX}")
    return count
