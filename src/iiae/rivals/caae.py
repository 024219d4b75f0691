r"""CAAE and CVAE: photo features made of a sketch's features; no knowledge beyond the pairs.

Yelamarthi, Reddy, Mishra and Mittal, "A zero-shot framework for sketch based image retrieval", ECCV
2018. The public code is the CVAE alone; in the CAAE an adversary on z stands in for the KL.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import DiagonalNormal
from iiae.networks.layers import dense
from iiae.rivals.interface import Maps, Rival, Seen
from iiae.rivals.training import NoisyDecoder, descend, instance_pairs


@dataclass(frozen=True)
class CVAESettings:
    """Published: 25 epochs on features of 4,096, width 4,096. The default `steps` take about 5
    minutes of processor time. `width` is that of the encoder's first layer, twice the others'.

    `kl` = 1 is as in the public code, which adds a mean over features to a sum over z: z then
    collapses and the decoder is a regression. `kl` = 1 / (size of y) weighs both alike.
    """

    steps: int = 900
    batch: int = 128
    learning_rate: float = 2e-4
    width: int = 4096
    latent: int = 1024
    kl: float = 1.0
    resketch: float = 10.0
    draws: int = 100


@dataclass(frozen=True)
class CAAESettings:
    """As `CVAESettings`; `adversary` weighs the generator's side of the game (search 0.01 to 1)."""

    steps: int = 900
    batch: int = 128
    learning_rate: float = 2e-4
    width: int = 4096
    latent: int = 1024
    adversary: float = 1.0
    resketch: float = 10.0
    draws: int = 100


class Networks(nn.Module):
    """`encode` [y, x] -> width -> width / 2 -> heads; `decode` [x, z] -> y; `resketch` y -> x.

    Paper: ReLU outputs. Here: linear, because standardised features have signs.
    """

    def __init__(self, size_x: int, size_y: int, given: CVAESettings | CAAESettings, heads: int):
        super().__init__()
        width, half = given.width, max(1, given.width // 2)
        self.trunk = nn.Sequential(
            dense(size_y + size_x, width), nn.ReLU(), nn.BatchNorm1d(width), nn.Dropout(0.3),
            dense(width, half), nn.ReLU(), nn.BatchNorm1d(half),
        )  # fmt: skip
        self.heads = nn.ModuleList(dense(half, given.latent) for _ in range(heads))
        self.decode = NoisyDecoder(size_x, given.latent, half, size_y, nn.ReLU())
        self.resketch = nn.Sequential(dense(size_y, half), nn.ReLU(), dense(half, size_x))

    def encode(self, x: Tensor, y: Tensor) -> list[Tensor]:
        hidden = self.trunk(torch.cat([y, x], 1))
        return [head(hidden) for head in self.heads]


def learn_cvae(seen: Seen, settings: CVAESettings) -> Maps:
    n = Networks(seen.x.shape[1], seen.y.shape[1], settings, heads=2)
    optimiser = _adam(n, settings)
    for x, y, _ in instance_pairs(seen, settings.batch, settings.steps, "CVAE"):
        q = DiagonalNormal(*(part.tanh() for part in n.encode(x, y)))
        # Public code: one noise vector for the whole batch. Here: one per sample, because the
        # posterior is of a sample.
        loss = rebuilding(n, x, y, q.rsample(), settings.resketch)
        descend(optimiser, loss + settings.kl * q.kl_standard().mean())
    return _maps(n, settings)


def learn_caae(seen: Seen, settings: CAAESettings) -> Maps:
    # Paper: sizes of the adversary unknown. Here: the CVAE's networks, z without noise, and an
    # adversary of halving widths, because nothing else is public.
    n = Networks(seen.x.shape[1], seen.y.shape[1], settings, heads=1)
    adversary = _adversary(settings.latent)
    of_networks, of_adversary = _adam(n, settings), _adam(adversary, settings)
    for x, y, _ in instance_pairs(seen, settings.batch, settings.steps, "CAAE"):
        (z,) = n.encode(x, y)
        adversary.requires_grad_(False)
        loss = rebuilding(n, x, y, z, settings.resketch)
        descend(of_networks, loss + settings.adversary * deceiving(adversary, z))
        adversary.requires_grad_(True)
        descend(of_adversary, telling(adversary, torch.randn_like(z), z.detach()))
    return _maps(n, settings)


def rebuilding(n: Networks, x: Tensor, y: Tensor, z: Tensor, resketch: float) -> Float[Tensor, ""]:
    """Mean squared error of y from x and z, and of x from that y, weighed by `resketch`."""
    rebuilt = n.decode(x, z)
    return F.mse_loss(rebuilt, y) + resketch * F.mse_loss(n.resketch(rebuilt), x)


def deceiving(adversary: nn.Module, z: Tensor) -> Float[Tensor, ""]:
    """-log D(z): the encoder's non-saturating side of the game; D gives logits of "prior"."""
    return F.softplus(-adversary(z)).mean()


def telling(adversary: nn.Module, prior: Tensor, z: Tensor) -> Float[Tensor, ""]:
    """-log D(prior) - log(1 - D(z)): the adversary's side."""
    return F.softplus(-adversary(prior)).mean() + F.softplus(adversary(z)).mean()


def _adversary(latent: int) -> nn.Sequential:
    half, quarter = max(1, latent // 2), max(1, latent // 4)
    return nn.Sequential(
        dense(latent, half), nn.LeakyReLU(0.2), dense(half, quarter), nn.LeakyReLU(0.2),
        dense(quarter, 1),
    )  # fmt: skip


def _adam(network: nn.Module, given: CVAESettings | CAAESettings) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), given.learning_rate, (0.5, 0.999), fused=True)


def _maps(n: Networks, settings: CVAESettings | CAAESettings) -> Maps:
    # Paper: the least distance to K-means centres of the samples. Here: cosine to their mean, as
    # in the public code, because its K-means is unfinished. The same draws serve all queries, so
    # that an embedding does not depend on what else is embedded.
    noises = torch.randn(settings.draws, settings.latent)
    n.eval().requires_grad_(False)
    return Maps(lambda x: n.decode.mean(x, noises), lambda y: y)


CVAE = Rival("CVAE", (), CVAESettings, learn_cvae, mixed=True)
CAAE = Rival("CAAE", (), CAAESettings, learn_caae, mixed=True)
