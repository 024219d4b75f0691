"""The routes of the API and what they share: engine, batchers, threads, counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

import torch
from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from fastapi import Query as Parameter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from iiae.errors import DataError, GalleryError
from iiae.files.atomic import json_text
from iiae.run_folder import TrainedRun, weights_digest
from iiae.search.gallery import Gallery
from iiae.search.items import Latent
from iiae.search.lance import equals, text_equals
from iiae.search.weights import read_weights
from iiae.types import Domain, other
from iiae.web.batching import Batcher
from iiae.web.counting import Counts
from iiae.web.engine import Engine
from iiae.web.guard import Limits
from iiae.web.jobs import Query, Sample, Translation, body_schema
from iiae.web.pictures import band_urls, data_urls, is_banded, picture

SEED = 2**31 - 1
ItemField = Annotated[str | None, Form(description="instead: id or path of an item")]
By = Annotated[str, Parameter(description="shared, exclusive, or shared=1,exclusive=0.5")]
Filter = Annotated[list[str] | None, Parameter(description="column=text")]
LikeItem = Annotated[
    str | None, Parameter(description="an item that lends its exclusive latent, by id or path")
]
Result = TypeVar("Result")


class Problem(BaseModel):
    """An error, in one line."""

    detail: str


PROBLEM: dict[str, Any] = {"model": Problem, "description": "what is wrong, in one line"}


class Server:
    """One run being served; the arguments are those of `create_app`."""

    def __init__(self, run: TrainedRun, gallery: Gallery | None, limits: Limits, batch: int):
        self.model = weights_digest(run.folder)
        if gallery is not None:
            Gallery.open(gallery.where, self.model)  # refuses that of another model
        self.run, self.gallery, self.limits = run, gallery, limits
        self.features = len(run.shapes[0]) == 1
        self.engine = Engine(run, gallery, limits.pixels)
        self.worker = ThreadPoolExecutor(1, "model")  # torch and LanceDB, one batch at a time
        self.readers = ThreadPoolExecutor(2, "images")
        self.embed = Batcher(self.engine.embed, self.worker, batch)
        self.search = Batcher(self.engine.search, self.worker, batch)
        self.translate = Batcher(self.engine.translate, self.worker, batch)
        self.counts = Counts((self.embed, self.search, self.translate))

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Threads end with the server; what is slow the first time is done before it answers."""
        await _run_in(self.worker, self.engine.warm)
        yield
        self.worker.shutdown()
        self.readers.shutdown()

    def router(self) -> APIRouter:
        """All routes that a token closes."""
        router, post = APIRouter(), ["POST"]
        add, body = router.add_api_route, body_schema(self.run)
        latents, answer = dict[str, list[float]], dict[str, Any]
        add("/embed", self.post_embed, methods=post, openapi_extra=body, response_model=latents)
        add("/search", self.post_search, methods=post, openapi_extra=body, response_model=answer)
        add("/search", self.get_search, response_model=answer)
        add("/translate", self.post_translate, methods=post, response_model=answer)
        picture: Any = {200: {"content": {"image/png": {}}}, 404: PROBLEM}
        add("/items/{item}/image", self.get_image, response_class=Response, responses=picture)
        add("/examples", self.get_examples, response_model=answer)
        add("/map", self.get_map, response_model=answer)
        add("/about", self.get_about)
        add("/metrics", self.get_metrics, response_class=PlainTextResponse)
        return router

    async def post_embed(self, request: Request, domain: Domain) -> Response:
        """Latents of one sample: the body is an image file, or JSON of features."""
        z = await self.embed(await self._read_body(request, domain))
        return _json({"shared": z.shared[0], "exclusive": z.exclusive[0]})

    async def post_search(
        self,
        request: Request,
        domain: Domain | None = None,
        top: Annotated[int, Parameter(ge=1)] = 10,
        by: By = "shared",
        label: str | None = None,
        filter: Filter = None,
        like_item: LikeItem = None,
    ) -> Response:
        """Items nearest to one sample, by default of the domain that the gallery does not hold."""
        gallery = self.engine.open_gallery()
        query = self._query(None, top, by, label, filter, like_item)
        sample = await self._read_body(request, domain or other(gallery.info.domain))
        return await self._answer(query._replace(sample=sample))

    async def get_search(
        self,
        item: str,
        top: Annotated[int, Parameter(ge=1)] = 10,
        by: By = "shared",
        label: str | None = None,
        filter: Filter = None,
        like_item: LikeItem = None,
    ) -> Response:
        """Items nearest to one of the gallery, by its id or its path; itself is left out."""
        return await self._answer(self._query(item, top, by, label, filter, like_item))

    async def post_translate(
        self,
        to: Annotated[Domain, Form()],
        # None is a default, not a value that a client may send: so the schema has plain files
        source: UploadFile = File(None, description="sample of the domain that `to` is not"),
        source_item: ItemField = None,
        like: UploadFile = File(None, description="reference of `to`"),
        like2: UploadFile = File(None, description="a second reference"),
        like_item: ItemField = None,
        like2_item: ItemField = None,
        steps: Annotated[int, Form(ge=2, description="from the first to the second")] = 9,
        draws: Annotated[int, Form(ge=0, description="without reference")] = 0,
        looks: Annotated[
            int,
            Form(ge=0, description="without reference: number of samples of `to` that lend theirs"),
        ] = 0,
        seed: Annotated[int, Form(ge=0, le=SEED)] = 0,
    ) -> Response:
        """The content of `source` in the other domain: PNGs as data URLs, or features."""
        if max(steps, draws, looks) > self.limits.images:
            raise DataError(f"at most {self.limits.images} results per request")
        sample = await self._source(source, source_item, other(to))
        likes: list[Sample | str] = []
        for name, file, item in (("like", like, like_item), ("like2", like2, like2_item)):
            if file is not None:
                likes.append(await self._read(await file.read(), to, name))
            elif item:
                likes.append(item)
        work, engine = self.worker, self.engine
        chosen = await _run_in(work, engine.looks, sample, to, looks) if looks else []
        if chosen and not likes:
            exclusive = torch.stack([look.exclusive for look in chosen])
        else:
            exclusive = await _run_in(work, engine.exclusive, to, likes, steps, draws, seed)
        translated = await self.translate(Translation(sample, to, exclusive))
        names = [{"id": look.id, "name": look.name, "example": look.example} for look in chosen]
        if translated.ndim == 2:
            return _json({"features": translated, "looks": names})
        return _json({**await self._pictures(translated), "looks": names})

    async def _source(self, file: UploadFile | None, item: str | None, domain: Domain) -> Sample:
        if file is not None:
            return await self._read(await file.read(), domain, "source")
        if not item:
            raise DataError("source: send a file, or source_item")
        if (held := self.engine.open_gallery().info.domain) != domain:
            raise GalleryError(f"source_item: items of the gallery are of domain {held}")
        return await _run_in(self.worker, self.engine.sample_of, item)

    async def get_image(self, item: str) -> Response:
        """An item's picture, at most 256 pixels per side."""
        gallery = self.engine.open_gallery()
        try:
            banded = is_banded(self.engine.shape(gallery.info.domain))
            data = await _run_in(self.readers, picture, gallery, item, banded)
        except GalleryError as error:
            raise HTTPException(404, str(error)) from error
        if data is None:
            raise HTTPException(404, "the item is no image")
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        return Response(data, media_type=kind, headers={"cache-control": "max-age=3600"})

    async def get_examples(self, domain: Domain) -> Response:
        """Held-out samples of a domain that the run keeps: PNGs as data URLs, or features."""
        examples = self.engine.guide.examples
        if examples is None:
            return _json({"features" if self.features else "images": []})
        samples = examples.samples[domain]
        if self.features:
            known = examples.covariates
            each = [] if known is None else self.run.model.covariates.decode(known)
            return _json({"features": samples, "covariates": each})
        return _json(await self._pictures(samples))

    async def _pictures(self, images: torch.Tensor) -> dict[str, list[str]]:
        """Images to look at, and, of bands that no PNG holds, as they are."""
        shown = {"images": await _run_in(self.readers, data_urls, images)}
        if is_banded(images.shape[1:]):
            shown["files"] = await _run_in(self.readers, band_urls, images)
        return shown

    async def get_map(self, by: Latent = "shared") -> Response:
        """Items of the gallery on the plane of the main directions of a latent (PCA)."""
        self.engine.open_gallery()
        return _json(await _run_in(self.worker, self.engine.guide.map, by))

    async def get_about(self) -> dict[str, Any]:
        """The run's model and the gallery's contents."""
        guide = self.engine.guide
        about = {
            "title": self.run.settings.title or self.run.folder.name,
            "about": guide.purpose(),
            "names": {"x": guide.names.x, "y": guide.names.y},
            "version": version("iiae"),
            "model": self.model,
            "shapes": {"x": list(self.run.shapes[0]), "y": list(self.run.shapes[1])},
            "features": guide.features,
            "covariates": [one._asdict() for one in self.run.model.covariates.each],
            "drawing": guide.drawing,
            "scale": await _run_in(self.worker, lambda: guide.scale),
            "gallery": None,
            "limits": self.limits._asdict(),
        }
        if self.gallery is not None:
            items = await _run_in(self.worker, len, self.gallery)
            info = {**self.gallery.info._asdict(), "items": items, "columns": self.gallery.columns}
            about["gallery"] = info | await _run_in(self.worker, guide.about_gallery)
        return about

    async def get_metrics(self) -> PlainTextResponse:
        """Counts and times, as Prometheus reads them."""
        text = generate_latest(self.counts.registry)
        return PlainTextResponse(text, media_type=CONTENT_TYPE_LATEST)

    def _query(
        self,
        item: str | None,
        top: int,
        by: str,
        label: str | None,
        filter: list[str] | None,
        like: str | None,
    ) -> Query:
        if top > self.limits.top:
            raise DataError(f"top {top}: at most {self.limits.top} hits")
        terms = [] if label is None else [equals("label", label)]
        known = ["label", "path", *self.engine.open_gallery().columns] if filter else []
        for text in filter or []:
            column, separator, value = text.partition("=")
            if not separator or column not in known:
                raise GalleryError(f"filter: write column=text; columns are {', '.join(known)}")
            terms.append(text_equals(column, value))
        return Query(None, item, read_weights(by), top, " AND ".join(terms) or None, like)

    async def _answer(self, query: Query) -> Response:
        answer = await self.search(query)
        hits = [{**hit._asdict(), "name": re.split(r"[/\\]", hit.path)[-1]} for hit in answer.hits]
        return _json({"hits": hits, "method": answer.method})

    async def _read(self, data: bytes, domain: Domain, name: str) -> Sample:
        """The sample in a file's bytes; errors call it `name`."""
        return await _run_in(self.readers, self.engine.read, data, domain, name)

    async def _read_body(self, request: Request, domain: Domain) -> Sample:
        """The sample that is a request's body, as it is."""
        kind = request.headers.get("content-type", "").lower()
        whole = "the body must be the file itself: curl --data-binary @FILE"
        if kind.startswith("multipart/form-data"):
            raise DataError(f"the body is a form; {whole}")
        body = await request.body()
        try:
            return await self._read(body, domain, "the body")
        except DataError as error:
            # curl -d, which takes line breaks out of files, calls them so too
            of_json = body.lstrip().startswith((b"{", b"["))
            if kind.startswith("application/x-www-form-urlencoded") and not of_json:
                raise DataError(f"{error}; {whole}") from error
            raise


def _json(value: object) -> Response:
    """An answer in JSON, null for metadata that is not finite."""
    return Response(json_text(value), media_type="application/json")


def _run_in(executor: Executor, work: Callable[..., Result], *arguments: Any) -> Awaitable[Result]:
    """The result of work done in a thread."""
    return asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
