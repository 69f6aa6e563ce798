"""A platform that costs next to nothing: answers made of ready bytes, with the shapes of the Users API.

Users `usr_…` exist, all of them, with `<id>@example.com` as user name and address; a search for such a name
finds that user, any other finds none. A created user gets a new id and what was sent. Nothing is kept, so a
status that is set is answered as `ACTIVE` all the same.
"""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import parse_qs

import msgspec
from host import answer, read_body, serve

_TOKEN = (
    b'{"access_token":"stub-token","token_type":"Bearer","expires_in":86400,"scope":"admin:read admin:write"}'
)
_META = b'"meta":{"request_id":"req_01j9z7k4t0000000000000","timestamp":"2026-05-17T12:20:47Z"}'
_CUSTOM = (
    b'{"scim_external_ids":{"default":"00u1a2b3c4d5e6f7g8h9"},"title":"Senior Engineer",'
    b'"user_type":"Employee","employee_number":"E-104233","department":"Platform Engineering",'
    b'"cost_center":"4130","organization":"Example Corporation","shirt_size":"M"}'
)
_NO_ROWS = (
    b'{"data":[],"pagination":{"page":1,"per_page":100,"total_items":0,"total_pages":0},' + _META + b"}"
)
_NOT_FOUND = b'{"detail":"Not found"}'

_new_ids = itertools.count(1)


class _Creation(msgspec.Struct):
    email: str
    username: str
    custom_attributes: msgspec.Raw = msgspec.Raw(_CUSTOM)


_creation = msgspec.json.Decoder(_Creation)


def user(user_id: bytes, name: bytes, email: bytes, custom: bytes = _CUSTOM) -> bytes:
    """A full user in its envelope, about 1 kB."""
    return (
        b'{"data":{"email":"%b","username":"%b","first_name":"Amelia","last_name":"Okonkwo",'
        b'"display_name":"Amelia Okonkwo","phone":"+44 20 7946 0123","locale":"en",'
        b'"timezone":"Europe/London","id":"%b","email_verified":true,"avatar_url":"https://cdn.example.com/avatars/amelia.png",'
        b'"ou_id":"ou_engineering","ou_path":"/Engineering/Platform","status":"ACTIVE",'
        b'"identity_source":"SCIM","mfa_enabled":true,"groups":[{"group_id":"grp_everyone","name":"Everyone",'
        b'"membership_type":"DIRECT"}],"custom_attributes":%b,"created_at":"2026-01-12T08:15:30Z",'
        b'"updated_at":"2026-05-02T14:03:11Z","last_login_at":"2026-05-16T07:58:42Z",'
        b'"password_changed_at":null},%b}'
    ) % (email, name, user_id, custom, _META)


def rows(search: str) -> bytes:
    """The list that a search gives: the one user of that name, or none."""
    user_id, _, domain = search.partition("@")
    if not user_id.startswith("usr_") or domain != "example.com":
        return _NO_ROWS
    row = (
        b'{"id":"%b","email":"%b@example.com","display_name":"Amelia Okonkwo","status":"ACTIVE",'
        b'"ou_path":"/Engineering/Platform","identity_source":"SCIM","mfa_enabled":true,'
        b'"last_login_at":"2026-05-16T07:58:42Z"}'
    ) % (user_id.encode(), user_id.encode())
    page = b'"pagination":{"page":1,"per_page":100,"total_items":1,"total_pages":1}'
    return b'{"data":[%b],%b,%b}' % (row, page, _META)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The endpoints that the benchmark's requests come to."""
    method: str = scope["method"]
    parts: list[str] = scope["path"].split("/")
    if parts[-1] == "token":
        await read_body(receive)
        await answer(send, 200, _TOKEN)
    elif len(parts) == 6 and method == "GET":
        await answer(send, 200, rows(parse_qs(scope["query_string"].decode()).get("search", [""])[0]))
    elif len(parts) == 6 and method == "POST":
        new = _creation.decode(await read_body(receive))
        made = user(
            b"new_%d" % next(_new_ids),
            new.username.encode(),
            new.email.encode(),
            bytes(new.custom_attributes),
        )
        await answer(send, 201, made)
    elif len(parts) > 6 and parts[6].startswith("usr_"):
        if method != "GET":
            await read_body(receive)
        user_id = parts[6].encode()
        await answer(send, 200, user(user_id, user_id + b"@example.com", user_id + b"@example.com"))
    else:
        await answer(send, 404, _NOT_FOUND)


if __name__ == "__main__":
    serve(app)
