"""What does a finding mean, and what is to be done about it? In words, the most urgent first. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.hygiene.structs import Code, Concerned, Finding, FoundRow, Subject, Urgency

IDLE_DAYS = 90
EXPIRING_DAYS = 14
FULL_PERCENT = 80


class Advice(msgspec.Struct, frozen=True):
    """The words for a kind of finding."""

    urgency: Urgency
    title: str
    advice: str


ADVICE: dict[tuple[Subject, Code], Advice] = {
    ("key", "refused"): Advice(
        "high",
        "Refused by OpenRouter",
        "Replace the key with one that works, or delete it here. Until then its figures stay as they are.",
    ),
    ("token", "expiring"): Advice(
        "high",
        f"Expires within {EXPIRING_DAYS} days",
        "Make a new token and put it where this one is used, before that day.",
    ),
    ("key", "over_limit"): Advice(
        "high",
        f"Over {FULL_PERCENT} % of its limit",
        "Look at what it spends; then raise its limit on OpenRouter's keys page, or let it run out.",
    ),
    ("key", "idle"): Advice(
        "medium",
        f"Idle for {IDLE_DAYS} days",
        "If nothing needs the key any more, delete it on OpenRouter. Its history stays here.",
    ),
    ("token", "idle"): Advice(
        "medium", f"Idle for {IDLE_DAYS} days", "If nothing needs the token any more, revoke it."
    ),
    ("token", "never_used"): Advice("medium", "Never used", "Put the token where your program reads it, or revoke it."),
    ("key", "no_limit"): Advice(
        "medium",
        "Without a limit",
        "Set a limit on OpenRouter's keys page: then a key that leaks costs no more than that.",
    ),
    ("key", "no_expiry"): Advice(
        "low",
        "Never expires",
        "Make a key that expires on OpenRouter and replace this one by it: a forgotten key then ends by itself.",
    ),
    ("token", "no_expiry"): Advice(
        "low", "Never expires", "Make a token that expires, put it in this one's place, and revoke this one."
    ),
}
_ORDER = {kind: place for place, kind in enumerate(ADVICE)}


def advise(about: Subject, rows: Sequence[FoundRow]) -> list[Finding]:
    """One finding for each kind of them, with what it applies to in the order of `rows`."""
    by_code: dict[Code, list[FoundRow]] = {}
    for row in rows:
        by_code.setdefault(row.code, []).append(row)
    return [_finding(about, code, found) for code, found in by_code.items()]


def _finding(about: Subject, code: Code, found: Sequence[FoundRow]) -> Finding:
    words = ADVICE[about, code]
    items = [Concerned(row.id, row.name, _detail(row)) for row in found]
    return Finding(about, code, words.urgency, words.title, words.advice, found[0].total, items)


def most_urgent_first(findings: Sequence[Finding]) -> list[Finding]:
    """In the order of the advice above."""
    return sorted(findings, key=lambda finding: _ORDER[finding.about, finding.code])


def _detail(row: FoundRow) -> str:
    match row.code:
        case "over_limit" if row.share is not None:
            return f"{row.share:.0%} used"
        case "refused" if row.day is not None:
            return f"last read on {row.day}"
        case "idle":
            return f"last used on {row.day}" if row.day is not None else "never used"
        case "expiring" if row.day is not None:
            return f"on {row.day}"
        case _:
            return ""
