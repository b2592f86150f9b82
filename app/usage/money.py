"""Which amounts are amounts, and how are they added? No I/O. US dollars, in decimal digits."""

from __future__ import annotations

from decimal import Context, Decimal

# Python's own additions keep 28 digits; an amount may have 9 before the point and 119 behind it.
EXACT = Context(prec=200)

DIGITS_BEFORE_MAX = 9  # so that no amount reaches a billion
DIGITS_BEHIND_MAX = 30  # more is no price but noise


def is_money(amount: Decimal) -> bool:
    """Finite, of an absolute value below 1e9, and with a sane number of digits. Without arithmetic: 1e999999999 comes in too."""
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not -DIGITS_BEHIND_MAX <= exponent < DIGITS_BEFORE_MAX:
        return False
    return amount.adjusted() < DIGITS_BEFORE_MAX
