"""One dial for how large a model is: what widths and latents follow from `model.size`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Size = Literal["auto", "small", "medium", "large"]
# by family and size; "auto" is left to the suggestions, which look at the data
SIZES: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "features": {
        "small": {"width": 64, "shared": 16, "exclusive": 8},
        "medium": {"width": 256, "shared": 32, "exclusive": 16},
        "large": {"width": 512, "shared": 64, "exclusive": 32},
    },
    "small": {
        "small": {"width": 8, "shared": 4, "exclusive": 8},
        "medium": {"width": 16, "shared": 8, "exclusive": 8},
        "large": {"width": 32, "shared": 32, "exclusive": 8},
    },
}


def with_sizes(model: Mapping[str, Any]) -> dict[str, Any]:
    """Section `model` with what follows from its size; what it holds already stays.

    >>> with_sizes({"family": "features", "size": "small", "shared": 5})["shared"]
    5

    Raises:
        ValueError: No sizes are known of its family.
    """
    family, size = model.get("family", "small"), model.get("size", "auto")
    if size == "auto":
        return dict(model)
    if family not in SIZES:
        raise ValueError(
            f"size = {size!r} has no effect on family {family!r}, only on "
            f"{' and '.join(map(repr, SIZES))}; leave it out"
        )
    given = {name: value for name, value in model.items() if value is not None}
    return {**SIZES[family].get(size, {}), **given}


def of_another_size(model: Mapping[str, Any], size: Any) -> dict[str, Any]:
    """Section `model` with another size, without what follows from the one that it has.

    "auto" leaves all as it is.
    """
    if size == "auto":
        return dict(model)
    sizes = SIZES.get(model.get("family", "small"), {}).get(model.get("size", "auto"), {})
    kept = {name: value for name, value in model.items() if sizes.get(name) != value}
    return {**kept, "size": size}
