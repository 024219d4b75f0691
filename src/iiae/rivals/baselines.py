"""What any learned method should beat: features as given, canonical correlations, InfoNCE."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.errors import DataError
from iiae.networks.layers import dense
from iiae.networks.mlp import hidden
from iiae.rivals.interface import Maps, Rival, Seen
from iiae.rivals.training import class_pairs, descend


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


@dataclass(frozen=True)
class CCASettings:
    """`ridge` is added to the variances, which are 1 each in standardised features.

    From about 100 on the directions are those of partial least squares. On features taught apart
    that finds unseen classes better than weaker ridges (docs/studies/table3.md).
    """

    size: int = 64
    ridge: float = 100.0


@dataclass(frozen=True)
class InfoNCESettings:
    """Two towers of the widths of IIAE's shared encoders."""

    steps: int = 2000
    batch: int = 100
    size: int = 64
    width: int = 256
    temperature: float = 0.1
    learning_rate: float = 1e-3


def learn_nothing(seen: Seen, settings: NoSettings) -> Maps:
    """Standardised features.

    Raises:
        DataError: x and y differ in width.
    """
    if seen.x.shape[1] != seen.y.shape[1]:
        raise DataError(
            f"features as given: {seen.x.shape[1]} wide in x and {seen.y.shape[1]} in y; they can "
            "be compared only if both have one width"
        )
    return Maps(lambda x: x, lambda y: y)


def learn_cca(seen: Seen, settings: CCASettings) -> Maps:
    """Canonical correlations of x and y of one class, over all such pairs, classes equally."""
    x, cov_x, mean_x = _moments(seen.x.double(), seen.class_x)
    y, cov_y, mean_y = _moments(seen.y.double(), seen.class_y)
    # no more directions than differences of class means
    size = min(settings.size, len(x) - 1, x.shape[1], y.shape[1])
    axes = canonical_axes(cov_x, cov_y, x.T @ y / len(x), size, settings.ridge)
    a, b = (one.float() for one in axes)
    m_x, m_y = mean_x.float(), mean_y.float()
    return Maps(lambda rows: (rows - m_x) @ a, lambda rows: (rows - m_y) @ b)


def canonical_axes(
    cov_x: Float[Tensor, "size_x size_x"],
    cov_y: Float[Tensor, "size_y size_y"],
    cross: Float[Tensor, "size_x size_y"],
    size: int,
    ridge: float,
) -> tuple[Float[Tensor, "size_x size"], Float[Tensor, "size_y size"]]:
    """The first canonical directions of x and y; `ridge` is added to their variances."""
    white_x, white_y = (_inverse_root(one, ridge) for one in (cov_x, cov_y))
    u, _, vh = torch.linalg.svd(white_x @ cross @ white_y, full_matrices=False)
    return white_x @ u[:, :size], white_y @ vh[:size].T


def learn_infonce(seen: Seen, settings: InfoNCESettings) -> Maps:
    """Symmetric InfoNCE within a batch; others of the class count as negatives."""
    x_tower, y_tower = (_tower(side.shape[1], settings) for side in (seen.x, seen.y))
    towers = nn.ModuleList([x_tower, y_tower])
    optimiser = torch.optim.Adam(towers.parameters(), settings.learning_rate, fused=True)
    for x, y, _ in class_pairs(seen, settings.batch, settings.steps, "InfoNCE"):
        loss = contrast(x_tower(x), y_tower(y), settings.temperature)
        descend(optimiser, loss)
    towers.eval().requires_grad_(False)
    return Maps(x_tower, y_tower)


def contrast(a: Tensor, b: Tensor, temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of the partner among a batch by cosine, both ways."""
    logits = F.normalize(a) @ F.normalize(b).T / temperature
    target = torch.arange(len(a))
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)


def _moments(features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centred class means, covariance and mean, with equal weight for each class."""
    counts = classes.bincount()
    means = torch.zeros(len(counts), features.shape[1], dtype=features.dtype)
    means = means.index_add(0, classes, features) / counts[:, None]
    centre = means.mean(0)
    weighted = (features - centre) / (len(counts) * counts[classes, None]).sqrt()
    return means - centre, weighted.T @ weighted, centre


def _inverse_root(covariance: Tensor, ridge: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag((values.clamp(min=0) + ridge).rsqrt()) @ vectors.T


def _tower(size: int, given: InfoNCESettings) -> nn.Module:
    return nn.Sequential(
        hidden(size, 2 * given.width, nn.LeakyReLU(0.2)),
        hidden(2 * given.width, given.width, nn.LeakyReLU(0.2)),
        dense(given.width, given.size),
    )


AS_GIVEN = Rival("as given", (), NoSettings, learn_nothing)
CCA = Rival("CCA-64", (), CCASettings, learn_cca)
INFONCE = Rival("InfoNCE-64", (), InfoNCESettings, learn_infonce)
