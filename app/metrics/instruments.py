"""What is counted, under which names, and how does it add up over the server's processes?

With several, each keeps its figures in files of a folder that they share, and whoever is scraped adds them up. The library
decides which of the two it is when it is imported, so it is imported late, in the process that counts.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app import __version__
from app.database import Watch
from app.errors import Unavailable
from app.metrics.repository import SyncState

METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
WAIT_SECONDS = (0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 2.0)
SYNC_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)

Observe = Callable[[float], None]


class Metrics:
    """Of one process."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: of all the server's processes; None where there is one."""
        import prometheus_client as prometheus  # noqa: PLC0415 -- see above
        from prometheus_client import multiprocess  # noqa: PLC0415 -- the same

        self._folder = folder
        if folder is not None:
            multiprocess.mark_process_dead(os.getpid(), str(folder))  # who had this number before
        self.registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Histogram(
            "watcher_http_request_duration_seconds",
            "From a request's head to the end of its answer",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=registry,
        )
        self._problems = prometheus.Counter(
            "watcher_problems", "Refused and failed requests, by the problem's code", ("code",), registry=registry
        )
        self._problems.labels(
            Unavailable.code
        )  # opens the counters' file, for which there may be no descriptor left by then
        self._batch_size = prometheus.Histogram(
            "watcher_batch_size",
            "Requests that shared a statement",
            ("statement",),
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self._batch_seconds = prometheus.Histogram(
            "watcher_batch_duration_seconds",
            "How long the shared statement took",
            ("statement",),
            buckets=SECONDS,
            registry=registry,
        )
        self._sync_seconds = prometheus.Histogram(
            "watcher_sync_duration_seconds",
            "How long reading an OpenRouter key took, by how it ended",
            ("status",),
            buckets=SYNC_SECONDS,
            registry=registry,
        )
        self.pool = PoolMetrics(prometheus, registry)
        self._observers: dict[tuple[str, str, int], Observe] = {}

    def answered(self, method: str, route: str | None, status: int, seconds: float, problem: str | None) -> None:
        """A request."""
        key = (method, route or "", status)
        observe = self._observers.get(key)
        if observe is None:
            # whatever a stranger makes up gets no series of its own
            labels = (method if method in METHODS else "other", route or "", str(status or ""))
            observe = self._requests.labels(*labels).observe
            if method in METHODS:
                self._observers[key] = observe
        observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()

    def batch(self, statement: str) -> Callable[[int, float], None]:
        """For the requests that share a statement."""
        size, duration = self._batch_size.labels(statement).observe, self._batch_seconds.labels(statement).observe

        def observe(requests: int, seconds: float) -> None:
            size(requests)
            duration(seconds)

        return observe

    def synced(self, status: str, seconds: float) -> None:
        """An OpenRouter key has been read, or could not be."""
        self._sync_seconds.labels(status).observe(seconds)

    def exposition(self, states: Sequence[SyncState] | None) -> bytes:
        """In Prometheus's text format. `states` None: the database did not tell."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess  # noqa: PLC0415 -- see above

        known = CollectorRegistry()
        known.register(_Known(states))
        if self._folder is None:
            return generate_latest(self.registry) + generate_latest(known)
        self._forget_the_dead()
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together, str(self._folder))
        return generate_latest(together) + generate_latest(known)

    def _forget_the_dead(self) -> None:
        """What they were doing is over; what they did still counts."""
        from prometheus_client import multiprocess  # noqa: PLC0415 -- see above

        assert self._folder is not None  # noqa: S101 -- see above
        for pid in {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("gauge_live*.db")}:
            if not _is_alive(pid):
                multiprocess.mark_process_dead(pid, str(self._folder))


class PoolMetrics(Watch):
    """What the pool of connections goes through."""

    def __init__(self, prometheus: Any, registry: Any) -> None:
        self._used = prometheus.Gauge(
            "watcher_pool_connections_used",
            "Connections to the database in use",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._most = prometheus.Gauge(
            "watcher_pool_connections_max",
            "Connections that the pools may have",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waits = prometheus.Histogram(
            "watcher_pool_wait_seconds", "Until a connection was there", buckets=WAIT_SECONDS, registry=registry
        )
        self._failures = prometheus.Counter(
            "watcher_database_failures", "What the database did not do, by reason", ("reason",), registry=registry
        )

    def on_open(self, size: int) -> None:
        """A pool of so many connections at most."""
        self._most.set(size)

    def on_acquire(self, seconds: float) -> None:
        """After a wait."""
        self._waits.observe(seconds)
        self._used.inc()

    def on_release(self) -> None:
        """Back in the pool."""
        self._used.dec()

    def on_failure(self, reason: str) -> None:
        """Which ended in Unavailable."""
        self._failures.labels(reason).inc()


class _Known:
    """What is the same whichever process is asked."""

    def __init__(self, states: Sequence[SyncState] | None) -> None:
        self._states = states

    def collect(self) -> Iterator[Any]:
        """Called by the library."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 -- see above

        build = GaugeMetricFamily(
            "watcher_build_info", "Always 1; its labels say what runs", labels=("version", "python")
        )
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        yield GaugeMetricFamily(
            "watcher_database_up", "Whether the database answered this scrape", value=float(self._states is not None)
        )
        if self._states is None:
            return
        keys = GaugeMetricFamily(
            "watcher_keys", "OpenRouter keys that are read, by how it ended last", labels=("status",)
        )
        for state in self._states:
            keys.add_metric((state.sync_status,), state.total)
        yield keys
        lag = max((state.lag_seconds for state in self._states), default=0.0)
        yield GaugeMetricFamily(
            "watcher_sync_lag_seconds", "How long the most overdue key has been waiting to be read", value=lag
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:  # also somebody else's, who has its number now
        return False
    return True
