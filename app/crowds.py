"""How is somebody turned away because there are too many?"""

from __future__ import annotations

import asyncio
import random
from typing import NoReturn

from app.errors import Unavailable

HOLD_SECONDS = 1.0


async def turn_away(hold_seconds: float) -> NoReturn:
    """Raises Unavailable, after about so long.

    To refuse costs about what an answer costs: those who ask again at once would leave no time for the others. Nobody is held for
    exactly as long as the others of the crowd, or they would come back together.
    """
    await asyncio.sleep(hold_seconds * random.uniform(0.5, 1.5))  # noqa: S311 -- nothing to guess
    raise Unavailable
