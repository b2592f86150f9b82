"""What does a selection come to? As programs are told it, and without summing again what has not changed."""

from __future__ import annotations

from datetime import date

import msgspec

from app.batching import Batcher
from app.encoding import encode
from app.keys import repository as keys
from app.public.sums import Asked
from app.stats.answers import tag_of, tagged
from app.stats.overview import stats_of
from app.stats.selection import Selection
from app.stats.structs import Selected, Totals
from app.tokens.structs import Bearer

ANSWERS_MAX = 10_000  # of about 1 KB


class Answer(msgspec.Struct, frozen=True):
    """An encoded body, and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


class _Known(msgspec.Struct, frozen=True, gc=False):
    usage_version: int
    today: date
    answer: Answer


class Figures:
    """Adds up what is new, and remembers the answers of this process.

    The verdict on a request tells in which state its caller's figures are at that moment. An answer about the same state is the
    same answer, as it is for a client that sends its entity tag.
    """

    def __init__(self, totals: Batcher[Asked, Totals], answers_max: int = ANSWERS_MAX) -> None:
        """Nothing is known yet. With `answers_max` 0 nothing ever is."""
        self._totals = totals
        self._answers_max = answers_max
        self._known: dict[Asked, _Known] = {}

    async def find_stats(self, caller: Bearer, selection: Selection) -> Answer:
        """The sums, as JSON. Raises NotFound or NotYours for the selection's key, Unavailable."""
        asked = caller.user_id, selection
        known = self._known.get(asked)
        if known is not None and known.usage_version == caller.usage_version and known.today == caller.today:
            return known.answer
        totals, _ = await self._totals.ask(asked)
        keys.require(selection.key_id, is_own=totals.is_own_key)
        answer = Answer(encode(stats_of(totals)), tagged(tag_of_stats(caller.user_id, totals, selection)))
        self._remember(asked, _Known(totals.usage_version, totals.today, answer))
        return answer

    def _remember(self, asked: Asked, known: _Known) -> None:
        """Of too many, those that were added up longest ago go."""
        self._known.pop(asked, None)
        self._known[asked] = known
        if len(self._known) > self._answers_max:
            del self._known[next(iter(self._known))]


def tag_of_stats(user_id: int, state: Selected, selection: Selection) -> str:
    """Their entity tag."""
    return tag_of(user_id, state, "stats", selection)
