"""How is JSON read and written? Strictly in, exactly out: money keeps its decimal digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

import msgspec

from app.errors import Invalid, Malformed

T = TypeVar("T")

# Decimal as a JSON number with its own digits, never by way of a binary float
encode = msgspec.json.Encoder(decimal_format="number").encode

# how msgspec ends its complaints: "… - at `$.items[0].name`"
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
# and how it names a field that is missing or too much
_NAMED = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decode(body: bytes, type_: type[T]) -> T:
    """Reads a JSON body. Raises Malformed when it is no JSON in UTF-8, Invalid when it has the wrong shape or holds a NUL."""
    try:
        value = _decoder(type_).decode(body)
    except msgspec.ValidationError as error:
        _decode_anything(body)  # what is also malformed further on is malformed first
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed from error
    if b"\\u0000" in body:
        _refuse_nul(body)
    return value


def _decode_anything(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed from error


def _invalid(message: str) -> Invalid:
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    steps = [name or index for name, index in _STEP.findall(path)]
    if named := _NAMED.match(message):
        steps.append(named["name"])
    return Invalid(("/".join(map(_escape, steps)), _PLACE.sub("", message)))


def _escape(step: str) -> str:
    """RFC 6901: `~` and `/` inside a name."""
    return step.replace("~", "~0").replace("/", "~1")


def _refuse_nul(body: bytes) -> None:
    """PostgreSQL cannot store U+0000, and no field of ours means anything by it."""
    for path, text in _texts(_decode_anything(body), ()):
        if "\0" in text:
            raise Invalid(("/".join(map(_escape, path)), "must not contain U+0000"))


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in value.items():
                yield path, str(name)
                yield from _texts(inner, (*path, str(name)))
        case list():
            for index, inner in enumerate(value):
                yield from _texts(inner, (*path, str(index)))
        case _:
            pass
