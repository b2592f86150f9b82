"""How does a list that can grow come in pages? One row more is read than shown; the last one shown makes the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from litestar import Request

from app.responses import JSONResponse

T = TypeVar("T")


def page_of(
    request: Request[Any, Any, Any], rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]
) -> JSONResponse[list[T]]:
    """The first `limit` of `rows`, with a link to the next page where there are more."""
    shown, cursor = split_page(rows, limit, cursor_of)
    return JSONResponse(shown, headers=link_to_next(request, cursor))


def split_page(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> tuple[list[T], str | None]:
    """What is shown, and the cursor of the next page if there is one."""
    shown = list(rows[:limit])
    return shown, cursor_of(shown[-1]) if len(rows) > limit else None


def link_to_next(request: Request[Any, Any, Any], cursor: str | None) -> dict[str, str]:
    """`Link: <…>; rel="next"`: the same request with another cursor; nothing on the last page."""
    if cursor is None:
        return {}
    query = dict(parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True))
    query["cursor"] = cursor
    address = f"{request.app.state.public_url}{request.scope['path']}?{urlencode(query)}"
    return {"Link": f'<{address}>; rel="next"'}
