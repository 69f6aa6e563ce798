"""`/Me` (RFC 7644 §3.11): the user whom the token is bound to, under the handlers of `/Users/{id}`."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, delete, patch, post, put
from litestar.types import ASGIApp

from app.bridge.telling import tell_resource
from app.scim.errors import NotImplementedHere
from app.web.auth import user_of
from app.web.reading import read
from app.web.users import answer_delete, answer_get, answer_patch, answer_put

ScimRequest = Request[Any, Any, Any]


@read("/")
async def get_me(request: ScimRequest) -> ASGIApp:
    """Read the user; the location is the real one, below `/Users`."""
    return await answer_get(request, _user_id(request))


@put("/")
async def replace_me(request: ScimRequest) -> ASGIApp:
    """Replace the user."""
    return await answer_put(request, _user_id(request))


@patch("/")
async def patch_me(request: ScimRequest) -> ASGIApp:
    """Change the user."""
    return await answer_patch(request, _user_id(request))


@delete("/", status_code=200)
async def delete_me(request: ScimRequest) -> ASGIApp:
    """Delete the user: 204, and 404 from then on, here too."""
    return await answer_delete(request, _user_id(request))


@post("/")
async def create_me(request: ScimRequest) -> None:
    """501: a token is bound to a user that there is, so that nobody registers himself here."""
    _user_id(request)
    raise NotImplementedHere("POST on /Me is not offered: a token is bound to a user who exists already")


def _user_id(request: ScimRequest) -> str:
    user_id = user_of(request)
    if user_id is None:
        raise NotImplementedHere(
            "this token is bound to no user: /Me needs one that was made with "
            "scim-bridge token create CONNECTION --user ID"
        )
    tell_resource({"id": user_id})
    return user_id


router = Router(path="/Me", route_handlers=[get_me, replace_me, patch_me, delete_me, create_me])
