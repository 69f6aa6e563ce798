"""How Okta and Microsoft Entra ID write each request; `tests/data/exchanges` has them as captured.

Both ask for resources by id to see what they wrote ("read back" in the report): that is the check of the run,
and more than the providers do themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote, quote_plus

from app.cli.bench.messages import Request
from app.cli.bench.population import WORK_EMAIL, Change, Group, User, Value
from app.scim.schema import Resource

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
MICROSOFT_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MEMBERS_PER_PATCH = 100

T = TypeVar("T")


class Forms(Protocol):
    """The requests of one identity provider. Ids come from the server and are encoded here."""

    headers: Mapping[str, str]

    def connect(self, nonce: str) -> Request:
        """The test of the connection; `nonce` is nobody's name."""

    def match(self, entity: User | Group) -> Request:
        """Look for a user or group by name."""

    def create(self, entity: User | Group) -> Request:
        """POST; a group without members."""

    def reads_first(self, change: Change) -> bool:
        """Whether the change is made of what GET shows."""

    def change(self, user: User, change: Change, shown: Resource) -> Request:
        """Change a user; `shown` is what GET has shown, where `reads_first`."""

    def push(self, group: Group) -> Sequence[Request]:
        """What comes before every push of members."""

    def members(self, group: Group, leaving: Sequence[str], joining: Sequence[User]) -> Sequence[Request]:
        """Change the members: ids that leave, users that join."""


def read(kind: str, entity: User | Group) -> Request:
    """GET by id."""
    return Request(kind=kind, method="GET", target=place(entity))


def delete(entity: User | Group) -> Request:
    """DELETE; 404 is as good, for then it is gone."""
    return Request(
        kind=f"delete {_noun(entity)}", method="DELETE", target=place(entity), expect=(204, 200, 404)
    )


def gone(entity: User | Group) -> Request:
    """GET by id of what was deleted."""
    return Request(kind="read deleted", method="GET", target=place(entity), expect=(404,))


def place(entity: User | Group) -> str:
    """`/Users/{id}`."""
    return f"{entity.path}/{quote(entity.id or '', safe='')}"


class Okta:
    """An app of Okta's wizard: PUT of whole users, PATCH without a path for leavers."""

    headers: Mapping[str, str] = {
        "User-Agent": "Okta SCIM Client 1.0.0",
        "Accept": "application/scim+json",
        "Content-Type": "application/scim+json; charset=utf-8",
    }

    def connect(self, nonce: str) -> Request:
        return Request(kind="connect", method="GET", target="/Users?startIndex=1&count=2")

    def match(self, entity: User | Group) -> Request:
        query = quote(f'{_name_attribute(entity)} eq "{entity.name}"')
        target = f"{entity.path}?filter={query}&startIndex=1&count=100"
        return Request(kind=f"match {_noun(entity)}", method="GET", target=target)

    def create(self, entity: User | Group) -> Request:
        if isinstance(entity, Group):
            return _create(entity, {"schemas": [GROUP], "displayName": entity.name, "members": []})
        known = entity.known
        body = {
            "schemas": [USER],
            "userName": entity.name,
            "name": {"givenName": known["name.givenName"], "familyName": known["name.familyName"]},
            "emails": [{"primary": True, "value": known[WORK_EMAIL], "type": "work"}],
            "displayName": known["displayName"],
            "locale": "en-US",
            "externalId": known["externalId"],
            "groups": [],
            "password": secrets.token_urlsafe(12),  # Okta sends a placeholder though passwords are not synced
            "active": known["active"],
        }
        return _create(entity, body)

    def reads_first(self, change: Change) -> bool:
        return "active" not in change.values

    def change(self, user: User, change: Change, shown: Resource) -> Request:
        if not self.reads_first(change):
            return _patch(change.kind, user, [{"op": "replace", "value": dict(change.values)}])
        body = merged(shown, change.values)
        return Request(kind=change.kind, method="PUT", target=place(user), body=body)

    def push(self, group: Group) -> Sequence[Request]:
        value = {"id": group.id, "displayName": group.name}
        return [_patch("push group", group, [{"op": "replace", "value": value}])]

    def members(self, group: Group, leaving: Sequence[str], joining: Sequence[User]) -> Sequence[Request]:
        operations: list[list[Resource]] = [
            [{"op": "remove", "path": f'members[value eq "{id}"]'} for id in part] for part in _parts(leaving)
        ]
        operations += [
            [{"op": "add", "path": "members", "value": [{"value": u.id, "display": u.name} for u in part]}]
            for part in _parts(joining)
        ]
        if len(leaving) + len(joining) <= MEMBERS_PER_PATCH:
            operations = [[op for part in operations for op in part]] if operations else []
        return [_patch("change members", group, part) for part in operations]


