"""What does the OpenAPI description say otherwise than the framework would?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition


class Money(OpenAPISchemaPlugin):
    """A number, not a string."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Decimals."""
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002 -- Litestar's signature
        """With all its digits, which readers that make a binary float of it lose."""
        return Schema(type=OpenAPIType.NUMBER)


ID = "^[1-9][0-9]{0,18}$"
WITHOUT_NUL = r"^[^\u0000]*$"  # which PostgreSQL cannot hold


class Description(JsonRenderPlugin):
    """Says of a parameter that may be left out what it is when it is there: in a query there is no null. Says what an id is.

    And that bodies have no other fields than those described, and no U+0000 in them.
    """

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """As JSON."""
        for path in openapi_schema["paths"].values():
            for operation in path.values():
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    if name := content["schema"].get("$ref", "").rpartition("/")[2]:
                        _close(openapi_schema["components"]["schemas"][name])
                for parameter in operation.get("parameters", []):
                    parameter["schema"] = _without_null(parameter["schema"])
                    if parameter["name"].endswith("_id"):
                        parameter["schema"]["pattern"] = ID
        return super().render(request, openapi_schema)


def _close(body: dict[str, Any]) -> None:
    body["additionalProperties"] = False
    for field in body["properties"].values():
        if field.get("type") == "string":
            field["pattern"] = WITHOUT_NUL


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The framework says it in two ways, for literals and for everything else."""
    others = {name: value for name, value in schema.items() if name != "oneOf"}
    for option in schema.get("oneOf", []):
        if option["type"] != "null":
            others = option | others
    if isinstance(others["type"], list):
        others["type"] = next(kind for kind in others["type"] if kind != "null")
        others["enum"] = [value for value in others["enum"] if value is not None]
    return others
