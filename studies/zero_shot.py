"""IIAE, a joint VAE of equal size and PCA with the interface of `iiae.rivals`.

fitted = IIAE_64.fit(train, seed=0, weight=5000.0)
fitted.embed_x(x)                  # z_s of sketches, compared by cosine
fitted.second.embed_x(x)           # the same, less its mean over the training items
fitted.second.second.embed_x(x)    # z_x, to compare with z_y
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from iiae.hardware import bf16_pays
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.objectives import Terms, iiae_loss, iiae_terms, kl_warmup
from iiae.rivals.interface import Maps, Rival, Seen
from iiae.rivals.training import class_pairs, descend
from iiae.settings import LikelihoodSettings, ModelSettings, ObjectiveSettings
from iiae.types import Pair

Loss = Callable[[Terms, float], Tensor]


@dataclass(frozen=True)
class IIAESettings:
    """The published networks and objective. `weight` is w of both likelihoods.

    `linear` takes the hidden layers out of the encoders.
    Published: w = 10, no dropout, rate 2e-4, 6,100 steps, on 512 features of fine-tuned backbones.
    """

    steps: int = 2500
    batch: int = 100
    shared: int = 64
    exclusive: int = 64
    weight: float = 5000.0
    dropout: float = 0.85
    linear: bool = False
    learning_rate: float = 1e-3
    beta: float = 0.5
    lam: float = 1.0
    inter: float = 1.0
    tau: float = 2000.0


@dataclass(frozen=True)
class PCASettings:
    """Number of components."""

    size: int = 64


def learn_iiae(seen: Seen, settings: IIAESettings) -> Maps:
    """The published objective; if `lam` is 0, r_x and r_y are fitted to q, which stays as it is."""
    if settings.lam:

        def loss(t: Terms, anneal: float) -> Tensor:
            return iiae_loss(t, settings.beta, settings.lam, anneal, settings.inter)
    else:

        def loss(t: Terms, anneal: float) -> Tensor:
            return iiae_loss(t, settings.beta, 0.0, anneal) + (t.kl_s_x + t.kl_s_y).mean()

    model = _trained(seen, settings, loss, detached=not settings.lam)
    exclusive = Maps(
        lambda x: model.encode_x(x).exclusive.mean, lambda y: model.encode_y(y).exclusive.mean
    )
    return _shared(model, seen, exclusive)


def learn_joint_vae(seen: Seen, settings: IIAESettings) -> Maps:
    """No exclusive latents: ELBO of z_s alone; r_x and r_y follow q (JMVAE, Suzuki et al. 2016)."""

    def loss(t: Terms, anneal: float) -> Tensor:
        bare = t._replace(kl_x=torch.zeros_like(t.kl_x), kl_y=torch.zeros_like(t.kl_y))
        return iiae_loss(bare, 1.0, 0.0, anneal) + (t.kl_s_x + t.kl_s_y).mean()

    return _shared(_trained(seen, settings, loss, exclusive=False), seen)


def learn_pca(seen: Seen, settings: PCASettings) -> Maps:
    """The first principal components of both domains together."""
    _, _, axes = torch.linalg.svd(torch.cat([seen.x, seen.y]), full_matrices=False)
    return Maps(lambda x: x @ axes[: settings.size].T, lambda y: y @ axes[: settings.size].T)


def _shared(model: IIAE, seen: Seen, last: Maps | None = None) -> Maps:
    """z_s as it is (the paper's), then z_s less its mean over the training items of its domain."""

    def x(rows: Tensor) -> Tensor:
        return model.encode_x(rows).shared.mean

    def y(rows: Tensor) -> Tensor:
        return model.encode_y(rows).shared.mean

    with torch.no_grad():
        centre_x, centre_y = x(seen.x).mean(0), y(seen.y).mean(0)
    centred = Maps(lambda rows: x(rows) - centre_x, lambda rows: y(rows) - centre_y, second=last)
    return Maps(x, y, second=centred)


def _trained(
    seen: Seen, given: IIAESettings, loss: Loss, exclusive: bool = True, detached: bool = False
) -> IIAE:
    model = _model(seen, given).train()
    rate = given.learning_rate
    optimiser = torch.optim.Adam(model.parameters(), rate, (0.5, 0.999), fused=True)
    bf16 = bf16_pays(torch.device("cpu"), False, given.batch)
    batches = class_pairs(seen, given.batch, given.steps, "IIAE")
    for step, (x, y, _) in enumerate(batches):
        pair = Pair(x, y)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            q = model.encode(pair)
            z = q.rsample()
            if not exclusive:
                none = torch.zeros_like(z.exclusive_x)
                z = z._replace(exclusive_x=none, exclusive_y=none)
            p = model.decode(z)
        terms = iiae_terms(pair, q, p)
        if detached:
            fixed = type(q.shared)(*(part.detach() for part in q.shared))
            kl_x, kl_y = fixed.kl(q.shared_given_x), fixed.kl(q.shared_given_y)
            terms = terms._replace(kl_s_x=kl_x, kl_s_y=kl_y)
        descend(optimiser, loss(terms, kl_warmup(step, given.tau)))
    return model.eval().requires_grad_(False)


def _model(seen: Seen, given: IIAESettings) -> IIAE:
    likelihood = LikelihoodSettings(kind="normal", weight=given.weight)
    networks = ModelSettings(
        family="features",
        exclusive=given.exclusive,
        shared=given.shared,
        dropout=given.dropout,
        depth=0 if given.linear else 2,
    )  # pyright: ignore[reportCallIssue]
    shapes = ((seen.x.shape[1],), (seen.y.shape[1],))
    return build_model(networks, ObjectiveSettings(x=likelihood, y=likelihood), shapes)


IIAE_64 = Rival("IIAE", (), IIAESettings, learn_iiae)
JOINT_VAE = Rival("joint VAE", (), IIAESettings, learn_joint_vae)
PCA = Rival("PCA-64", (), PCASettings, learn_pca)
OURS = {method.name: method for method in (IIAE_64, JOINT_VAE, PCA)}
