r"""Which item is the partner? Nats and a permutation test from a table of scores.

A table $S$ `(pairs, pairs)` scores every x (rows) with every y (columns); partners are on its
diagonal. With $p_{ij}$ the softmax of $tS$ over a row, and over a column for the other direction,

$$\frac1n \sum_i \log p_{ii} + \log n \;\le\; I(X;Y)$$

for any score and temperature $t$ that were not fitted to these pairs (InfoNCE: van den Oord et al.
2018; Poole et al. 2019). It cannot exceed log n: n pairs show no more than which of n it is. A
bound without that limit, as that of Donsker and Varadhan, would rest on the few largest scores of
strangers; nobody can bound more than about log n nats from n pairs without an assumption
(McAllester and Stratos 2020).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TEMPERATURES = tuple(2.0 ** (power / 2) for power in range(-20, 3))


class Permuted(NamedTuple):
    """Shuffled pairs of a table: nats at the temperature that suits them best, and recall.

    `p_value` is the share of shuffled pairs, and the pairs as they are, whose mean score is as
    high; uniform if the pairs are shuffled ones themselves.
    """

    nats: Float[np.ndarray, " permutations"]
    recall: Float[np.ndarray, " permutations"]
    p_value: float


def contrast_nats(
    scores: Float[Tensor, "pairs pairs"], temperature: float
) -> Float[Tensor, " pairs"]:
    """InfoNCE of each pair in nats, the mean of both directions; its mean is at most log n."""
    scaled = scores * temperature
    others = (scaled.logsumexp(0) + scaled.logsumexp(1)) / 2
    return (scaled.diagonal() - others).double() + np.log(len(scores))


def choose_temperature(scores: Float[Tensor, "pairs pairs"]) -> float:
    """The temperature with most nats on these pairs; 0 if none has any.

    Take other pairs than those to be measured.
    """
    nats = {t: float(contrast_nats(scores, t).mean()) for t in TEMPERATURES}
    best = max(nats, key=lambda t: nats[t])
    return best if nats[best] > 0 else 0.0


def permutation_test(
    scores: Float[Tensor, "pairs pairs"], permutations: int = 999, seed: int = 0
) -> Permuted:
    """Do partners score higher than shuffled ones?

    Nothing is trained anew, so it shows whether these pairs match by what a model has learned from
    others. It is exact if the scores do not depend on which x belongs to which y.

    Args:
        scores: Of every x with every y.
        permutations: Number of shufflings, without the pairs as they are.
        seed: Random seed of the shufflings.
    """
    n, rng = len(scores), np.random.default_rng(seed)
    orders = np.stack([rng.permutation(n) for _ in range(permutations)])
    mean = np.array([scores[torch.arange(n), torch.from_numpy(o)].mean() for o in orders])
    own = float(scores.diagonal().mean())
    # only the score of the partner depends on who that is
    rest = np.array([float(contrast_nats(scores, t).mean()) - t * own for t in TEMPERATURES])
    nats = (np.outer(mean, TEMPERATURES) + rest).max(1, initial=0.0)
    by_row, by_column = scores.argmax(1).numpy(), scores.argmax(0).numpy()
    first = [(by_row == o).mean() + (by_column[o] == np.arange(n)).mean() for o in orders]
    tied = 1e-6 * float(scores.abs().mean())  # equal scores in another order of summing
    p_value = (1 + int((mean >= own - tied).sum())) / (1 + permutations)
    return Permuted(nats, np.array(first) / 2, p_value)
