"""What every request passes before the app: token, size, time; what every answer carries."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any, NamedTuple

from iiae.web.counting import Counts

OPEN = ("/", "/health", "/docs")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Limits(NamedTuple):
    """What a request may ask for: bytes and seconds of an upload, pixels of an image, results."""

    bytes: int = 10 << 20
    seconds: float = 30.0
    pixels: int = 25_000_000
    top: int = 100
    images: int = 16


class Guard:
    """ASGI middleware. Reads the whole body, within limits, before the app sees the request.

    Args:
        app: What answers.
        token: Bearer token that every route but the page and /health needs; None for none.
        limits: Of bytes and seconds.
        counts: Where answers are counted.
    """

    def __init__(self, app: Any, token: str | None, limits: Limits, counts: Counts):
        self.app, self.limits, self.counts = app, limits, counts
        self.token = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status, asked = time.perf_counter(), 0, scope["method"]
        if asked == "HEAD":  # answered as GET is, without the body
            scope = {**scope, "method": "GET"}

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            elif asked == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._pass(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = asked if asked in ("GET", "POST", "HEAD") else "other"
            if status:
                self.counts.add(route, method, status, time.perf_counter() - started)

    async def _pass(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"")
        closed = self.token is not None and scope["path"] not in OPEN
        if closed and not secrets.compare_digest(given, self.token or b""):
            challenge = [(b"www-authenticate", b"Bearer")]
            return await _refuse(send, 401, "a bearer token is needed", challenge)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self.limits.bytes:
            return await _refuse(send, 413, f"more than {self.limits.bytes:,} bytes")
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self._read(receive)
        except TimeoutError:
            return await _refuse(send, 408, f"took longer than {self.limits.seconds:g} s to arrive")
        if body is None:
            return None  # the client has gone
        if len(body) > self.limits.bytes:
            return await _refuse(send, 413, f"more than {self.limits.bytes:,} bytes")
        first = True

        async def replay() -> Any:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Any) -> bytes | None:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body") or size > self.limits.bytes:
                return b"".join(parts)


async def _refuse(
    send: Any, status: int, why: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = json.dumps({"detail": why}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (408, 413):
        head.append((b"connection", b"close"))
    await send(
        {"type": "http.response.start", "status": status, "headers": [*head, *(headers or [])]}
    )
    await send({"type": "http.response.body", "body": body})
