"""Images of any size in networks that halve their sides down to a small map."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.networks.interface import Shapes

Small = Float[Tensor, "batch channels height width"]
Square = Float[Tensor, "batch channels size size"]


class Padded(nn.Module):
    """Repeats the edges of an image on all sides until it is a square of `size`."""

    def __init__(self, height: int, width: int, size: int):
        super().__init__()
        left, top = (size - width) // 2, (size - height) // 2
        self.margins = (left, size - width - left, top, size - height - top)

    def forward(self, x: Small) -> Square:
        return F.pad(x, self.margins, mode="replicate")


class Cropped(nn.Module):
    """Takes the image back out of what `Padded` makes of it."""

    def __init__(self, height: int, width: int, size: int):
        super().__init__()
        self.left, self.top = (size - width) // 2, (size - height) // 2
        self.height, self.width = height, width

    def forward(self, x: Square) -> Small:
        return x[:, :, self.top : self.top + self.height, self.left : self.left + self.width]


def padded_side(shapes: Shapes) -> int:
    """The least power of two that no side of either domain exceeds."""
    longest = max(side for shape in shapes for side in shape[1:])
    return 1 << (longest - 1).bit_length()
