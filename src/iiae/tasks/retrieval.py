"""Instance retrieval with a trained model's latents."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from iiae.metrics.retrieval import InstanceRetrieval, instance_retrieval
from iiae.model import Embeddings


class Retrieval(NamedTuple):
    """Both directions of each latent that was tried."""

    shared_x_to_y: InstanceRetrieval
    shared_y_to_x: InstanceRetrieval
    active_x_to_y: InstanceRetrieval
    active_y_to_x: InstanceRetrieval
    exclusive_x_to_y: InstanceRetrieval | None
    exclusive_y_to_x: InstanceRetrieval | None


def retrieve_partners(found: Embeddings, active: Tensor) -> Retrieval:
    """Recall@K with means of r_x and r_y, with their active dimensions, with exclusive means.

    The exclusive latents must sit at chance; they are compared where z_x and z_y have one
    size, else None.

    Args:
        found: Embeddings of a test set.
        active: Which dimensions of z_s are active, `(shared,)`.
    """
    x, y = found.shared_given_x.mean, found.shared_given_y.mean
    own_x, own_y = found.exclusive_x.mean, found.exclusive_y.mean
    comparable = own_x.shape == own_y.shape
    return Retrieval(
        shared_x_to_y=instance_retrieval(x, y),
        shared_y_to_x=instance_retrieval(y, x),
        active_x_to_y=instance_retrieval(x[:, active], y[:, active]),
        active_y_to_x=instance_retrieval(y[:, active], x[:, active]),
        exclusive_x_to_y=instance_retrieval(own_x, own_y) if comparable else None,
        exclusive_y_to_x=instance_retrieval(own_y, own_x) if comparable else None,
    )
