"""The model: seven networks composed, and how settings choose them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from iiae.distributions import (
    BernoulliHead,
    CategoricalHead,
    DiagonalNormal,
    Head,
    LaplaceHead,
    Latents,
    Likelihood,
    Likelihoods,
    NormalHead,
    Posteriors,
)
from iiae.errors import DataError, SettingsError
from iiae.networks import conv, mlp
from iiae.networks.interface import Networks
from iiae.settings import LikelihoodSettings, ModelSettings, ObjectiveSettings
from iiae.types import Domain, Pair, PartPaired


class DomainPosteriors(NamedTuple):
    """What one domain alone says: r(z_s given it) and q of its exclusive latent."""

    shared: DiagonalNormal
    exclusive: DiagonalNormal


class Active(NamedTuple):
    """Which dimensions of each latent carry signal above their noise: see `select_active`."""

    shared: Bool[Tensor, " shared"]
    exclusive_x: Bool[Tensor, " exclusive_x"]
    exclusive_y: Bool[Tensor, " exclusive_y"]


ACTIVE = ("active", "active_x", "active_y")  # buffers of a model


class IIAE(nn.Module):
    """Interaction-information auto-encoder of pairs (x, y), composed of seven networks.

    `networks` says what each part takes and returns; `active`, `active_x` and `active_y` mark the
    dimensions of z_s, z_x and z_y that carry signal above their noise (all, until
    `select_active` finds them).

    Args:
        networks: The seven parts.
        shared_size: Dimensions of z_s, flat.
        exclusive_sizes: Dimensions of z_x and of z_y.
    """

    active: Tensor
    active_x: Tensor
    active_y: Tensor
    exclusive_x: nn.Module
    exclusive_y: nn.Module
    shared_given_x: nn.Module
    shared_given_y: nn.Module
    shared: nn.Module
    decoder_x: nn.Module
    decoder_y: nn.Module

    def __init__(self, networks: Networks, shared_size: int, exclusive_sizes: tuple[int, int]):
        super().__init__()
        self.exclusive_sizes = exclusive_sizes
        for name, network in networks._asdict().items():
            self.add_module(name, network)
        for name, size in zip(ACTIVE, (shared_size, *exclusive_sizes), strict=True):
            self.register_buffer(name, torch.ones(size, dtype=torch.bool))

    @property
    def active_dimensions(self) -> Active:
        """The active dimensions of all three latents."""
        return Active(self.active, self.active_x, self.active_y)

    def keep_active(self, found: Active) -> None:
        """Makes these the active dimensions; they are stored with the weights."""
        for mine, chosen in zip(self.active_dimensions, found, strict=True):
            mine.copy_(chosen)

    def encode(self, pair: Pair) -> Posteriors:
        """All five posteriors of a batch of pairs."""
        given_x, given_y = self.shared_given_x(pair.x), self.shared_given_y(pair.y)
        return Posteriors(
            shared=self.shared(given_x.features, given_y.features),
            shared_given_x=given_x.posterior,
            shared_given_y=given_y.posterior,
            exclusive_x=self.exclusive_x(pair.x),
            exclusive_y=self.exclusive_y(pair.y),
        )

    def encode_x(self, x: Float[Tensor, "batch *shape_x"]) -> DomainPosteriors:
        """r_x(z_s given x) and q(z_x given x): what x alone says."""
        return DomainPosteriors(self.shared_given_x(x).posterior, self.exclusive_x(x))

    def encode_y(self, y: Float[Tensor, "batch *shape_y"]) -> DomainPosteriors:
        """r_y(z_s given y) and q(z_y given y): what y alone says."""
        return DomainPosteriors(self.shared_given_y(y).posterior, self.exclusive_y(y))

    def encoder(self, domain: Domain) -> Callable[[Tensor], DomainPosteriors]:
        """`encode_x` or `encode_y`."""
        return self.encode_x if domain == "x" else self.encode_y

    def decode(self, z: Latents) -> Likelihoods:
        """Likelihoods of both domains."""
        return Likelihoods(
            self.decoder_x(z.shared, z.exclusive_x), self.decoder_y(z.shared, z.exclusive_y)
        )

    def decode_x(
        self, shared: Float[Tensor, "batch shared"], exclusive: Float[Tensor, "batch exclusive_x"]
    ) -> Likelihood:
        """p(x given z_s, z_x)."""
        return self.decoder_x(shared, exclusive)

    def decode_y(
        self, shared: Float[Tensor, "batch shared"], exclusive: Float[Tensor, "batch exclusive_y"]
    ) -> Likelihood:
        """p(y given z_s, z_y)."""
        return self.decoder_y(shared, exclusive)

    def decoder(self, domain: Domain) -> Callable[[Tensor, Tensor], Likelihood]:
        """`decode_x` or `decode_y`."""
        return self.decode_x if domain == "x" else self.decode_y

    def forward(self, pair: Pair) -> tuple[Posteriors, Likelihoods]:
        """Encode, sample every latent once, decode: one estimate of the objective."""
        q = self.encode(pair)
        return q, self.decode(q.rsample())

    def part_paired(self, batch: PartPaired) -> tuple[Posteriors, Likelihoods]:
        """As `forward`; z_s of a sample alone is drawn from r_x or r_y.

        `shared` has a row a pair, the others one for every x or y.
        """
        n, lone = batch.pairs, slice(batch.pairs, None)
        given_x, given_y = self.shared_given_x(batch.x), self.shared_given_y(batch.y)
        q = Posteriors(
            shared=self.shared(given_x.features[:n], given_y.features[:n]),
            shared_given_x=given_x.posterior,
            shared_given_y=given_y.posterior,
            exclusive_x=self.exclusive_x(batch.x),
            exclusive_y=self.exclusive_y(batch.y),
        )
        z_s = q.shared.rsample()
        z_s_x = torch.cat([z_s, q.shared_given_x.rows(lone).rsample()])
        z_s_y = torch.cat([z_s, q.shared_given_y.rows(lone).rsample()])
        return q, Likelihoods(
            self.decoder_x(z_s_x, q.exclusive_x.rsample()),
            self.decoder_y(z_s_y, q.exclusive_y.rsample()),
        )


class Embeddings(NamedTuple):
    """Posteriors of a whole set, on the CPU: every pair, in the set's order."""

    shared_given_x: DiagonalNormal
    shared_given_y: DiagonalNormal
    exclusive_x: DiagonalNormal
    exclusive_y: DiagonalNormal


