"""What the server's engine is asked for and answers: samples, queries, translations."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError
from iiae.networks.covariates import Covariates
from iiae.run_folder import TrainedRun
from iiae.search.items import Hit
from iiae.search.weights import Weights
from iiae.types import Context, Domain

LARGEST = float(np.finfo(np.float32).max)
J = TypeVar("J")
R = TypeVar("R")


class Sample(NamedTuple):
    """One sample to encode, of the shape that its domain has.

    `covariates` has its columns for the networks, `(columns,)`, where the model takes any.
    """

    values: Tensor
    domain: Domain
    covariates: Tensor | None = None


def context_of_samples(samples: Sequence[Sample]) -> Context:
    """Covariates of some samples, a row each."""
    columns = [sample.covariates for sample in samples if sample.covariates is not None]
    return Context(None, torch.stack(columns)) if columns else Context()


class Query(NamedTuple):
    """One search: by a sample, or by the latents of an item, which is itself left out.

    `item` is the id of an item, or its path. `like` lends its exclusive latent: a sample of the
    gallery's domain, or an item, left out too.
    """

    sample: Sample | None
    item: str | None
    weights: Weights
    top: int
    where: str | None
    like: Sample | str | None = None


class Translation(NamedTuple):
    """One content with several exclusive latents of the other domain, `(count, exclusive)`."""

    source: Sample
    to: Domain
    exclusive: Tensor


class Answer(NamedTuple):
    """Hits of one query, and the method of the search."""

    hits: list[Hit]
    method: str


def read_features(
    data: bytes, size: int, name: str, covariates: Covariates = Covariates()
) -> tuple[Float[Tensor, " size"], Float[Tensor, " columns"] | None]:
    """A JSON list of numbers, and the columns of covariates, None if the model takes none.

    With covariates: `{"features": [...], "covariates": {"batch": "2"}}`.

    Raises:
        DataError: It is something else, of another length, or holds values beyond float32; or
            covariates are missing, or of a level that no training pair had.
    """
    try:
        values, known = json.loads(data), {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not a JSON list of {size} numbers") from error
    if isinstance(values, dict):
        values, known = values.get("features"), values.get("covariates", {})
    if not isinstance(known, dict) or set(known) != set(covariates.names):
        form = dict.fromkeys(covariates.names, "...")
        wanted = json.dumps({"features": ["..."], "covariates": form}) if form else "none"
        lacking = [c for c in covariates.names if not isinstance(known, dict) or c not in known]
        missing = f"; {', '.join(lacking)} is missing" if lacking else ""
        raise DataError(f"{name}: covariates of this model: {wanted}{missing}")
    # by type: true and false count as numbers elsewhere
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise DataError(f"{name}: not a JSON list of {size} numbers")
    if len(values) != size:
        raise DataError(f"{name}: {len(values)} numbers given; {size} are needed")
    for place, value in enumerate(values, start=1):
        if not abs(value) <= LARGEST:  # NaN too
            raise DataError(f"{name}: number {place} is NaN or too large (at most {LARGEST:.1e})")
    row = torch.tensor([float(value) for value in values], dtype=torch.float32)
    return row, covariates.encode(known, 1)[0] if known else None


def body_schema(run: TrainedRun) -> dict[str, Any]:
    """What a request's body is, for OpenAPI: an image, or JSON as `read_features` reads it."""
    image: Any = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    sizes = sorted(shape[0] for shape in run.shapes)
    numbers = {"type": "array", "items": {"type": "number"}}
    numbers |= {"minItems": sizes[0], "maxItems": sizes[1]}  # of x or of y
    names = run.model.covariates.names
    if names:
        each = {name: {"type": ["string", "number"]} for name in names}
        known = {"type": "object", "properties": each, "required": names}
        both = {"features": numbers, "covariates": known}
        numbers = {"type": "object", "properties": both, "required": list(both)}
    row: Any = {"application/json": {"schema": numbers}}
    content = row if len(run.shapes[0]) == 1 else image
    return {"requestBody": {"required": True, "content": content}}


def other_hits(hits: Sequence[Hit], query: Query) -> list[Hit]:
    """Hits without the items that the query names."""
    named = {query.item, query.like if isinstance(query.like, str) else None}
    return [hit for hit in hits if not named & {hit.id, hit.path}][: query.top]


def grouped(
    jobs: Sequence[J], key: Callable[[J], Hashable], work: Callable[[Sequence[J]], Sequence[R]]
) -> list[R]:
    """Results of `work` on the jobs of each key, in the order of the jobs."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, job in enumerate(jobs):
        groups[key(job)].append(i)
    results: dict[int, R] = {}
    for group in groups.values():
        results.update(zip(group, work([jobs[i] for i in group]), strict=True))
    return [results[i] for i in range(len(jobs))]
