"""First hits of queries, each marked right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import PairSet
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs, as_float
from iiae.errors import DataError
from iiae.files.images import read_image
from iiae.metrics.comparison import plain_comparison
from iiae.metrics.ranking import ranking_values
from iiae.model.iiae import IIAE
from iiae.model.latents import embed, embed_sides
from iiae.run_folder import TrainedRun, load_comparison

SIDE = 64  # of pictures
MOST_ITEMS = 2000  # that are searched for pictures


class Hits(NamedTuple):
    """One query and its first hits: indices, class, AP, and whether each hit is of its class."""

    query: int
    label: str
    average_precision: float
    items: list[int]
    right: list[bool]


class Chosen(NamedTuple):
    """Queries drawn at random, and of the classes with the worst and the best mean AP."""

    random: list[Hits]
    worst: list[Hits]
    best: list[Hits]


def first_hits(model: IIAE, pairs: ClassPairs, batch: int, seed: int, top: int = 10) -> Chosen:
    """First hits of y for queries of x, by cosine of r means.

    Args:
        model: Left in evaluation mode.
        pairs: Collections of both domains.
        batch: Items a step.
        seed: Random seed of the queries.
        top: Number of hits per query.
    """
    embeddings = embed_sides(model, *pairs.sides(batch))
    x, y = embeddings.shared_given_x.mean, embeddings.shared_given_y.mean
    given = (x.numpy(), y.numpy(), pairs.x.labels, pairs.y.labels)
    precision = ranking_values(*given, (1,))["map@all"]
    x, y = (torch.nn.functional.normalize(side.double()) for side in (x, y))
    labels = pairs.x.labels
    means = {name: float(precision[labels == name].mean()) for name in pairs.classes}
    ordered = sorted(means, key=lambda name: means[name])
    generator = np.random.default_rng(seed)

    def hits(query: int) -> Hits:
        items = (x[query] @ y.T).argsort(descending=True, stable=True)[:top].tolist()
        right = [bool(pairs.y.labels[i] == labels[query]) for i in items]
        return Hits(query, str(labels[query]), float(precision[query]), items, right)

    def one_of(name: str) -> Hits:
        return hits(int(generator.choice(np.flatnonzero(labels == name))))

    drawn = generator.choice(len(labels), min(6, len(labels)), replace=False)
    return Chosen(
        [hits(int(query)) for query in drawn],
        [one_of(name) for name in ordered[:3]],
        [one_of(name) for name in ordered[::-1][:3]],
    )


class Nearest(NamedTuple):
    """A query of x and its nearest items of y, by their places in the set."""

    query: Tensor
    items: Tensor
    right: list[bool]


class Partners(NamedTuple):
    """Hits of some queries, and the number of items searched."""

    hits: list[Nearest]
    items: int


@torch.inference_mode()
def nearest_partners(run: TrainedRun, pairs: PairSet, count: int = 6, top: int = 5) -> Partners:
    """The nearest items of y for some queries of x, as the run compares z_s.

    Args:
        run: A trained run.
        pairs: Instance pairs, of which at most `MOST_ITEMS`, drawn at random, are searched.
        count: Number of queries, drawn at random from these.
        top: Number of hits per query.
    """
    evaluation = run.settings.evaluation
    index = pairs.sample(MOST_ITEMS, evaluation.seed)
    q = embed(run.model, pairs.batches(evaluation.batch, index))
    x, y = q.shared_given_x.mean, q.shared_given_y.mean
    choice = load_comparison(run.folder)
    how = choice.comparison if choice else plain_comparison(x.shape[1])
    items = how.items(y, "y")
    chosen = np.random.default_rng(evaluation.seed).permutation(len(index))[:count]
    hits: list[Nearest] = []
    for place in chosen.tolist():
        nearest = torch.cdist(how.queries(x[[place]], "x"), items)[0].argsort()[:top]
        same = torch.cdist(y[[place]], y[nearest])[0] == 0  # equal items are partners too
        hits.append(Nearest(index[place], index[nearest], same.tolist()))
    return Partners(hits, len(index))


def picture_reader(
    items: Labelled, folder: Path | None
) -> Callable[[Sequence[int]], Float[Tensor, "count 3 side side"]] | None:
    """Reads pictures of items: they are images themselves, or files under `folder`.

    None where there are neither.

    Raises:
        DataError: `folder` is given and lacks the first picture.
    """
    if items.values.dtype == torch.uint8:
        return lambda index: as_float(items.values[list(index)])
    paths = [Path(str(path)) for path in items.paths]
    if folder is not None:
        paths = [folder / path for path in paths]
    if not paths or not paths[0].is_file():
        if folder is not None and paths:
            raise DataError(f"{paths[0]}: no such picture; give the folder that features are of")
        return None
    return lambda index: torch.stack([read_image(paths[i], (3, SIDE, SIDE)) for i in index])
