"""How are figures and moments written for people? No I/O."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

_EXACT = Context(prec=80)
_CENT, _DOLLAR = Decimal("0.01"), Decimal(1)
_SMALLEST = Decimal("0.000001")
_THOUSAND = 1000
_UNITS = ("", "K", "M", "B", "T")
_STEPS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))
_MONTH = timedelta(days=31)
# the more particular name first: every browser also calls itself by the names of those before it
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def money(amount: Decimal) -> str:
    """US dollars with as many digits as make sense: $1,234.50, $0.0123, $0.000042."""
    size = abs(amount)
    sign = "−" if amount < 0 else ""
    if size == 0:
        return "$0.00"
    if size < _SMALLEST:
        return f"{sign}<$0.000001"
    if size >= _DOLLAR:
        return f"{sign}${_rounded(size, _CENT):,f}"
    places = 4 if size >= _CENT else 1 - size.adjusted()  # of the very small, two digits
    return f"{sign}${_rounded(size, Decimal(1).scaleb(-places)):f}"


def exact_money(amount: Decimal) -> str:
    """Every digit."""
    text = f"{abs(amount):,f}"
    whole, point, decimals = text.partition(".")
    return f"{'−' if amount < 0 else ''}${whole}{point}{decimals.ljust(2, '0') if point else ''}"


def digits(amount: Decimal) -> str:
    """For programs: without an exponent."""
    return f"{amount:f}"


def _rounded(amount: Decimal, unit: Decimal) -> Decimal:
    return amount.quantize(unit, ROUND_HALF_EVEN, _EXACT)


def count(number: int) -> str:
    """Every digit, in groups of three."""
    return f"{number:,}"


def compact(number: int) -> str:
    """Three digits and a letter: 17.4M."""
    size, unit = Decimal(abs(number)), 0
    while size >= Decimal("999.5") and unit < len(_UNITS) - 1:
        size, unit = size / _THOUSAND, unit + 1
    digits = f"{size:.3g}" if unit else f"{size}"
    return f"{'−' if number < 0 else ''}{digits}{_UNITS[unit]}"


def percent(part: Decimal | None, whole: Decimal | None) -> str:
    """How much of the whole: 12 %, <1 %; nothing where one of them is not known or there is no whole."""
    if part is None or not whole:
        return ""
    share = _EXACT.divide(part * 100, whole)
    return "<1 %" if 0 < share < 1 else f"{share:.0f} %"


def change(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    """By how many percent it has become more; None where there was nothing, or one of them is not known."""
    return _EXACT.divide((now - before) * 100, before) if now is not None and before else None


def moment(when: datetime) -> str:
    """To the second."""
    return f"{when.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def day(when: date) -> str:
    """24 Nov 2026."""
    return f"{when:%-d %b %Y}"


def month(text: str) -> str:
    """November 2026, of 2026-11."""
    return f"{date.fromisoformat(f'{text}-01'):%B %Y}"


def relative(when: datetime, now: datetime) -> str:
    """3 minutes ago, in 5 days; the day itself beyond a month."""
    distance = abs(now - when)
    if distance > _MONTH:
        return f"on {day(when.astimezone(UTC))}"
    for length, name in _STEPS:
        if distance >= length:
            number = distance // length
            text = f"{number} {name}{'' if number == 1 else 's'}"
            return f"{text} ago" if when <= now else f"in {text}"
    return "just now" if when <= now else "in a moment"


def browser(agent: str) -> str:
    """What a person would call the client that says this of itself: Firefox on Linux."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((system for mark, system in _SYSTEMS if mark in agent), "")
    if name and system:
        return f"{name} on {system}"
    program = re.match(r"[\w.-]+", agent)
    return name or (program[0] if program else "Unknown client")


_EVENTS = {
    "registered": "Account made",
    "login": "Signed in",
    "login_failed": "Sign-in refused",
    "password_refused": "Wrong password given while signed in",
    "logout": "Signed out",
    "session_ended": "Session ended",
    "other_sessions_ended": "All other sessions ended",
    "refresh_token_reused": "Old refresh token came back, session ended",
    "password_changed": "Password changed",
    "account_disabled": "Account disabled",
    "account_enabled": "Account enabled",
    "token_created": "Token made",
    "token_revoked": "Token revoked",
    "key_added": "Key added",
    "key_replaced": "Key replaced",
    "key_removed": "Key removed",
    "usage_imported": "Usage imported",
    "usage_exported": "Usage downloaded",
}


def event(kind: str) -> str:
    """What has happened."""
    return _EVENTS[kind]


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 key, 2 keys."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
