"""`/api/tokens`: the tokens of the person who is logged in."""

from __future__ import annotations

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.accounts.guards import CallerRequest, require_caller
from app.database import Database
from app.errors import (
    Invalid,
    Malformed,
    TokenLimitReached,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from app.responses import JSONResponse, problems
from app.tokens import repository
from app.tokens.names import clean_name
from app.tokens.structs import CreatedToken, TokenRequest


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
        responses=problems(Malformed, TokenLimitReached, Unauthenticated, UnsupportedMediaType, Invalid, Unavailable),
    )
    async def create(
        self,
        data: JSONBody[TokenRequest],
        request: CallerRequest,
        db: NamedDependency[Database],
        max_api_tokens_per_user: NamedDependency[int],
    ) -> JSONResponse[CreatedToken]:
        """400 when as many as allowed are active."""
        created = await repository.create_token(
            db, request.user.user_id, clean_name(data.name), data.expires_in_days, max_api_tokens_per_user
        )
        location = f"{request.app.state.public_url}/api/tokens/{created.id}"
        return JSONResponse(created, headers={"Location": location})
