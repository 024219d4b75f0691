"""A run applied to samples: what they are as tensors, with covariates, and what is made of them."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.arrays import ArrayPairs
from iiae.data.base import PairSet
from iiae.data.context import with_context
from iiae.data.ranges import check_values, sides_of
from iiae.data.registry import check_shapes
from iiae.errors import SettingsError
from iiae.model import translation
from iiae.model.iiae import IIAE
from iiae.run.covariates import (
    context_of,
    covariates_of,
    in_order_of,
    named_columns,
    partners_of,
    values_by_name,
)
from iiae.run.samples import BATCH, as_taken, batches_of, samples_of
from iiae.run_folder import StoredRun, TrainedRun
from iiae.types import DOMAINS, Context, Domain, mapped, other


class Latents(NamedTuple):
    """Posterior means given one domain: z_s, and z_x or z_y, a row per sample."""

    shared: np.ndarray
    exclusive: np.ndarray


class Given(NamedTuple):
    """Samples to translate, what is known of them, and what is to hold of their translations."""

    values: Float[Tensor, "rows *shape"]
    known: Context
    target: Context

    @classmethod
    def of(
        cls,
        run: StoredRun,
        source: Any,
        to: Domain,
        covariates: Any,
        as_if: Any,
        size: Any,
    ) -> Given:
        """As `Run.translate` takes them; errors as for `samples_of` and `context_of`.

        Raises:
            SettingsError: A size is given, and the likelihood of `to` takes none.
        """
        if size is not None and run.settings.objective.of(to).size == "none":
            raise SettingsError(f"size: objective.{to}.size is none, so {to} takes none")
        values = samples_of(run, source, other(to))
        covariates = covariates_of(run, source, other(to), covariates)
        known = context_of(run.model, covariates, len(values))
        as_if = in_order_of(source, as_if, ("the samples", "as_if"))
        if size is not None:
            size = in_order_of(source, {"size": size}, ("the samples", "size"))["size"]
        changed = values_by_name(covariates) | values_by_name(as_if)
        return cls(values, known, context_of(run.model, changed, len(values), size))


def encoded(run: StoredRun, values: Any, domain: Domain, covariates: Any) -> Latents:
    """Posterior means of samples of a domain; errors as for `batches_of` and `context_of`."""
    covariates = covariates_of(run, values, domain, covariates)
    batches, known = batches_of(run, values, domain), Context()
    if covariates is not None or run.model.covariates.names:
        batches = list(batches)
        known = context_of(run.model, covariates, sum(map(len, batches)))
    run.model.eval()
    encode = run.model.encoder(domain)
    parts, first = [], 0
    for samples in batches:
        rows = slice(first, first + len(samples))
        parts.append(encode(samples, mapped(known, lambda v, rows=rows: v[rows])))
        first = rows.stop
    shared, exclusive = (
        torch.cat([getattr(part, name).mean for part in parts]).numpy()
        for name in ("shared", "exclusive")
    )
    return Latents(shared, exclusive)


def translated(run: StoredRun, given: Given, to: Domain, like: Any) -> np.ndarray:
    """Translations with the exclusive latents of references, or the prior's mean."""
    reference = None if like is None else samples_of(run, like, to)
    values, known, target = given
    return translation.translate(
        run.model, values, to, like=reference, context=known, target=target
    ).numpy()


def drawn(model: IIAE, given: Given, to: Domain, samples: int, seed: int) -> np.ndarray:
    """Translations with drawn exclusive latents, `(samples, rows, *shape)`.

    Raises:
        SettingsError: `samples` is negative, or no whole number.
    """
    if not isinstance(samples, Integral) or isinstance(samples, bool) or samples < 0:
        raise SettingsError(f"samples = {samples}: must be a whole number, 0 or more")
    generator = torch.Generator().manual_seed(seed)
    latents = translation.draw_exclusive(model, to, samples, generator)
    made: list[Tensor] = []
    for first in range(0, len(given.values), BATCH):
        rows = slice(first, first + BATCH)
        some = mapped(given, lambda v, rows=rows: v[rows])
        shared = translation.content(model, some.values, to, some.known)
        each = [translation.render(model, shared, to, one[None], some.target) for one in latents]
        made.append(torch.stack(each))
    return torch.cat(made, 1).numpy()


def write_into(
    run: StoredRun,
    cells: Any,
    to: Domain | None,
    domain: Domain | None,
    as_if: Any,
    covariates: Any,
) -> None:
    """Latents, and a translation if asked, into cells in memory; as `write_cells`."""
    from iiae.inference.cells import write_cells

    changed, known = (
        values_by_name(in_order_of(cells, values, ("the cells", name)))
        for values, name in ((as_if, "as_if"), (covariates, "covariates"))
    )
    write_cells(run, cells, to, domain, changed, known)


def given_pairs(
    run: TrainedRun,
    x: Any,
    y: Any,
    covariates: Any,
    sizes: Any,
) -> PairSet:
    """Pairs in memory as the model takes them.

    Raises:
        SettingsError: A side is missing; or as `named_columns`.
        DataError: The samples do not fit each other or the model.
    """
    if x is None or y is None:
        raise SettingsError("evaluate takes x=... and y=..., or neither")
    y = partners_of(x, y)
    covariates = covariates_of(run, x, "x", covariates)
    columns = named_columns(covariates, in_order_of(x, sizes, ("x", "sizes")))
    columns = {name: _of_all(values, _count(x)) for name, values in columns.items()}
    pairs = ArrayPairs(as_taken(run, x, "x"), as_taken(run, y, "y"), columns=columns)
    check_shapes(pairs.shapes, run.shapes)
    for domain, values in zip(DOMAINS, sides_of(pairs), strict=True):
        check_values(values, run.settings.objective.of(domain), domain)
    return with_context(pairs, run.model.covariates, run.settings.objective)


def _count(samples: Any) -> int:
    """Number of samples in memory; sparse ones have no length."""
    return samples.shape[0] if hasattr(samples, "shape") else len(samples)


def _of_all(values: np.ndarray, rows: int) -> np.ndarray:
    """One value for all samples as one for each."""
    return np.broadcast_to(values, rows) if values.ndim == 0 else values
