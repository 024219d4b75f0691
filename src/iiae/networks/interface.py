"""The interface of the seven networks; any `nn.Module` with this interface can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from iiae.distributions import DiagonalNormal

Shapes = tuple[Sequence[int], Sequence[int]]  # of one x and one y, without the batch axis


class SharedEncoding(NamedTuple):
    """What a one-domain shared encoder returns: r(z_s given its domain), and the hidden
    layer that the joint encoder builds q(z_s given x, y) from."""

    posterior: DiagonalNormal
    hidden: Tensor


class Networks(NamedTuple):
    """The seven parts of the model.

    | field | maths | takes | returns |
    |---|---|---|---|
    | `exclusive_x`, `exclusive_y` | q(z_x given x), q(z_y given y) | x or y | `DiagonalNormal` |
    | `shared_given_x`, `shared_given_y` | r_x, r_y | x or y | `SharedEncoding` |
    | `shared` | q(z_s given x, y) | hidden layers of x and of y | `DiagonalNormal` |
    | `decoder_x`, `decoder_y` | p(x given z_s, z_x), p(y ..) | z_s, z_x or z_y | `Likelihood` |

    Decoders take columns of covariates as one argument more, where the model has any. Encoders take
    samples less what covariates tell of them (`iiae.model.effects`).
    """

    exclusive_x: nn.Module
    exclusive_y: nn.Module
    shared_given_x: nn.Module
    shared_given_y: nn.Module
    shared: nn.Module
    decoder_x: nn.Module
    decoder_y: nn.Module


class Family(NamedTuple):
    """A family of networks that settings can name.

    `build` takes the shapes, (size of z_x, of z_y), that of z_s, the heads of x and y, and those of
    `reads`, settings of `ModelSettings`, that are given; `components`, how many the encoders of x
    and of y take instead of columns (0: none), where either takes any; and `covariates`, the number
    of their columns, where there are any and the family takes them. `latent` is the shape of one
    z_s for those shapes, `model.shared` and the same settings. `refusal` gives the reason why the
    family refuses data of some shapes, "" if it takes them.
    """

    build: Callable[..., Networks]
    latent: Callable[..., tuple[int, ...]]
    refusal: Callable[[Shapes], str]
    reads: frozenset[str] = frozenset()
    covariates: bool = False
