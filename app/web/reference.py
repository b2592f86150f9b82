"""How is the API called? Its OpenAPI description as a page to read, on which GET requests can be tried; all of it our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Controller, Litestar, Response, get
from litestar.di import NamedDependency

from app.web.guards import VisitorRequest
from app.web.pages import Pages


class Field(msgspec.Struct, frozen=True):
    """A parameter, or a field of a body or an answer. `place`: "path" or "query" of parameters. `schema`: what it is made of."""

    name: str
    kind: str
    description: str
    is_required: bool
    place: str = ""
    schema: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What comes back with a status."""

    status: str
    description: str
    kind: str
    schema: str


class Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    credential: str
    parameters: list[Field]
    bodies: list[Answer]
    answers: list[Answer]


class Schema(msgspec.Struct, frozen=True):
    """A named kind of object."""

    name: str
    description: str
    fields: list[Field]


class Reference(msgspec.Struct, frozen=True):
    """Everything on the page. Operations by their tag."""

    operations: dict[str, list[Operation]]
    schemas: list[Schema]


class ReferencePage(Controller):
    """For everybody: it says nothing about anybody."""

    include_in_schema = False

    @get("/reference")
    async def show(self, request: VisitorRequest, pages: NamedDependency[Pages]) -> Response[Any]:
        """The description is of the whole application, so it is there only once that has been made."""
        state = request.app.state
        if "reference" not in state:
            state.reference = describe(request.app)
        return pages.page(request, "reference.html", reference=state.reference)


def describe(app: Litestar) -> Reference:
    """What `/schema/openapi.json` says, in the order in which a page shows it."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    operations: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    return Reference(operations, [_schema(name, it) for name, it in document["components"]["schemas"].items()])


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Operation:
    security: Sequence[Mapping[str, Any]] = operation.get("security") or [{}]
    return Operation(
        operation["operationId"],
        method.upper(),
        path,
        operation.get("summary", ""),
        operation.get("description", ""),
        next(iter(security[0]), ""),
        [
            Field(
                parameter["name"],
                _kind(parameter["schema"]),
                parameter.get("description", ""),
                parameter["required"],
                place=parameter["in"],
            )
            for parameter in operation.get("parameters", [])
        ],
        _contents("", "", operation.get("requestBody", {})),
        [
            answer
            for status, response in operation["responses"].items()
            for answer in _contents(status, response["description"], response)
        ],
    )


def _contents(status: str, description: str, holder: Mapping[str, Any]) -> list[Answer]:
    """One for each media type, or one without any."""
    contents = holder.get("content", {})
    if not contents and status:
        return [Answer(status, description, "", "")]
    return [
        Answer(status, description, f"{_kind(content['schema'])} as {media_type}", _name(content["schema"]))
        for media_type, content in contents.items()
    ]


def _schema(name: str, schema: Mapping[str, Any]) -> Schema:
    required = schema.get("required", [])
    fields = [
        Field(field, _kind(kind), kind.get("description", ""), field in required, schema=_name(kind))
        for field, kind in schema.get("properties", {}).items()
    ]
    return Schema(name, schema.get("description", ""), fields)


def _kind(schema: Mapping[str, Any]) -> str:
    """In a few words: "integer or null", "list of UsageEntry"."""
    if name := _reference(schema):
        return name
    if options := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(option) for option in options))
    if values := schema.get("enum"):
        return " or ".join("null" if value is None else str(value) for value in values)
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kinds: list[str] = kind if isinstance(kind, list) else [kind]
    return " or ".join(schema.get("format", name) if name == "string" else name for name in kinds)


def _name(schema: Mapping[str, Any]) -> str:
    """Of the schema that it is, may be, or is a list of."""
    inner = [schema, *(schema.get("oneOf") or schema.get("anyOf") or []), schema.get("items", {})]
    return next((name for part in inner if (name := _reference(part))), "")


def _reference(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
