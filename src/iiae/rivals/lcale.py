"""LCALE: variational auto-encoders of sketch, photo and words with one latent space.

Lin, Xu, Gao, Wang and Shen, "Learning cross-aligned latent embeddings for zero-shot cross-modal
retrieval", AAAI 2020. No public code: sizes, weights and schedules are those of CADA-VAE (Schönfeld
et al., CVPR 2019), which it builds on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import DiagonalNormal
from iiae.networks.layers import dense
from iiae.rivals.interface import WORDS, Maps, Rival, Seen
from iiae.rivals.training import class_pairs, descend

FEATURES, WORDS_WIDE = (1560, 1660), (1450, 665)  # widths of encoder and decoder
# parts of training between which weights rise from 0 (CADA-VAE: epochs 0-93, 21-75, 6-22 of 100)
KL_RISE, CROSS_RISE, ALIGN_RISE = (0.0, 0.93), (0.21, 0.75), (0.06, 0.22)


@dataclass(frozen=True)
class LCALESettings:
    """Weights at the end of training. CADA-VAE: 100 epochs, β 0.25, γ 2.37, δ 8.13 on sums over
    2,048 features in [0, 1]; its cross weight is kept, the others are for means over elements. The
    default `steps` take about 5 minutes of processor time.
    """

    steps: int = 5000
    batch: int = 50
    learning_rate: float = 1.5e-4
    size: int = 64
    kl: float = 0.1
    cross: float = 2.37
    align: float = 3.0


class Autoencoder(nn.Module):
    """size -> width -> posterior of z, and z -> width -> size."""

    def __init__(self, size: int, latent: int, widths: tuple[int, int]):
        super().__init__()
        self.inner = nn.Sequential(dense(size, widths[0]), nn.ReLU(), dense(widths[0], 2 * latent))
        self.decode = nn.Sequential(dense(latent, widths[1]), nn.ReLU(), dense(widths[1], size))

    def encode(self, values: Tensor) -> DiagonalNormal:
        return DiagonalNormal(*self.inner(values).chunk(2, 1))


class Terms(NamedTuple):
    """Unweighted, means over batch and elements, summed over modalities or pairs of them."""

    rebuilt: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    cross: Float[Tensor, ""]
    align: Float[Tensor, ""]
    cycle: Float[Tensor, ""]


def learn(seen: Seen, settings: LCALESettings) -> Maps:
    x, y, _ = train_networks(seen, settings)
    return Maps(lambda rows: x.encode(rows).mean, lambda rows: y.encode(rows).mean)


def train_networks(seen: Seen, settings: LCALESettings) -> list[Autoencoder]:
    """Auto-encoders of x, y and words."""
    # CADA-VAE: features scaled to [0, 1]. Here: standardised, because all rivals see the same.
    networks = [
        Autoencoder(seen.x.shape[1], settings.size, FEATURES),
        Autoencoder(seen.y.shape[1], settings.size, FEATURES),
        Autoencoder(seen.words.shape[1], settings.size, WORDS_WIDE),
    ]
    parameters = nn.ModuleList(networks).parameters()
    optimiser = torch.optim.Adam(parameters, settings.learning_rate, amsgrad=True, fused=True)
    batches = class_pairs(seen, settings.batch, settings.steps, "LCALE")
    for step, (x, y, classes) in enumerate(batches):
        t = terms(networks, [x, y, seen.words[classes]])
        done = step / settings.steps
        cross, align = risen(done, CROSS_RISE), risen(done, ALIGN_RISE)
        loss = t.rebuilt + settings.kl * risen(done, KL_RISE) * t.kl
        loss = (
            loss + settings.cross * cross * (t.cross + t.cycle) + settings.align * align * t.align
        )
        descend(optimiser, loss)
    return [network.requires_grad_(False) for network in networks]


def terms(networks: Sequence[Autoencoder], batch: Sequence[Tensor]) -> Terms:
    """Terms of samples of x, y and words of one class each."""
    posteriors = [network.encode(values) for network, values in zip(networks, batch, strict=True)]
    # CADA-VAE: noise scaled by the variance, one number for all dimensions of a sample. Here: by
    # the standard deviation, one number each, as in the posterior.
    z = [q.rsample() for q in posteriors]
    # CADA-VAE: sums over elements. Here: means, because sums make weights depend on widths.
    error = [_errors(n, z, values) for n, values in zip(networks, batch, strict=True)]
    words, s, latent = networks[2], batch[2], z[0].shape[1]
    again = [words.decode(n.encode(n.decode(z[2])).mean) for n in networks[:2]]
    return Terms(
        rebuilt=torch.stack([error[i][i] for i in range(3)]).sum(),
        kl=torch.stack([q.kl_standard().mean() / latent for q in posteriors]).sum(),
        cross=torch.stack([error[i][j] for i, j in permutations(range(3), 2)]).sum(),
        align=torch.stack(
            [misalignment(p, q).mean() for p, q in combinations(posteriors, 2)]
        ).sum(),
        cycle=torch.stack([F.l1_loss(each, s) for each in again]).sum(),
    )


def _errors(network: Autoencoder, z: Sequence[Tensor], values: Tensor) -> list[Tensor]:
    """Mean absolute errors of `values` decoded from the z of each modality."""
    decoded = network.decode(torch.cat([*z])).chunk(len(z))
    return [F.l1_loss(each, values) for each in decoded]


def misalignment(p: DiagonalNormal, q: DiagonalNormal) -> Float[Tensor, " batch"]:
    r"""2-Wasserstein distance, $\sqrt{\|\mu_p - \mu_q\|^2 + \|\sigma_p - \sigma_q\|^2}$, / size."""
    squared = (p.loc - q.loc).square() + (p.variance.sqrt() - q.variance.sqrt()).square()
    return (squared.sum(1) + 1e-12).sqrt() / p.loc.shape[1]  # the root has no slope at 0


def risen(done: float, between: tuple[float, float]) -> float:
    """0 before, 1 after, in proportion between; `done` is the part of training done."""
    start, end = between
    return min(1.0, max(0.0, (done - start) / (end - start)))


LCALE = Rival("LCALE", (WORDS,), LCALESettings, learn, mixed=True)
