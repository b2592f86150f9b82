"""How does the service log? Structured, through structlog, to standard error; never a body, a header or a secret."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import util
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor

Form = Literal["auto", "json", "console"]

# How much may wait for a reader that is slow. What comes beyond is dropped and counted: requests are not kept waiting.
WAITING_MAX_BYTES = 4 * 1024 * 1024
GATHERING_SECONDS = 0.02  # lines of so long go out in one piece
LAST_WORDS_SECONDS = 2.0

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def configure_logs(level: str, form: Form = "auto") -> None:
    """`level` as in LOG_LEVEL, `form` as in LOG_FORMAT; auto: lines for people on a terminal, JSON elsewhere."""
    is_for_people = sys.stderr.isatty() if form == "auto" else form == "console"
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True) if is_for_people else _stamp
    render = _lines_for_people(sys.stderr.isatty()) if is_for_people else _json
    outlet = Outlet(sys.stderr.fileno())
    structlog.configure(
        processors=[structlog.stdlib.add_logger_name, structlog.processors.add_log_level, stamp, render],
        logger_factory=structlog.BytesLoggerFactory(outlet),  # pyright: ignore[reportArgumentType] -- all that it uses of a file
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    # what others say, by the standard library
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.processors.add_log_level,
            stamp,
            _without_values,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_text(render)],
    )
    for chatty in ("httpx", "httpcore"):  # each request, with its address
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.basicConfig(level=level.upper(), handlers=[_Handler(outlet, formatter)], force=True)


class Outlet:
    """Writes from a thread of its own, so that nobody who logs waits for a slow reader. What waits has a bound."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: of an open file."""
        self._descriptor = descriptor
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # where there is no such thread, and what waits is the parent's

    def _begin(self) -> None:
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._is_needed, self._is_idle = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Returns at once."""
        with self._lock:
            if self._waiting_bytes + len(line) > WAITING_MAX_BYTES:
                self._dropped += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            if len(self._lines) > 1:
                return
            if self._thread is None:
                self._start()
            self._is_idle.clear()
            self._is_needed.set()

    def flush(self) -> None:
        """Nothing: it is on its way."""

    def close(self) -> None:
        """Waits a little until everything is written."""
        self._is_idle.wait(LAST_WORDS_SECONDS)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._keep_writing, name="log", daemon=True)
        self._thread.start()
        # like atexit, and in a server's worker processes too
        util.Finalize(None, self.close, exitpriority=0)

    def _keep_writing(self) -> None:
        while self._is_needed.wait():
            time.sleep(GATHERING_SECONDS)
            with self._lock:
                lines, dropped = self._lines, self._dropped
                self._lines, self._dropped = [], 0
                self._is_needed.clear()
            self._write_out(b"".join(lines))
            with self._lock:
                self._waiting_bytes -= sum(map(len, lines))
                if not self._lines:
                    self._is_idle.set()
            if dropped:
                structlog.get_logger(__name__).warning("log lines dropped", lines=dropped)

    def _write_out(self, text: bytes) -> None:
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:  # nobody reads any more
            pass


class _Handler(logging.Handler):
    """Takes what others say to the same outlet."""

    def __init__(self, outlet: Outlet, formatter: logging.Formatter) -> None:
        super().__init__()
        self._outlet = outlet
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        self._outlet.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))


def _stamp(_: Any, __: str, event: EventDict) -> EventDict:
    """As it is, for the encoder: writing it down by Python would take a quarter of the time of a line."""
    event["timestamp"] = datetime.now(UTC)
    return event


def _json(_: Any, __: str, event: EventDict) -> bytes:
    return _encode(event)


def _lines_for_people(is_terminal: bool) -> Processor:  # noqa: FBT001 -- what it is
    renderer = structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)

    def render(logger: Any, name: str, event: EventDict) -> bytes:
        return renderer(logger, name, event).encode(errors="backslashreplace")

    return render


def _as_text(render: Callable[[Any, str, EventDict], Any]) -> Processor:
    def text(logger: Any, name: str, event: EventDict) -> str:
        return render(logger, name, event).decode()

    return text


def _without_values(_: Any, __: str, event: EventDict) -> EventDict:
    """Of an exception, its kind and where it was raised: its own words may quote values."""
    found = event.pop("exc_info", None)
    if isinstance(found, tuple) and found[0] is not None:
        event.update(kind=found[0].__name__, trace="".join(traceback.format_tb(found[2])))
    return event
