"""How are a user's figures written for Prometheus? As gauges, because figures are revised. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from app.keys.structs import KeyEntry
from app.stats.structs import KeyModelFigures

CONTENT_TYPE = "text/plain; version=0.0.4"  # which the framework follows up with the charset

_CELL = ("api_key_id", "api_key_name", "model", "period")
_KEY = ("api_key_id", "api_key_name")
_TOKENS = ("input", "output", "reasoning", "cached")


class _Figures:
    """What Prometheus's library calls a collector."""

    def __init__(self, figures: Sequence[KeyModelFigures], keys: Sequence[KeyEntry]) -> None:
        self._figures, self._keys = figures, keys

    def collect(self) -> Iterable[Metric]:
        """What is not known is left out."""
        yield self._by_cell("cost_dollars", "US dollars spent from OpenRouter credits", "cost")
        yield self._by_cell("byok_cost_dollars", "US dollars spent at providers with own keys", "byok_cost")
        yield self._by_cell("requests", "Requests to OpenRouter", "requests")
        yield self._tokens()
        yield self._by_key("key_limit_dollars", "A key's limit in US dollars; none: without limit", "limit")
        yield self._by_key("key_limit_remaining_dollars", "What is left of it", "limit_remaining")
        yield self._credits()
        yield self._last_success()

    def _by_cell(self, name: str, documentation: str, field: str) -> Metric:
        gauge = GaugeMetricFamily(f"openrouter_{name}", f"{documentation}, by UTC day and month", labels=_CELL)
        for row in self._figures:
            if (value := getattr(row, field)) is not None:
                gauge.add_metric(_labels(row), float(value))
        return gauge

    def _tokens(self) -> Metric:
        text = "Tokens, by UTC day and month; output includes reasoning, input includes cached"
        gauge = GaugeMetricFamily("openrouter_tokens", text, labels=(*_CELL, "kind"))
        for row in self._figures:
            for kind in _TOKENS:
                if (value := getattr(row, f"tokens_{kind}")) is not None:
                    gauge.add_metric((*_labels(row), kind), value)
        return gauge

    def _by_key(self, name: str, documentation: str, field: str) -> Metric:
        gauge = GaugeMetricFamily(f"openrouter_{name}", documentation, labels=_KEY)
        for key in self._keys:
            if (value := getattr(key, field)) is not None:
                gauge.add_metric((str(key.id), key.name), float(value))
        return gauge

    def _credits(self) -> Metric:
        text = "What is left of the account's credits in US dollars, by management key"
        gauge = GaugeMetricFamily("openrouter_credits_left_dollars", text, labels=_KEY)
        for key in self._keys:
            if key.account is not None:
                gauge.add_metric((str(key.id), key.name), float(key.account.left))
        return gauge

    def _last_success(self) -> Metric:
        text = "When the key's figures are from"
        gauge = GaugeMetricFamily("openrouter_key_last_success_timestamp_seconds", text, labels=_KEY)
        for key in self._keys:
            if key.last_synced_at is not None:
                gauge.add_metric((str(key.id), key.name), key.last_synced_at.timestamp())
        return gauge


def exposition(figures: Sequence[KeyModelFigures], keys: Sequence[KeyEntry]) -> bytes:
    """Prometheus's text format, the one that every version reads: CONTENT_TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures, keys))  # pyright: ignore[reportArgumentType] -- anything with `collect`
    return generate_latest(registry)


def _labels(row: KeyModelFigures) -> tuple[str, str, str, str]:
    return "" if row.api_key_id is None else str(row.api_key_id), row.api_key_name, row.model, row.period
