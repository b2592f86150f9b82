"""How is a request read? Strictly: what is not understood is refused, never ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, get_args
from urllib.parse import parse_qsl

import msgspec
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import Scope
from litestar.typing import FieldDefinition

from app.encoding import decode
from app.errors import Invalid, Malformed, NotFound, Unauthenticated, UnsupportedMediaType
from app.events.structs import Client

AnyConnection = ASGIConnection[Any, Any, Any, Any]

ID_MAX = 2**63 - 1
QUERY_MAX_FIELDS = 50
CLIENT_AGENT_MAX = 200

_ID = re.compile("[1-9][0-9]{0,18}", re.ASCII)
_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}", re.ASCII)
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_BEARER = re.compile("bearer ([!-~]+)", re.IGNORECASE | re.ASCII)
_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE | re.ASCII)


def parse_id(text: str) -> int:
    """An id from a path. Raises NotFound for what cannot be one: there is nothing under that name."""
    if not _ID.fullmatch(text) or (number := int(text)) > ID_MAX:
        raise NotFound
    return number


def parse_id_parameter(name: str, text: str) -> int:
    """An id from a query. Raises Invalid for what cannot be one."""
    try:
        return parse_id(text)
    except NotFound:
        raise Invalid((name, "must be an id")) from None


def bearer(scope: Scope) -> str:
    """The credential of `Authorization: Bearer …`. Raises Unauthenticated."""
    headers = header_values(scope, b"authorization")
    if not headers:
        raise Unauthenticated
    if len(headers) > 1 or not (match := _BEARER.fullmatch(headers[0])):
        # another scheme is not a wrong token (RFC 6750, 3.1)
        raise Unauthenticated(credential_sent=any(header.lower().startswith("bearer") for header in headers))
    return match[1]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All of one name (in lower case), without making the framework's mapping of all headers for it."""
    return [value.decode("latin-1") for found, value in scope["headers"] if found == name]


class Clients:
    """Tells clients apart, believing `X-Forwarded-For` only as far as trusted proxies wrote it."""

    def __init__(self, trusted_proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        """`trusted_proxies`: networks whose addresses are proxies of the operator's."""
        self._trusted = tuple(trusted_proxies)

    def of(self, connection: AnyConnection) -> Client:
        """Everything about a request's client."""
        return Client(self.address(connection), client_agent(connection), self.network(connection))

    def address(self, connection: AnyConnection) -> str:
        """Where a request comes from: read from the right, the first address that is no trusted proxy's."""
        return self.address_in(connection.scope)

    def address_in(self, scope: Scope) -> str:
        """The same, of what the server says of a request."""
        address = client[0] if (client := scope.get("client")) else ""
        if not self._trusted:
            return _normal_address(address)
        hops = [hop.strip() for header in header_values(scope, b"x-forwarded-for") for hop in header.split(",")]
        while hops and self._is_trusted(address):
            hop = hops.pop()
            if _parse_address(hop) is None:
                break  # the proxy did not know, or it is no proxy: what stands further left is hearsay
            address = hop
        return _normal_address(address)

    def network(self, connection: AnyConnection) -> str:
        """What counts as one client for limits: an IPv4 address, or the /64 that one subscriber of IPv6 has to itself."""
        address = _parse_address(self.address(connection))
        return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)

    def _is_trusted(self, text: str) -> bool:
        address = _parse_address(text)
        return address is not None and any(address in network for network in self._trusted)


def client_agent(connection: AnyConnection) -> str:
    """The client's own name for itself, for people to recognise a session by."""
    return "".join(filter(str.isprintable, connection.headers.get("user-agent", "")))[:CLIENT_AGENT_MAX]


