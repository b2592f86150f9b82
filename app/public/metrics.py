"""How are a user's figures written for Prometheus? As gauges, because figures are revised. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from app.keys.structs import KeyEntry
from app.stats.structs import KeyModelFigures

# the text format that every version reads; the framework adds the charset
CONTENT_TYPE = "text/plain; version=0.0.4"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_COSTS = {
    "cost": "US dollars spent from OpenRouter credits, by UTC day and month",
    "byok_cost": "US dollars spent at providers with own keys, by UTC day and month",
}
_KINDS_OF_TOKENS = ("input", "output", "reasoning", "cached")

Samples = Iterable[tuple[str, Decimal | float | None]]


def exposition(figures: Sequence[KeyModelFigures], keys: Sequence[KeyEntry]) -> bytes:
    """What is not known is left out. Written by hand: the official library takes four times as long, seconds for many models."""
    return "".join((*_of_cells(figures), *_of_keys(keys))).encode()


def _of_cells(figures: Sequence[KeyModelFigures]) -> Iterator[str]:
    cells = [
        (
            _labels(
                api_key_id="" if row.api_key_id is None else str(row.api_key_id),
                api_key_name=row.api_key_name,
                model=row.model,
                period=row.period,
            ),
            row,
        )
        for row in figures
    ]
    for name, text in _COSTS.items():
        yield from _family(f"{name}_dollars", text, ((labels, getattr(row, name)) for labels, row in cells))
    text = "Requests to OpenRouter, by UTC day and month"
    yield from _family("requests", text, ((labels, row.requests) for labels, row in cells))
    text = "Tokens, by UTC day and month; output includes reasoning, input includes cached"
    tokens = (
        (f"{labels},{_labels(kind=kind)}", getattr(row, f"tokens_{kind}"))
        for labels, row in cells
        for kind in _KINDS_OF_TOKENS
    )
    yield from _family("tokens", text, tokens)


def _of_keys(keys: Sequence[KeyEntry]) -> Iterator[str]:
    named = [(_labels(api_key_id=str(key.id), api_key_name=key.name), key) for key in keys]
    text = "A key's limit in US dollars; none: without limit"
    yield from _family("key_limit_dollars", text, ((labels, key.limit) for labels, key in named))
    text = "What is left of it"
    yield from _family("key_limit_remaining_dollars", text, ((labels, key.limit_remaining) for labels, key in named))
    text = "What is left of the account's credits in US dollars, by management key"
    left = ((labels, key.account and key.account.left) for labels, key in named)
    yield from _family("credits_left_dollars", text, left)
    text = "When the key's figures are from"
    moments = ((labels, key.last_synced_at and key.last_synced_at.timestamp()) for labels, key in named)
    yield from _family("key_last_success_timestamp_seconds", text, moments)


def _family(name: str, documentation: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP openrouter_{name} {documentation}\n# TYPE openrouter_{name} gauge\n"
    for labels, value in samples:
        if value is not None:
            yield f"openrouter_{name}{{{labels}}} {value}\n"


def _labels(**labels: str) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
