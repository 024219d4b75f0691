"""How far samples are from others, one value per sample."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def l1(
    made: Float[Tensor, "batch *shape"], partner: Float[Tensor, "batch *shape"]
) -> Float[Tensor, " batch"]:
    """Mean absolute difference of the elements of each sample."""
    return (made - partner).abs().flatten(1).mean(1)


def ssim(
    made: Float[Tensor, "batch channels height width"],
    partner: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, " batch"]:
    """SSIM of each pair of images in [-1, 1]: Wang et al. 2004, Gaussian window of 11 pixels."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = structural_similarity_index_measure(
        made.float(), partner.float(), data_range=2.0, reduction="none"
    )
    assert isinstance(values, torch.Tensor)
    return values.reshape(-1)
