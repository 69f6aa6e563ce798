"""Style, script and icon: files of this package, read once, named by what is in them."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath

from litestar import Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {
    each.name: (each.read_bytes(), _TYPES[PurePath(each.name).suffix])
    for each in files("app.console").joinpath("static").iterdir()
    if PurePath(each.name).suffix in _TYPES
}
_VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, (content, _) in _FILES.items()}
_CACHED = "public, max-age=31536000, immutable"


def asset_url(name: str) -> str:
    """Where a file is; elsewhere as soon as its content is another, so that browsers may keep it."""
    return f"/console/static/{name}?v={_VERSIONS[name]}"


@get("/{name:str}", opt={"public": True})
async def asset(name: FromPath[str]) -> Response[bytes]:
    """A file; there are no others than those of this package."""
    if name not in _FILES:
        raise NotFoundException
    content, kind = _FILES[name]
    return Response(content, media_type=kind, headers={"Cache-Control": _CACHED})


router = Router(path="/static", route_handlers=[asset])
