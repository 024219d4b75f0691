"""Translation between domains: content of one, exclusive latent of the other."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.model.iiae import IIAE
from iiae.types import Context, Domain, mapped, other

T = TypeVar("T")
ROWS = 256  # that are translated at once


@torch.inference_mode()
def translate(
    model: IIAE,
    source: Float[Tensor, "batch *source"],
    to: Domain,
    like: Float[Tensor, "batch_or_one *target"] | None = None,
    exclusive: Float[Tensor, "batch_or_one exclusive"] | None = None,
    active_only: bool = False,
    context: Context = Context(),
    target: Context | None = None,
    like_context: Context | None = None,
) -> Float[Tensor, "batch *target"]:
    """The content of `source` in the other domain.

    z_s is the mean of r given the source. The exclusive latent is, in this order: `exclusive`
    as it is; the posterior mean of the reference `like`; the prior's mean, zero.

    Args:
        model: Left in evaluation mode.
        source: Samples of the domain that `to` is not.
        to: "x" or "y".
        like: References of domain `to`, one for all or one each.
        exclusive: Latents of domain `to`, one for all or one each: see `draw_exclusive`.
        active_only: Use the prior's mean for dimensions of z_s that are not active.
        context: Covariates of the source, where the model takes any.
        target: Covariates and library sizes of the translation; by default the covariates of the
            source, and the median size of training samples.
        like_context: Covariates of the references; by default those of the translation.

    Raises:
        DataError: Source and reference differ in number, or covariates are missing.
    """
    given = like if exclusive is None else exclusive
    _check_number(len(source), given)
    target = context._replace(size=None) if target is None else target
    parts = [
        _translated(
            model,
            to,
            active_only,
            *(_rows(source, first), _rows(like, first), _rows(exclusive, first)),
            *(_rows(context, first), _rows(target, first), _rows(like_context, first)),
        )
        for first in range(0, max(1, len(source)), ROWS)
    ]
    return torch.cat(parts)


def _translated(
    model: IIAE,
    to: Domain,
    active_only: bool,
    source: Tensor,
    like: Tensor | None,
    exclusive: Tensor | None,
    context: Context,
    target: Context,
    like_context: Context | None,
) -> Tensor:
    """`translate` for some rows; as many parameters as that."""
    shared = content(model, source, to, context)
    if active_only:
        shared = shared * model.active
    if exclusive is None and like is not None:
        if like_context is None and len(like) == 1 and target.covariates is not None:
            like = like.expand(len(source), *like.shape[1:])
        exclusive = exclusive_means(
            model, like, to, target if like_context is None else like_context
        )
    return render(model, shared, to, exclusive, target)


def _rows(values: T, first: int) -> T:
    """The rows from `first` on that are translated at once; one row is for all."""
    return mapped(values, lambda v: v if len(v) == 1 else v[first : first + ROWS])


def _check_number(sources: int, references: Tensor | None) -> None:
    if references is not None and len(references) not in (1, sources):
        raise DataError(
            f"{sources} samples to translate and {len(references)} references; give one for "
            "all or one for each"
        )


@torch.inference_mode()
def content(
    model: IIAE,
    source: Float[Tensor, "batch *source"],
    to: Domain,
    context: Context = Context(),
) -> Float[Tensor, "batch shared"]:
    """z_s of samples of the domain that `to` is not: the mean of r."""
    model.eval()
    return model.encoder(other(to))(source, context).shared.mean


@torch.inference_mode()
def render(
    model: IIAE,
    shared: Float[Tensor, "batch shared"],
    to: Domain,
    exclusive: Float[Tensor, "batch_or_one exclusive"] | None = None,
    context: Context = Context(),
) -> Float[Tensor, "batch *target"]:
    """Domain `to` with the content of `shared`; without `exclusive`, of the prior's mean.

    Raises:
        DataError: Contents and exclusive latents differ in number.
    """
    model.eval()
    if exclusive is None:
        exclusive = shared.new_zeros(1, model.exclusive_sizes.of(to))
    _check_number(len(shared), exclusive)
    return model.decoder(to)(shared, exclusive.expand(len(shared), -1), context).mean


def draw_exclusive(
    model: IIAE, to: Domain, samples: int, generator: torch.Generator
) -> Float[Tensor, "samples exclusive"]:
    """Exclusive latents of domain `to` from the aggregate posterior.

    Each is a sample of the posterior of one training sample, drawn among those that the model
    keeps; of a model that is not trained, of the prior.

    Paper: drawn from the prior N(0, I): `draw_prior`. Here: from where the decoder was trained,
    since the prior has mass where no training sample is, and content is lost there.
    """
    kept = (model.aggregate_x if to == "x" else model.aggregate_y).cpu()
    rows = torch.randint(kept.shape[1], (samples,), generator=generator)
    drawn = DiagonalNormal(kept[0, rows], kept[1, rows]).sample(generator)
    return drawn.to(model.active.device)


def draw_prior(
    model: IIAE, to: Domain, samples: int, generator: torch.Generator
) -> Float[Tensor, "samples exclusive"]:
    """Exclusive latents of domain `to` from their prior N(0, I), as in the paper."""
    noise = torch.randn(samples, model.exclusive_sizes.of(to), generator=generator)
    return noise.to(model.active.device)


@torch.inference_mode()
def exclusive_means(
    model: IIAE,
    reference: Float[Tensor, "batch *shape"],
    domain: Domain,
    context: Context = Context(),
) -> Float[Tensor, "batch exclusive"]:
    """Posterior means of the exclusive latents of references of one domain."""
    model.eval()
    return model.encoder(domain)(reference, context).exclusive.mean


def interpolate(
    first: Float[Tensor, " size"], last: Float[Tensor, " size"], steps: int
) -> Float[Tensor, "steps size"]:
    """`steps` latents on the line from `first` to `last`, both included.

    Raises:
        DataError: Fewer than 2 steps.
    """
    if steps < 2:
        raise DataError(f"{steps} steps; interpolation has at least 2, its ends")
    return torch.lerp(first, last, torch.linspace(0, 1, steps)[:, None].to(first))


@torch.inference_mode()
def analogies(
    model: IIAE, x: Float[Tensor, "batch *shape"], domain: Domain
) -> Float[Tensor, "batch batch *shape"]:
    """Every content with every exclusive latent of one domain: row i's content, column j's own."""
    model.eval()
    q = model.encoder(domain)(x)
    n = len(x)
    shared = q.shared.mean.repeat_interleave(n, 0)
    exclusive = q.exclusive.mean.repeat(n, 1)
    return model.decoder(domain)(shared, exclusive).mean.unflatten(0, (n, n))
