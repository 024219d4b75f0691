"""What is measured of what went where: probes, swaps, information, partners, gains, styles."""

from __future__ import annotations

from typing import Literal, NamedTuple

from iiae.metrics.axes import DCI, GapScores
from iiae.metrics.independence import Dependence, DomainProbe
from iiae.metrics.information import Information
from iiae.metrics.leakage import Leakage
from iiae.metrics.probe_matrix import ProbeMatrix
from iiae.results.estimates import Bound, Estimate
from iiae.types import Domain, Measured


class Curve(NamedTuple):
    """Exclusive retrieval: Recall@K by K, and the area above chance (0: guessing, 1: perfect)."""

    recall: dict[int, float]
    chance: dict[int, float]
    area: float


class Axes(NamedTuple):
    """Block-wise and dimension-wise DCI, MIG and SAP."""

    dci: DCI
    dci_by_block: DCI
    mig: GapScores
    sap: GapScores


class SwapResult(NamedTuple):
    """A factor as it is read from swapped samples.

    Accuracy or R2 against the pair that gave z_s, and against the one that gave the exclusive
    latent; `right` is which of the two the factor should follow; `real` is what the reader scores
    on untouched samples, the most that can be expected.
    """

    domain: Domain
    measure: str
    right: Literal["shared", "exclusive"]
    from_shared: Measured
    from_exclusive: Measured
    real: Measured


class InformationTerms(NamedTuple):
    """Bounds on what each latent holds, in nats; `iiae.evidence.information` has the inequalities.

    | field | bounds | from |
    |---|---|---|
    | `exclusive_x`, `exclusive_y` | I(X;Z_x), I(Y;Z_y): the smaller of two | above |
    | `exclusive_x_lower`, `exclusive_y_lower` | the same | below |
    | `only_x`, `only_y` | I(X;Z_s given Y), I(Y;Z_s given X) | above |
    | `joint_prior`, `joint_upper` | I(X,Y;Z_s): by the prior, leaving one out | above |
    | `joint_mixture` | I(X,Y;Z_s): by the best normals fitted to z_s as a whole | above |
    | `joint_lower` | I(X,Y;Z_s) | below |
    | `shared_x_lower`, `shared_y_lower` | I(X;Z_s), I(Y;Z_s) | below |
    | `shared_x_fitted`, `shared_y_fitted` | I(X;Z_s), I(Y;Z_s) | above, if r_x and r_y are right |
    | `interaction_lower` | I(X;Y;Z_s), and so I(X;Y) | below: the largest of three |
    | `interaction_upper` | I(X;Y;Z_s) | above: the smallest of three for I(X,Y;Z_s) |
    | `interaction_fitted` | I(X;Y;Z_s) | above, if r_x and r_y are right: the smaller of two |
    | `interaction_estimate` | I(X;Y;Z_s) | an estimate: below, if those normals are right |

    Those from above bound I(X;Y) as well if z_s says all that x and y share.
    """

    pairs: int
    exclusive_x: Bound
    exclusive_y: Bound
    exclusive_x_lower: Bound
    exclusive_y_lower: Bound
    only_x: Bound
    only_y: Bound
    joint_prior: Bound
    joint_mixture: Bound
    joint_upper: Bound
    joint_lower: Bound
    shared_x_lower: Bound
    shared_y_lower: Bound
    shared_x_fitted: Bound
    shared_y_fitted: Bound
    interaction_lower: Bound
    interaction_upper: Bound
    interaction_fitted: Bound
    interaction_estimate: Bound


class Matching(NamedTuple):
    """Do held-out partners match better than shuffled ones? `iiae.evidence.matching` measures it.

    `nats` is what z_s tells of which item is the partner, of at most `most` (log of the number of
    items); `null` and `null_high` are the mean and the 95th percentile of shuffled pairs, `recall`
    and `null_recall` the share of partners that come first. `p_value` is the share of shuffled
    pairs, and the pairs as they are, with as many nats.
    """

    pairs: int
    nats: Bound
    null: Measured
    null_high: Measured
    most: float
    recall: Measured
    null_recall: Measured
    p_value: float
    permutations: int

    @property
    def excess(self) -> float:
        """Nats beyond what shuffled pairs reach on average."""
        return self.nats.value - self.null


