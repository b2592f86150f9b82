"""Is a limit read as it was written, and anything else refused?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.limits import Limit, parse_limit


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("1/second", 1, 1),
        ("600/minute", 600, 60),
        ("100/hour", 100, 3600),
        ("5/day", 5, 86_400),
        ("10/15minutes", 10, 900),
        ("10/15 minutes", 10, 900),
        ("  600 / minute  ", 600, 60),
        ("2/1hour", 2, 3600),
        ("3/hours", 3, 3600),
        ("999999999/999999days", 999_999_999, 999_999 * 86_400),
    ],
)
def test_limit_is_read_as_written(text: str, count: int, seconds: int) -> None:
    limit = parse_limit(text)
    assert limit == Limit(count, seconds)
    assert limit.window == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["off", " off\n"])
def test_off_is_no_limit(text: str) -> None:
    assert parse_limit(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "600", "/minute", "600/", "0/minute", "-1/minute", "+1/minute", "1.5/minute", "1e3/minute", "1_000/minute",
        "600/0minutes", "600/fortnight", "600/minute/hour", "600 per minute", "Off", "OFF", "none", "600/Minute",
        "٦٠٠/minute", "1000000000/minute", "600/1000000days", "600/minute; off", "600/minut", "01/minute",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like 600/minute"):
        parse_limit(text)
