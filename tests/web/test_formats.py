"""Are figures and moments written as a person would?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web import formats

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "written", "exact"),
    [
        ("0", "$0.00", "$0"),
        ("0.5", "$0.5000", "$0.50"),
        ("0.01234567", "$0.0123", "$0.01234567"),
        ("0.00123", "$0.0012", "$0.00123"),
        ("0.000042", "$0.000042", "$0.000042"),
        ("0.00000001", "<$0.000001", "$0.00000001"),
        ("1.005", "$1.00", "$1.005"),
        ("1234567.899", "$1,234,567.90", "$1,234,567.899"),
        ("-3.2", "−$3.20", "−$3.20"),
        ("999999999.999999", "$1,000,000,000.00", "$999,999,999.999999"),
        ("1E+3", "$1,000.00", "$1,000"),
    ],
)
def test_money_has_sensible_digits_and_all_of_them_on_demand(amount: str, written: str, exact: str) -> None:
    assert formats.money(Decimal(amount)) == written
    assert formats.exact_money(Decimal(amount)) == exact


@given(st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, places=12))
def test_written_money_is_within_its_last_digit(amount: Decimal) -> None:
    written = formats.money(amount).replace("$", "").replace(",", "").replace("−", "-")
    if "<" in written:
        assert 0 < abs(amount) < Decimal("0.000001")
        return
    shown = Decimal(written)
    unit = Decimal(1).scaleb(int(shown.as_tuple().exponent))
    assert abs(shown - amount) <= unit / 2


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (999, "999"), (1000, "1K"), (1234, "1.23K"), (999_499, "999K"), (999_500, "1.00M"), (17_386_716, "17.4M"),
     (3_000_000_000, "3B"), (-1500, "−1.5K")],
)  # fmt: skip
def test_large_numbers_are_compact(number: int, written: str) -> None:
    assert formats.compact(number) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "just now"), (59, "just now"), (60, "1 minute ago"), (185, "3 minutes ago"), (3600, "1 hour ago"),
        (86399, "23 hours ago"), (86400, "1 day ago"), (30 * 86400, "30 days ago"), (32 * 86400, "on 23 Oct 2026"),
        (-5, "in a moment"), (-90, "in 1 minute"), (-3 * 86400, "in 3 days"), (-400 * 86400, "on 29 Dec 2027"),
    ],
)  # fmt: skip
def test_moments_are_told_by_how_long_ago_they_were(seconds: int, written: str) -> None:
    assert formats.relative(NOW - timedelta(seconds=seconds), NOW) == written


def test_moments_and_days_are_exact_on_demand() -> None:
    assert formats.moment(NOW) == "24 Nov 2026, 12:00:00 UTC"
    assert formats.day(date(2026, 1, 2)) == "2 Jan 2026"
    assert formats.month("2026-11") == "November 2026"


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        ("1", "4", "25 %"),
        ("1", "1000", "<1 %"),
        ("0", "4", "0 %"),
        ("4", "4", "100 %"),
        ("1", "0", ""),
        (None, "4", ""),
    ],
)
def test_shares_are_percents(part: str | None, whole: str, written: str) -> None:
    assert formats.percent(None if part is None else Decimal(part), Decimal(whole)) == written


def test_change_is_against_what_was_before() -> None:
    assert formats.change(Decimal(15), Decimal(10)) == 50
    assert formats.change(Decimal(5), Decimal(10)) == -50
    assert formats.change(Decimal(5), Decimal(0)) is None
    assert formats.change(None, Decimal(5)) is None


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1 Version/18.0 Safari/605.1", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28", "python-httpx"),
        ("", "Unknown client"),
        ("<script>", "Unknown client"),
    ],
)
def test_clients_have_names_that_people_know(agent: str, name: str) -> None:
    assert formats.browser(agent) == name


def test_numbers_agree_with_their_nouns() -> None:
    assert formats.plural(1, "key") == "1 key"
    assert formats.plural(0, "key") == "0 keys"
    assert formats.plural(1200, "entry", "entries") == "1,200 entries"
