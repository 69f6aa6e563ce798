"""The Users API as facts: read from its OpenAPI document, or from the printed reference, into one shape.

{"endpoints": {"GET /path": {"parameters": {"in name": [required, type]}, "body": type | null,
                             "responses": {status: type | null}}},
 "schemas": {name: {field: {"type": type, "required": bool, "default": value}}},
 "enums": {name: [values, sorted]}}

Types are in the reference's words: `string (email) | null`, `array of string`, `UserStatus`, `any`.
"""

from __future__ import annotations

import re
from typing import Any

Facts = dict[str, Any]

_HEADING = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S+)#$")
_PARAMETER = re.compile(
    r"^(\w+) (path|query|header) (yes|no) ((?:string|integer|boolean|UserStatus)(?: \| null)?)\b"
)
_RESPONSE = re.compile(r"^(\d{3}) (?:application/json(\w+)|Successful Response)$")
_FIELD = re.compile(r"^(\w+) (.+?) (yes|no)(?: Default: (.+))?$")
_SCHEMA = re.compile(r"^(\w+)#$")


def facts_of_reference(text: str) -> Facts:
    """The facts of the printed reference; it does not name the schema of a body, hence "schema"."""
    upper, _, lower = text.partition("\nSchemas#\n")
    return {"endpoints": _endpoints(upper.splitlines()), **_schemas(lower.splitlines())}


def _endpoints(lines: list[str]) -> Facts:
    endpoints: Facts = {}
    endpoint: Facts = {}
    for line in lines:
        if heading := _HEADING.match(line):
            endpoint = {"parameters": {}, "body": None, "responses": {}}
            endpoints[f"{heading[1]} {heading[2]}"] = endpoint
        elif parameter := _PARAMETER.match(line):
            name, place, required, type_ = parameter.groups()
            endpoint["parameters"][f"{place} {name}"] = [required == "yes", type_]
        elif response := _RESPONSE.match(line):
            endpoint["responses"][response[1]] = response[2]
        elif line == "Request body:":
            endpoint["body"] = "schema"
        elif line.endswith("application/json → object"):
            endpoint["body"] = "object"
    return endpoints


def _schemas(lines: list[str]) -> Facts:
    schemas: Facts = {}
    enums: Facts = {}
    name = ""
    for line in lines:
        if heading := _SCHEMA.match(line):
            name = heading[1]
        elif line.startswith("Values: "):
            enums[name] = sorted(line.removeprefix("Values: ").split(", "))
        elif field := _FIELD.match(line):
            described = {"type": field[2], "required": field[3] == "yes"}
            if field[4] is not None:
                described["default"] = {"True": True, "False": False}.get(field[4], field[4])
            schemas.setdefault(name, {})[field[1]] = described
    return {"schemas": schemas, "enums": enums}


def facts_of_openapi(document: Facts) -> Facts:
    """The facts of an OpenAPI document."""
    endpoints = {
        f"{method.upper()} {path}": _endpoint(operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    schemas, enums = {}, {}
    for name, schema in document["components"]["schemas"].items():
        if "enum" in schema:
            assert schema["type"] == "string"
            enums[name] = sorted(schema["enum"])
        else:
            schemas[name] = {field: _field(schema, field) for field in schema["properties"]}
    return {"endpoints": endpoints, "schemas": schemas, "enums": enums}


def _endpoint(operation: Facts) -> Facts:
    body = operation.get("requestBody")
    if body is not None:
        assert body["required"] is True
    return {
        "parameters": {
            f"{item['in']} {item['name']}": [item["required"], _words(item["schema"])]
            for item in operation.get("parameters", [])
        },
        "body": None if body is None else _content(body),
        "responses": {
            status: _content(response) if "content" in response else None
            for status, response in operation["responses"].items()
        },
    }


def _content(holder: Facts) -> str:
    ((_, content),) = holder["content"].items()
    return _words(content["schema"])


def _field(schema: Facts, name: str) -> Facts:
    field = schema["properties"][name]
    described = {"type": _words(field), "required": name in schema["required"]}
    if "default" in field:
        described["default"] = field["default"]
    return described


def _words(schema: Facts) -> str:
    if not schema:
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_words(option) for option in schema["anyOf"])
    if schema["type"] == "array":
        return f"array of {_words(schema['items'])}"
    return f"{schema['type']} ({schema['format']})" if "format" in schema else str(schema["type"])
