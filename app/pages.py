"""How does a list that can grow come in pages? One row more is read than shown; the last one shown is the cursor."""

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
    """The first `limit` of `rows`; where there are more, `Link: <…>; rel="next"` leads on from the last one."""
    shown = list(rows[:limit])
    headers = {}
    if len(rows) > limit:
        query = dict(parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True))
        query["cursor"] = cursor_of(shown[-1])
        address = f"{request.app.state.public_url}{request.scope['path']}?{urlencode(query)}"
        headers["Link"] = f'<{address}>; rel="next"'
    return JSONResponse(shown, headers=headers)
