"""What time is it at the simulated OpenRouter?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time and an offset, or a time that stands still until it is moved."""

    def __init__(self, start: datetime | None = None) -> None:
        """`start`: the time now; None for the real one."""
        self._offset = timedelta(0) if start is None else start - datetime.now(UTC)
        self._frozen_at: datetime | None = None

    def now(self) -> datetime:
        """In UTC."""
        return self._frozen_at or datetime.now(UTC) + self._offset

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._frozen_at is not None

    def freeze(self) -> None:
        """From now on only `set` and `advance` move it."""
        self._frozen_at = self.now()

    def set(self, moment: datetime) -> None:
        """It is `moment` now."""
        if self._frozen_at is not None:
            self._frozen_at = moment.astimezone(UTC)
        self._offset = moment - datetime.now(UTC)

    def advance(self, time: timedelta) -> None:
        """So much later."""
        self.set(self.now() + time)
