"""Calls that a dry run would have made, as they may be shown: without secrets, and without others' data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from app.bridge.context import Context
from app.mapping.sensitivity import MASK, Sensitivity
from app.mapping.users import UserMapping
from app.platform.recording import CallPlanned
from app.scim.schema import AttributeRef, ResourceModel

_PASSWORDS = frozenset({"password", "new_password"})


class ShownCall(msgspec.Struct, frozen=True, kw_only=True):
    """A platform call as it would be made."""

    method: str
    path: str
    """With query."""
    body: Any = None
    """Secrets are masked, and so are values in `custom_attributes` that the call only sends along."""


def shown_calls(context: Context, calls: Sequence[CallPlanned]) -> tuple[ShownCall, ...]:
    """The calls with what must not be shown masked."""
    secrets = _secret_keys(context.mapping)
    return tuple(ShownCall(method=call.method, path=call.path, body=_body(call, secrets)) for call in calls)


def _body(call: CallPlanned, secrets: frozenset[str]) -> Any:
    body = call.body
    if call.kept:
        # They may be another application's, and nothing that SCIM shows.
        custom = {k: MASK if k in call.kept else v for k, v in body["custom_attributes"].items()}
        body = {**body, "custom_attributes": custom}
    return _masked(body, secrets)


def _masked(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if key.lower() in secrets else _masked(inner, secrets) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, secrets) for inner in value]
    return value


@lru_cache(256)
def _secret_keys(mapping: UserMapping) -> frozenset[str]:
    """Keys, in lower case, under which a body may hold a secret: wherever they stand."""
    sensitivity = Sensitivity(mapping.model, mapping.file.user, personal=True)
    names = {ref.text.lower() for ref in _attributes(mapping.model) if sensitivity.level(ref) == "secret"}
    found = set(_PASSWORDS) | {name.rpartition(":")[2].rpartition(".")[2] for name in names}
    for rule in mapping.file.user:
        if rule.scim.lower() in names:
            place = rule.field or rule.custom or ""
            found.add(place.rpartition(".")[2].lower())
    return frozenset(found - {""})


def _attributes(model: ResourceModel) -> Iterator[AttributeRef]:
    for schema in (model.core, *model.extensions):
        urn = None if schema is model.core else schema.id
        for attribute in schema.attributes:
            yield AttributeRef(urn=urn, attribute=attribute)
            for sub in attribute.sub_attributes:
                yield AttributeRef(urn=urn, attribute=attribute, sub=sub)