class Entra:
    """Entra's default dialect: `Add`, `Replace` and `Remove` with a capital, booleans as words, paths."""

    headers: Mapping[str, str] = {"Content-Type": "application/scim+json; charset=utf-8"}

    def connect(self, nonce: str) -> Request:
        target = "/Users?filter=" + quote_plus(f'userName eq "{nonce}"')
        return Request(kind="connect", method="GET", target=target)

    def match(self, entity: User | Group) -> Request:
        members = "excludedAttributes=members&" if isinstance(entity, Group) else ""
        query = quote_plus(f'{_name_attribute(entity)} eq "{entity.name}"')
        return Request(
            kind=f"match {_noun(entity)}", method="GET", target=f"{entity.path}?{members}filter={query}"
        )

    def create(self, entity: User | Group) -> Request:
        if isinstance(entity, Group):
            return _create(
                entity,
                {
                    "schemas": [GROUP, MICROSOFT_GROUP],
                    "externalId": entity.external_id,
                    "displayName": entity.name,
                    "meta": {"resourceType": "Group"},
                },
            )
        known = entity.known
        body = {
            "schemas": [USER, ENTERPRISE],
            "externalId": known["externalId"],
            "userName": entity.name,
            "active": known["active"],
            "displayName": known["displayName"],
            "emails": [{"primary": True, "type": "work", "value": known[WORK_EMAIL]}],
            "name": {
                "formatted": known["displayName"],
                "familyName": known["name.familyName"],
                "givenName": known["name.givenName"],
            },
            "meta": {"resourceType": "User"},
            "roles": [],
        }
        return _create(entity, body)

    def reads_first(self, change: Change) -> bool:
        return False

    def change(self, user: User, change: Change, shown: Resource) -> Request:
        return _patch(
            change.kind,
            user,
            [
                {"op": "Replace", "path": path, "value": str(value)}  # "True", "False"
                for path, value in change.values.items()
            ],
        )

    def push(self, group: Group) -> Sequence[Request]:
        return []

    def members(self, group: Group, leaving: Sequence[str], joining: Sequence[User]) -> Sequence[Request]:
        batches = [("Remove", part) for part in _parts(leaving)]
        batches += [("Add", part) for part in _parts([u.id or "" for u in joining])]
        return [
            _patch(
                "change members",
                group,
                [{"op": op, "path": "members", "value": [{"$ref": None, "value": id} for id in part]}],
            )
            for op, part in batches
        ]


FORMS: Mapping[str, Forms] = {"okta": Okta(), "entra": Entra()}


def merged(shown: Resource, values: Mapping[str, Value]) -> Resource:
    """The whole resource as Okta sends it back, with new values in it."""
    name = shown.get("name")
    body = {**shown, "name": dict(name) if isinstance(name, dict) else {}}
    for attribute, value in values.items():
        if attribute == WORK_EMAIL:
            body["emails"] = [{"primary": True, "value": value, "type": "work"}]
        elif attribute.startswith("name."):
            body["name"][attribute.removeprefix("name.")] = value
        else:
            body[attribute] = value
    return body


def _create(entity: User | Group, body: Resource) -> Request:
    return Request(
        kind=f"create {_noun(entity)}", method="POST", target=entity.path, body=body, expect=(201,)
    )


def _patch(kind: str, entity: User | Group, operations: Sequence[Resource]) -> Request:
    body = {"schemas": [PATCH], "Operations": list(operations)}
    return Request(kind=kind, method="PATCH", target=place(entity), body=body, expect=(200, 204))


def _parts(items: Sequence[T]) -> list[list[T]]:
    return [list(items[i : i + MEMBERS_PER_PATCH]) for i in range(0, len(items), MEMBERS_PER_PATCH)]


def _noun(entity: User | Group) -> str:
    return "user" if isinstance(entity, User) else "group"


def _name_attribute(entity: User | Group) -> str:
    return "userName" if isinstance(entity, User) else "displayName"
