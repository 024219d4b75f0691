"""The API: embed, search, translate; health, metrics; one page."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import BaseModel

from iiae.errors import DataError, GalleryError, IIAEError, MissingExtra
from iiae.files.atomic import json_text
from iiae.run_folder import TrainedRun, known_digests
from iiae.search.gallery import Gallery, Latent
from iiae.search.lance import equals, reads
from iiae.types import Domain, other
from iiae.web.batching import Batcher, Busy
from iiae.web.counting import Counts
from iiae.web.engine import Engine, Query, Sample, Translation
from iiae.web.guard import Guard, Limits
from iiae.web.pictures import data_urls, page, thumbnail

try:
    from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
    from fastapi import Query as Parameter
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.exceptions import HTTPException
    from starlette.middleware.trustedhost import TrustedHostMiddleware
except ImportError as missing:
    raise MissingExtra("web", "the server") from missing

LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver")
SEED = 2**31 - 1
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
    limits = limits or Limits()
    counts = Counts()
    server = Server(run, gallery, limits, counts, batch)
    app = FastAPI(title="iiae", lifespan=server.lifespan, docs_url=None, redoc_url=None)
    app.include_router(server.router())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Guard, token=token, limits=limits, counts=counts)
    for kind, handler in server.handlers().items():
        app.add_exception_handler(kind, handler)
    return app


class Problem(BaseModel):
    """What is wrong, in one line."""

    detail: str


class Server:
    """Routes and what they share: engine, batchers, threads."""

    def __init__(
        self, run: TrainedRun, gallery: Gallery | None, limits: Limits, counts: Counts, batch: int
    ):
        self.model, *older = known_digests(run.folder)
        if gallery is not None:
            Gallery.open(gallery.where, self.model, *older)  # refuses that of another model
        self.engine = Engine(run, gallery, limits.pixels)
        self.run, self.gallery, self.limits, self.counts = run, gallery, limits, counts
        self.worker = ThreadPoolExecutor(1, "model")  # torch and LanceDB, one batch at a time
        self.readers = ThreadPoolExecutor(2, "images")
        self.embed = Batcher(self.engine.embed, self.worker, batch)
        self.search = Batcher(self.engine.search, self.worker, batch)
        self.translate = Batcher(self.engine.translate, self.worker, batch)
        self.colours: dict[Domain, dict[str, str]] = {}
        self.pages = {name: page(name) for name in ("index.html", "docs.html")}

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Threads end with the server; what is slow the first time is done before it answers."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.worker, self.engine.warm)
        if not _rows(self.run):
            for domain in ("x", "y"):
                self.colours[domain] = await loop.run_in_executor(
                    self.worker, self.engine.colours, domain
                )
        yield
        self.worker.shutdown()
        self.readers.shutdown()

    async def _read_body(self, request: Request, domain: Domain) -> Sample:
        """The sample that is a request's body, as it is."""
        kind = request.headers.get("content-type", "").lower()
        whole = "the body must be the file itself: curl --data-binary @FILE"
        if kind.startswith("multipart/form-data"):
            raise DataError(f"the body is a form; {whole}")
        try:
            return await self.read(await request.body(), domain, "the body")
        except DataError as error:
            # curl -d, which takes line breaks out of files, calls them so too
            if kind.startswith("application/x-www-form-urlencoded"):
                raise DataError(f"{error}; {whole}") from error
            raise

    async def read(self, data: bytes, domain: Domain, name: str) -> Sample:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.readers, self.engine.read, data, domain, name)

    def router(self) -> APIRouter:
        """All routes."""
        problem = {"model": Problem, "description": "what is wrong, in one line"}
        router = APIRouter(responses=dict.fromkeys((400, 401, 408, 413, 422, 503), problem))
        add = router.add_api_route
        body = _body_schema(self.run)
        add("/embed", self.post_embed, methods=["POST"], openapi_extra=body)
        add("/search", self.post_search, methods=["POST"], openapi_extra=body)
        add("/search", self.get_search, methods=["GET"])
        add("/translate", self.post_translate, methods=["POST"])
        picture: Any = {200: {"content": {"image/png": {}}}, 404: problem}
        image = {"response_class": Response, "responses": picture}
        add("/items/{item}/image", self.get_image, methods=["GET"], **image)
        add("/about", self.get_about, methods=["GET"])
        add("/health", self.get_health, methods=["GET"])
        add("/metrics", self.get_metrics, methods=["GET"], response_class=PlainTextResponse)
        for path, name in (("/", "index.html"), ("/docs", "docs.html")):
            add(path, self._serve_page(name), methods=["GET"], include_in_schema=False)
        return router

    async def post_embed(self, request: Request, domain: Domain) -> dict[str, list[float]]:
        """Latents of one sample: the body is an image file, or a JSON list of features."""
        z = await self.embed(await self._read_body(request, domain))
        return _json({n: getattr(z, n)[0] for n in ("shared", "exclusive")})  # pyright: ignore[reportReturnType]

    async def post_search(
        self,
        request: Request,
        domain: Domain | None = None,
        top: Annotated[int, Parameter(ge=1)] = 10,
        by: Latent = "shared",
        label: str | None = None,
        filter: Annotated[list[str] | None, Parameter(description="column=text")] = None,
    ) -> dict[str, Any]:
        """Items nearest to one sample, by default of the domain that the gallery does not hold."""
        gallery = self.engine.open_gallery()
        domain = domain or other(gallery.info.domain)
        query = self._query(None, top, by, label, filter)
        sample = await self._read_body(request, domain)
        return await self._answer(query._replace(sample=sample))

    async def get_search(
        self,
        item: str,
        top: Annotated[int, Parameter(ge=1)] = 10,
        by: Latent = "shared",
        label: str | None = None,
        filter: Annotated[list[str] | None, Parameter(description="column=text")] = None,
    ) -> dict[str, Any]:
        """Items nearest to one of the gallery, by its id or its path; itself is left out."""
        return await self._answer(self._query(item, top, by, label, filter))

    async def post_translate(
        self,
        source: Annotated[UploadFile, File(description="sample of the domain that `to` is not")],
        to: Annotated[Domain, Form()],
        like: Annotated[UploadFile | None, File(description="reference of `to`")] = None,
        like2: Annotated[UploadFile | None, File(description="a second reference")] = None,
        like_item: Annotated[str | None, Form(description="instead: id or path of an item")] = None,
        like2_item: Annotated[
            str | None, Form(description="instead: id or path of an item")
        ] = None,
        steps: Annotated[int, Form(ge=2, description="from the first to the second")] = 9,
        draws: Annotated[int, Form(ge=0, description="of the prior, without reference")] = 0,
        seed: Annotated[int, Form(ge=0, le=SEED)] = 0,
    ) -> dict[str, Any]:
        """The content of `source` in the other domain: PNGs as data URLs, or features."""
        if max(steps, draws) > self.limits.images:
            raise DataError(f"at most {self.limits.images} results a request")
        sample = await self.read(await source.read(), other(to), "source")
        likes: list[Sample | str] = []
        for name, file, item in (("like", like, like_item), ("like2", like2, like2_item)):
            if file is not None:
                likes.append(await self.read(await file.read(), to, name))
            elif item:
                likes.append(item)
        loop = asyncio.get_running_loop()
        exclusive = await loop.run_in_executor(
            self.worker, self.engine.exclusive, to, likes, steps, draws, seed
        )
        found = await self.translate(Translation(sample.values, to, exclusive))
        if found.ndim == 2:
            return _json({"features": found})  # pyright: ignore[reportReturnType]
        return {"images": await loop.run_in_executor(self.readers, data_urls, found)}

    async def get_image(self, item: str) -> Response:
        """An item's picture, at most 256 pixels a side."""
        gallery = self.engine.open_gallery()
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self.readers, thumbnail, gallery, item)
        if data is None:
            raise HTTPException(404, "no such item, or its file is gone")
        return Response(data, media_type="image/png", headers={"cache-control": "max-age=3600"})

    async def get_about(self) -> dict[str, Any]:
        """The run's model and the gallery's contents."""
        loop = asyncio.get_running_loop()
        about = {
            "title": self.run.settings.title or self.run.folder.name,
            "model": self.model,
            "shapes": {"x": list(self.run.shapes[0]), "y": list(self.run.shapes[1])},
            "colours": self.colours,
            "gallery": None,
            "limits": self.limits._asdict(),
        }
        if self.gallery is not None:
            items = await loop.run_in_executor(self.worker, len, self.gallery)
            info = {**self.gallery.info._asdict(), "items": items, "columns": self.gallery.columns}
            about["gallery"] = info
        return about

    async def get_health(self) -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    async def get_metrics(self) -> PlainTextResponse:
        """Counts and times, as Prometheus reads them."""
        batchers = (self.embed, self.search, self.translate)
        more = {
            "iiae_batched_jobs_total": ("counter", "Jobs done.", sum(b.jobs for b in batchers)),
            "iiae_batches_total": ("counter", "Batches done.", sum(b.batches for b in batchers)),
            "iiae_waiting": ("gauge", "Jobs waiting.", sum(len(b.waiting) for b in batchers)),
        }
        return PlainTextResponse(self.counts.text(more))

    def handlers(self) -> dict[Any, Callable[..., Any]]:
        """How errors are answered: in one line, never with a traceback."""

        def refused(request: Request, error: IIAEError) -> JSONResponse:
            text = str(error)
            if self.gallery is not None:
                text = text.replace(f"{self.gallery.where}: ", "")
            return JSONResponse({"detail": text}, 400)

        def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            return JSONResponse({"detail": f"{name}: {first['msg'].lower()}"}, 422)

        def busy(request: Request, error: Busy) -> JSONResponse:
            return JSONResponse({"detail": "too many requests wait"}, 503, {"retry-after": "1"})

        def failed(request: Request, error: Exception) -> JSONResponse:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
            return JSONResponse({"detail": "internal error"}, 500)

        return {
            IIAEError: refused,
            RequestValidationError: invalid,
            Busy: busy,
            Exception: failed,
        }

    def _query(
        self, item: str | None, top: int, by: Latent, label: str | None, filter: list[str] | None
    ) -> Query:
        if top > self.limits.top:
            raise DataError(f"top {top}: at most {self.limits.top} hits")
        terms = [] if label is None else [equals("label", label)]
        known = ["label", "path", *self.engine.open_gallery().columns] if filter else []
        for text in filter or []:
            column, found, value = text.partition("=")
            if not found or column not in known:
                raise GalleryError(f"filter: write column=text; columns are {', '.join(known)}")
            terms.append(reads(column, value))
        return Query(None, item, by, top, " AND ".join(terms) or None)

    async def _answer(self, query: Query) -> Any:
        found = await self.search(query)
        hits = [{**hit._asdict(), "name": re.split(r"[/\\]", hit.path)[-1]} for hit in found.hits]
        return _json({"hits": hits, "method": found.method})

    def _serve_page(self, name: str) -> Callable[[], Any]:
        text, policy = self.pages[name]

        async def shown() -> HTMLResponse:
            return HTMLResponse(text, headers={"content-security-policy": policy})

        return shown


def _body_schema(run: TrainedRun) -> dict[str, Any]:
    image: Any = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    sizes = sorted(shape[0] for shape in run.shapes)
    numbers = {"type": "array", "items": {"type": "number"}}
    numbers |= {"minItems": sizes[0], "maxItems": sizes[1]}  # of x or of y
    row: Any = {"application/json": {"schema": numbers}}
    return {"requestBody": {"required": True, "content": row if _rows(run) else image}}


def _json(value: object) -> Response:
    """An answer in JSON, null for metadata that is not finite."""
    return Response(json_text(value), media_type="application/json")


def _rows(run: TrainedRun) -> bool:
    return len(run.shapes[0]) == 1
