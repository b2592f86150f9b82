"""Is JSON read strictly (400 for what is no JSON, 422 for the wrong shape) and is money written with its exact digits?"""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from app.encoding import decode, encode
from app.errors import AppError, Invalid, Malformed


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Within a body."""

    name: str


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of each kind."""

    text: str
    number: int | None = None
    tags: list[str] = []
    items: list[Inner] = []
    counts: dict[str, int] = {}


def refusal(body: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        decode(body, Body)
    return caught.value


def pointer(body: bytes) -> str:
    error = refusal(body)
    assert isinstance(error, Invalid), error
    (field,) = error.errors
    assert field.detail
    return field.pointer


def test_good_body_is_read() -> None:
    assert decode(b' {"text": "\\ud83d\\ude00 \xc3\xa9", "number": 7} \n', Body) == Body("😀 é", 7)


MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "cut off": b'{"text": "x"',
    "trailing bytes": b'{"text": "x"} x',
    "two documents": b'{"text": "x"}{"text": "x"}',
    "trailing NUL": b'{"text": "x"}\0',
    "trailing comma": b'{"text": "x",}',
    "single quotes": b"{'text': 'x'}",
    "comment": b'{"text": "x"} // x',
    "no JSON": b"text=x",
    "BOM": b'\xef\xbb\xbf{"text": "x"}',
    "UTF-16": '{"text": "x"}'.encode("utf-16"),
    "latin-1": b'{"text": "\xe9"}',
    "latin-1 in an unknown field": b'{"text": "x", "other": "\xe9"}',
    "latin-1 in a name": b'{"text": "x", "\xe9": 1}',
    "overlong UTF-8": b'{"text": "\xc0\x80"}',
    "surrogate in UTF-8": b'{"text": "\xed\xa0\x80"}',
    "UTF-8 beyond Unicode": b'{"text": "\xf4\x90\x80\x80"}',
    "lone high surrogate": b'{"text": "\\ud800"}',
    "lone low surrogate": b'{"text": "\\udc00"}',
    "surrogates in the wrong order": b'{"text": "\\udc00\\ud800"}',
    "lone surrogate in an unknown field": b'{"text": "x", "other": "\\ud800"}',
    "lone surrogate in a name": b'{"text": "x", "\\ud800": 1}',
    "bad escape": b'{"text": "\\x41"}',
    "raw NUL in a string": b'{"text": "a\0b"}',
    "raw line feed in a string": b'{"text": "a\nb"}',
    "NaN": b'{"text": "x", "number": NaN}',
    "Infinity": b'{"text": "x", "number": -Infinity}',
    "NaN in an unknown field": b'{"text": "x", "other": NaN}',
    "leading zero": b'{"text": "x", "number": 01}',
    "plus sign": b'{"text": "x", "number": +1}',
    "hexadecimal": b'{"text": "x", "number": 0x1}',
    "underscore": b'{"text": "x", "number": 1_0}',
    "bare point": b'{"text": "x", "number": 1.}',
    "five thousand digits": b'{"text": "x", "number": ' + b"9" * 5000 + b"}",
    "malformed after a wrong type": b'{"text": 1, "number": ',
    "malformed after an unknown field": b'{"other": 1, "text": "\xff"}',
    "malformed after a missing field": b'{"number": 1} ]',
    "malformed after an escaped NUL": b'{"text": "\\u0000", "number": tru}',
    "unclosed brackets": b"[" * 100_000,
    "unclosed brackets in an unknown field": b'{"text": "x", "other": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    error = refusal(body)
    assert isinstance(error, Malformed), error
    assert error.status == 400
    assert error.problem().errors is None


WRONG_SHAPE = {
    "array": (b"[]", "#"),
    "null": (b"null", "#"),
    "string": (b'"text"', "#"),
    "missing field": (b"{}", "#/text"),
    "unknown field": (b'{"text": "x", "other": 1}', "#/other"),
    "the wrong case": (b'{"text": "x", "Number": 1}', "#/Number"),
    "unknown field with a slash and a tilde": (b'{"text": "x", "a/b~c": 1}', "#/a~1b~0c"),
    "null where text belongs": (b'{"text": null}', "#/text"),
    "number where text belongs": (b'{"text": 1}', "#/text"),
    "text where a number belongs": (b'{"text": "x", "number": "1"}', "#/number"),
    "boolean where a number belongs": (b'{"text": "x", "number": true}', "#/number"),
    "fraction where a whole number belongs": (b'{"text": "x", "number": 1.5}', "#/number"),
    "exponent where a whole number belongs": (b'{"text": "x", "number": 1e3}', "#/number"),
    "wrong item": (b'{"text": "x", "tags": ["a", "b", 3]}', "#/tags/2"),
    "wrong item's field": (b'{"text": "x", "items": [{"name": "a"}, {"name": 1}]}', "#/items/1/name"),
    "item's missing field": (b'{"text": "x", "items": [{}]}', "#/items/0/name"),
    "item's unknown field": (b'{"text": "x", "items": [{"name": "a", "b": 1}]}', "#/items/0/b"),
    "wrong value of a map": (b'{"text": "x", "counts": {"a.b": "c"}}', "#/counts"),
    "escaped NUL": (b'{"text": "a\\u0000b"}', "#/text"),
    "escaped NUL in an item": (b'{"text": "x", "tags": ["a", "\\u0000"]}', "#/tags/1"),
    "escaped NUL deeper": (b'{"text": "x", "items": [{"name": "a"}, {"name": "\\u0000"}]}', "#/items/1/name"),
    "escaped NUL in a map's name": (b'{"text": "x", "counts": {"\\u0000": 1}}', "#/counts"),
}


@pytest.mark.parametrize(("body", "expected"), WRONG_SHAPE.values(), ids=WRONG_SHAPE.keys())
def test_wrong_shape_is_invalid_and_says_where(body: bytes, expected: str) -> None:
    assert pointer(body) == expected
    assert refusal(body).status == 422


def test_backslash_before_u0000_is_no_nul() -> None:
    assert decode(b'{"text": "\\\\u0000"}', Body).text == "\\u0000"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("field", ["text", "tags", "items", "counts", "other"])
@pytest.mark.parametrize(
    ("depth", "expected"),
    [(100, Invalid), (1000, (Invalid, Malformed)), (100_000, Malformed)],
    ids=[100, 1000, 100_000],
)
def test_deep_nesting_is_refused_wherever_it_is(
    depth: int, expected: type[AppError], field: str, opening: str, closing: str
) -> None:
    body = f'{{"text": "x", "{field}": {opening * depth}1{closing * depth}}}'.encode()
    assert isinstance(refusal(body), expected)


@pytest.mark.parametrize(
    "digits",
    [
        "0", "0.1", "0.10", "0.000001234500", "1E-7", "123456789.123456789123456789123456789", "999999999.999999999999",
        "-0.000000000000000000000000000001", "1E+3", "0E-20", "12345678901234567890.12345678901234567890",
    ],
)  # fmt: skip
def test_money_keeps_its_digits(digits: str) -> None:
    written = encode({"cost": Decimal(digits)})
    read = json.loads(written, parse_float=Decimal, parse_int=Decimal)["cost"]
    # as_tuple: the same digits, not merely the same value
    assert read.as_tuple() == Decimal(digits).as_tuple()
    assert b'"' not in written.removeprefix(b'{"cost":')


def test_sum_of_money_is_written_exactly() -> None:
    assert encode(Decimal("0.1") + Decimal("0.2")) == b"0.3"
    assert encode([Decimal("1.10"), None]) == b"[1.10,null]"
