"""Which parts make up the service? The only file that knows every feature."""

from __future__ import annotations

import asyncio
import gc
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

from app import __version__, embedded
from app import settings as settings_module
from app.accounts.controller import AuthController, PublicAuthController
from app.accounts.jwt import Signer
from app.accounts.passwords import Passwords
from app.accounts.structs import Policy
from app.batching import ONE_LANE, Batcher, Lanes
from app.cursors import Cursors
from app.database import Database
from app.description import Description, Money
from app.errors import AppError, Unavailable
from app.health import HealthController
from app.hygiene.controller import HygieneController
from app.keys.controller import KeysController
from app.keys.encryption import require_right_keys
from app.keys.vault import Vault
from app.logs import configure_logs
from app.public.v1 import PublicController
from app.requests import Clients, StrictJSON, check_request, query_parameters
from app.responses import Edge, JSONResponse, problem_response, unexpected_problem
from app.scheduler import exit_with_parent, keep_house, keep_watch
from app.settings import Settings
from app.stats import repository as stats
from app.stats.controller import StatsController
from app.tokens import repository as tokens
from app.tokens.authorization import Authorization
from app.tokens.controller import TokensController
from app.usage.controller import ImportsController
from app.usage.openrouter import OpenRouter
from app.usage.reading import Sync
from app.web.assets import Assets, get_asset
from app.web.errors import show_or_tell
from app.web.pages import Pages
from app.web.router import pages_router
from app.web.sessions import Browsers

CONCURRENT_IMPORTS_MAX = 2  # in each process; each may take some 150 MB
SYNC_POOL_SHARE = 3  # of the pool's connections one in so many is for reading keys; the rest is for those who ask
BODY_MAX_BYTES = 64 * 1024  # the largest body but an import's is a name and a password


def create_app(
    settings: Settings, *, with_scheduler: bool = False, lanes: Lanes = ONE_LANE, db: Database | None = None
) -> ASGIApp:
    """The service as an ASGI application; with the scheduler it also does what nobody asks for, beside the requests.

    `db`: another pool than the one that the settings speak of.
    """
    return Edge(create_litestar(settings, with_scheduler=with_scheduler, lanes=lanes, db=db))


def create_database(settings: Settings) -> Database:
    """The pool of a process, not opened yet."""
    return Database(
        settings.database_url or embedded.database_url(settings.data_dir),
        pool_size=settings.database_pool_size,
        transaction_pooler=settings.database_pooler == "transaction",
    )


def create_sync(settings: Settings, db: Database) -> Sync:
    """What reading OpenRouter's keys takes in a process."""
    return Sync(
        db=db,
        vault=Vault(settings.encryption_keys),
        openrouter=OpenRouter(settings.openrouter_base_url),
        interval_seconds=settings.sync_interval_minutes * 60,
        places=asyncio.Semaphore(max(1, settings.database_pool_size // SYNC_POOL_SHARE)),
    )


def create_litestar(
    settings: Settings, *, with_scheduler: bool = False, lanes: Lanes = ONE_LANE, db: Database | None = None
) -> Litestar:
    """The application inside the edge, with its routes; tests walk them."""
    db = db or create_database(settings)
    sync = create_sync(settings, db)

    authorization = Authorization(db, settings.public_rate_limit, lanes)
    totals = Batcher(partial(stats.sum_usages, db), lanes)
    entries = Batcher(partial(tokens.find_tokens, db), lanes)
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
    # what handlers may ask for by name
    parts = {
        "db": db,
        "passwords": passwords,
        "signer": signer,
        "clients": Clients(settings.trusted_proxies),
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
        with suppress(Unavailable):  # it starts, and says so, while its database is away
            await require_right_keys(db, sync.vault)
        work = [asyncio.create_task(keep_house(db)), asyncio.create_task(keep_watch(sync))] if with_scheduler else []
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
            await db.close()

    app = Litestar(
        route_handlers=[
            HealthController,
            PublicAuthController,
            AuthController,
            TokensController,
            KeysController,
            ImportsController,
            StatsController,
            HygieneController,
            PublicController,
            get_asset,
            pages_router(),
        ],
        lifespan=[lifespan],
        dependencies={name: _given(part) for name, part in parts.items()},
        state=State(
            {
                "db": db,
                "signer": signer,
                "public_url": settings.public_url,
                "policy": policy,
                "pages": pages,
                "authorization": authorization,
                "totals": totals,
                "entries": entries,
            }
        ),
        dto=StrictJSON,
        return_dto=None,
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


def application() -> ASGIApp:
    """What a worker process of the server loads: the settings of its environment."""
    settings = settings_module.load()
    configure_logs(settings.log_level)
    app = create_app(settings, with_scheduler=True)
    gc.collect()
    gc.freeze()  # what is there by now stays: the collector need not walk through it again and again
    return exit_with_parent(app)
