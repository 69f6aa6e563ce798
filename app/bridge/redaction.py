"""Stories as records of the audit trail: what they may hold, and the keys under which they are found.

The only place where the raw values of a story become something that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from app.bridge.story import Story
from app.mapping.masking import SECRETS, mask_agent, mask_detail
from app.mapping.sensitivity import MASK, Sensitivity
from app.mapping.users import UserMapping
from app.mapping.wording import plain_words
from app.planning.printer import print_plan
from app.platform.recording import CallMade, CallPlanned, template_of
from app.scim.filter import print_filter
from app.scim.schema import entitlement_model, group_model, role_model
from app.store.audit import hash_key
from app.store.audit_records import AuditCall, AuditEntry, AuditRecord, Facet, text_of

_ID = re.compile(r"(?!sc[abs]_)[A-Za-z0-9_-]{1,128}")
"""Of a resource, and no token of the bridge's that went astray."""
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_NAMES = {"username": "userName", "externalid": "externalId"}
_NAMED = re.compile(r'\b(userName|externalId)\s+eq\s+("(?:[^"\\]|\\.)*")', re.IGNORECASE)
_CALLS = 50
"""Platform calls of one request that its record names."""
_BODY_BYTES = 32_768
"""Of a masked body at most; of a longer one, only its size is kept."""
_AGENT = 200
_LINKED = 20_000
"""Names of users that have been read, of which it is remembered that the trail knows them."""

_PUBLIC_PARAMETERS = frozenset(
    (
        *("page", "per_page", "limit", "offset", "sort_by", "sort_order", "include"),
        *("status", "ou_id", "group_id", "mfa_enabled"),
    )
)

_encode = msgspec.json.Encoder().encode
_MODELS = {model.name: model for model in (group_model(), role_model(), entitlement_model())}


class Redaction:
    """Makes records of stories. Not safe to be used by several threads at once."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is that of `Audit.secret`."""
        self._secret = secret
        self._linked: dict[tuple[str, str], str | None] = {}

    def counted(self, story: Story) -> AuditEntry:
        """A story that is not kept, but counted."""
        return _entry(story, None, ())

    def entry(self, story: Story) -> AuditEntry:
        """A story with its record."""
        record = self._record(story)
        try:
            text = text_of(record)
        except UnicodeEncodeError:
            # Half a character, which JSON can hold and a database cannot.
            text = text_of(msgspec.structs.replace(record, body=None, filter=None, detail=None, plan=None))
        return _entry(story, text, self._keys(story), record.resource_id)

    def _record(self, story: Story) -> AuditRecord:
        hidden: set[str] = set()
        context = story.context
        personal = context is not None and context.audits_personal
        sensitivity = None
        body = shown_filter = plan = detail = None
        tells = story.body is not msgspec.UNSET or story.filter or story.plan or story.detail
        if context is not None and tells:
            sensitivity = _sensitivity(context.mapping, personal, story.resource_type)
            body = None if story.body is msgspec.UNSET else _body(story, sensitivity, hidden)
            shown_filter = None if story.filter is None else sensitivity.filter(story.filter, hidden)
            plan = None if story.plan is None else _plan(story.plan, sensitivity, personal)
        resource_id = _resource_id(story)
        if story.detail is not None:
            if resource_id is None and story.resource_id is not None and not personal:
                hidden.add(story.resource_id)

            def may_stay(text: str) -> bool:
                return text == resource_id or (sensitivity is not None and sensitivity.knows(text))

            told = story.detail
            for quoted in () if personal else story.quoted:
                # Of whom it may be, nobody knows here: of another user, even.
                told = told.replace(quoted, plain_words(quoted)) if quoted else told
            detail = mask_detail(told, hidden, personal=personal, may_stay=may_stay)
        calls = story.calls
        return AuditRecord(
            at=story.at,
            duration_s=round(story.duration_s, 6),
            actor=story.actor,
            connection_id=story.connection_id,
            connection=story.connection,
            token_id=story.token_id,
            credential_id=story.credential_id,
            user_agent=mask_agent(story.user_agent[: 2 * _AGENT], personal=personal)[:_AGENT],
            address=story.address,
            correlation_id=story.correlation_id,
            method=story.method if story.method in _METHODS else "other",
            route=story.route,
            resource_type=story.resource_type,
            resource_id=resource_id,
            names=dict(story.names) if personal else {},
            filter=shown_filter,
            plan=plan,
            found=story.found,
            status=story.status,
            scim_type=story.scim_type,
            detail=detail,
            cause=story.cause,
            changed=story.changed,
            dry_run=story.dry_run,
            calls=(
                _calls(calls, personal) + _planned(story.planned, personal) if calls or story.planned else ()
            ),
            call_count=len(calls) + len(story.planned),
            platform_s=round(sum([call.ms for call in calls]) / 1000, 6),
            body=body,
        )

    def _keys(self, story: Story) -> tuple[bytes, ...]:
        names: Iterable[tuple[str, str]] = story.names
        if story.body is msgspec.UNSET and story.filter is None and not story.cause and not story.writes:
            # A user is read again and again; that the trail knows its names is enough.
            linked, resource_id = self._linked, story.resource_id
            names = [name for name in names if linked.get(name) != resource_id]
            if not names:
                return ()
        else:
            names = [*names, *_named(story)]
        for name in names:
            self._remember(name, story.resource_id)
        return tuple([hash_key(self._secret, kind, value) for kind, value in names])

    def _remember(self, name: tuple[str, str], resource_id: str | None) -> None:
        if len(self._linked) >= _LINKED:
            self._linked.clear()
        self._linked[name] = resource_id