@torch.inference_mode()
def embed(model: IIAE, batches: Iterable[Pair]) -> Embeddings:
    """One-domain posteriors of every pair; the model is left in evaluation mode.

    Raises:
        DataError: Latents of a pair are not finite, and so could not be compared with any others.
    """
    model.eval()
    device = model.active.device

    def posteriors(pair: Pair) -> tuple[DiagonalNormal, ...]:
        given_x = model.encode_x(pair.x.to(device))
        given_y = model.encode_y(pair.y.to(device))
        return given_x.shared, given_y.shared, given_x.exclusive, given_y.exclusive

    return _finite(Embeddings(*_joined(map(posteriors, batches))))


@torch.inference_mode()
def embed_sides(model: IIAE, x: Iterable[Tensor], y: Iterable[Tensor]) -> Embeddings:
    """One-domain posteriors of two sets that need not match in number or order.

    Raises:
        DataError: As `embed`.
    """
    model.eval()
    device = model.active.device
    of_x = _joined(model.encode_x(batch.to(device)) for batch in x)
    of_y = _joined(model.encode_y(batch.to(device)) for batch in y)
    return _finite(Embeddings(of_x[0], of_y[0], of_x[1], of_y[1]))


def _finite(found: Embeddings) -> Embeddings:
    """The same; a NaN compares as false with everything, which a count of nearer items would miss.

    Raises:
        DataError: A value is not finite; the message names domain and row.
    """
    for name, posterior in found._asdict().items():
        sound = torch.cat(posterior, 1).isfinite().all(1)
        if not sound.all():
            domain, row = name[-1], int((~sound).nonzero()[0, 0])
            raise DataError(
                f"row {row} of {domain}: its latents are not finite ({int((~sound).sum())} of "
                f"{len(sound)} rows); look for values far outside the range of the training pairs"
            )
    return found


def _joined(rows: Iterable[tuple[DiagonalNormal, ...]]) -> list[DiagonalNormal]:
    """Posteriors of batches, joined, on the CPU."""
    plain = [tuple(DiagonalNormal(*(t.cpu() for t in p)) for p in row) for row in rows]
    return [
        DiagonalNormal(*(torch.cat(parts) for parts in zip(*column, strict=True)))
        for column in zip(*plain, strict=True)
    ]


def signal_share(
    posterior: DiagonalNormal,
) -> Float[Tensor, " size"]:
    """Var[mean] / (Var[mean] + E[variance]) of each dimension over a set, in [0, 1].

    Near 0 the posterior says the same of every sample (its mean may still order them, by
    differences far below its own noise); near 1 it tells samples apart. In float64, where squares
    of large means do not overflow; one sample has no signal.
    """
    mean, log_variance = (part.double() for part in posterior)
    signal = mean.var(0, correction=min(1, len(mean) - 1))
    return signal / (signal + log_variance.exp().mean(0))


