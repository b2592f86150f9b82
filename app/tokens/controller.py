"""`/api/tokens`: the tokens of the person who is logged in."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.accounts.guards import CallerRequest, require_caller
from app.cursors import ByTime, Cursors
from app.database import Database
from app.errors import (
    BODY_ERRORS,
    Invalid,
    NotFound,
    NotYours,
    TokenLimitReached,
    Unauthenticated,
    Unavailable,
)
from app.names import clean_name
from app.pages import page_of
from app.requests import Clients, parse_id
from app.responses import JSONResponse, problems
from app.tokens import repository
from app.tokens.structs import CreatedToken, TokenEntry, TokenRequest


class TokensController(Controller):
    """Only a person may manage tokens: a token cannot make or revoke tokens."""

    path = "/api/tokens"
    tags = ("API tokens",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @post(
        operation_id="createToken",
        summary="Create an API token",
        description=(
            "The answer holds the token itself. **This is the only time it is shown**: only a hash is kept, and nobody can "
            "bring it back. Store it at once where your program reads its secrets. Who may read `/api/v1` with it is you."
        ),
        responses=problems(*BODY_ERRORS, TokenLimitReached, Unauthenticated, Invalid, Unavailable),
    )
    async def create(
        self,
        data: JSONBody[TokenRequest],
        request: CallerRequest,
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        max_api_tokens_per_user: NamedDependency[int],
    ) -> JSONResponse[CreatedToken]:
        """400 when as many as allowed are active."""
        created = await repository.create_token(
            db,
            request.user.user_id,
            clean_name(data.name),
            data.expires_in_days,
            max_api_tokens_per_user,
            client=clients.of(request),
        )
        location = f"{request.app.state.public_url}/api/tokens/{created.id}"
        return JSONResponse(created, headers={"Location": location})

    @get(
        operation_id="listTokens",
        summary="Your API tokens, newest first",
        responses=problems(Unauthenticated, Invalid, Unavailable),
    )
    async def list_tokens(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        shown: Annotated[repository.State, QueryParameter(name="state")] = "all",
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 1000,
        cursor: FromQuery[str | None] = None,
    ) -> JSONResponse[list[TokenEntry]]:
        """Active and revoked ones, without the tokens themselves; `Link` leads to the next page."""
        bound_to = ("tokens", request.user.user_id, shown)
        before = cursors.read(cursor, ByTime, *bound_to).before if cursor is not None else None
        tokens = await repository.list_tokens(db, request.user.user_id, shown, before, limit + 1)
        return page_of(
            request, tokens, limit, lambda token: cursors.make(ByTime.of(token.created_at, token.id), *bound_to)
        )

    @get(
        "/{token_id:str}",
        operation_id="getToken",
        summary="One of your API tokens",
        responses=problems(Unauthenticated, NotYours, NotFound, Unavailable),
    )
    async def get_token(
        self, token_id: FromPath[str], request: CallerRequest, db: NamedDependency[Database]
    ) -> TokenEntry:
        """As it stands in the list."""
        return await repository.find_token(db, parse_id(token_id), request.user.user_id)

    @delete(
        "/{token_id:str}",
        operation_id="revokeToken",
        summary="Revoke an API token",
        responses=problems(Unauthenticated, NotYours, NotFound, Unavailable),
    )
    async def revoke(
        self,
        token_id: FromPath[str],
        request: CallerRequest,
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
    ) -> None:
        """From the moment of the answer on, no request is let in with it. It stays in the list; revoking it again is no error."""
        await repository.revoke_token(db, parse_id(token_id), request.user.user_id, clients.of(request))
