"""Where everything went: probes, dependence and axis scores of latents, with or without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.metrics.axes import DCI, Gaps, dci, dci_by_block, mig, sap
from iiae.metrics.blocks import (
    BlockFactor,
    Leakage,
    ProbeMatrix,
    area_above_chance,
    leakage_score,
    probe_matrix,
)
from iiae.metrics.bounds import club_information, infonce_information
from iiae.metrics.independence import Dependence, ToldApart, domain_probe, hsic_test
from iiae.metrics.information import Information, gaussian_information, ksg_information
from iiae.metrics.retrieval import partner_ranks
from iiae.model import Embeddings
from iiae.types import plain

COMPONENTS = {"gaussian": 64, "ksg": 2, "infonce": 8, "club": 8}


class LatentSet(NamedTuple):
    """Latents of one set of pairs, a row a pair.

    `shared` holds z_s by what is taken of it ("means", "active means", "samples"); where both
    domains give one they stand side by side. `given_x` and `given_y` are the means of each domain.
    """

    exclusive_x: np.ndarray
    exclusive_y: np.ndarray
    shared: dict[str, np.ndarray]
    given_x: np.ndarray | None = None
    given_y: np.ndarray | None = None


class Curve(NamedTuple):
    """Exclusive retrieval: Recall@K by K, and the area above chance (0: guessing, 1: perfect)."""

    recall: dict[int, float]
    chance: dict[int, float]
    area: float


class Axes(NamedTuple):
    """Block-wise and dimension-wise DCI, MIG and SAP."""

    dci: DCI
    dci_by_block: DCI
    mig: Gaps
    sap: Gaps


class Evidence(NamedTuple):
    """Everything that is measured of a set of latents; None where it does not apply.

    `probes` and `leakage` are by what is taken of z_s. `dependence` is by pair of blocks and
    estimator: a value, or the reason why the estimator refused.
    """

    pairs: int
    exclusive_x_to_y: Curve | None
    exclusive_y_to_x: Curve | None
    probes: dict[str, ProbeMatrix]
    leakage: dict[str, Leakage]
    domains: ToldApart | None
    dependence: dict[str, dict[str, Information | Dependence | str]]
    axes: Axes | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for metrics.json."""
        return plain(self)


def latent_set(found: Embeddings, active: Tensor, seed: int) -> LatentSet:
    """Means, active means and one sample of z_s given each domain; means of z_x and z_y."""
    generator = torch.Generator().manual_seed(seed)
    sides = (found.shared_given_x, found.shared_given_y)
    samples = [one.sample(generator) for one in sides]
    means = [one.mean for one in sides]
    shared = {"means": means, "active means": [m[:, active] for m in means], "samples": samples}
    joined = {
        name: torch.cat(parts, 1).numpy() for name, parts in shared.items() if parts[0].shape[1]
    }
    return LatentSet(
        found.exclusive_x.mean.numpy(),
        found.exclusive_y.mean.numpy(),
        joined,
        means[0].numpy(),
        means[1].numpy(),
    )


def measure_evidence(
    latents: LatentSet, factors: Mapping[str, Factor], seed: int = 0, permutations: int = 20
) -> Evidence:
    """Probes, leakage, domain probe, dependence between blocks, DCI, MIG, SAP, exclusive curves.

    Args:
        latents: Blocks, a row a pair.
        factors: Known factors; none leave out what needs them.
        seed: Of folds, permutations, samples and small networks; results repeat exactly.
        permutations: Of each factor, for the chance line of probes.

    Raises:
        DataError: Blocks or factors of unequal length, NaN, constant factors, and what else
            `iiae.metrics.blocks.probe_matrix` refuses.
        MissingExtra: scikit-learn is not installed.
    """
    known = {
        name: BlockFactor(factor.values, factor.kind, factor.latent)
        for name, factor in factors.items()
    }
    probes = _probes(latents, known, seed, permutations) if known else {}
    first = next(iter(latents.shared.values()))
    blocks = {"z_x": latents.exclusive_x, "z_s": first, "z_y": latents.exclusive_y}
    return Evidence(
        pairs=len(first),
        exclusive_x_to_y=_curve(latents.exclusive_x, latents.exclusive_y),
        exclusive_y_to_x=_curve(latents.exclusive_y, latents.exclusive_x),
        probes=probes,
        leakage={name: leakage_score(matrix) for name, matrix in probes.items()},
        domains=None
        if latents.given_x is None or latents.given_y is None
        else domain_probe(latents.given_x, latents.given_y, seed),
        dependence=_dependence(blocks, seed),
        axes=_axes(blocks, known, probes, seed) if known else None,
    )


def _probes(
    latents: LatentSet, factors: dict[str, BlockFactor], seed: int, permutations: int
) -> dict[str, ProbeMatrix]:
    """A matrix for each view of z_s; z_x and z_y are the same in all, and are probed once."""
    first, *others = latents.shared
    blocks = {"z_x": latents.exclusive_x, "z_s": latents.shared[first], "z_y": latents.exclusive_y}
    blocks |= {name: latents.shared[name] for name in others}
    every = probe_matrix(blocks, factors, seed, permutations)

    def view(name: str) -> ProbeMatrix:
        source = {"z_x": "z_x", "z_s": "z_s" if name == first else name, "z_y": "z_y"}
        return every._replace(
            cells={
                factor: {block: row[named] for block, named in source.items()}
                for factor, row in every.cells.items()
            },
            collapsed=tuple(block for block, named in source.items() if named in every.collapsed),
        )

    return {name: view(name) for name in latents.shared}


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
) -> Axes:
    return Axes(
        dci(blocks, factors, seed),
        dci_by_block(next(iter(probes.values()))),
        mig(blocks, factors),
        sap(blocks, factors),
    )


def _dependence(
    blocks: Mapping[str, np.ndarray], seed: int
) -> dict[str, dict[str, Information | Dependence | str]]:
    """Each estimator on each pair of blocks, reduced to leading principal components.

    Fewer components can only lose information: values are of what the components keep.
    """
    found: dict[str, dict[str, Information | Dependence | str]] = {}
    names = list(blocks)
    for i, left in enumerate(names):
        for right in names[i + 1 :]:
            a, b = blocks[left], blocks[right]
            found[f"{left} and {right}"] = {
                "gaussian": _tried(gaussian_information, a, b, "gaussian"),
                "ksg": _tried(ksg_information, a, b, "ksg"),
                "infonce": _tried(infonce_information, a, b, "infonce", seed=seed),
                "club": _tried(club_information, a, b, "club", seed=seed),
                "hsic": _tried(hsic_test, a, b, None, seed=seed),
            }
    return found


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
    centred = latent.astype(np.float64) - latent.mean(0)
    u, scales, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(most, int((scales > 1e-6 * max(scales[0], 1e-12)).sum()))
    if scales[0] < 1e-9:
        raise DataError("every dimension is constant: the block is collapsed")
    return u[:, :kept] * np.sqrt(len(latent))
