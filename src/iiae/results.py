"""What metrics.json of a run holds, a type per section, and how it is read.

Every section but `training` is what a command measured; the fields here are the keys there. A
number that is not finite is null in the file and NaN here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from iiae.errors import RunError
from iiae.metrics.axes import DCI, Gaps
from iiae.metrics.independence import Dependence, ToldApart
from iiae.metrics.information import Information
from iiae.metrics.leakage import Leakage, ProbeMatrix
from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import InstanceRetrieval
from iiae.run_folder import METRICS, VERSION, current_metrics
from iiae.types import Domain, Measured


class Provenance(NamedTuple):
    """How a section came about; the commit is None outside a source tree."""

    command: str
    commit: str | None
    python: str
    versions: dict[str, str]
    hardware: str


class SetSizes(NamedTuple):
    """Number of pairs of each set."""

    train: int
    validation: int
    test: int


class LatentSize(NamedTuple):
    """Dimensions of a latent, the active ones, and the most nats that any holds."""

    dimensions: int
    active: int
    largest_nats: Measured


class Training(NamedTuple):
    """How a run was trained; `latents` is by name: z_s, z_x, z_y."""

    seed: int
    precision: str
    epochs: int
    kept_epoch: int
    validation_loss: Measured
    seconds: float
    pairs_per_second: float
    pairs: SetSizes
    parameters: int
    active_dimensions: int
    shared_dimensions: int
    latents: dict[str, LatentSize]
    made_with: Provenance


class Retrieval(NamedTuple):
    """Both directions of each latent that was tried.

    The exclusive ones are None if z_x and z_y differ in size; the chosen ones, which compare z_s as
    the run chose on validation pairs, if that is as the paper does.
    """

    shared_x_to_y: InstanceRetrieval
    shared_y_to_x: InstanceRetrieval
    active_x_to_y: InstanceRetrieval
    active_y_to_x: InstanceRetrieval
    exclusive_x_to_y: InstanceRetrieval | None
    exclusive_y_to_x: InstanceRetrieval | None
    chosen_x_to_y: InstanceRetrieval | None = None
    chosen_y_to_x: InstanceRetrieval | None = None


class CategoryRetrieval(NamedTuple):
    """Scores by direction and latent, each with its own chance lines.

    Active: only the active dimensions, None where there are none. Exclusive: None where z_x and
    z_y differ in size.
    """

    split: str
    classes: int
    shared_x_to_y: Scores
    shared_y_to_x: Scores
    active_x_to_y: Scores | None
    exclusive_x_to_y: Scores | None


class Estimate(NamedTuple):
    """A mean over pairs, with its 95% interval (normal approximation); of one pair without."""

    mean: Measured
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Float[Tensor, " pairs"]) -> Estimate:
        """The estimate of a value per pair."""
        values = values.double()
        mean = values.mean().item()
        if len(values) == 1:
            return cls(mean, None, None)
        half = 1.96 * values.std().item() / len(values) ** 0.5
        return cls(mean, mean - half, mean + half)


class TranslationQuality(NamedTuple):
    """Figures of translations to one domain; images count as values in [-1, 1].

    `l1`, `ssim` and `perceptual` compare a translation with the true partner, by where its
    exclusive latent came from: "partner" (the partner's own), "prior mean", "draw" (from the
    aggregate posterior), "prior draw".
    `perceptual` is 1 - cosine of a backbone's features, `kernel` the distance of translations from
    all partners as a set (KID, unbiased); both None without a backbone.
    `diversity` is the mean absolute difference between translations with two draws of the
    exclusive latent. `content_recall` is Recall@1 of each source among all sources, searched with
    the shared latent of its translation with a draw, equal sources being one,
    `prior_content_recall` the same with a prior draw;
    `content_chance` is what guessing reaches there. `content_distance` is their mean squared
    distance over the mean squared distance of two different sources: 0 if the translation kept
    z_s, 1 if it might be anyone's, None if sources do not differ.
    """

    pairs: int
    l1: dict[str, Estimate]
    ssim: dict[str, Estimate]
    perceptual: dict[str, Estimate] | None
    diversity: Estimate
    content_recall: Estimate
    prior_content_recall: Estimate
    content_chance: float
    content_distance: float | None
    kernel: dict[str, Measured] | None = None


class Readability(NamedTuple):
    """Linear readings of every known factor from z_s given x, z_s given y, z_x and z_y.

    `probes` is by view: means, active means, samples. `refused` has the reason for each factor
    that cannot be read.
    """

    probes: dict[str, ProbeMatrix]
    refused: dict[str, str]


class Nats(NamedTuple):
    """Terms of the objective (`iiae.objectives.Terms`) and the bounds made of them.

    In nats per pair: means over the set, with one sample of z a pair.
    """

    nll_x: Measured
    nll_y: Measured
    kl_x: Measured
    kl_y: Measured
    kl_s: Measured
    kl_s_x: Measured
    kl_s_y: Measured
    elbo: Measured
    information_bound: Measured


class ItemCounts(NamedTuple):
    """How many items of a domain are different, and how many are equal to another."""

    different: int
    repeated: int


class Evaluation(NamedTuple):
    """What `evaluate` measures on one set of pairs.

    `absolute_error` is the mean |x - x'| per element of reconstructions from posterior means.
    `categories` is measured instead of `retrieval` where pairs are made of classes; `translation`
    is by the domain translated to, `to_x` and `to_y`, None for features.
    `largest_nats` is the most that a dimension of z_s holds on these pairs (None of one pair),
    `active_nats` the least that an active one must. `comparison` says how z_s is compared if that
    is not as the paper does. `degraded` is retrieval of copies of the images as files often have
    them (`iiae.data.degrade.DegradedPairs`), None unless asked for. `tasks` holds what each of
    `settings.evaluation.tasks` returned, by its name.
    """

    split: str
    pairs: int
    items: dict[Domain, ItemCounts]
    retrieval: Retrieval | None
    categories: CategoryRetrieval | None
    nats: Nats
    absolute_error: dict[Domain, Measured]
    readability: Readability
    translation: dict[str, TranslationQuality] | None
    active_dimensions: int
    shared_dimensions: int
    largest_nats: float | None
    active_nats: float
    tasks: dict[str, Any]
    comparison: str | None = None
    degraded: Retrieval | None = None

    @property
    def none_active(self) -> bool:
        """Whether all dimensions of z_s count as active only because none of them is."""
        most = self.largest_nats
        all_kept = self.active_dimensions == self.shared_dimensions
        return all_kept and most is not None and most < self.active_nats

    @property
    def rates(self) -> dict[str, tuple[float, float]]:
        """Recall@1, or map@all of classes, and its chance, by latent and direction."""
        recalls = self.retrieval._asdict() if self.retrieval else {}
        scores = self.categories._asdict() if self.categories else {}
        return {
            **{way: (one.recall[1].rate, one.chance[1]) for way, one in recalls.items() if one},
            **{
                way: (one.mean["map@all"], one.chance["map@all"])
                for way, one in scores.items()
                if isinstance(one, Scores)
            },
        }


class Curve(NamedTuple):
    """Exclusive retrieval: Recall@K by K, and the area above chance (0: guessing, 1: perfect)."""

    recall: dict[int, float]
    chance: dict[int, float]
    area: float


class Axes(NamedTuple):
    """Block-wise and dimension-wise DCI, MIG and SAP."""

    dci: DCI
    dci_by_block: DCI
    mig: Gaps
    sap: Gaps


class Origin(NamedTuple):
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


class Bound(NamedTuple):
    """Mean over pairs in nats, with its 95% bootstrap interval.

    The interval covers which pairs are averaged over; a bound can miss the truth by more.
    """

    value: Measured
    low: Measured
    high: Measured


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
    domains: dict[str, ToldApart]
    dependence: dict[str, dict[str, Information | Dependence | str]]
    axes: Axes | None
    split: str | None = None
    information: InformationTerms | None = None
    swap: dict[str, list[Origin]] | None = None
    matching: Matching | None = None
    gains: dict[str, Gains] | None = None
    styles: dict[Domain, Style] | None = None
    null: NullRuns | None = None


class LabelFree(NamedTuple):
    """Scores of a run that need no known factors, on validation pairs; more is better.

    | field | what |
    |---|---|
    | `nats`, `retrieval` | of `Matching` |
    | `interaction` | lower bound of I(X;Y;Z_s), nats |
    | `estimate` | `interaction_estimate`, which has no limit of log N, nats |
    | `inter_kl` | minus the nats of z_s that only one domain says |
    | `crossed` | R2 of a domain by the other's z_s, mean of both |
    | `independent` | minus HSIC of z_x and z_s given x, mean of both domains |
    | `kept_apart` | minus the largest of `Gains.leaks`, by active means |
    | `nats_apart` | `nats` times (1 + `kept_apart`) |
    | `balance` | `retrieval` times (1 + `kept_apart`) |
    """

    nats: Measured
    retrieval: Measured
    interaction: Measured
    estimate: Measured
    inter_kl: Measured
    crossed: Measured
    independent: Measured
    kept_apart: Measured
    nats_apart: Measured
    balance: Measured


class Results(NamedTuple):
    """The sections of metrics.json; None where nothing was measured."""

    training: Training | None = None
    test: Evaluation | None = None
    validation: Evaluation | None = None
    evidence: Evidence | None = None
    label_free: LabelFree | None = None


# the type of each section, and the command that writes it
SECTIONS: dict[str, tuple[Any, str]] = {
    "training": (Training, "iiae train {0}/settings.toml --out {0} --overwrite"),
    "test": (Evaluation, "iiae evaluate {0}"),
    "validation": (Evaluation, "iiae evaluate {0} --split validation"),
    "evidence": (Evidence, "iiae disentangle {0}"),
    "label_free": (LabelFree, "iiae sweep"),
}


def load_results(folder: str | Path) -> Results:
    """What was measured of a run with the weights and data that it has now.

    Raises:
        RunError: metrics.json or the weights are gone or damaged, or another version of iiae
            wrote a section; the message has the command that writes it anew.
    """
    return read_results(current_metrics(folder), folder)


def read_results(sections: Mapping[str, Any], folder: str | Path) -> Results:
    """Sections of metrics.json as results; `folder` is for the message.

    Raises:
        RunError: As `load_results`.
    """
    found: dict[str, Any] = {}
    for name in sections.keys() & SECTIONS.keys():
        section, (kind, command) = sections[name], SECTIONS[name]
        values = {key: section[key] for key in kind._fields if key in section}
        try:
            if section.get("version") != VERSION:
                raise ValueError(f"it is of version {section.get('version')}, not {VERSION}")
            found[name] = TypeAdapter(kind).validate_python(values)
        except ValueError as error:
            reason: object = error
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise RunError(
                f"{Path(folder) / METRICS}: section {name} cannot be read ({reason}); this writes "
                f"it anew: {command.format(folder)}"
            ) from error
    return Results(**found)
