"""Category retrieval: do latents of one domain find items of the same class in the other?"""

from __future__ import annotations

from torch import Tensor

from iiae.data.classes.pairs import ClassPairs
from iiae.metrics.ranking import Scores, score
from iiae.model.latents import Embeddings
from iiae.results import CategoryRetrieval


def retrieve_classes(
    embeddings: Embeddings, active: Tensor, pairs: ClassPairs, ks: tuple[int, ...], seed: int
) -> CategoryRetrieval:
    """Ranks every item of one domain for each item of the other, by cosine of posterior means.

    Queries and gallery are all items of the set, each once: they differ in number, and nothing
    says which x and y were paired.

    Args:
        embeddings: Posteriors of `pairs.x` and `pairs.y`, in their order.
        active: Which dimensions of z_s are active, `(shared,)`.
        pairs: The set.
        ks: Cut-offs.
        seed: Random seed of the bootstrap, and of the order of items at equal distances.
    """
    labels = {"x": pairs.x.labels, "y": pairs.y.labels}

    def ranked(query: Tensor, gallery: Tensor, way: str) -> Scores:
        given = (query.numpy(), gallery.numpy(), labels[way[0]], labels[way[1]])
        within = tuple(k for k in ks if k <= len(gallery)) or (len(gallery),)
        return score(*given, within, seed=seed)._replace(per_query={})

    x, y = embeddings.shared_given_x.mean, embeddings.shared_given_y.mean
    exclusive_x, exclusive_y = embeddings.exclusive_x.mean, embeddings.exclusive_y.mean
    comparable = exclusive_x.shape[1] == exclusive_y.shape[1]
    return CategoryRetrieval(
        split=pairs.split,
        classes=len(pairs.classes),
        shared_x_to_y=ranked(x, y, "xy"),
        shared_y_to_x=ranked(y, x, "yx"),
        active_x_to_y=ranked(x[:, active], y[:, active], "xy") if active.any() else None,
        exclusive_x_to_y=ranked(exclusive_x, exclusive_y, "xy") if comparable else None,
    )
