"""The pages: one to search and translate in, one that describes the API."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def page_routes() -> APIRouter:
    """Routes of both pages."""
    router = APIRouter(include_in_schema=False)
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        router.add_api_route(path, _page(name), methods=["GET"])
    return router


def _page(name: str) -> Callable[[], Awaitable[HTMLResponse]]:
    """Answers with a page, and the policy that lets its own script run and nothing else."""
    text = files("iiae.web").joinpath(name).read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    async def shown() -> HTMLResponse:
        return HTMLResponse(text, headers={"content-security-policy": policy})

    return shown
