"""Types shared by every floor: pairs, draws and domains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from jaxtyping import Float, Int64
from pydantic import BeforeValidator
from torch import Tensor

T = TypeVar("T")
Domain = Literal["x", "y"]
DOMAINS: tuple[Domain, Domain] = ("x", "y")
# a number that `plain` writes as None if it is not finite
Measured = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


def other(domain: Domain) -> Domain:
    """The other domain."""
    return "y" if domain == "x" else "x"


class PerDomain(tuple[T, T]):
    """A value for x and one for y.

    >>> PerDomain("sketch", "photo").of("y")
    'photo'
    """

    def __new__(cls, x: T, y: T):
        return super().__new__(cls, (x, y))

    def __getnewargs__(self) -> tuple[T, T]:  # of copies and pickles
        return (self[0], self[1])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(x={self.x!r}, y={self.y!r})"

    @property
    def x(self) -> T:
        return self[0]

    @property
    def y(self) -> T:
        return self[1]

    def of(self, domain: Domain) -> T:
        """The value of a domain."""
        return self.x if domain == "x" else self.y


class Context(NamedTuple):
    """Sizes and covariates of samples, known besides their values; posteriors are given them.

    `size` is the library size of each sample of counts, `covariates` the columns that
    `iiae.networks.covariates.Covariates.encode` makes. None where a model takes none.
    """

    size: Float[Tensor, " batch"] | None = None
    covariates: Float[Tensor, "batch columns"] | None = None


class Pair(NamedTuple):
    """Matched samples of two domains: row i of `x` and row i of `y` have the same content.

    Images are floats in [-1, 1], `(batch, channels, height, width)`; features are
    `(batch, size)`.
    """

    x: Float[Tensor, "batch *shape_x"]
    y: Float[Tensor, "batch *shape_y"]
    context_x: Context = Context()
    context_y: Context = Context()


class PartialBatch(NamedTuple):
    """A batch in which some samples lack their partner; what is absent has no row.

    Rows of x and y under `pairs` are pairs; each further row of either is a sample alone.
    """

    x: Float[Tensor, "all_x *shape_x"]
    y: Float[Tensor, "all_y *shape_y"]
    pairs: int
    context_x: Context = Context()
    context_y: Context = Context()


def mapped(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """The same named tuple with every tensor changed, those of named tuples within it too."""
    if isinstance(value, Tensor):
        return change(value)  # pyright: ignore[reportReturnType]
    if hasattr(value, "_asdict"):
        return type(value)(*(mapped(part, change) for part in value))  # pyright: ignore
    return value


class Draw(NamedTuple):
    """Which pairs of a data set to make into a batch.

    `seed` feeds whatever the data set draws anew (colours, crops); None asks for the
    fixed appearance that evaluation uses, the same at every call.
    """

    indices: Int64[Tensor, " batch"]
    seed: int | None = None


def plain(value: Any) -> Any:
    """Named tuples and NumPy values as mappings, lists and numbers, all the way down.

    JSON has neither NaN nor infinity: a number that is not finite becomes None.
    """
    if hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
