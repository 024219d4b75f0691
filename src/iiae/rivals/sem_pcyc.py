"""SEM-PCYC: both domains to a code of words and WordNet and back, by adversaries and cycles.

Dutta and Akata, "Semantically tied paired cycle consistency for zero-shot sketch-based image
retrieval", CVPR 2019. x is the sketch, y the photo, e the code of the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.rivals.interface import WORDNET, WORDS, Maps, Rival, Seen
from iiae.rivals.training import Batch, class_pairs, descend

ADVERSARIAL, CYCLE, CLASS, REGRESSION = 1.0, 10.0, 10.0, 0.1
OF_CODE, OF_FEATURES = 20.0, 10.0  # within the regression


@dataclass(frozen=True)
class SEMPCYCSettings:
    """Published: batches of 128, 100 steps an epoch, at most 1,000 epochs, stopped after 200
    without a gain. The default `steps` take about 5 minutes of processor time.

    `classifier_rate` is that at which classifiers are trained with the generators. At 0, as in the
    public code, they stay as they were drawn, fixed random codes of the classes: less is found of
    held-out seen classes then (docs/studies/table3.md).
    """

    steps: int = 3000
    batch: int = 128
    size: int = 64
    generator_rate: float = 1e-4
    adversary_rate: float = 1e-4
    code_rate: float = 1e-2
    classifier_rate: float = 1e-4
    sparsity: float = 1e-3
    dropout: float = 0.5


class Networks(nn.Module):
    """Generators named from_to, adversaries, classifiers and the auto-encoder of knowledge."""

    def __init__(self, size_x: int, size_y: int, known: int, classes: int, given: SEMPCYCSettings):
        super().__init__()
        e = given.size
        self.x_e, self.e_x = _generator(size_x, e, given), _generator(e, size_x, given)
        self.y_e, self.e_y = _generator(size_y, e, given), _generator(e, size_y, given)
        self.adversary_e, self.adversary_x = _adversary(e), _adversary(size_x)
        self.adversary_y = _adversary(size_y)
        self.classify_e, self.classify_x = nn.Linear(e, classes), nn.Linear(size_x, classes)
        self.classify_y = nn.Linear(size_y, classes)
        self.code = nn.Sequential(nn.Linear(known, e), nn.ReLU())
        # Public code: a ReLU. Here: none, because word vectors have signs.
        self.rebuild = nn.Linear(e, known)

    def generators(self) -> nn.ModuleList:
        return nn.ModuleList([self.x_e, self.y_e, self.e_x, self.e_y])

    def adversaries(self) -> nn.ModuleList:
        return nn.ModuleList([self.adversary_e, self.adversary_x, self.adversary_y])

    def classifiers(self) -> nn.ModuleList:
        return nn.ModuleList([self.classify_e, self.classify_x, self.classify_y])


class Generated(NamedTuple):
    """What the generators make of a batch of pairs and the codes of their classes."""

    x_e: Float[Tensor, "batch size"]
    y_e: Float[Tensor, "batch size"]
    e_x: Float[Tensor, "batch size_x"]
    e_y: Float[Tensor, "batch size_y"]


def learn(seen: Seen, settings: SEMPCYCSettings) -> Maps:
    # Public code: stopped by the mAP of unseen classes that stay in the test set. Here: a fixed
    # number of steps, because unseen classes are for the last run only.
    n = train_networks(seen, settings)
    return Maps(n.x_e, n.y_e, "euclidean")


def train_networks(seen: Seen, settings: SEMPCYCSettings) -> Networks:
    # Paper: Jiang-Conrath similarities on Sketchy, of all classes. Here: path similarities (as on
    # TU-Berlin), to nodes above seen classes only, because the others reveal unseen classes.
    known = torch.cat([seen.words, seen.similarity], 1)
    sizes = seen.x.shape[1], seen.y.shape[1], known.shape[1], len(known)
    n = Networks(*sizes, settings)
    of_generators, of_adversaries, of_code = _optimisers(n, settings)
    for batch in class_pairs(seen, settings.batch, settings.steps, "SEM-PCYC"):
        c = known[batch.classes]
        descend(of_code, code_loss(n, c, settings.sparsity))
        e = n.code(c).detach()
        made = generate(n, batch, e)
        n.adversaries().requires_grad_(False)
        descend(of_generators, generator_loss(n, batch, e, made))
        n.adversaries().requires_grad_(True)
        # Public code: runs through the generators' graph again after their step. Here: detached,
        # because that graph is stale (PyTorch refuses it).
        fixed = Generated(*(part.detach() for part in made))
        descend(of_adversaries, adversary_loss(n, batch, e, fixed))
    return n.eval().requires_grad_(False)


def _optimisers(n: Networks, given: SEMPCYCSettings) -> list[torch.optim.Optimizer]:
    """Of generators with classifiers, of adversaries, and of the auto-encoder."""
    groups = [
        {"params": n.generators().parameters()},
        {"params": n.classifiers().parameters(), "lr": given.classifier_rate},
    ]
    code = [*n.code.parameters(), *n.rebuild.parameters()]
    return [
        torch.optim.Adam(groups, given.generator_rate, fused=True),
        torch.optim.SGD(n.adversaries().parameters(), given.adversary_rate, momentum=0.9),
        torch.optim.SGD(code, given.code_rate, momentum=0.9),
    ]


def generate(n: Networks, batch: Batch, e: Tensor) -> Generated:
    return Generated(n.x_e(batch.x), n.y_e(batch.y), n.e_x(e), n.e_y(e))


def code_loss(n: Networks, c: Tensor, sparsity: float) -> Float[Tensor, ""]:
    """Squared error of knowledge from its code, and the lengths of the encoder's columns.

    Sparse columns leave out word dimensions and ancestors that carry little information.
    """
    weight = n.code[0].get_parameter("weight")
    return F.mse_loss(n.rebuild(n.code(c)), c) + sparsity / len(c) * weight.norm(dim=0).sum()


def generator_loss(n: Networks, batch: Batch, e: Tensor, made: Generated) -> Float[Tensor, ""]:
    adversarial = (
        _judged(n.adversary_e(made.x_e), real=True)
        + _judged(n.adversary_e(made.y_e), real=True)
        + _judged(n.adversary_x(made.e_x), real=True)
        + _judged(n.adversary_y(made.e_y), real=True)
    )
    return (
        ADVERSARIAL * adversarial
        + CYCLE * cycle_loss(n, batch, e, made)
        + CLASS * class_loss(n, batch, made)
        + REGRESSION * regression_loss(batch, e, made)
    )


def cycle_loss(n: Networks, batch: Batch, e: Tensor, made: Generated) -> Float[Tensor, ""]:
    """Mean absolute errors after a way and back: x, y, and e by both domains."""
    return (
        F.l1_loss(n.e_x(made.x_e), batch.x)
        + F.l1_loss(n.e_y(made.y_e), batch.y)
        + F.l1_loss(n.x_e(made.e_x), e)
        + F.l1_loss(n.y_e(made.e_y), e)
    )


def class_loss(n: Networks, batch: Batch, made: Generated) -> Float[Tensor, ""]:
    logits = (
        n.classify_e(made.x_e),
        n.classify_e(made.y_e),
        n.classify_x(made.e_x),
        n.classify_y(made.e_y),
    )
    return torch.stack([F.cross_entropy(each, batch.classes) for each in logits]).sum()


def regression_loss(batch: Batch, e: Tensor, made: Generated) -> Float[Tensor, ""]:
    to_code = F.mse_loss(made.x_e, e) + F.mse_loss(made.y_e, e)
    to_features = F.mse_loss(made.e_x, batch.x) + F.mse_loss(made.e_y, batch.y)
    return OF_CODE * to_code + OF_FEATURES * to_features


def adversary_loss(n: Networks, batch: Batch, e: Tensor, made: Generated) -> Float[Tensor, ""]:
    """Least squares: each adversary's mean over the batches it must separate."""
    real = _judged(n.adversary_e(e), real=True)
    of_x = _judged(n.adversary_e(made.x_e), real=False)
    of_y = _judged(n.adversary_e(made.y_e), real=False)
    of_e = 0.25 * (2 * real + of_x + of_y)
    for adversary, true, fake in (
        (n.adversary_x, batch.x, made.e_x),
        (n.adversary_y, batch.y, made.e_y),
    ):
        of_e = of_e + 0.5 * (_judged(adversary(true), True) + _judged(adversary(fake), False))
    return of_e


