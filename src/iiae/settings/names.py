"""What settings choose by name, and where it is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from iiae.errors import SettingsError

T = TypeVar("T")

# where each name that settings choose by is; a name of your own is written as module:object
FAMILIES = {
    "small": "iiae.networks.small:SMALL",
    "image-map": "iiae.networks.conv:IMAGE_MAP",
    "image-flat": "iiae.networks.conv:IMAGE_FLAT",
    "features": "iiae.networks.mlp:FEATURES",
}
LIKELIHOODS = {
    "laplace": "iiae.distributions:LAPLACE",
    "normal": "iiae.distributions:NORMAL",
    "bernoulli": "iiae.distributions:BERNOULLI",
    "categorical": "iiae.distributions:CATEGORICAL",
    "poisson": "iiae.distributions:POISSON",
    "negative-binomial": "iiae.distributions:NEGATIVE_BINOMIAL",
    "zero-inflated": "iiae.distributions:ZERO_INFLATED",
}
# settings that only some likelihoods, or families of networks, read
READ_BY = {
    "kind": {
        "weight": ("laplace", "normal"),
        "size": ("poisson", "negative-binomial", "zero-inflated"),
    },
    "family": {
        "width": ("small", "features"),
        "side": ("small",),
        "dropout": ("features",),
        "depth": ("features",),
        "components": ("features",),
    },
}


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Refuses what is neither one of `names` nor `module:object`."""

    def check(name: str) -> str:
        if name in names or ":" in name:
            return name
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"{hint}give {', '.join(names)}, or module:object of your own")

    return check


def imported(name: str, known: Mapping[str, str], kind: type[T]) -> T:
    """What a name of settings stands for: of `known`, or `module:object`.

    Raises:
        SettingsError: It cannot be imported, or is no `kind`.
    """
    module, _, attribute = known.get(name, name).partition(":")
    try:
        value = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{name}: cannot be imported: {error}") from error
    if not isinstance(value, kind):
        raise SettingsError(f"{name}: is {type(value).__name__}, not {kind.__name__}")
    return value


def imported_task(name: str) -> Callable[..., Any]:
    """A function of a run and pairs, named in `evaluation.tasks`; errors as for `imported`."""
    return imported(name, {}, Callable)  # pyright: ignore[reportArgumentType]
