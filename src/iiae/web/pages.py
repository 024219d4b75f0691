"""The pages: one to search and translate in, one that describes the API, and their files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response

PAGES = {"/": "index.html", "/docs": "docs.html"}
FILES = {f"/page/{f.name}": f.name for f in files("iiae.web").joinpath("page").iterdir()}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
# its own files run and nothing else; widths of bars are set by the style of an element
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_routes() -> APIRouter:
    """Routes of the pages and of the files that they load; all are open."""
    router = APIRouter(include_in_schema=False)
    for path, name in {**PAGES, **FILES}.items():
        router.add_api_route(path, _answer(name), methods=["GET"])
    return router


def _answer(name: str) -> Callable[[], Awaitable[Response]]:
    content = files("iiae.web").joinpath("page", name).read_bytes()
    kind = TYPES[name.rsplit(".", 1)[1]]
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}

    async def shown() -> Response:
        return Response(content, media_type=kind, headers=headers)

    return shown
