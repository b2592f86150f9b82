"""What the token path is compared with: the same service with batching switched off. `python -m tests.bench.unbatched`

Each request's statements go alone, as many at once as the pool has connections.
"""

from __future__ import annotations

from litestar.types import ASGIApp

from app import settings as settings_module
from app.batching import Lanes
from app.health import Readiness
from app.logs import configure_logs
from app.main import create_app
from app.server import serve
from app.worker import attended


def application() -> ASGIApp:
    """As app.worker:application, but for the lanes."""
    settings = settings_module.load()
    configure_logs(settings.log_level, settings.log_format)
    readiness = Readiness()
    lanes = Lanes(settings.database_pool_size, batch_max=1)
    return attended(create_app(settings, lanes=lanes, readiness=readiness), readiness)


if __name__ == "__main__":
    serve(settings_module.load(), "tests.bench.unbatched:application")
