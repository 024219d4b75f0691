"""Where everything went: probes, dependence and axis scores of latents, with or without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.metrics.axes import dci, dci_by_block, mig, sap
from iiae.metrics.bounds import club_information, infonce_information
from iiae.metrics.factors import BlockFactor
from iiae.metrics.independence import Dependence, DomainProbe, domain_probe, hsic_test
from iiae.metrics.information import Information, gaussian_information, ksg_information
from iiae.metrics.leakage import area_above_chance, leakage_score
from iiae.metrics.magnitude import rescaled
from iiae.metrics.probe_matrix import ProbeMatrix, by_view, probe_matrix
from iiae.metrics.probes import alive
from iiae.metrics.retrieval import partner_ranks
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings, latent_views
from iiae.results import Axes, Curve, Evidence

FEWEST = 20  # pairs
NAMES = {
    "exclusive_x": "z_x",
    "shared": "z_s",
    "exclusive_y": "z_y",
    "given_x": "z_s_given_x",
    "given_y": "z_s_given_y",
}
COMPONENTS = {"gaussian": 64, "ksg": 2, "infonce": 8, "club": 8}


class Blocks(NamedTuple):
    """Latents of one set of pairs, a row a pair.

    Where both domains give a z_s, `shared` has them side by side, `given_x` and `given_y` apart.
    """

    exclusive_x: np.ndarray
    shared: np.ndarray
    exclusive_y: np.ndarray
    given_x: np.ndarray | None = None
    given_y: np.ndarray | None = None


def views(embeddings: Embeddings, active: Active, seed: int) -> dict[str, Blocks]:
    """Means of every latent, means of the active dimensions, and one sample of each posterior."""
    latents = latent_views(embeddings, active, seed)
    return {f"{view}s": _blocks(every) for view, every in latents.items()}


def _blocks(latents: Sequence[Tensor]) -> Blocks:
    """Of z_s given x, z_s given y, z_x and z_y."""
    given_x, given_y, own_x, own_y = (latent.numpy() for latent in latents)
    return Blocks(own_x, np.concatenate([given_x, given_y], 1), own_y, given_x, given_y)


def measure_evidence(
    latents: Mapping[str, Blocks],
    factors: Mapping[str, Factor],
    seed: int = 0,
    permutations: int = 20,
) -> Evidence:
    """Probes, leakage, domain probe, dependence between blocks, DCI, MIG, SAP, exclusive curves.

    Args:
        latents: Blocks by view, at least one, of the same pairs. Dependence, axes and curves are
            of the first.
        factors: Known factors; none leave out what needs them.
        seed: Of folds, permutations, samples and small networks; results repeat exactly.
        permutations: Of each factor, for the chance line of probes.

    Raises:
        DataError: Blocks or factors of unequal length, fewer than 20 pairs, NaN, constant factors,
            and what else `iiae.metrics.leakage.probe_matrix` refuses.
        MissingExtra: scikit-learn is not installed.
    """
    _check(latents)
    known = {
        name: BlockFactor(factor.values, factor.kind, factor.latent)
        for name, factor in factors.items()
    }
    first, views = next(iter(latents.values())), {k: _named(view) for k, view in latents.items()}
    blocks, probes = _named(first), {}
    if known:
        probes = by_view(views, lambda every: probe_matrix(every, known, seed, permutations))
    return Evidence(
        pairs=len(first.shared),
        exclusive_x_to_y=_curve(first.exclusive_x, first.exclusive_y),
        exclusive_y_to_x=_curve(first.exclusive_y, first.exclusive_x),
        probes=probes,
        leakage={name: leakage_score(matrix) for name, matrix in probes.items()},
        domains=_told_apart(latents, seed),
        dependence=_dependence(blocks, seed),
        axes=_axes(blocks, known, probes, seed) if known else None,
    )


def _told_apart(latents: Mapping[str, Blocks], seed: int) -> dict[str, DomainProbe]:
    """By view; where z_s is collapsed there is nothing to tell apart."""
    probes: dict[str, DomainProbe] = {}
    for name, view in latents.items():
        if view.given_x is None or view.given_y is None:
            continue
        if alive(np.concatenate([view.given_x, view.given_y])).any():
            probes[name] = domain_probe(view.given_x, view.given_y, seed)
    return probes


def _check(latents: Mapping[str, Blocks]) -> None:
    pairs = len(next(iter(latents.values())).shared)
    if pairs < FEWEST:
        raise DataError(
            f"{pairs} pairs; evidence needs at least {FEWEST}, and hundreds to say much"
        )
    for view in latents.values():
        for name, latent in view._asdict().items():
            if latent is None:
                continue
            name = NAMES[name]
            if latent.ndim != 2 or latent.shape[1] == 0:
                raise DataError(f"{name} has shape {latent.shape}; expected (pairs, dimensions)")
            if len(latent) != pairs:
                raise DataError(f"{name} has {len(latent)} pairs and z_s {pairs}")
            if not np.isfinite(latent).all():
                row = int(np.flatnonzero(~np.isfinite(latent).all(1))[0])
                raise DataError(f"{name} has values that are not finite (row {row})")
        if view.given_x is not None and view.given_y is not None:
            sizes = view.given_x.shape[1], view.given_y.shape[1]
            if sizes[0] != sizes[1]:
                raise DataError("z_s_given_x has {} dimensions and z_s_given_y {}".format(*sizes))


def _named(view: Blocks) -> dict[str, np.ndarray]:
    return {"z_x": view.exclusive_x, "z_s": view.shared, "z_y": view.exclusive_y}


def _curve(query: np.ndarray, gallery: np.ndarray) -> Curve | None:
    if query.shape != gallery.shape:
        return None
    ranks = partner_ranks(torch.from_numpy(query), torch.from_numpy(gallery)).numpy()
    n = len(ranks)
    ks = sorted({int(k) for k in np.unique(np.geomspace(1, n, 30).round())} | {1, n})
    recall = {k: float((ranks < k).mean()) for k in ks}
    return Curve(recall, {k: k / n for k in ks}, area_above_chance(recall, n))


def _axes(
    blocks: dict[str, np.ndarray],
    factors: dict[str, BlockFactor],
    probes: dict[str, ProbeMatrix],
    seed: int,
) -> Axes | None:
    """None where the factors are too few, or of one block: these scores compare factors.

    Of those that belong to a block.
    """
    matrix = next(iter(probes.values()))
    factors = {name: factor for name, factor in factors.items() if factor.block != "none"}
    try:
        return Axes(
            dci(blocks, factors, seed),
            dci_by_block(matrix._replace(cells={name: matrix.cells[name] for name in factors})),
            mig(blocks, factors),
            sap(blocks, factors),
        )
    except DataError:
        return None


def _dependence(
    blocks: Mapping[str, np.ndarray], seed: int
) -> dict[str, dict[str, Information | Dependence | str]]:
    """Each estimator on each pair of blocks, reduced to leading principal components.

    Fewer components can only lose information: values are of what the components keep.
    """
    relations: dict[str, dict[str, Information | Dependence | str]] = {}
    names = list(blocks)
    for i, left in enumerate(names):
        for right in names[i + 1 :]:
            a, b = blocks[left], blocks[right]
            relations[f"{left} and {right}"] = {
                "gaussian": _tried(gaussian_information, a, b, "gaussian"),
                "ksg": _tried(ksg_information, a, b, "ksg"),
                "infonce": _tried(infonce_information, a, b, "infonce", seed=seed),
                "club": _tried(club_information, a, b, "club", seed=seed),
                "hsic": _tried(hsic_test, a, b, None, seed=seed),
            }
    return relations


def _tried(
    estimate: Callable[..., Any], a: np.ndarray, b: np.ndarray, name: str | None, **options: Any
) -> Information | Dependence | str:
    try:
        if name is not None:
            a, b = (components(z, COMPONENTS[name]) for z in (a, b))
        return estimate(a, b, **options)
    except DataError as error:
        return str(error)


def components(latent: np.ndarray, most: int) -> np.ndarray:
    """The leading principal components, at most so many, each of unit variance.

    Raises:
        DataError: Every dimension is constant.
    """
    latent = rescaled(latent)
    centred = latent - latent.mean(0)
    u, scales, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(most, int((scales > 1e-6 * max(scales[0], 1e-12)).sum()))
    if scales[0] < 1e-9:
        raise DataError("every dimension is constant: the block is collapsed")
    return u[:, :kept] * np.sqrt(len(latent))
