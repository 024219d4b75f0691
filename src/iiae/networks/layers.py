"""Layers with the published initialisation.

Convolutions are 4x4 with stride 2; weights start from N(0, 0.02), BatchNorm gains from
N(1, 0.02), dense layers from Glorot's uniform (authors' program).
"""

from __future__ import annotations

from torch import nn


def conv(channels: int, width: int) -> nn.Conv2d:
    """Halves the sides of a map."""
    layer = nn.Conv2d(channels, width, 4, stride=2, padding=1)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def deconv(channels: int, width: int) -> nn.ConvTranspose2d:
    """Doubles the sides of a map."""
    layer = nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def dense(size: int, width: int) -> nn.Linear:
    layer = nn.Linear(size, width)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def norm2d(width: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(width)
    nn.init.normal_(layer.weight, mean=1.0, std=0.02)
    return layer


def norm1d(width: int) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(width)
    nn.init.normal_(layer.weight, mean=1.0, std=0.02)
    return layer
