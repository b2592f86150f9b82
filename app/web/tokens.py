"""Which programs may read the figures? API tokens: made, shown once, listed, revoked."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID, uuid4

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.database import Database
from app.errors import AppError, Invalid
from app.names import clean_name
from app.requests import Clients, parse_id
from app.tokens import repository
from app.tokens.repository import SentTwice
from app.web.forms import OWN_FORM, Form
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

# in days; "" is until it is revoked
LIFETIMES = {"30": 30, "90": 90, "180": 180, "365": 365, "": None}
LIFETIME_DEFAULT = "90"
LISTED_MAX = 1000

Done = Literal["revoked", "sent-twice"]


class TokenPages(Controller):
    """The list, and the one page that ever shows a token."""

    path = "/tokens"
    guards = (require_own_page, require_session)
    dependencies = OWN_FORM
    include_in_schema = False

    @get()
    async def show_list(
        self,
        request: SignedInRequest,
        db: NamedDependency[Database],
        pages: NamedDependency[Pages],
        max_api_tokens_per_user: NamedDependency[int],
        done: FromQuery[Done | None] = None,
    ) -> Response[Any]:
        """The active ones; those that are not any more are folded away."""
        return await _list_page(request, db, pages, max_api_tokens_per_user, done=done)

    @post()
    async def create(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
        max_api_tokens_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """Answers with the token itself, because nothing that could carry it to another page is as short-lived as an answer.

        Each form has an id of its own, which is kept with the token that it made: reloading the answer sends the form again, the
        database knows it, and the list is shown instead. So it is on any number of processes, and no token is ever stored.
        """
        try:
            name, days = clean_name(form.get("name", "")), _lifetime(form.get("expires_in_days", ""))
            form_id = _form_id(form.get("form_id", ""))
            created = await repository.create_token(
                db, request.user.user_id, name, days, max_api_tokens_per_user, form_id, clients.of(request)
            )
        except SentTwice:
            return pages.redirect("/tokens", done="sent-twice")
        except AppError as error:
            return await _list_page(request, db, pages, max_api_tokens_per_user, error=error, form=form)
        address = pages.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
        return pages.page(request, "token_created.html", created=created, address=address)

    @get("/{token_id:str}/revoke")
    async def ask_to_revoke(
        self,
        token_id: FromPath[str],
        request: SignedInRequest,
        db: NamedDependency[Database],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """Whether it is really meant."""
        token = await repository.find_token(db, parse_id(token_id), request.user.user_id)
        return pages.page(request, "token_revoke.html", token=token)

    @post("/{token_id:str}/revoke")
    async def revoke(
        self,
        token_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """From now on."""
        await repository.revoke_token(db, parse_id(token_id), request.user.user_id, clients.of(request))
        return pages.redirect("/tokens", done="revoked")


async def _list_page(
    request: SignedInRequest,
    db: Database,
    pages: Pages,
    active_max: int,
    *,
    done: Done | None = None,
    error: AppError | None = None,
    form: Form | None = None,
) -> Response[Any]:
    """`form`: what was asked for, if that did not work."""
    tokens = await repository.list_tokens(db, request.user.user_id, "all", None, LISTED_MAX)
    given = form or {}
    return pages.page(
        request,
        "tokens.html",
        error=error,
        done=done,
        active=[token for token in tokens if token.is_active],
        inactive=[token for token in tokens if not token.is_active],
        active_max=active_max,
        lifetimes=LIFETIMES,
        form_id=uuid4(),
        name=given.get("name", ""),
        lifetime=given.get("expires_in_days", LIFETIME_DEFAULT),
    )


def _lifetime(text: str) -> int | None:
    if text not in LIFETIMES:
        raise Invalid(("expires_in_days", "must be one of the choices"))
    return LIFETIMES[text]


def _form_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(("", "The form is incomplete; open the page again.")) from None