def _entry(
    story: Story, text: str | None, keys: tuple[bytes, ...], resource_id: str | None = None
) -> AuditEntry:
    calls = story.calls
    return AuditEntry(
        facet=Facet(
            story.connection_id,
            story.method if story.method in _METHODS else "other",
            story.resource_type,
            story.status,
            story.cause,
            story.actor,
        ),
        ended_at=story.at + timedelta(seconds=story.duration_s),
        duration_s=story.duration_s,
        call_s=[call.ms / 1000 for call in calls],
        failed_calls=len([call for call in calls if call.status is None or call.status >= 400]),
        resource_id=resource_id,
        correlation_id=story.correlation_id,
        text=text,
        counts=not story.dry_run,
        keys=keys,
    )


@lru_cache(256)
def _sensitivity(mapping: UserMapping, personal: bool, resource_type: str) -> Sensitivity:
    model = _MODELS.get(resource_type)
    if model is None:
        return Sensitivity(mapping.model, mapping.file.user, personal=personal)
    return Sensitivity(model, personal=personal)


def _resource_id(story: Story) -> str | None:
    """The id, unless a client has put something else in its place."""
    found = story.resource_id
    return found if found is not None and _ID.fullmatch(found) is not None else None


def _body(story: Story, sensitivity: Sensitivity, hidden: set[str]) -> Any:
    body = story.body
    if story.route.endswith("/.search"):
        shown = sensitivity.search(body, hidden)
    elif story.resource_type not in ("User", "Group"):
        return None
    elif story.method == "PATCH":
        shown = sensitivity.patch(body, hidden)
    else:
        shown = sensitivity.body(body, hidden)
    size = len(_encode(shown))
    return shown if size <= _BODY_BYTES else f"… {size} bytes left out"


def _plan(plan: Any, sensitivity: Sensitivity, personal: bool) -> str:
    def value(name: str, text: str) -> str:
        public = personal or name == "id" or name in _PUBLIC_PARAMETERS
        return _encode(text).decode() if public or sensitivity.keeps(name) else MASK

    told = print_plan(plan, filters=lambda f: sensitivity.filter(print_filter(f), set()), values=value)
    return SECRETS.sub(MASK, told)


def _named(story: Story) -> Iterator[tuple[str, str]]:
    """Names by which the request itself calls a resource."""
    if isinstance(story.body, dict) and story.resource_type in ("User", "Group"):
        yield from _named_in(story.body)
        operations = next((v for k, v in story.body.items() if k.lower() == "operations"), None)
        for operation in operations if isinstance(operations, list) else ():
            if isinstance(operation, dict):
                told = {k.lower(): v for k, v in operation.items()}
                path, value = told.get("path"), told.get("value")
                if isinstance(value, dict):
                    yield from _named_in(value)
                elif isinstance(path, str):
                    yield from _named_in({path: value})
    for kind, text in _NAMED.findall(story.filter or ""):
        try:
            yield _NAMES[kind.lower()], msgspec.json.decode(text, type=str)
        except msgspec.DecodeError:
            continue
    if story.resource_id is not None and _ID.fullmatch(story.resource_id) is None:
        yield "userName", story.resource_id


def _named_in(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        kind = _NAMES.get(key.lower().rpartition(":")[2])
        if kind is not None and isinstance(value, str):
            yield kind, value


def _calls(calls: Sequence[CallMade], personal: bool) -> tuple[AuditCall, ...]:
    shown: list[AuditCall] = []
    failed: dict[tuple[str, str], int] = {}
    for call in calls[:_CALLS]:
        path, template = _shown_path(call.path, personal)
        before = failed.get((call.method, call.path), 0) if failed else 0
        if call.status is None or call.status in (401, 429) or call.status >= 500:
            failed[call.method, call.path] = before + 1
        shown.append(
            AuditCall(
                method=call.method,
                path=path,
                template=template,
                status=call.status,
                failure=call.failure,
                duration_s=round(call.ms / 1000, 6),
                attempt=before + 1,
            )
        )
    return tuple(shown)


def _planned(calls: Sequence[CallPlanned], personal: bool) -> tuple[AuditCall, ...]:
    shown = []
    for call in calls[:_CALLS]:
        path, template = _shown_path(call.path, personal)
        shown.append(
            AuditCall(method=call.method, path=path, template=template, duration_s=0.0, planned=True)
        )
    return tuple(shown)


@lru_cache(4096)
def _shown_path(path: str, personal: bool) -> tuple[str, str]:
    """A call's path with its parameters masked, and its template."""
    place, mark, query = path.partition("?")
    shown = []
    for parameter in query.split("&") if mark else ():
        name, _, value = parameter.partition("=")
        shown.append(f"{name}={value if personal or name in _PUBLIC_PARAMETERS else MASK}")
    return SECRETS.sub(MASK, place) + mark + "&".join(shown), template_of(place)
