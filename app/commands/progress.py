"""How does a person see that long work goes on? A bar on a terminal; nothing where a program reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from app.commands.answers import in_json


@contextmanager
def progress(what: str, total: int | None = None, *, in_bytes: bool = False) -> Generator[Callable[[int], None]]:
    """A function to be told how much more is done; `total` None where nobody knows it."""
    if in_json() or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich  # noqa: PLC0415 -- takes longer than most commands, and only terminals need it
    from rich.console import Console  # noqa: PLC0415

    done: Any = rich.DownloadColumn() if in_bytes else rich.MofNCompleteColumn()
    columns = (rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), done, rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)


def size_of(file: BinaryIO) -> int | None:
    """In bytes; None where nobody knows it: a pipe."""
    with suppress(OSError):
        return os.fstat(file.fileno()).st_size or None
    return None
