"""What is the token path compared with? The same service with a part of it switched off. `python -m tests.bench.variants NAME`

unbatched: each request's statements go alone, as many at once as the pool has connections. forgetful: sums are read from the
database for every answer, as if all usage changed between any two requests.
"""

from __future__ import annotations

import sys
from typing import Any

from litestar.types import ASGIApp

from app import settings as settings_module
from app.batching import Lanes
from app.health import Readiness
from app.logs import configure_logs
from app.main import create_app
from app.server import serve
from app.settings import Settings
from app.worker import attended


def unbatched() -> ASGIApp:
    """As app.worker:application, but for the lanes."""
    settings = settings_module.load()
    return _application(settings, lanes=Lanes(settings.database_pool_size, batch_max=1))


def forgetful() -> ASGIApp:
    """The same, but for what is remembered."""
    return _application(settings_module.load(), answers_max=0)


def _application(settings: Settings, **changes: Any) -> ASGIApp:
    configure_logs(settings.log_level, settings.log_format)
    readiness = Readiness()
    return attended(create_app(settings, readiness=readiness, **changes), readiness)


if __name__ == "__main__":
    serve(settings_module.load(), f"tests.bench.variants:{sys.argv[1]}")
