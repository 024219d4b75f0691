"""The model: seven networks composed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from iiae.distributions import DiagonalNormal, Latents, Likelihood, Likelihoods, Posteriors
from iiae.errors import DataError
from iiae.model.effects import CovariateEffects
from iiae.model.units import CountUnits, DataUnits, StandardUnits
from iiae.networks.covariates import Covariates
from iiae.networks.interface import Networks
from iiae.types import Context, Domain, Pair, PartialBatch, PerDomain


class DomainPosteriors(NamedTuple):
    """Posteriors given one domain alone: r(z_s given it) and q of its exclusive latent."""

    shared: DiagonalNormal
    exclusive: DiagonalNormal


class Active(NamedTuple):
    """Which dimensions of each latent carry signal above their noise: see `select_active`."""

    shared: Bool[Tensor, " shared"]
    exclusive_x: Bool[Tensor, " exclusive_x"]
    exclusive_y: Bool[Tensor, " exclusive_y"]


Units = DataUnits | StandardUnits | CountUnits


class BeforeEncoders(NamedTuple):
    """A domain's units, what is taken off in these for the covariates, components of the rest."""

    units: Units
    effects: CovariateEffects | None
    components: nn.Module


ACTIVE = ("active", "active_x", "active_y")  # buffers of a model
KEPT = 512  # posteriors of training samples that are kept of each exclusive latent
LEVELS = 201  # shares of values, 0 to 1, whose levels predictive intervals are looked up in


