"""The platform's OpenAPI document, built from the very structs that decode and encode its messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import NODEFAULT

from app.embedded.keys import JwkSet
from app.embedded.oauth_routes import (
    JWKS_PATH,
    PLATFORM_TOKEN_PATH,
    TENANT_TOKEN_PATH,
    OAuthErrorResponse,
    TokenResponse,
)
from app.embedded.operations import Operation
from app.embedded.schemas import HTTPValidationError

Json: TypeAlias = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_SECURITY = "bearerAuth"


def openapi_document(operations: Sequence[Operation]) -> bytes:
    """The document as JSON (OpenAPI 3.1)."""
    bodies = [declared.body for declared in operations if declared.body is not None]
    returned = [declared.returns for declared in operations if declared.returns is not None]
    described = [*bodies, *returned, HTTPValidationError, JwkSet, TokenResponse, OAuthErrorResponse]
    paths: Json = {}
    for declared in operations:
        paths.setdefault(declared.path, {})[declared.method.lower()] = _operation(declared)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Embedded identity platform", "version": "1.0.0"},
        "paths": {**paths, **_oauth_paths()},
        "components": {
            "schemas": _schemas([*described, *_parameter_types(operations)]),
            "securitySchemes": {_SECURITY: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    return msgspec.json.encode(document)


def _schemas(types: Iterable[object]) -> Json:
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return {name: _plain(schema) for name, schema in components.items()}


def _plain(schema: Json) -> Json:
    """A component without what says nothing: the defaults null and [], and an enum without its type."""
    properties = {name: _stated(field) for name, field in schema.get("properties", {}).items()}
    kind = {"type": "string"} if "enum" in schema else {}
    return {**kind, **schema, **({"properties": properties} if properties else {})}


def _stated(field: Json) -> Json:
    return {key: value for key, value in field.items() if not (key == "default" and value in (None, []))}


def _parameter_types(operations: Sequence[Operation]) -> list[object]:
    """The enums that only parameters use, so that they too become components."""
    return [field.type for declared in operations for field in msgspec.structs.fields(declared.query)]


def _operation(declared: Operation) -> Json:
    described: Json = {
        "operationId": declared.operation_id,
        "summary": declared.summary,
        "tags": [declared.tag],
        "security": [{_SECURITY: []}],
        "parameters": _parameters(declared),
        "responses": {
            str(declared.status): _success(declared),
            "422": {
                "description": "Validation Error",
                "content": _json_content(_reference(HTTPValidationError)),
            },
        },
    }
    if declared.body is not None:
        schema = {"type": "object"} if declared.body_is_object else _reference(declared.body)
        described["requestBody"] = {"required": True, "content": _json_content(schema)}
    return described


def _success(declared: Operation) -> Json:
    if declared.status == 204:
        return {"description": "Successful Response"}
    schema = _reference(declared.returns) if declared.returns is not None else {}
    return {"description": "Successful Response", "content": _json_content(schema)}


def _parameters(declared: Operation) -> list[Json]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(declared.path)
    ]
    query = [_query_parameter(field) for field in msgspec.structs.fields(declared.query)]
    header = {
        "name": "authorization",
        "in": "header",
        "required": False,
        "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    return [*path, *query, *([header] if declared.authorization_parameter else [])]


def _query_parameter(field: msgspec.structs.FieldInfo) -> Json:
    schema = _reference(field.type)
    if "enum" in schema:
        schema = {"type": "string", **schema}
    if field.default is not NODEFAULT and field.default is not None:
        schema = {**schema, "default": msgspec.to_builtins(field.default)}
    required = field.default is NODEFAULT
    return {"name": field.encode_name, "in": "query", "required": required, "schema": schema}


def _reference(type_: object) -> Json:
    (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REFERENCE)
    return schema


def _json_content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _oauth_paths() -> Json:
    form = {"type": "object", "properties": {}, "required": ["grant_type"]}
    form["properties"] = {
        name: {"type": "string"} for name in ("grant_type", "client_id", "client_secret", "scope")
    }
    refusal = _json_content(_reference(OAuthErrorResponse))
    token: Json = {
        "summary": "Access token by client credentials",
        "tags": ["oauth"],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {
            "200": {"description": "A token", "content": _json_content(_reference(TokenResponse))},
            "400": {"description": "Refused", "content": refusal},
            "401": {
                "description": "Not this client",
                "content": _json_content(_reference(OAuthErrorResponse)),
            },
        },
    }
    slug = {"name": "slug", "in": "path", "required": True, "schema": {"type": "string"}}
    keys = {"description": "The keys", "content": _json_content(_reference(JwkSet))}
    return {
        PLATFORM_TOKEN_PATH: {"post": {**token, "operationId": "oauth_platform_token"}},
        TENANT_TOKEN_PATH: {"post": {**token, "operationId": "oauth_tenant_token", "parameters": [slug]}},
        JWKS_PATH: {
            "get": {
                "operationId": "oauth_jwks",
                "summary": "The keys that verify access tokens",
                "tags": ["oauth"],
                "responses": {"200": keys},
            }
        },
    }
