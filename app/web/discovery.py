"""`/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas` (RFC 7644 §4): what is really supported."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Router
from litestar.params import FromPath
from litestar.types import ASGIApp

from app.bridge.context import Context
from app.config import Settings
from app.scim.errors import Forbidden, NotFound
from app.scim.messages import list_response
from app.scim.schema import (
    RESOURCE_TYPE,
    SCHEMA,
    SERVICE_PROVIDER_CONFIG,
    Attribute,
    Resource,
    ResourceModel,
    Schema,
    load_schema,
)
from app.web.auth import context_of
from app.web.parameters import Parameters
from app.web.reading import read
from app.web.responses import scim_response
from app.web.services import served_models

ScimRequest = Request[Any, Any, Any]


@read(["/ServiceProviderConfig", "/ServiceProviderConfigs"])
async def service_provider_config(request: ScimRequest) -> ASGIApp:
    """RFC 7643 §5, with `pagination` of RFC 9865; in both spellings (erratum 4978 of RFC 7644)."""
    return _shown(request, _config(context_of(request), request.app.state.services.settings))


@read("/ResourceTypes")
async def resource_types(request: ScimRequest) -> ASGIApp:
    """RFC 7643 §6, as a ListResponse."""
    return _listed(request, [_resource_type(m, context_of(request)) for m in _models(request)])


@read("/ResourceTypes/{name:str}")
async def resource_type(request: ScimRequest, name: FromPath[str]) -> ASGIApp:
    """One resource type by its name."""
    for model in _models(request):
        if model.name == name:
            return _shown(request, _resource_type(model, context_of(request)))
    raise NotFound(f"there is no resource type {name[:100]!r}")


@read("/Schemas")
async def schemas(request: ScimRequest) -> ASGIApp:
    """RFC 7643 §7, as a ListResponse."""
    context = context_of(request)
    return _listed(request, [_schema(s, context) for s in _published(request)])


@read("/Schemas/{urn:str}")
async def schema(request: ScimRequest, urn: FromPath[str]) -> ASGIApp:
    """One schema by its URN."""
    context = context_of(request)
    for found in _published(request):
        if found.id.lower() == urn.lower():
            return _shown(request, _schema(found, context))
    raise NotFound(f"there is no schema {urn[:200]!r}")


def _models(request: ScimRequest) -> tuple[ResourceModel, ...]:
    return served_models(context_of(request), request.app.state.services)


def _published(request: ScimRequest) -> tuple[Schema, ...]:
    discovery = (load_schema(n) for n in ("service_provider_config", "resource_type", "schema"))
    return (*(s for model in _models(request) for s in (model.core, *model.extensions)), *discovery)


def _listed(request: ScimRequest, resources: list[Resource]) -> ASGIApp:
    """All of them; paging parameters are ignored, as RFC 7644 §4 says."""
    return _shown(request, list_response(resources, len(resources), 1))


def _shown(request: ScimRequest, body: Resource) -> ASGIApp:
    """The answer; with a filter 403, so that no client takes it for having been applied (RFC 7644 §4)."""
    if Parameters(request).all("filter"):
        raise Forbidden("discovery endpoints take no filter (RFC 7644 §4)")
    return scim_response(request, body)


def _config(context: Context, settings: Settings) -> Resource:
    return {
        "schemas": [SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": True},
        "bulk": {
            "supported": True,
            "maxOperations": settings.bulk_max_operations,
            "maxPayloadSize": settings.bulk_max_payload_bytes,
        },
        "filter": {"supported": True, "maxResults": settings.max_page_size},
        "changePassword": {"supported": context.sets_passwords},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": settings.page_size,
            "maxPageSize": settings.max_page_size,
            "cursorTimeout": settings.cursor_timeout_s,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "OAuth Bearer Token",
                "description": "A token made with `scim-bridge token create`, in the Authorization header.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            },
            {
                "type": "oauth2",
                "name": "OAuth 2.0 Client Credentials",
                "description": "An access token from POST /oauth/token, by a client secret or a signed "
                "assertion, in the Authorization header.",
                "specUri": "https://www.rfc-editor.org/info/rfc6749",
            },
        ],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": f"{context.base_url}/ServiceProviderConfig",
        },
    }


def _resource_type(model: ResourceModel, context: Context) -> Resource:
    return {
        "schemas": [RESOURCE_TYPE],
        "id": model.name,
        "name": model.name,
        "endpoint": model.endpoint,
        "description": model.description,
        "schema": model.core.id,
        "schemaExtensions": [{"schema": e.id, "required": False} for e in model.extensions],
        "meta": {
            "resourceType": "ResourceType",
            "location": f"{context.base_url}/ResourceTypes/{model.name}",
        },
    }


def _schema(schema: Schema, context: Context) -> Resource:
    return {
        "schemas": [SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [_attribute(a) for a in schema.attributes],
        "meta": {"resourceType": "Schema", "location": f"{context.base_url}/Schemas/{schema.id}"},
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    """The characteristics that apply to the attribute's type (RFC 7643 §7)."""
    shown: dict[str, Any] = msgspec.to_builtins(attribute)
    del shown["subAttributes"], shown["canonicalValues"], shown["referenceTypes"]
    if attribute.type not in ("string", "reference", "binary"):
        del shown["caseExact"]
    if attribute.canonical_values:
        shown["canonicalValues"] = list(attribute.canonical_values)
    if attribute.type == "reference":
        shown["referenceTypes"] = list(attribute.reference_types)
    if attribute.type == "complex":
        shown["subAttributes"] = [_attribute(s) for s in attribute.sub_attributes]
    return shown


router = Router(
    path="/",
    route_handlers=[service_provider_config, resource_types, resource_type, schemas, schema],
)
