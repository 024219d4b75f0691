r"""SAE: a linear map of features to word vectors that also maps back, in closed form.

Kodirov, Xiang and Gong, "Semantic autoencoder for zero-shot learning", CVPR 2017. For each domain,
$\min_W \|X - W^T S\|^2 + \lambda \|W X - S\|^2$.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.rivals.interface import WORDS, Maps, Rival, Seen


@dataclass(frozen=True)
class SAESettings:
    """`lam` weighs features to words against words to features.

    Published: 5e5 (AwA), 0.2 (CUB), 5 (ImageNet-2), as it depends on the scale of X; search 1e-2
    to 1e6. The default is for standardised features and word vectors of length 1.
    """

    lam: float = 0.01


def learn(seen: Seen, settings: SAESettings) -> Maps:
    # Paper: one domain. Here: a map per domain, compared in word space, because retrieval has two.
    w_x, w_y = (
        semantic_map(features.double(), seen.words[classes].double(), settings.lam).float()
        for features, classes in ((seen.x, seen.class_x), (seen.y, seen.class_y))
    )
    # Public code (CUB, ImageNet): ridge regression onto one-hot labels first, and z-scores over
    # the test set. Here: neither, because a test item must be embedded from its feature alone.
    return Maps(lambda x: x @ w_x.T, lambda y: y @ w_y.T)


def semantic_map(
    features: Float[Tensor, "items size"], words: Float[Tensor, "items k"], lam: float
) -> Float[Tensor, "k size"]:
    r"""W with $S S^T W + W (\lambda X X^T) = (1 + \lambda) S X^T$, items being columns of S and X.

    Both matrices on the left are symmetric; in their eigenvectors each element has an equation of
    its own. Directions without variance in both are left at 0.
    """
    alpha, u = torch.linalg.eigh(words.T @ words)
    beta, v = torch.linalg.eigh(lam * (features.T @ features))
    right = (1 + lam) * (u.T @ (words.T @ features) @ v)
    left = alpha[:, None] + beta
    solvable = left > 1e-12 * left.max()
    return u @ torch.where(solvable, right / left.where(solvable, 1.0), 0.0) @ v.T


SAE = Rival("SAE", (WORDS,), SAESettings, learn)