def signal_shares(
    found: Embeddings,
) -> tuple[Float[Tensor, " shared"], Float[Tensor, " own_x"], Float[Tensor, " own_y"]]:
    """Signal share of each dimension of z_s (the smaller of r_x and r_y), z_x and z_y."""
    of_x, of_y = signal_share(found.shared_given_x), signal_share(found.shared_given_y)
    return (
        torch.minimum(of_x, of_y),
        signal_share(found.exclusive_x),
        signal_share(found.exclusive_y),
    )


def select_active(found: Embeddings, threshold: float) -> Active:
    """Dimensions whose signal share exceeds `threshold`; of z_s in r_x and in r_y alike.

    Of a latent in which none does, all: there is then nothing to tell idle dimensions from.
    """
    passing = (share > threshold for share in signal_shares(found))
    return Active(*(one if one.any() else torch.ones_like(one) for one in passing))


def latent_views(found: Embeddings, active: Active, seed: int) -> dict[str, list[Tensor]]:
    """Mean, active mean and one sample of each posterior, in the order of `Embeddings`.

    Means can show what samples do not: a dimension whose signal lies far below its noise still
    orders its means.
    """
    generator = torch.Generator().manual_seed(seed)
    kept = (active.shared, active.shared, active.exclusive_x, active.exclusive_y)
    means = [one.mean for one in found]
    return {
        "mean": means,
        "active mean": [mean[:, some] for mean, some in zip(means, kept, strict=True)],
        "sample": [one.sample(generator) for one in found],
    }


FAMILIES: dict[str, Callable[..., Networks]] = {
    "image-map": conv.image_map,
    "image-flat": conv.image_flat,
    "small": conv.small,
    "features": mlp.features,
}


def build_model(
    model: ModelSettings, objective: ObjectiveSettings, shapes: tuple[Sequence[int], Sequence[int]]
) -> IIAE:
    """The model that settings describe, for data of these shapes.

    Args:
        model: Family and sizes of the networks.
        objective: Its likelihoods become the decoders' heads.
        shapes: Of one x and one y, without the batch axis.

    Raises:
        SettingsError: The family does not take data of these shapes.
    """
    images = model.family != "features"
    _check_shapes(model.family, shapes)
    heads = (build_head(objective.x, images), build_head(objective.y, images))
    extra: dict[str, float] = {} if model.width is None else {"width": model.width}
    if model.dropout:
        if images:
            raise SettingsError("model.dropout is for family 'features'; image networks take none")
        extra["dropout"] = model.dropout
    sizes = model.exclusive_sizes
    networks = FAMILIES[model.family](shapes, sizes, model.shared, heads, **extra)
    return IIAE(networks, _shared_size(model, shapes), sizes)


def build_head(likelihood: LikelihoodSettings, images: bool) -> Head:
    """The likelihood of one domain; locations of images are bounded to [-1, 1]."""
    weighted = {"laplace": LaplaceHead, "normal": NormalHead}
    if likelihood.kind in weighted:
        return weighted[likelihood.kind](likelihood.weight, tanh=images)
    return {"bernoulli": BernoulliHead, "categorical": CategoricalHead}[likelihood.kind]()


def _shared_size(model: ModelSettings, shapes: tuple[Sequence[int], Sequence[int]]) -> int:
    side = {"image-map": shapes[0][-1] // 32, "small": 4}.get(model.family, 1)
    return model.shared * side * side


def _check_shapes(family: str, shapes: tuple[Sequence[int], Sequence[int]]) -> None:
    given = " and ".join("x".join(map(str, shape)) for shape in shapes)
    if family == "features":
        if any(len(shape) != 1 for shape in shapes):
            raise SettingsError(
                f"model.family = 'features' takes vectors, the data is {given}; "
                "use 'small', 'image-map' or 'image-flat' for images"
            )
        return
    smallest, largest = (16, 64) if family == "small" else (64, 512)
    sides = {side for shape in shapes for side in shape[1:]}
    side = next(iter(sides), 0)
    images = all(len(shape) == 3 for shape in shapes) and len(sides) == 1
    if not images or side & (side - 1) or not smallest <= side <= largest:
        raise SettingsError(
            f"model.family = '{family}' takes square images of both domains with one side, a "
            f"power of two from {smallest} to {largest}; the data is {given} "
            "(channels x height x width); resize it or choose another family"
        )
