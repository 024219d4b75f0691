r"""Mutual information from trained networks, in nats: bounds, and what is a bound if they fit.

All start from the joint normal distribution with the samples' canonical correlations and learn what
differs from it, on one part of the samples; every value is of samples that were not trained on
(`FOLDS` parts in turn). Marginals are first made normal by their ranks, which keeps the
information. Equal seeds give equal results.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor, nn

from iiae.metrics.information import (
    NORMAL_95,
    Information,
    canonical_maps,
    checked_blocks,
    information,
    normal_scores,
)

FOLDS = 4
SAMPLES = 10_000
BATCH = 256
STEPS = 900
EVERY = 50
PATIENCE = 4  # checks without progress before training stops


class Part(NamedTuple):
    """Samples of one fold: to learn from, to choose the step by, to answer with."""

    train: tuple[Tensor, Tensor]
    choose: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    correlation: Tensor


def infonce_information(
    a: Num[np.ndarray, "samples left"], b: Num[np.ndarray, "of_b right"], seed: int = 0
) -> Information:
    r"""Lower bound: how well a critic picks the partner among strangers, on held-out pairs.

    $E[f(a_i, b_i) - \log \frac1N \sum_j \exp f(a_i, b_j)]$ (van den Oord et al. 2018),
    with N the pairs of one held-out part. The value cannot exceed log N, a quarter of the samples.
    Beyond 10,000 samples a random 10,000 are used.

    Raises:
        DataError: outside `RANGES["infonce"]`, not finite, collapsed, or of unequal length.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    a, b = checked_blocks(a, b, "infonce")
    each = _held_out(a, b, seed, _Critic, _infonce)
    bound = information(each.mean(), _half(each), "lower bound", "infonce", a, b)
    near_cap = bound.value > math.log(len(each) // FOLDS) - 1
    return bound._replace(samples=len(each), in_range=bound.in_range and not near_cap)


def club_information(
    a: Num[np.ndarray, "samples left"], b: Num[np.ndarray, "of_b right"], seed: int = 0
) -> Information:
    r"""Upper bound: log-likelihood of partners less that of strangers, on held-out pairs.

    $E_{p(a,b)}[\log q(b|a)] - E_{p(a)p(b)}[\log q(b|a)]$, q normal (CLUB: Cheng et al. 2020).
    A loose bound: about twice the information where there is little, and without limit where there
    is much ($\sum \rho^2 / (1 - \rho^2)$ on normal blocks), so as a measure of information it is
    within range only near 0; `leave_one_out_information` is the tighter bound from the same q.
    A bound as far as q is right: on folded latents of four dimensions it is below the truth (the
    table in docs/disentanglement.md). Beyond 10,000 samples a random 10,000 are used.

    Raises:
        DataError: outside `RANGES["club"]`, not finite, collapsed, or of unequal length.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    a, b = checked_blocks(a, b, "club")
    each = _held_out(a, b, seed, _Conditional, _club)
    bound = information(each.mean(), _half(each), "upper bound if fitted", "club", a, b)
    return bound._replace(samples=len(each))


def leave_one_out_information(
    a: Num[np.ndarray, "samples left"], b: Num[np.ndarray, "of_b right"], seed: int = 0
) -> Information:
    r"""Estimate: log-likelihood of partners against a mixture over strangers, on held-out pairs.

    $E[\log q(b_i|a_i) - \log \frac{1}{N-1} \sum_{j \ne i} q(b_i|a_j)]$ (Poole et al. 2019,
    with q for the unknown conditional), q normal. An upper bound if q were the true conditional;
    where it is far from that, the value is too low instead (half the truth on turned cubes).
    Beyond 10,000 samples a random 10,000 are used.

    Raises:
        DataError: outside `RANGES["leave_one_out"]`, not finite, collapsed, or of unequal length.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    a, b = checked_blocks(a, b, "leave_one_out")
    each = _held_out(a, b, seed, _Conditional, _leave_one_out)
    estimate = information(each.mean(), _half(each), "estimate", "leave_one_out", a, b)
    return estimate._replace(samples=len(each))


class _Model(nn.Module):
    """What is trained on pairs and then scores every pairing."""

    @abstractmethod
    def forward(self, a: Tensor, b: Tensor) -> Tensor: ...

    @abstractmethod
    def loss(self, a: Tensor, b: Tensor) -> Tensor: ...


class _Critic(_Model):
    """Log density ratio of every pairing: that of the fitted normal, and what is learned."""

    def __init__(self, left: int, right: int, correlation: Tensor):
        super().__init__()
        self.left, self.right = _network(left, 32), _network(right, 32)
        _silence(self.left)
        precision = 1 / (1 - correlation**2)
        self.cross, self.own = correlation * precision, -0.5 * correlation**2 * precision

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Row i, column j: $f(a_i, b_j)$, up to a term of $a_i$ alone, which cancels."""
        size = len(self.cross)
        normal = (a[:, :size] * self.cross) @ b[:, :size].T
        of_b = b[:, :size].square() @ self.own
        return normal + of_b + self.left(a) @ self.right(b).T

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return -_infonce(self, a, b).mean()


class _Conditional(_Model):
    """Normal q(b|a): the fitted linear one, and what is learned about its mean and variance."""

    def __init__(self, left: int, right: int, correlation: Tensor):
        super().__init__()
        self.network = _network(left, 2 * right)
        _silence(self.network)
        self.slope = correlation
        self.log_variance = torch.zeros(right)
        self.log_variance[: len(correlation)] = torch.log1p(-(correlation**2))

    def normal(self, a: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.network(a).chunk(2, 1)
        size = len(self.slope)
        linear = nn.functional.pad(a[:, :size] * self.slope, (0, mean.shape[1] - size))
        return linear + mean, self.log_variance + log_variance

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Row i, column j: $\\log q(b_j | a_i)$."""
        mean, log_variance = self.normal(a)
        precision = torch.exp(-log_variance)
        square = precision @ b.square().T - 2 * (mean * precision) @ b.T
        constant = (mean.square() * precision + log_variance).sum(1, keepdim=True)
        return -0.5 * (square + constant + b.shape[1] * math.log(2 * math.pi))

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        mean, log_variance = self.normal(a)
        return 0.5 * ((b - mean).square() * torch.exp(-log_variance) + log_variance).sum(1).mean()


def _infonce(model: _Model, a: Tensor, b: Tensor) -> Tensor:
    scores = model(a, b)
    return scores.diagonal() - scores.logsumexp(1) + math.log(len(a))


def _club(model: _Model, a: Tensor, b: Tensor) -> Tensor:
    scores = model(a, b)
    return scores.diagonal() - scores.mean(0)


def _leave_one_out(model: _Model, a: Tensor, b: Tensor) -> Tensor:
    scores = model(a, b)
    own = scores.diagonal()
    others = scores.masked_fill(torch.eye(len(a), dtype=torch.bool), -math.inf)
    return own - others.logsumexp(0) + math.log(len(a) - 1)


def _held_out(
    a: np.ndarray,
    b: np.ndarray,
    seed: int,
    build: Callable[[int, int, Tensor], _Model],
    value: Callable[[_Model, Tensor, Tensor], Tensor],
) -> np.ndarray:
    """The value of every pair under a model that was not trained on it."""
    each = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in _parts(normal_scores(a), normal_scores(b), np.random.default_rng(seed)):
            sizes = part.train[0].shape[1], part.train[1].shape[1]
            model = _trained(build(*sizes, part.correlation), part)
            with torch.no_grad():
                each.append(value(model, *part.test).double().numpy())
    return np.concatenate(each)


def _parts(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> Iterator[Part]:
    """Canonical coordinates of each fold, from its own training samples."""
    order = rng.permutation(len(a))[:SAMPLES]
    folds = np.array_split(order, FOLDS)
    for i, test in enumerate(folds):
        rest = np.concatenate(folds[:i] + folds[i + 1 :])
        choose, train = rest[: len(rest) // 6], rest[len(rest) // 6 :]
        maps = canonical_maps(a[rest], b[rest])
        left, right = (
            torch.tensor((z - z[rest].mean(0)) @ turn, dtype=torch.float32)
            for z, turn in ((a, maps.a), (b, maps.b))
        )
        # in float32, 1 - rho^2 has no digits left beyond this
        correlation = torch.tensor(maps.correlation.clip(max=1 - 1e-6), dtype=torch.float32)
        picks = [(left[i], right[i]) for i in (train, choose, test)]
        yield Part(picks[0], picks[1], picks[2], correlation)


def _trained(model: _Model, part: Part) -> _Model:
    """The model at the step that did best on the samples kept to choose it; step 0 counts."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    best, best_loss, best_step = deepcopy(model.state_dict()), math.inf, 0
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                loss = float(model.loss(*part.choose))
            if loss < best_loss:
                best, best_loss, best_step = deepcopy(model.state_dict()), loss, step
            if step - best_step >= PATIENCE * EVERY:
                break
        index = torch.randint(len(part.train[0]), (BATCH,))
        optimiser.zero_grad()
        model.loss(part.train[0][index], part.train[1][index]).backward()
        optimiser.step()
    model.load_state_dict(best)
    return model


def _network(size: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, out)
    )


def _silence(network: nn.Sequential) -> None:
    """Make a network answer 0, so that training starts from the fitted normal."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _half(each: np.ndarray) -> float:
    return float(NORMAL_95 * each.std() / math.sqrt(len(each)))