class Noise(nn.Module):
    """Adds N(0, 0.3²)."""

    def forward(self, values: Tensor) -> Tensor:
        return values + 0.3 * torch.randn_like(values)


def _judged(judgement: Tensor, real: bool) -> Tensor:
    """Squared error to labels drawn from [0.7, 1] (real) or [0, 0.3]."""
    label = 0.3 * torch.rand_like(judgement) + (0.7 if real else 0.0)
    return F.mse_loss(judgement, label)


def _generator(size: int, out: int, given: SEMPCYCSettings) -> nn.Sequential:
    width = (size + out) // 2
    first, second = (
        nn.Sequential(
            nn.Linear(inner, width), nn.BatchNorm1d(width), nn.LeakyReLU(0.2),
            nn.Dropout(given.dropout),
        )
        for inner in (size, width)
    )  # fmt: skip
    return nn.Sequential(first, second, nn.Linear(width, out))


def _adversary(size: int) -> nn.Sequential:
    half = max(1, size // 2)
    first, second = (
        nn.Sequential(nn.Linear(inner, half), nn.BatchNorm1d(half), nn.LeakyReLU(0.2))
        for inner in (size, half)
    )
    return nn.Sequential(Noise(), first, second, nn.Linear(half, 1))


SEM_PCYC = Rival("SEM-PCYC", (WORDS, WORDNET), SEMPCYCSettings, learn)
