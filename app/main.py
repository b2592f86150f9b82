"""Which parts make up the service? The only file that knows every feature."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from app import __version__
from app.accounts.controller import AuthController, PublicAuthController
from app.accounts.jwt import Signer
from app.accounts.passwords import Passwords
from app.accounts.structs import Policy
from app.batching import ONE_LANE, Batcher, Lanes
from app.connections import create_database, create_reader
from app.cursors import Cursors
from app.database import Database
from app.description import Description, Money
from app.errors import AppError, Unavailable
from app.events.controller import EventsController
from app.health import HealthController, Readiness
from app.hygiene.controller import HygieneController
from app.keys.controller import KeysController
from app.keys.encryption import require_right_keys
from app.metrics.controller import MetricsController
from app.metrics.instruments import Metrics
from app.public.figures import ANSWERS_MAX, Figures
from app.public.shortcut import Selections, Shortcut
from app.public.sums import sum_usages
from app.public.v1 import PublicController
from app.receiving import TimelyRequest
from app.requests import Clients, StrictJSON, check_request, query_parameters
from app.responses import Edge, JSONResponse, problem_response, unexpected_problem
from app.scheduler import keep_house, keep_watch
from app.settings import Settings
from app.stats.controller import StatsController
from app.tokens import repository as tokens
from app.tokens.authorization import Authorization
from app.tokens.controller import TokensController
from app.traffic import Traffic
from app.usage.controller import ImportsController
from app.watching import create_sync
from app.web.asset_route import get_asset
from app.web.assets import Assets
from app.web.errors import show_or_tell
from app.web.pages import Pages
from app.web.router import pages_router
from app.web.sessions import Browsers

CONCURRENT_IMPORTS_MAX = 2  # in each process; each may take some 150 MB
BODY_MAX_BYTES = 64 * 1024  # the largest body but an import's is a name and a password


def create_app(
    settings: Settings,
    *,
    with_scheduler: bool = False,
    lanes: Lanes = ONE_LANE,
    answers_max: int = ANSWERS_MAX,
    db: Database | None = None,
    readiness: Readiness | None = None,
) -> ASGIApp:
    """The service as an ASGI application; with the scheduler it also does what nobody asks for, beside the requests.

    `lanes` and `answers_max`: how statements are shared, and how many stats are remembered. `db`: another pool than the one that
    the settings speak of. `readiness`: through which it learns that it is to end.
    """
    app = create_litestar(
        settings, with_scheduler=with_scheduler, lanes=lanes, answers_max=answers_max, db=db, readiness=readiness
    )
    state = app.state
    shortcut = Shortcut(app, state.selections, state.authorization, state.figures, state.entries)
    return Edge(shortcut, state.traffic)


def create_litestar(
    settings: Settings,
    *,
    with_scheduler: bool = False,
    lanes: Lanes = ONE_LANE,
    answers_max: int = ANSWERS_MAX,
    db: Database | None = None,
    readiness: Readiness | None = None,
) -> Litestar:
    """The application inside the edge, with its routes; tests walk them."""
    metrics = Metrics(settings.metrics_folder)
    db = db or create_database(settings)
    db.watch = metrics.pool
    sync = create_sync(settings, db, metrics.synced)

    authorization = Authorization(db, settings.public_rate_limit, lanes, metrics.batch("authorize"))
    reader = create_reader(settings, db)
    totals = Batcher(partial(sum_usages, reader), lanes, metrics.batch("sum_usage"))
    entries = Batcher(partial(tokens.find_tokens, db), lanes, metrics.batch("find_token"))
    passwords = Passwords(min_length=settings.password_min_length)
    signer = Signer(settings.jwt_secrets)
    assets = Assets()
    pages = Pages(settings.public_url, Browsers(settings.public_url, settings.jwt_secrets), assets)
    policy = Policy(
        registration=settings.registration,
        password_min_length=settings.password_min_length,
        login_limit=settings.login_limit,
        login_client_limit=settings.login_client_limit,
        registration_limit=settings.registration_limit,
    )
    clients = Clients(settings.trusted_proxies)
    # what handlers may ask for by name
    parts = {
        "db": db,
        "readiness": readiness or Readiness(),
        "passwords": passwords,
        "signer": signer,
        "clients": clients,
        "sync": sync,
        "cursors": Cursors(settings.jwt_secrets),
        "max_api_keys_per_user": settings.max_api_keys_per_user,
        "import_places": asyncio.Semaphore(CONCURRENT_IMPORTS_MAX),
        "max_api_tokens_per_user": settings.max_api_tokens_per_user,
        "policy": policy,
        "assets": assets,
        "pages": pages,
    }

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        await db.open()
        await reader.open()
        with suppress(Unavailable):  # it starts, and says so, while its database is away
            await require_right_keys(db, sync.vault)
        work = (
            [asyncio.create_task(keep_house(db, settings.event_retention)), asyncio.create_task(keep_watch(sync))]
            if with_scheduler
            else []
        )
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for shared in (authorization, totals, entries):
                await shared.close()
            passwords.close()
            await sync.openrouter.close()
            await reader.close()
            await db.close()

    app = Litestar(
        route_handlers=[
            HealthController,
            MetricsController,
            PublicAuthController,
            AuthController,
            TokensController,
            KeysController,
            ImportsController,
            StatsController,
            HygieneController,
            EventsController,
            PublicController,
            get_asset,
            pages_router(),
        ],
        lifespan=[lifespan],
        dependencies={name: _given(part) for name, part in parts.items()},
        state=State(
            {
                "db": db,
                "reader": reader,
                "signer": signer,
                "public_url": settings.public_url,
                "policy": policy,
                "pages": pages,
                "authorization": authorization,
                "figures": Figures(totals, answers_max),
                "selections": Selections(),
                "entries": entries,
                "traffic": Traffic(clients, metrics),
                "metrics": metrics,
                "metrics_token": settings.metrics_token,
            }
        ),
        dto=StrictJSON,
        return_dto=None,
        request_class=TimelyRequest,
        response_class=JSONResponse,
        before_request=check_request,
        exception_handlers={
            AppError: problem_response,
            HTTPException: show_or_tell,
            Exception: unexpected_problem,
        },
        request_max_body_size=BODY_MAX_BYTES,
        plugins=[Money()],
        openapi_config=OpenAPIConfig(
            title="OpenRouter Watcher",
            version=__version__,
            path="/schema",
            render_plugins=[Description()],
            components=Components(
                security_schemes={
                    "access token": SecurityScheme(
                        type="http", scheme="bearer", bearer_format="JWT", description="From `POST /api/auth/login`."
                    ),
                    "API token": SecurityScheme(
                        type="http", scheme="bearer", bearer_format="or_api_…", description="From `POST /api/tokens`."
                    ),
                }
            ),
        ),
        logging_config=None,
        debug=False,
    )
    app.state.query_parameters = query_parameters(app)
    return app


def _given(part: Any) -> Provide:
    def give() -> Any:
        return part

    return Provide(give, sync_to_thread=False)