class IIAE(nn.Module):
    """Interaction-information auto-encoder of pairs (x, y), composed of seven networks.

    `networks` documents what each part takes and returns; `active`, `active_x` and `active_y` mark
    the dimensions of z_s, z_x and z_y that carry signal above their noise (all, until
    `select_active` finds them).

    Args:
        networks: The seven parts.
        shared_size: Dimensions of z_s, flat.
        exclusive_sizes: Dimensions of z_x and of z_y.
        units: Of x and of y: what the encoders take and the decoders' likelihoods are in; by
            default those of the data.
        covariates: What decoders take beside latents; by default nothing.
        effects: Of covariates on x and on y in those units, which encoders do not see; by default
            none.
        components: Of what is left of x and of y: what encoders take of wide vectors; by default
            all of it.
    """

    active: Tensor
    active_x: Tensor
    active_y: Tensor
    aggregate_x: Tensor
    aggregate_y: Tensor
    levels: Tensor
    exclusive_x: nn.Module
    exclusive_y: nn.Module
    shared_given_x: nn.Module
    shared_given_y: nn.Module
    shared: nn.Module
    decoder_x: nn.Module
    decoder_y: nn.Module

    def __init__(
        self,
        networks: Networks,
        shared_size: int,
        exclusive_sizes: tuple[int, int],
        units: tuple[Units, Units] | None = None,
        covariates: Covariates = Covariates(),
        effects: tuple[CovariateEffects | None, CovariateEffects | None] = (None, None),
        components: tuple[nn.Module, nn.Module] | None = None,
    ):
        super().__init__()
        self.covariates = covariates
        self.units_x, self.units_y = units or (DataUnits(), DataUnits())
        self.effects_x, self.effects_y = effects
        self.components_x, self.components_y = components or (nn.Identity(), nn.Identity())
        self.exclusive_sizes = PerDomain(*exclusive_sizes)
        for name, network in networks._asdict().items():
            self.add_module(name, network)
        for name, size in zip(ACTIVE, (shared_size, *exclusive_sizes), strict=True):
            self.register_buffer(name, torch.ones(size, dtype=torch.bool))
        # means and log-variances; those of the prior until `keep_aggregate` fills them
        self.register_buffer("aggregate_x", torch.zeros(2, KEPT, exclusive_sizes[0]))
        self.register_buffer("aggregate_y", torch.zeros(2, KEPT, exclusive_sizes[1]))
        # of x and of y; `iiae.model.prediction.calibrated_levels` fills them
        self.register_buffer("levels", torch.linspace(0, 1, LEVELS).repeat(2, 1))

    @property
    def active_dimensions(self) -> Active:
        """The active dimensions of all three latents."""
        return Active(self.active, self.active_x, self.active_y)

    def keep_active(self, active: Active) -> None:
        """Sets the active dimensions; they are stored with the weights."""
        for mine, chosen in zip(self.active_dimensions, active, strict=True):
            mine.copy_(chosen)

    def keep_aggregate(self, exclusive_x: DiagonalNormal, exclusive_y: DiagonalNormal) -> None:
        """Keeps posteriors of training samples, a sample of the aggregate posterior.

        `iiae.model.translation.draw_exclusive` draws from them; they are stored with the weights.
        """
        for mine, given in ((self.aggregate_x, exclusive_x), (self.aggregate_y, exclusive_y)):
            rows = torch.linspace(0, len(given.loc) - 1, KEPT).round().long()
            mine.copy_(torch.stack([given.loc[rows], given.log_variance[rows]]))

    def encode(self, pair: Pair) -> Posteriors:
        """All five posteriors of a batch of pairs."""
        x = self._inputs("x", pair.x, pair.context_x)
        y = self._inputs("y", pair.y, pair.context_y)
        given_x, given_y = self.shared_given_x(x), self.shared_given_y(y)
        return Posteriors(
            shared=self.shared(given_x.hidden, given_y.hidden),
            shared_given_x=given_x.posterior,
            shared_given_y=given_y.posterior,
            exclusive_x=self.exclusive_x(x),
            exclusive_y=self.exclusive_y(y),
        )

    def encode_x(
        self, x: Float[Tensor, "batch *shape_x"], context: Context = Context()
    ) -> DomainPosteriors:
        """r_x(z_s given x) and q(z_x given x): posteriors given x alone.

        Raises:
            DataError: The context lacks covariates that the model takes, or has others.
        """
        given = self._inputs("x", x, context)
        return DomainPosteriors(self.shared_given_x(given).posterior, self.exclusive_x(given))

    def encode_y(
        self, y: Float[Tensor, "batch *shape_y"], context: Context = Context()
    ) -> DomainPosteriors:
        """r_y(z_s given y) and q(z_y given y): posteriors given y alone; errors as `encode_x`."""
        given = self._inputs("y", y, context)
        return DomainPosteriors(self.shared_given_y(given).posterior, self.exclusive_y(given))

    def encoder(self, domain: Domain) -> Callable[..., DomainPosteriors]:
        """`encode_x` or `encode_y`."""
        return self.encode_x if domain == "x" else self.encode_y

    def known(self, pair: Pair) -> tuple[Context, Context]:
        """What the decoders of x and y get of each pair besides latents: sizes, covariates."""
        return (
            self.units_x.known(pair.x, pair.context_x),
            self.units_y.known(pair.y, pair.context_y),
        )

    def decode(
        self, z: Latents, known: tuple[Context, Context] = (Context(), Context())
    ) -> Likelihoods:
        """Likelihoods of both domains, given the sizes and covariates from `known`."""
        return Likelihoods(
            self.decode_x(z.shared, z.exclusive_x, known[0]),
            self.decode_y(z.shared, z.exclusive_y, known[1]),
        )

    def decode_x(
        self,
        shared: Float[Tensor, "batch shared"],
        exclusive: Float[Tensor, "batch exclusive_x"],
        context: Context = Context(),
    ) -> Likelihood:
        """p(x given z_s, z_x); without a size, of the median size. Errors as `encode_x`."""
        raw = self.decoder_x(shared, exclusive, *self.covariates_of(context))
        return self.units_x.likelihood(raw, context, self._told(self.effects_x, context))

    def decode_y(
        self,
        shared: Float[Tensor, "batch shared"],
        exclusive: Float[Tensor, "batch exclusive_y"],
        context: Context = Context(),
    ) -> Likelihood:
        """p(y given z_s, z_y); without a size, of the median size. Errors as `encode_x`."""
        raw = self.decoder_y(shared, exclusive, *self.covariates_of(context))
        return self.units_y.likelihood(raw, context, self._told(self.effects_y, context))

    def decoder(self, domain: Domain) -> Callable[..., Likelihood]:
        """`decode_x` or `decode_y`."""
        return self.decode_x if domain == "x" else self.decode_y

    def _inputs(self, domain: Domain, values: Tensor, context: Context) -> Tensor:
        """What the encoders of a domain take."""
        units, effects, components = self.before_encoders(domain)
        known = self.covariates_of(context)
        return components(effects(units(values), *known) if effects else units(values))

    def before_encoders(self, domain: Domain) -> BeforeEncoders:
        """What samples of a domain go through before its encoders."""
        if domain == "x":
            return BeforeEncoders(self.units_x, self.effects_x, self.components_x)
        return BeforeEncoders(self.units_y, self.effects_y, self.components_y)

    def _told(self, effects: CovariateEffects | None, context: Context) -> Tensor | None:
        """What covariates add to samples, where the model learns it."""
        return effects.told(*self.covariates_of(context)) if effects else None

    def covariates_of(self, context: Context) -> tuple[Tensor, ...]:
        """The columns of covariates, or nothing."""
        given, width = context.covariates, self.covariates.width
        if given is None and not width:
            return ()
        if given is None:
            raise DataError(
                f"the model takes covariates: {', '.join(self.covariates.names)}; give them with "
                "the samples"
            )
        if given.shape[1] != width:
            raise DataError(f"{given.shape[1]} columns of covariates; the model takes {width}")
        return (given,)

    def forward(self, pair: Pair) -> tuple[Posteriors, Likelihoods]:
        """Encode, sample every latent once, decode: one estimate of the objective."""
        q = self.encode(pair)
        return q, self.decode(q.rsample(), self.known(pair))

    def forward_partial(
        self, batch: PartialBatch, alone: float = 1.0
    ) -> tuple[Posteriors, Likelihoods]:
        """As `forward`; z_s of a sample alone is drawn from r_x or r_y.

        `shared` has one row per pair, the others one row per x or y. Gradients through r of
        samples alone are the share `alone` of what they would be.
        """
        n, lone = batch.pairs, slice(batch.pairs, None)
        known_x = self.units_x.known(batch.x, batch.context_x)
        known_y = self.units_y.known(batch.y, batch.context_y)
        x = self._inputs("x", batch.x, known_x)
        y = self._inputs("y", batch.y, known_y)
        given_x, given_y = self.shared_given_x(x), self.shared_given_y(y)
        q = Posteriors(
            shared=self.shared(given_x.hidden[:n], given_y.hidden[:n]),
            shared_given_x=given_x.posterior.damped(n, alone),
            shared_given_y=given_y.posterior.damped(n, alone),
            exclusive_x=self.exclusive_x(x),
            exclusive_y=self.exclusive_y(y),
        )
        z_s = q.shared.rsample()
        z_s_x = torch.cat([z_s, q.shared_given_x.rows(lone).rsample()])
        z_s_y = torch.cat([z_s, q.shared_given_y.rows(lone).rsample()])
        return q, Likelihoods(
            self.decode_x(z_s_x, q.exclusive_x.rsample(), known_x),
            self.decode_y(z_s_y, q.exclusive_y.rsample(), known_y),
        )
