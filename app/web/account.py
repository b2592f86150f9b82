"""Who am I here, and from where am I signed in?"""

from __future__ import annotations

from typing import Any, Literal

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.accounts import repository, sessions
from app.accounts.change_password import change_password
from app.accounts.passwords import Passwords
from app.accounts.structs import PasswordChange, Policy
from app.accounts.verify import confirm
from app.database import Database
from app.errors import AppError
from app.events import repository as events
from app.requests import Clients, parse_id
from app.web.forms import OWN_FORM, Form
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

SESSIONS_MAX = 100
EVENTS_SHOWN = 20

Done = Literal["password", "ended", "others-ended"]


class AccountPages(Controller):
    """Password, sessions, and the end of it."""

    path = "/account"
    guards = (require_own_page, require_session)
    dependencies = OWN_FORM
    include_in_schema = False

    @get()
    async def show(
        self,
        request: SignedInRequest,
        db: NamedDependency[Database],
        policy: NamedDependency[Policy],
        pages: NamedDependency[Pages],
        done: FromQuery[Done | None] = None,
    ) -> Response[Any]:
        """All of it."""
        return await _page(request, db, policy, pages, done=done)

    @post("/password")
    async def change_password(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """All other sessions end; API tokens stay as they are."""
        change = PasswordChange(form.get("current_password", ""), form.get("new_password", ""))
        try:
            await change_password(db, passwords, policy, request.user, change, clients.of(request))
        except AppError as error:
            return await _page(request, db, policy, pages, error=error)
        return pages.redirect("/account", done="password")

    @post("/sessions/{session_id:str}/end")
    async def end_session(
        self,
        session_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """At once, wherever it is."""
        await sessions.end_session(db, parse_id(session_id), request.user, clients.of(request))
        return pages.redirect("/account", done="ended")

    @post("/sessions/end-others")
    async def end_other_sessions(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """This one stays."""
        await sessions.end_other_sessions(db, request.user, clients.of(request))
        return pages.redirect("/account", done="others-ended")

    @get("/delete")
    async def ask_to_delete(self, request: SignedInRequest, pages: NamedDependency[Pages]) -> Response[Any]:
        """What will be gone."""
        return pages.page(request, "account_delete.html")

    @post("/delete")
    async def delete(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """Everything of it is refused and invisible at once."""
        try:
            await confirm(db, passwords, policy, request.user, form.get("password", ""), clients.of(request))
        except AppError as error:
            return pages.page(request, "account_delete.html", error=error)
        await repository.delete_user(db, request.user.user_id)
        return pages.farewell(request, "deleted")


async def _page(
    request: SignedInRequest,
    db: Database,
    policy: Policy,
    pages: Pages,
    *,
    done: Done | None = None,
    error: AppError | None = None,
) -> Response[Any]:
    return pages.page(
        request,
        "account.html",
        error=error,
        done=done,
        sessions=await repository.list_sessions(db, request.user, policy.session_idle_lifetime, None, SESSIONS_MAX),
        events=await events.list_events(db, request.user.user_id, None, EVENTS_SHOWN),
        min_length=policy.password_min_length,
    )
