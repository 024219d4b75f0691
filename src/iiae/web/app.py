"""The API and the pages as one application, and the answers to errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from iiae.errors import IIAEError
from iiae.run_folder import TrainedRun
from iiae.search.gallery import Gallery
from iiae.web.batching import Busy
from iiae.web.guard import BEARER, Guard, Limits
from iiae.web.pages import page_routes
from iiae.web.server import PROBLEM, Server

LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver")
log = logging.getLogger("iiae")


def create_app(
    run: TrainedRun,
    gallery: Gallery | None = None,
    token: str | None = None,
    limits: Limits | None = None,
    hosts: Sequence[str] = LOCAL,
    batch: int = 32,
) -> FastAPI:
    """The server of one run.

    Args:
        run: A trained run.
        gallery: To search; of the same model.
        token: Bearer token that requests must carry; None for none.
        limits: What one request may ask for.
        hosts: Names the server answers to, against DNS rebinding; "*" for any.
        batch: Most requests worked on together; 1 works on each alone.

    Raises:
        GalleryError: The gallery is of another model.
    """
    server = Server(run, gallery, limits or Limits(), batch)
    app = FastAPI(
        title="iiae",
        lifespan=server.lifespan,
        docs_url=None,
        redoc_url=None,
        responses=dict.fromkeys((400, 401, 408, 413, 422, 503), PROBLEM),
        exception_handlers={
            IIAEError: _refused,
            RequestValidationError: _invalid,
            Busy: _busy,
            Exception: _failed,
        },
    )
    app.state.gallery = gallery
    bearer = [] if token is None else [Depends(BEARER)]  # for openapi.json; Guard checks it
    app.include_router(server.router(), dependencies=bearer)
    app.add_api_route("/health", _health)
    app.include_router(page_routes())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Guard, token=token, limits=server.limits, counts=server.counts)
    return app


async def _health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


async def _refused(request: Request, error: IIAEError) -> JSONResponse:
    text, gallery = str(error), request.app.state.gallery
    if gallery is not None:
        text = text.replace(f"{gallery.where}: ", "")
    return JSONResponse({"detail": text}, 400)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"detail": f"{name}: {first['msg'].lower()}"}, 422)


async def _busy(request: Request, error: Busy) -> JSONResponse:
    return JSONResponse({"detail": "too many requests wait"}, 503, {"retry-after": "1"})


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """Never shows a traceback to a client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"detail": "internal error"}, 500)