class Gain(NamedTuple):
    """What a latent adds to a linear prediction of a domain, on held-out pairs.

    `without` is the R2 without it, `gain` the R2 with it less that, with its 95% bootstrap
    interval. `null_high` is the 95th percentile of gains by shuffled latents, `p_value` the share
    of them, and the real one, that gain as much. `possible` is the gain by all latents of a domain.
    """

    without: Measured
    gain: Measured
    low: Measured
    high: Measured
    null_high: Measured
    p_value: float
    possible: Measured

    @property
    def share(self) -> float:
        """Of the possible gain, in [0, 1]; 0 if chance does as well."""
        if self.gain <= max(0.0, self.null_high) or self.possible <= 0:
            return 0.0
        return min(1.0, self.gain / self.possible)


class Gains(NamedTuple):
    """Leakage without known factors: None where the latent is the same for every pair.

    | field | predicts | from | beyond | possible by |
    |---|---|---|---|---|
    | `shared_in_z_x` | y | z_x | nothing | z_x and z_s given x |
    | `shared_in_z_y` | x | z_y | nothing | z_y and z_s given y |
    | `exclusive_in_z_s_x` | x | z_s given x | z_s given y | z_s given x and z_x |
    | `exclusive_in_z_s_y` | y | z_s given y | z_s given x | z_s given y and z_y |
    """

    shared_in_z_x: Gain | None
    shared_in_z_y: Gain | None
    exclusive_in_z_s_x: Gain | None
    exclusive_in_z_s_y: Gain | None

    @property
    def leaks(self) -> dict[str, float]:
        """By field, in [0, 1]: of z_x and z_y the share, of z_s the gain; 0 if there is none.

        Of z_s the share says too much where little of a domain is exclusive: what is left of a
        domain without the other's z_s is then mostly noise, and z_s given x knows some of it.
        """
        shares = {name: one.share if one else 0.0 for name, one in self._asdict().items()}
        for name in ("exclusive_in_z_s_x", "exclusive_in_z_s_y"):
            shares[name] *= min(1.0, getattr(self, name).possible) if shares[name] else 0.0
        return shares


class Style(NamedTuple):
    """Translations to a domain with drawn exclusive latents, as mean absolute differences.

    `between` is between two draws of one source, `error` between a draw and the true partner. In a
    right model both are equal; if draws are all alike, the first is 0.
    """

    between: Estimate
    error: Estimate


class NullCopy(NamedTuple):
    """What one short training reached on held-out pairs: nats and recall as in `Matching`.

    `interaction` is the lower bound of I(X;Y;Z_s) in nats.
    """

    nats: Measured
    recall: Measured
    interaction: Measured


class NullRuns(NamedTuple):
    """Short trainings on the pairs as they are and on shuffled pairs, all of so many epochs.

    `p_values` and `excess` are by measure, as `NullCopy` names them: the share of all trainings
    that reach as much as the real one, and what it reaches beyond the mean of the shuffled.
    """

    epochs: int
    real: NullCopy
    shuffled: list[NullCopy]

    @property
    def p_values(self) -> NullCopy:
        k = len(self.shuffled)
        columns = zip(self.real, zip(*self.shuffled, strict=True), strict=True)
        return NullCopy(*((1 + sum(v >= real for v in null)) / (k + 1) for real, null in columns))

    @property
    def excess(self) -> NullCopy:
        columns = zip(self.real, zip(*self.shuffled, strict=True), strict=True)
        return NullCopy(*(real - sum(null) / len(null) for real, null in columns))


class Evidence(NamedTuple):
    """Everything that is measured of a set of latents; None where it does not apply.

    `probes`, `leakage` and `domains` are by view: what is taken of the posteriors. `dependence` is
    of the first view, by pair of blocks and estimator: a value, or the reason why the estimator
    refused. `split`, `information`, `swap` (by factor), `matching`, `gains` (by view), `styles` (by
    the domain translated to) and `null` need a run; `null` only if shuffled copies were trained.
    """

    pairs: int
    exclusive_x_to_y: Curve | None
    exclusive_y_to_x: Curve | None
    probes: dict[str, ProbeMatrix]
    leakage: dict[str, Leakage]
    domains: dict[str, DomainProbe]
    dependence: dict[str, dict[str, Information | Dependence | str]]
    axes: Axes | None
    split: str | None = None
    information: InformationTerms | None = None
    swap: dict[str, list[SwapResult]] | None = None
    matching: Matching | None = None
    gains: dict[str, Gains] | None = None
    styles: dict[Domain, Style] | None = None
    null: NullRuns | None = None
