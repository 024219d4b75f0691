"""Category retrieval: do latents of one domain find items of the same class in the other?"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from iiae.data.classes.pairs import ClassPairs
from iiae.metrics.ranking import Scores, score
from iiae.model.latents import Embeddings


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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for metrics.json."""
        values = self._asdict()
        scores = {k: v.as_dict() for k, v in values.items() if isinstance(v, Scores)}
        return {"split": self.split, "classes": self.classes, **scores}


def retrieve_classes(
    found: Embeddings, active: Tensor, pairs: ClassPairs, ks: tuple[int, ...], seed: int
) -> CategoryRetrieval:
    """Ranks every item of one domain for each item of the other, by cosine of posterior means.

    Queries and gallery are all items of the set, each once: they differ in number, and nothing
    says which x and y were paired.

    Args:
        found: Posteriors of `pairs.x` and `pairs.y`, in their order.
        active: Which dimensions of z_s are active, `(shared,)`.
        pairs: The set.
        ks: Cut-offs.
        seed: Random seed of the bootstrap, and of the order of items at equal distances.
    """
    labels = {"x": pairs.x.labels, "y": pairs.y.labels}

    def ranked(query: Tensor, gallery: Tensor, way: str) -> Scores:
        given = (query.numpy(), gallery.numpy(), labels[way[0]], labels[way[1]])
        return score(
            *given, tuple(k for k in ks if k <= len(gallery)) or (len(gallery),), seed=seed
        )

    x, y = found.shared_given_x.mean, found.shared_given_y.mean
    own_x, own_y = found.exclusive_x.mean, found.exclusive_y.mean
    comparable = own_x.shape[1] == own_y.shape[1]
    return CategoryRetrieval(
        split=pairs.split,
        classes=len(pairs.classes),
        shared_x_to_y=ranked(x, y, "xy"),
        shared_y_to_x=ranked(y, x, "yx"),
        active_x_to_y=ranked(x[:, active], y[:, active], "xy") if active.any() else None,
        exclusive_x_to_y=ranked(own_x, own_y, "xy") if comparable else None,
    )
