"""Instance retrieval with a trained model's latents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from iiae.metrics.comparison import Comparison
from iiae.metrics.retrieval import InstanceRetrieval, instance_retrieval
from iiae.model.latents import Embeddings
from iiae.results import ItemCounts, Retrieval
from iiae.types import Domain, Pair


class Identities(NamedTuple):
    """A number for each x and each y; items that are equal have one number."""

    x: Int64[Tensor, " pairs"]
    y: Int64[Tensor, " pairs"]

    def counts(self) -> dict[Domain, ItemCounts]:
        """By domain."""
        x, y = (torch.bincount(ids) for ids in self)
        counts: dict[Domain, Tensor] = {"x": x, "y": y}
        return {d: ItemCounts(len(n), int(n[n > 1].sum())) for d, n in counts.items()}


class ItemHashes:
    """Learns which items are equal while their batches pass by."""

    def __init__(self) -> None:
        self._digests: tuple[list[bytes], list[bytes]] = ([], [])

    def watch(self, batches: Iterable[Pair]) -> Iterator[Pair]:
        """The same batches."""
        for pair in batches:
            for digests, side in zip(self._digests, pair[:2], strict=True):
                rows = side.detach().cpu().flatten(1).contiguous().numpy()
                digests += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
            yield pair

    def identities(self) -> Identities:
        """Of all items that have passed by."""
        numbers = (np.unique(np.array(d), return_inverse=True)[1].ravel() for d in self._digests)
        return Identities(*(torch.from_numpy(one.astype(np.int64)) for one in numbers))


def retrieve_partners(
    embeddings: Embeddings,
    active: Tensor,
    items: Identities | None = None,
    comparison: Comparison | None = None,
) -> Retrieval:
    """Recall@K with means of r_x and r_y, with their active dimensions, with exclusive means.

    The exclusive latents must sit at chance; they are compared where z_x and z_y have one
    size, else None.

    Args:
        embeddings: Embeddings of a test set.
        active: Which dimensions of z_s are active, `(shared,)`.
        items: Which items are equal: those are one answer. Without it all count as different.
        comparison: How z_s is compared, beside the paper's distance.
    """
    x, y = embeddings.shared_given_x.mean, embeddings.shared_given_y.mean
    exclusive_x, exclusive_y = embeddings.exclusive_x.mean, embeddings.exclusive_y.mean
    ids_x, ids_y = items or (None, None)

    def x_to_y(query: Tensor, gallery: Tensor) -> InstanceRetrieval:
        return instance_retrieval(query, gallery, query_ids=ids_x, gallery_ids=ids_y)

    def y_to_x(query: Tensor, gallery: Tensor) -> InstanceRetrieval:
        return instance_retrieval(query, gallery, query_ids=ids_y, gallery_ids=ids_x)

    other = comparison if comparison and comparison.is_another else None
    comparable = exclusive_x.shape == exclusive_y.shape
    return Retrieval(
        shared_x_to_y=x_to_y(x, y),
        shared_y_to_x=y_to_x(y, x),
        active_x_to_y=x_to_y(x[:, active], y[:, active]),
        active_y_to_x=y_to_x(y[:, active], x[:, active]),
        exclusive_x_to_y=x_to_y(exclusive_x, exclusive_y) if comparable else None,
        exclusive_y_to_x=y_to_x(exclusive_y, exclusive_x) if comparable else None,
        chosen_x_to_y=x_to_y(other.queries(x, "x"), other.items(y, "y")) if other else None,
        chosen_y_to_x=y_to_x(other.queries(y, "y"), other.items(x, "x")) if other else None,
    )
