r"""ZSIH: binary codes of both domains that follow the code of their fusion, which yields the words.

Shen, Liu, Shen and Shao, "Zero-shot sketch-image hashing", CVPR 2018. The fusion of x and y of one
class, smoothed over a graph of words, is used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.networks.layers import dense
from iiae.rivals.interface import WORDS, Maps, Rival, Seen
from iiae.rivals.training import class_pairs, descend


@dataclass(frozen=True)
class ZSIHSettings:
    """Published: batch 250, 64 bits, a fusion of 256 x 256; public code 10,000 steps of 200. The
    default `steps` take about 5 minutes of processor time. `bandwidth` is that of the graph.

    `semantic` weighs the words as public code does, whose sum over 100 word dimensions, a quarter
    of it, is 25 of their mean. Held-out seen classes of both splits of Sketchy chose it and
    `learning_rate` (docs/studies/table3.md).
    """

    steps: int = 2000
    batch: int = 250
    learning_rate: float = 5e-4
    bits: int = 64
    width: int = 1024
    # Paper: 256, whose outer product feeds 67M weights. Here: 64, because that fits processors.
    fusion: int = 64
    bandwidth: float = 0.1
    semantic: float = 25.0


class Networks(nn.Module):
    """f and g give codes, `fuse` logits of the code of a pair, `decoder` the mean of s."""

    def __init__(self, size_x: int, size_y: int, k: int, given: ZSIHSettings):
        super().__init__()
        self.f, self.g = (_coder(size, given.width, given.bits) for size in (size_x, size_y))
        self.fuse_x, self.fuse_y = dense(size_x, given.fusion), dense(size_y, given.fusion)
        self.first = dense(given.fusion**2, given.width)
        self.last = dense(given.width, given.bits)
        self.decoder = dense(given.bits, k)

    def fuse(
        self, x: Float[Tensor, "batch size_x"], y: Float[Tensor, "batch size_y"], graph: Tensor
    ) -> Float[Tensor, "batch bits"]:
        """Two graph convolutions of the outer product of both domains."""
        outer = torch.einsum("bi,bj->bij", self.fuse_x(x).relu(), self.fuse_y(y).relu()).flatten(1)
        return graph @ self.last((graph @ self.first(outer)).relu())


class Losses(NamedTuple):
    """Means over batch and elements."""

    semantic: Float[Tensor, ""]
    code: Float[Tensor, ""]
    x: Float[Tensor, ""]
    y: Float[Tensor, ""]


def learn(seen: Seen, settings: ZSIHSettings) -> Maps:
    n = train_networks(seen, settings)
    # Paper: bits alone, by Hamming distance. Here: their probabilities too, by cosine, because the
    # other rivals have real-valued embeddings.
    bits = Maps(lambda x: (n.f(x) > 0.5).float(), lambda y: (n.g(y) > 0.5).float(), "hamming")
    return bits._replace(second=Maps(n.f, n.g))


def train_networks(seen: Seen, settings: ZSIHSettings) -> Networks:
    n = Networks(seen.x.shape[1], seen.y.shape[1], seen.words.shape[1], settings)
    optimiser = torch.optim.Adam(n.parameters(), settings.learning_rate, fused=True)
    # Public code: biases decayed and the last batch dropped. Here: no decay, and batches drawn.
    for x, y, classes in class_pairs(seen, settings.batch, settings.steps, "ZSIH"):
        s = seen.words[classes]
        logits = n.fuse(x, y, smoothing(s, settings.bandwidth))
        t = losses(n, x, y, s, logits, binary(logits, torch.rand_like(logits)))
        descend(optimiser, settings.semantic * t.semantic + t.code + t.x + t.y)
    return n.requires_grad_(False)


def losses(n: Networks, x: Tensor, y: Tensor, s: Tensor, logits: Tensor, b: Tensor) -> Losses:
    """Terms of a batch of pairs with fused code `b`.

    Paper: E[log q(b|x,y) - log p(s|b)] and sums of squares. Public code: sums, a threshold for f
    and g that is not b's, the decoder's variance unused. Here: the means of Li's version, with b as
    a fixed target of all but the words.
    """
    # Paper: +E[log q], which spreads q. Here: its negative, because both public versions have it.
    target = b.detach()
    return Losses(
        semantic=F.mse_loss(n.decoder(b), s),
        code=F.binary_cross_entropy_with_logits(logits, target),
        x=F.mse_loss(n.f(x), target),
        y=F.mse_loss(n.g(y), target),
    )


def binary(
    logits: Float[Tensor, "batch bits"], threshold: Float[Tensor, "batch bits"]
) -> Float[Tensor, "batch bits"]:
    """1 where σ(h) is above the threshold; the gradient is that of σ(h).

    Public code: a threshold of 1/2. Here: drawn uniformly from [0, 1], as in the paper.
    """
    probability = logits.sigmoid()
    return probability + ((probability > threshold).float() - probability).detach()


def smoothing(s: Float[Tensor, "batch k"], bandwidth: float) -> Float[Tensor, "batch batch"]:
    r"""$\Delta^{-1/2} A \Delta^{-1/2}$ with $A_{ij} = \exp(-\|s_i - s_j\|^2 / bandwidth)$."""
    # exact differences: by products, rounding would spoil the zeros of one class
    affinity = torch.exp(-_squared_distances(s) / bandwidth)
    root = affinity.sum(1).rsqrt()
    return root[:, None] * affinity * root


def _squared_distances(s: Tensor) -> Tensor:
    return torch.cdist(s, s, compute_mode="donot_use_mm_for_euclid_dist").square()


def _coder(size: int, width: int, bits: int) -> nn.Sequential:
    return nn.Sequential(dense(size, width), nn.ReLU(), dense(width, bits), nn.Sigmoid())


ZSIH = Rival("ZSIH", (WORDS,), ZSIHSettings, learn, mixed=True)
