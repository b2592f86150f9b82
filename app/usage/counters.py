"""How much was spent on which day, as far as OpenRouter's own counters of a key tell? Pure arithmetic, exact.

A key's lifetime counter and the counter of the running UTC day are read again and again. Whatever the readings are, the sum of
what is booked equals the lifetime counter's growth since the baseline, which is the first reading's lifetime counter less its
day's counter.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

import msgspec

from app.keys.structs import Counter
from app.usage.money import EXACT

SPLIT_DIGITS = Decimal("1e-9")  # as fine as OpenRouter's own amounts
ZERO = Decimal(0)
ONE_DAY = timedelta(days=1)


class Reading(msgspec.Struct, frozen=True):
    """Both counters of a key on a UTC day: what was paid with credits, and at providers with own keys (BYOK)."""

    day: date
    cost: Counter
    byok: Counter


class Growth(msgspec.Struct, frozen=True):
    """What is to be added to a day. Estimated: the sum over several days is known, how it fell on them is not."""

    day: date
    cost: Decimal
    byok: Decimal
    is_estimated: bool = False


def growth_between(previous: Reading | None, reading: Reading) -> tuple[date, list[Growth]]:
    """The day the reading speaks of, and what it adds to which days; `previous` None for the first one.

    The day is the one before the reading's where the day's counter had not rolled over yet.
    """
    if previous is None:
        cost, byok = (min(counter.today, counter.total) for counter in (reading.cost, reading.byok))
        return reading.day, [Growth(reading.day, cost, byok)]
    day = reading.day
    if day < previous.day or (day == previous.day + ONE_DAY and _is_not_rolled(previous, reading)):
        day = previous.day
    cost = _split(previous.day, day, previous.cost, reading.cost)
    byok = _split(previous.day, day, previous.byok, reading.byok)
    unread = (day - previous.day).days > 1
    return day, [
        Growth(booked, cost.get(booked, ZERO), byok.get(booked, ZERO), is_estimated=unread and booked != day)
        for booked in sorted(cost.keys() | byok.keys())
    ]


def _is_not_rolled(previous: Reading, reading: Reading) -> bool:
    """Counters lag: just after midnight the day's counter may still go on from where yesterday's was."""
    pairs = ((previous.cost, reading.cost), (previous.byok, reading.byok))
    return any(old.today > 0 for old, _ in pairs) and all(_goes_on(old, new) for old, new in pairs)


def _goes_on(old: Counter, new: Counter) -> bool:
    """Whether the day's counter has grown as the lifetime counter has; a day's counter that fell has begun anew."""
    return new.today >= old.today and EXACT.subtract(new.today, old.today) == EXACT.subtract(new.total, old.total)


def _split(last_day: date, day: date, old: Counter, new: Counter) -> dict[date, Decimal]:
    """The growth of one counter by day, from `last_day`, that of the reading before, to `day`."""
    growth = EXACT.subtract(new.total, old.total)
    if day == last_day:
        known = EXACT.subtract(new.today, old.today)
        if growth <= 0 or known < 0 or known >= growth:
            return {day: growth}
        # the lifetime counter learnt late of something that the day's counter knows not to be today's
        return {day - ONE_DAY: EXACT.subtract(growth, known), day: known}
    if growth < 0:
        return {day: growth}  # a correction; nobody says of which day, so of the day it was seen
    today = min(new.today, growth)
    rest = EXACT.subtract(growth, today)
    days = (day - last_day).days
    share = EXACT.divide(rest, Decimal(days)).quantize(SPLIT_DIGITS, ROUND_DOWN, EXACT)
    split = {last_day + ONE_DAY * n: share for n in range(1, days)}
    split[last_day] = EXACT.subtract(rest, EXACT.multiply(share, Decimal(days - 1)))
    split[day] = today
    return split
