"""Checks of every request before the app (token, size, time), and headers of every answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any, NamedTuple

from fastapi.exception_handlers import http_exception_handler
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from iiae.web.counting import Counts
from iiae.web.pages import FILES, PAGES

OPEN = ("/health", *PAGES, *FILES)
BEARER = HTTPBearer(scheme_name="token", auto_error=False)
CLOSE = {"connection": "close"}  # the rest of the body is not waited for
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Limits(NamedTuple):
    """Limits of a request: bytes and seconds of an upload, pixels of an image, results."""

    bytes: int = 10 << 20
    seconds: float = 30.0
    pixels: int = 25_000_000
    top: int = 100
    images: int = 16


class Guard:
    """ASGI middleware. Reads the whole body, within limits, before the app sees the request.

    The token is checked here and not in a dependency of FastAPI, which would read the body of a
    form first. Starlette's `max_body_size` answers in plain text and keeps the connection open.

    Args:
        app: What answers.
        token: Bearer token that every route but the page and /health needs; None for none.
        limits: Of bytes and seconds.
        counts: Where answers are counted.
    """

    def __init__(self, app: Any, token: str | None, limits: Limits, counts: Counts):
        self.app, self.token, self.limits, self.counts = app, token, limits, counts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status, asked = time.perf_counter(), 0, scope["method"]
        if asked == "HEAD":  # answered as GET is; the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self._pass(scope, receive, sent)
        except Exception:
            status = 500  # answered further out
            raise
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = asked if asked in ("GET", "POST", "HEAD") else "other"
            if status:
                self.counts.add(route, method, status, time.perf_counter() - started)

    async def _pass(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            await self._admit(request)
            body = await self._read(request)
        except HTTPException as refused:
            answer = await http_exception_handler(request, refused)
            return await answer(scope, receive, send)
        except ClientDisconnect:
            return None
        messages = [{"type": "http.request", "body": body}]

        async def replay() -> Any:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)

    async def _admit(self, request: Request) -> None:
        if self.token is None or request.scope["path"] in OPEN:
            return
        given = await BEARER(request)
        sent = given.credentials if given else ""
        # as bytes: headers are read as Latin-1, and text beyond ASCII cannot be compared
        if not secrets.compare_digest(sent.encode("latin-1"), self.token.encode()):
            raise HTTPException(401, "a bearer token is needed", {"www-authenticate": "Bearer"})

    async def _read(self, request: Request) -> bytes:
        most = self.limits.bytes
        too_large = HTTPException(413, f"more than {most:,} bytes", CLOSE)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            late = f"took longer than {self.limits.seconds:g} s to arrive"
            raise HTTPException(408, late, CLOSE) from None
        return bytes(body)
