"""Who is looking at this page, and did they send this form themselves?"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from app.accounts import repository
from app.accounts.structs import Caller
from app.errors import Forbidden
from app.requests import AnyConnection
from app.web.sessions import Browsers, digest

VisitorRequest = Request[Any, Any, State]
SignedInRequest = Request[Caller, Any, State]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SignInNeeded(Exception):
    """Nobody is signed in here."""


class FromElsewhere(Exception):
    """The browser kept the cookie to itself, because a page of another site led here."""


class ForeignForm(Forbidden):
    """This form did not come from a page of this service, or its page is too old. Open the page again and repeat what you did."""


async def require_own_page(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets forms through that were sent from our own pages."""
    if connection.scope.get("method") not in SAFE_METHODS and not browsers_of(connection).is_ours(connection):
        raise ForeignForm


async def require_session(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets live sessions of live users through, as `request.user`. The database is asked each time: nothing is cached."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    caller = await find_visitor(connection)
    if caller is not None:
        connection.scope["user"] = caller
    elif connection.headers.get("sec-fetch-site") == "cross-site" and connection.scope.get("method") in SAFE_METHODS:
        raise FromElsewhere
    else:
        raise SignInNeeded


async def find_visitor(connection: AnyConnection) -> Caller | None:
    """Who is signed in, if anybody is."""
    secret = browsers_of(connection).sent_secret(connection)
    if secret is None:
        return None
    state = connection.app.state
    return await repository.authorize_cookie(state.db, state.policy, digest(secret))


def browsers_of(connection: AnyConnection) -> Browsers:
    """The application's."""
    return connection.app.state.pages.browsers
