"""How does a page become an answer? Jinja with escaping on, the headers that keep a browser strict, and compression."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import jinja2
from litestar import MediaType, Response
from litestar.datastructures import Cookie
from litestar.status_codes import HTTP_303_SEE_OTHER

from app import __version__
from app.accounts.structs import Caller
from app.errors import AppError, Invalid
from app.responses import note_problem
from app.web import formats
from app.web.asset_route import accepts_gzip
from app.web.assets import Assets
from app.web.guards import VisitorRequest
from app.web.sessions import Browsers

TEMPLATES = Path(__file__).parent / "templates"
GZIP_LEVEL = 6
FILTERS = ("money", "exact_money", "digits", "count", "compact", "moment", "day", "month", "browser", "event")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # to our own pages only; "no-referrer" would take the Origin from our own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding, Cookie, HX-Request",
}
# what browsers ignore, and complain about, on a connection that is not private
PRIVATE_HEADERS = {"Cross-Origin-Opener-Policy": "same-origin"}
# HTTP caches, and the pages that a browser keeps for its Back button; not "cookies": those of the host are not all ours
FORGET = {"Clear-Site-Data": '"cache"'}
# what every address below PUBLIC_URL may believe for a year, where it is https
_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000"}


class Pages:
    """Fills templates in."""

    def __init__(self, public_url: str, browsers: Browsers, assets: Assets) -> None:
        """Links begin with the path of `public_url`: a proxy may have put the service below one."""
        self.browsers = browsers
        self.assets = assets
        self.base = urlsplit(public_url).path
        self.public_url = public_url
        self._headers = HEADERS | (_TRANSPORT if public_url.startswith("https:") else {})
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        cast("dict[str, Any]", self._templates.globals).update(
            base=self.base,
            version=__version__,
            asset=self._asset,
            are_assets_complete=assets.are_complete,
            query=_query,
            plural=formats.plural,
            percent=formats.percent,
            change=formats.change,
        )
        self._templates.filters.update({name: getattr(formats, name) for name in FILTERS})

    def page(
        self,
        request: VisitorRequest,
        template: str,
        *,
        status: int = 200,
        error: AppError | None = None,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response[bytes]:
        """A page of the person who is signed in, or of nobody. `error`: what went wrong with the form that it answers."""
        caller: Caller | None = request.scope.get("user")
        if error is not None:
            note_problem(request.scope, error)
        body = self._templates.get_template(template).render(
            user=caller,
            form_token=self.browsers.form_token(caller.session_id) if caller else "",
            is_private=self.browsers.is_private(request),
            path=request.scope["path"],
            relative=partial(formats.relative, now=datetime.now(UTC)),
            error=error,
            wrong=_wrong_fields(error),
            **values,
        )
        status = error.status if error else status
        return self._answer(request, body, status, {**(error.headers if error else {}), **(headers or {})})

    def redirect(
        self, path: str, *, cookies: Sequence[Cookie] = (), headers: Mapping[str, str] | None = None, **query: Any
    ) -> Response[bytes]:
        """To another page of ours, by GET."""
        location = f"{self.base}{path}{_query(**query)}"
        return Response(
            b"",
            status_code=HTTP_303_SEE_OTHER,
            media_type=MediaType.HTML,
            headers={"Location": location, **(headers or {})},
            cookies=cookies,
        )

    def farewell(self, request: VisitorRequest, why: str) -> Response[bytes]:
        """To the sign-in page, and the browser is told to forget what it has seen."""
        cookie = self.browsers.expired_cookie(request)
        headers = FORGET if self.browsers.is_private(request) else None
        return self.redirect("/sign-in", cookies=[cookie], headers=headers, why=why)

    def _asset(self, name: str) -> str:
        return self.base + self.assets.address(name)

    def _answer(self, request: VisitorRequest, body: str, status: int, headers: Mapping[str, str]) -> Response[bytes]:
        private = PRIVATE_HEADERS if self.browsers.is_private(request) else {}
        content, all_headers = body.encode(), {**self._headers, **private, **headers}
        if accepts_gzip(request):
            # no page that another site could have made holds secrets beside what that site chose: the cookie is Strict
            content, all_headers["Content-Encoding"] = gzip.compress(content, GZIP_LEVEL, mtime=0), "gzip"
        return Response(content, status_code=status, media_type=MediaType.HTML, headers=all_headers)


def _wrong_fields(error: AppError | None) -> dict[str, str]:
    """What is wrong with which field; "" for what is wrong with none of them."""
    if error is None:
        return {}
    if isinstance(error, Invalid):
        return {field.pointer.removeprefix("#/").removeprefix("#"): field.detail for field in error.errors}
    return {"": error.detail}


def _query(*parts: Mapping[str, Any], **last: Any) -> str:
    """`?a=1&b=2` of all that are given; what comes later replaces what came before."""
    merged: dict[str, Any] = {}
    for part in (*parts, last):
        merged |= part
    given = {name: value for name, value in merged.items() if value not in {None, ""}}
    return f"?{urlencode(given)}" if given else ""