@lru_cache(maxsize=4096)  # with every request there is one to be logged
def _normal_address(text: str) -> str:
    return str(_parse_address(text) or text)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class StrictJSON(AbstractDTO[Any]):
    """Reads `data` with our own decoder: the framework's coerces types and answers 500 to bad UTF-8 and deep nesting."""

    def __init__(self, asgi_connection: AnyConnection) -> None:
        super().__init__(asgi_connection)
        self._connection = asgi_connection

    def decode_bytes(self, value: bytes) -> Any:
        """The struct that the handler's `data` is annotated with."""
        return decode(value, self._connection.route_handler.parsed_data_field.annotation)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType] -- an HTTP handler, always

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """There is no backend to make."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003 -- Litestar's signature
        schema_creator: Any,
    ) -> Reference | Schema:
        """The struct's own schema."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        """Not used: the struct is taken as it is."""
        raise NotImplementedError

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not used: the struct is taken as it is."""
        raise NotImplementedError


class QueryParameters(msgspec.Struct, frozen=True):
    """The query parameters of a handler, by the name of its argument; which are whole numbers or days, and what some must be."""

    by_argument: dict[str, str]
    names: frozenset[str]
    integers: frozenset[str]
    dates: frozenset[str]
    choices: Mapping[str, tuple[str, ...]] = {}


def query_parameters(app: Litestar) -> dict[str, QueryParameters]:
    """By handler id, for all routes of `app`."""
    found: dict[str, QueryParameters] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                fields = dict(handler.parsed_fn_signature.parameters)
                for dependency in handler.resolve_dependencies().values():
                    fields |= dependency.parsed_fn_signature.parameters
                names = {parameter.field_name: parameter.field_alias for parameter in model.expected_query_params}
                integers = {name for argument, name in names.items() if _is(int, fields[argument])}
                dates = {name for argument, name in names.items() if _is(date, fields[argument])}
                choices = {name: listed for argument, name in names.items() if (listed := _listed(fields[argument]))}
                found[handler.handler_id] = QueryParameters(
                    names, frozenset(names.values()), frozenset(integers), frozenset(dates), choices
                )
    return found


def _is(kind: type, field: FieldDefinition) -> bool:
    return field.is_subclass_of(kind) or field.has_inner_subclass_of(kind)


def _listed(field: FieldDefinition) -> tuple[str, ...]:
    """What a literal may be."""
    return next((get_args(kind.annotation) for kind in (field, *field.inner_types) if kind.is_literal), ())


async def check_request(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Runs before every handler, after its guards: what the handler would not see must not be silently ignored."""
    if request.method == "OPTIONS":
        return _options(request)
    if request.scope["query_string"]:
        check_query(request.scope["query_string"], request.app.state.query_parameters[request.route_handler.handler_id])
    if request.method != "GET" and header_values(request.scope, b"content-encoding"):
        raise UnsupportedMediaType("Send the body as it is: packed ones are not unpacked.")
    handler: Any = request.route_handler
    if handler.parsed_data_field is not None and handler.resolve_data_dto() is StrictJSON:
        if not _JSON.fullmatch(request.headers.get("content-type", "")):
            raise UnsupportedMediaType("Send the body as application/json.")
        if not await request.body():
            raise Malformed
    return None


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    """The framework's own answer forgets the methods that other handlers add to the same path."""
    path = request.scope["path_template"]
    methods = {method for route in request.app.routes if route.path_format == path for method in route.methods}
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": ", ".join(sorted(methods))})


def check_query(query_string: bytes, parameters: QueryParameters) -> None:
    """Raises Invalid for bad UTF-8, NUL, unknown and repeated parameters, and for numbers written oddly."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_MAX_FIELDS
        )
    except UnicodeError as error:
        raise Invalid(("", "the query must be percent-encoded UTF-8")) from error
    except ValueError as error:
        raise Invalid(("", f"the query has more than {QUERY_MAX_FIELDS} parameters")) from error
    seen: set[str] = set()
    for name, value in pairs:
        if name not in parameters.names:
            raise Invalid((name if name.isidentifier() else "", "is not a query parameter of this endpoint"))
        if name in seen:
            raise Invalid((name, "must be given only once"))
        if "\0" in value:
            raise Invalid((name, "must not contain U+0000"))
        if name in parameters.integers and not _INTEGER.fullmatch(value):
            raise Invalid((name, "must be a whole number"))
        if name in parameters.dates and not _DAY.fullmatch(value):
            raise Invalid((name, "must be a day like 2026-08-24"))
        if value not in parameters.choices.get(name, (value,)):  # the framework takes "null" for one that is left out
            raise Invalid((name, f"must be one of {', '.join(parameters.choices[name])}"))
        seen.add(name)
