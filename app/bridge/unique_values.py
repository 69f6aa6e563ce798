"""Uniqueness of extension attributes (RFC 7643 §7, `server` and `global`): one user of a tenant has a value.

The platform knows nothing of it. A value is looked for under a lock of its own and written under the same
lock, so that two users who get it at once through the bridge are told apart. What is written past the
bridge is not held to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from app.bridge.context import Context
from app.bridge.locks import KeyedLocks
from app.bridge.query import Query
from app.bridge.search import Search
from app.mapping.draft import value_at
from app.scim.errors import ServiceUnavailable, TooMany, Uniqueness
from app.scim.expression import AttrName, Compare
from app.scim.schema import AttributeRef, Resource, ResourceModel

_RETRY_S = 30


class UniqueValues:
    """Keeps values of unique extension attributes to one user each."""

    def __init__(self, search: Search, locks: KeyedLocks) -> None:
        self._search = search
        self._locks = locks

    @asynccontextmanager
    async def held(
        self, context: Context, after: Resource, *, before: Resource | None = None, but: str | None = None
    ) -> AsyncIterator[None]:
        """Hold the locks of all values that the write to `after` gives; nothing is asked where it gives none.

        Raises `Uniqueness` where another user than `but` has one; `TooMany` or `ServiceUnavailable` where
        that cannot be found out.
        """
        given = [
            (ref, value)
            for ref in unique_attributes(context.mapping.model)
            if (value := value_at(after, ref)) is not None and value != value_at(before or {}, ref)
        ]
        async with self._locks.hold(*(_key(context, ref, value) for ref, value in given)):
            for ref, value in given:
                await self._check(context, ref, value, but)
            yield

    async def _check(self, context: Context, ref: AttributeRef, value: Any, but: str | None) -> None:
        name = AttrName(urn=ref.urn, name=ref.attribute.name)
        query = Query(filter=Compare(path=name, op="eq", value=value), count=2)
        try:
            found = await self._search.run(context, query)
        except TooMany as exc:
            told = f"{ref.text} has to be unique, and there are too many users to look through"
            if context.indexed:
                raise ServiceUnavailable(f"{told} while the index is built", retry_after_s=_RETRY_S) from exc
            raise TooMany(f"{told} without the index: have the connection use it") from exc
        others = [r["id"] for r in found.resources if r["id"] != but]
        if others:
            raise Uniqueness(f"{ref.text} is already in use by user {others[0]} with this value")


def unique_attributes(model: ResourceModel) -> Iterator[AttributeRef]:
    """The attributes of extensions that are to be unique; userName and id are seen to elsewhere."""
    for extension in model.extensions:
        for attribute in extension.attributes:
            if attribute.uniqueness != "none" and attribute.mutability != "readOnly":
                yield AttributeRef(urn=extension.id, attribute=attribute)


def _key(context: Context, ref: AttributeRef, value: Any) -> str:
    return f"{context.tenant_id} {ref.text} {str(value).casefold()}"
