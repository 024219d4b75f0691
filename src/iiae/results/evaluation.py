"""What `evaluate` measures on one set of pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

from iiae.metrics.probe_matrix import ProbeMatrix
from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import InstanceRetrieval
from iiae.results.estimates import Estimate
from iiae.types import Domain, Measured


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

    class_list: str
    classes: int
    shared_x_to_y: Scores
    shared_y_to_x: Scores
    active_x_to_y: Scores | None
    exclusive_x_to_y: Scores | None


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
