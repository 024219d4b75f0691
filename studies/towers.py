"""Two-tower InfoNCE and deep CCA on pairs of vectors, chosen on validation pairs.

Both are encoders alone, a tower per domain of the widths of IIAE's shared encoders: no likelihood,
no exclusive latents, no translation. Weights are those of the best epoch, by partners of
validation pairs, and settings those of the best run.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from iiae.networks.layers import dense
from iiae.networks.mlp import stack
from iiae.rivals.baselines import contrast

WIDTHS = (512, 256)
STEPS = 800
CHECKS = 20  # of validation pairs in a run
PATIENCE = 6  # checks without a better one
RIDGES = (1e-3, 1e-1, 1.0)
TEMPERATURES = (0.05, 0.2)
DROPOUTS = (0.0, 0.3)
SIZE = 32  # of what both towers give


class Vectors(NamedTuple):
    """Rows of x and of y, row i of one the partner of row i of the other."""

    x: Tensor
    y: Tensor


Towers = Callable[[Vectors], Vectors]
Loss = Callable[[Tensor, Tensor], Tensor]


def infonce(train: Vectors, held: Vectors, seed: int) -> Towers:
    """Cross-entropy of the partner among a batch of 100 by cosine, both ways."""
    tried = [
        _train(train, held, seed, lambda a, b, t=t: contrast(a, b, t), dropout, batch=100)
        for t, dropout in product(TEMPERATURES, DROPOUTS)
    ]
    return max(tried, key=lambda one: one[0])[1]


def deep_cca(train: Vectors, held: Vectors, seed: int) -> Towers:
    """Sum of the canonical correlations of both towers over a batch of 500.

    Andrew et al., "Deep canonical correlation analysis", ICML 2013; the linear CCA on top is that
    of the training pairs, its variates times their correlations.
    """
    tried = [
        _train(train, held, seed, lambda a, b, r=r: -correlations(a, b, r).sum(), 0.2, 500, ridge=r)
        for r in RIDGES
    ]
    return max(tried, key=lambda one: one[0])[1]


def _train(
    train: Vectors,
    held: Vectors,
    seed: int,
    loss: Loss,
    dropout: float,
    batch: int,
    ridge: float | None = None,
) -> tuple[float, Towers]:
    """Quality on validation pairs, and the towers; with a ridge, linear CCA on top of them."""
    torch.manual_seed(seed)
    towers = nn.ModuleList([_tower(side.shape[1], dropout) for side in train])
    optimiser = torch.optim.Adam(towers.parameters(), 1e-3, fused=True)
    best, kept, since = -1.0, {}, 0
    for step in range(1, STEPS + 1):
        some = torch.randperm(len(train.x))[:batch]
        optimiser.zero_grad()
        loss(towers[0](train.x[some]), towers[1](train.y[some])).backward()
        optimiser.step()
        if step % (STEPS // CHECKS):
            continue
        now = quality(_maps(towers, train, ridge)(held))
        since += 1
        if now > best:
            best, since = now, 0
            kept = {name: value.clone() for name, value in towers.state_dict().items()}
        if since == PATIENCE:
            break
        towers.train()
    towers.load_state_dict(kept)
    return best, _maps(towers, train, ridge)


def _tower(size: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout), *stack(size, WIDTHS), dense(WIDTHS[-1], SIZE))


@torch.no_grad()
def _maps(towers: nn.ModuleList, train: Vectors, ridge: float | None) -> Towers:
    towers.eval()
    if ridge is None:
        return torch.no_grad()(lambda rows: Vectors(towers[0](rows.x), towers[1](rows.y)))
    a, b = towers[0](train.x), towers[1](train.y)
    centre = a.mean(0), b.mean(0)
    left, weights, right = torch.linalg.svd(_between(a, b, ridge), full_matrices=False)
    axes = (
        _root(a - centre[0], ridge) @ left * weights,
        _root(b - centre[1], ridge) @ right.T * weights,
    )
    return torch.no_grad()(
        lambda rows: Vectors(
            (towers[0](rows.x) - centre[0]) @ axes[0], (towers[1](rows.y) - centre[1]) @ axes[1]
        )
    )


def correlations(a: Tensor, b: Tensor, ridge: float) -> Tensor:
    """Canonical correlations of two tables `(rows, size)`; `ridge` is added to variances."""
    return torch.linalg.svdvals(_between(a, b, ridge))


def _between(a: Tensor, b: Tensor, ridge: float) -> Tensor:
    a, b = a - a.mean(0), b - b.mean(0)
    return _root(a, ridge) @ (a.T @ b / len(a)) @ _root(b, ridge)


def _root(centred: Tensor, ridge: float) -> Tensor:
    """Inverse root of the covariance."""
    covariance = centred.T @ centred / len(centred)
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance)))
    return vectors / values.clamp_min(1e-6).sqrt() @ vectors.T


def quality(pairs: Vectors) -> float:
    """Mean reciprocal rank of partners by cosine, both ways."""
    x, y = (nn.functional.normalize(side) for side in pairs)
    score = x @ y.T
    ranks = [(one > one.diagonal()[:, None]).sum(1) for one in (score, score.T)]
    return float((1 / (1 + torch.cat(ranks).double())).mean())
