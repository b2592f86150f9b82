"""How does a person get in and out? The pages before an account, and the end of a session."""

from __future__ import annotations

import re
from typing import Any, Literal

from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery

from app.accounts import repository, sessions
from app.accounts.passwords import Passwords
from app.accounts.register import is_open, register
from app.accounts.structs import Credentials, Policy
from app.accounts.verify import log_in
from app.database import Database
from app.errors import AppError, WrongPassword
from app.requests import Clients
from app.web.forms import ANY_FORM, OWN_FORM, Form
from app.web.guards import SignedInRequest, VisitorRequest, find_visitor, require_own_page, require_session
from app.web.pages import Pages
from app.web.sessions import digest, make_secret

_LOCAL = re.compile(r"/(?![/\\])[!-~]*", re.ASCII)
Why = Literal["ended", "out", "deleted", "lost"]


class SignInPages(Controller):
    """What needs no session."""

    guards = (require_own_page,)
    dependencies = ANY_FORM
    include_in_schema = False

    @get("/sign-in")
    async def show_sign_in(
        self,
        request: VisitorRequest,
        db: NamedDependency[Database],
        policy: NamedDependency[Policy],
        pages: NamedDependency[Pages],
        next: FromQuery[str] = "/",  # noqa: A002 -- the word that people know from addresses
        why: FromQuery[Why | None] = None,
    ) -> Response[Any]:
        """Where nobody has an account yet, the first one is made instead."""
        if await find_visitor(request) is not None:
            return pages.redirect(_local(next))
        if why is None and policy.registration != "closed" and not await repository.has_users(db):
            return pages.redirect("/sign-up", next=next)
        return pages.page(request, "sign_in.html", next=next, why=why, email="", can_register=await is_open(db, policy))

    @post("/sign-in")
    async def sign_in(
        self,
        request: VisitorRequest,
        form: NamedDependency[Form],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """Leads back to the sign-in page, which goes on to `next` if the browser has kept the cookie, and else says so."""
        following = form.get("next", "/")
        credentials = Credentials(form.get("email", ""), form.get("password", ""))
        try:
            cookie = await _open_session(request, db, passwords, policy, clients, pages, credentials)
        except AppError as error:
            return pages.page(
                request,
                "sign_in.html",
                error=error,
                next=following,
                why=None,
                email=credentials.email,
                can_register=await is_open(db, policy),
            )
        return pages.redirect("/sign-in", cookies=[cookie], next=following, why="lost")

    @get("/sign-up")
    async def show_sign_up(
        self,
        request: VisitorRequest,
        db: NamedDependency[Database],
        policy: NamedDependency[Policy],
        pages: NamedDependency[Pages],
        next: FromQuery[str] = "/",  # noqa: A002 -- as above
    ) -> Response[Any]:
        """Or that this server takes no new accounts."""
        return await _sign_up_page(request, db, policy, pages, next)

    @post("/sign-up")
    async def sign_up(
        self,
        request: VisitorRequest,
        form: NamedDependency[Form],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """And sign in."""
        following = form.get("next", "/")
        credentials = Credentials(form.get("email", ""), form.get("password", ""))
        try:
            await register(db, passwords, policy, credentials, clients.of(request))
            cookie = await _open_session(request, db, passwords, policy, clients, pages, credentials)
        except AppError as error:
            return await _sign_up_page(request, db, policy, pages, following, credentials.email, error)
        return pages.redirect("/sign-in", cookies=[cookie], next=following, why="lost")


class SignOutPage(Controller):
    """The way out."""

    guards = (require_own_page, require_session)
    dependencies = OWN_FORM
    include_in_schema = False

    @post("/sign-out")
    async def sign_out(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """The session ends on the server, too."""
        await sessions.end_session(db, request.user.session_id, request.user, clients.of(request))
        return pages.farewell(request, "out")


async def _open_session(
    request: VisitorRequest,
    db: Database,
    passwords: Passwords,
    policy: Policy,
    clients: Clients,
    pages: Pages,
    credentials: Credentials,
) -> Cookie:
    """The cookie of a new session; the one that the browser had before ends. Raises as `log_in`."""
    client = clients.of(request)
    user = await log_in(db, passwords, policy, credentials, client)
    secret = make_secret()
    if await sessions.open_browser_session(db, user, policy, digest(secret), client) is None:
        raise WrongPassword
    earlier = await find_visitor(request)
    if earlier is not None:
        await sessions.end_session(db, earlier.session_id, earlier, client)
    return pages.browsers.cookie(request, secret, policy.session_lifetime)


async def _sign_up_page(
    request: VisitorRequest,
    db: Database,
    policy: Policy,
    pages: Pages,
    following: str,
    email: str = "",
    error: AppError | None = None,
) -> Response[Any]:
    return pages.page(
        request,
        "sign_up.html",
        error=error,
        next=following,
        email=email,
        min_length=policy.password_min_length,
        can_register=await is_open(db, policy),
        is_first=not await repository.has_users(db),
    )


def _local(address: str) -> str:
    """A page of ours; anything that a browser could take for another site leads to the overview."""
    return address if _LOCAL.fullmatch(address) else "/"
