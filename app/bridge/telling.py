"""Story the story of the request that is being answered, by whoever knows something of it.

Where nobody listens these functions do nothing. Bulk operations and recovery tell stories of their own,
within a request or beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from contextvars import Token as VarToken
from typing import TypeAlias

from app.bridge.context import Context
from app.bridge.story import Story, new_correlation_id
from app.planning.plan import Plan
from app.platform.recording import Recording, record, stop
from app.scim.schema import Resource
from app.store.audit_records import Actor
from app.store.connections import Connection
from app.store.tokens import AccessToken, Token

_CLIENT_ID = re.compile(r"(?:cli|fed)_[a-z0-9]{20}")

_telling: ContextVar[Story | None] = ContextVar("telling", default=None)


def telling() -> Story | None:
    """The story under way, None where nobody listens."""
    return _telling.get()


Told: TypeAlias = tuple[VarToken[Story | None], VarToken[Recording | None]]
"""What `begin` gives for `end`."""


def begin(story: Story) -> Told:
    """From now on, here and in tasks that are started, everything that is told belongs to this story."""
    return _telling.set(story), record(story.recording)


def end(told: Told) -> None:
    """What was before `begin` is so again."""
    stop(told[1])
    _telling.reset(told[0])


@contextmanager
def told_by(story: Story) -> Iterator[Story]:
    """Within the block, everything that is told belongs to this story."""
    told = begin(story)
    try:
        yield story
    finally:
        end(told)


@contextmanager
def within(method: str, path: str, *, actor: Actor = "client") -> Iterator[Story]:
    """A story within a request, such as an operation of a bulk request: under the same correlation id.

    The client is the same too, unless somebody else acts. Whoever opens it hands it over:
    `await stories.told(telling.ended(status))`.
    """
    outer = _telling.get()
    inner = Story(method, path, new_correlation_id() if outer is None else outer.correlation_id, actor=actor)
    if outer is not None and outer.recording.trace is not None:
        inner.recording.trace = outer.recording.trace.within()
    if outer is not None and actor == outer.actor:
        inner.context, inner.connection, inner.token_id = outer.context, outer.connection, outer.token_id
        inner.connection_id, inner.credential_id = outer.connection_id, outer.credential_id
        inner.user_agent, inner.address, inner.dry_run = outer.user_agent, outer.address, outer.dry_run
    with told_by(inner):
        yield inner


def tell_connection(connection: Connection) -> None:
    """The connection over which the request came."""
    story = _telling.get()
    if story is not None:
        story.connection_id, story.connection = connection.id, connection.name


def tell_token(token: Token | AccessToken) -> None:
    """The token with which it came, or the one that it was given."""
    story = _telling.get()
    if story is not None:
        story.token_id = token.id
        if isinstance(token, AccessToken):
            story.credential_id = token.secret_id or token.trust_id or ""


def tell_context(context: Context) -> None:
    """How the connection is to be dealt with."""
    story = _telling.get()
    if story is not None:
        story.context = context


def tell_body(document: object) -> None:
    """The request's body, decoded."""
    story = _telling.get()
    if story is not None:
        story.body = document


def tell_search(filter_: str | None) -> None:
    """What is searched for, before it is looked at."""
    story = _telling.get()
    if story is not None:
        story.filter = filter_


def tell_plan(plan: Plan) -> None:
    """How a search is answered."""
    story = _telling.get()
    if story is not None:
        story.plan = plan


def tell_found(total: int, shown: Sequence[Resource]) -> None:
    """What a search came to; the only one that was found is what it was about."""
    story = _telling.get()
    if story is not None:
        story.found = total
        if total == 1 and len(shown) == 1:
            tell_resource(shown[0])


def tell_resource(resource: Resource) -> None:
    """The resource that the request is about."""
    story = _telling.get()
    if story is None:
        return
    story.resource_id = resource.get("id", story.resource_id)
    names = [(kind, value) for kind in ("userName", "externalId") if (value := resource.get(kind))]
    known = story.names
    story.names = (*known, *(n for n in names if n not in known)) if known else tuple(names)


def tell_client(client_id: str | None, *, known: bool) -> None:
    """The OAuth client that a token request names.

    Unless it is `known` it may be anything, such as a secret gone astray: only what the bridge could have
    made is told.
    """
    story = _telling.get()
    if story is not None and client_id is not None and (known or _CLIENT_ID.fullmatch(client_id)):
        story.resource_id = client_id


def tell_changes(changed: Iterable[str]) -> None:
    """Names of the attributes that a write changes, or is to change."""
    story = _telling.get()
    if story is not None:
        story.changed = tuple(changed)


def tell_late(status: int) -> None:
    """A write has come to its end, and its request was answered before, or its client has gone."""
    story = _telling.get()
    if story is not None and story.after is not None:
        story.after(story, status)
