"""The units that a model computes in: those of the data, each column's deviation, or log counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import Counts, Likelihood, Rescaled
from iiae.metrics.moments import column_moments
from iiae.types import Context

LIMIT = 10.0  # standard deviations from the mean at which values are clipped


class DataUnits(nn.Module):
    """The data as it is."""

    def forward(self, values: Tensor) -> Tensor:
        return values

    def known(self, values: Tensor, context: Context) -> Context:
        """What the likelihood needs to know of samples beside the latents."""
        return context

    def likelihood(
        self, inner: Likelihood, context: Context = Context(), told: Tensor | None = None
    ) -> Likelihood:
        """The likelihood of the data, of one in these units."""
        return inner


class StandardUnits(nn.Module):
    """Vectors in units of each column's mean and standard deviation, stored with the weights.

    A value more than 10 deviations from the mean counts as 10 away, so that no single one rules
    a step of training. A column that is constant over the training pairs always is 0.

    Args:
        size: Number of columns.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, values: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        varying = self.deviation > 0
        scale = self.deviation.where(varying, self.deviation.new_ones(()))
        return ((values - self.mean) / scale * varying).clamp(-LIMIT, LIMIT)

    def known(self, values: Tensor, context: Context) -> Context:
        """What the likelihood needs to know of samples beside the latents."""
        return context

    def likelihood(
        self, inner: Likelihood, context: Context = Context(), told: Tensor | None = None
    ) -> Likelihood:
        """The likelihood of the data from one in these units: means in the data's, true nats.

        `told`, in these units, `(batch, size)`, is what covariates tell, of which `inner` has the
        rest.
        """
        if told is None:
            return Rescaled(inner, self, self.mean, self.deviation)
        middle = self.mean + told * self.deviation
        return Rescaled(inner, lambda values: self(values) - told, middle, self.deviation)

    def learn(self, batches: Iterable[tuple[Tensor, Context]]) -> None:
        """Takes the mean and deviation of all rows, `(batch, size)` at a time."""
        self.take(*column_moments(values for values, _ in batches))

    def take(self, mean: Float[Tensor, " size"], deviation: Float[Tensor, " size"]) -> None:
        """Takes these, as of `column_moments`."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)


class CountUnits(nn.Module):
    r"""Counts: encoders see log1p of them, standardised; the likelihood stays one of counts.

    A decoder's log-means are in units of each column's training mean, so that it begins there:
    $m = \bar m\, e^{raw}$, and with a library size s, $m = \bar m\, e^{raw} s / \bar s$ with the
    median $\bar s$ over training pairs. It is learned, stored with the weights, and stands in where
    no size is known, as in a translation.

    Args:
        columns: Number of them.
        size: "none"; "given", with each sample; or "observed", the sum of its counts.
    """

    log_mean: Tensor
    median_size: Tensor

    def __init__(self, columns: int, size: str = "none"):
        super().__init__()
        self.size, self.seen = size, StandardUnits(columns)
        self.register_buffer("log_mean", torch.zeros(columns))
        self.register_buffer("median_size", torch.ones(()))

    def forward(self, values: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch columns"]:
        return self.seen(values.log1p())

    def known(self, values: Tensor, context: Context) -> Context:
        """The context with the observed size, where the model takes that."""
        return context._replace(size=values.sum(1)) if self.size == "observed" else context

    def likelihood(
        self, inner: Counts, context: Context = Context(), told: Tensor | None = None
    ) -> Counts:
        """The likelihood of the counts, of log-means in these units.

        `told` is in units of the deviation of log1p, as what encoders see.
        """
        factor = self.log_mean
        if told is not None:
            factor = factor + told * self.seen.deviation
        if self.size != "none" and context.size is not None:
            factor = factor + (context.size / self.median_size).log()[:, None]
        return inner.times(factor)

    def learn(self, batches: Iterable[tuple[Tensor, Context]]) -> None:
        """Takes the means of all rows, `(batch, columns)` at a time, and the median size.

        A column without any count in training has the mean of half a count in all.
        """
        sizes: list[Tensor] = []
        rows = 0

        def both() -> Iterator[Tensor]:
            nonlocal rows
            for values, context in batches:
                rows += len(values)
                if (size := self.known(values, context).size) is not None:
                    sizes.append(size.cpu())
                yield torch.cat([values, values.log1p()], 1)

        (mean, seen), (_, deviation) = (part.chunk(2) for part in column_moments(both()))
        self.seen.take(seen, deviation)
        self.log_mean.copy_(mean.clamp_min(0.5 / rows).log())
        if self.size != "none":
            self.median_size.copy_(torch.cat(sizes).median())
