"""The model that settings describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iiae.distributions import (
    BernoulliHead,
    CategoricalHead,
    Head,
    LaplaceHead,
    NormalHead,
)
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE
from iiae.networks import conv, mlp
from iiae.networks.interface import Networks
from iiae.settings import LikelihoodSettings, ModelSettings, ObjectiveSettings

FAMILIES: dict[str, Callable[..., Networks]] = {
    "image-map": conv.image_map,
    "image-flat": conv.image_flat,
    "small": conv.small,
    "features": mlp.features,
}


def build_model(
    model: ModelSettings, objective: ObjectiveSettings, shapes: tuple[Sequence[int], Sequence[int]]
) -> IIAE:
    """The model that settings describe, for data of these shapes.

    Args:
        model: Family and sizes of the networks.
        objective: Its likelihoods become the decoders' heads.
        shapes: Of one x and one y, without the batch axis.

    Raises:
        SettingsError: The family does not take data of these shapes.
    """
    images = model.family != "features"
    _check_shapes(model.family, shapes)
    heads = (build_head(objective.x, images), build_head(objective.y, images))
    extra: dict[str, float] = {} if model.width is None else {"width": model.width}
    if model.dropout:
        if images:
            raise SettingsError("model.dropout is for family 'features'; image networks take none")
        extra["dropout"] = model.dropout
    sizes = model.exclusive_sizes
    networks = FAMILIES[model.family](shapes, sizes, model.shared, heads, **extra)
    return IIAE(networks, _shared_size(model, shapes), sizes)


def build_head(likelihood: LikelihoodSettings, images: bool) -> Head:
    """The likelihood of one domain; locations of images are bounded to [-1, 1]."""
    weighted = {"laplace": LaplaceHead, "normal": NormalHead}
    if likelihood.kind in weighted:
        return weighted[likelihood.kind](likelihood.weight, tanh=images)
    return {"bernoulli": BernoulliHead, "categorical": CategoricalHead}[likelihood.kind]()


def _shared_size(model: ModelSettings, shapes: tuple[Sequence[int], Sequence[int]]) -> int:
    side = {"image-map": shapes[0][-1] // 32, "small": 4}.get(model.family, 1)
    return model.shared * side * side


def _check_shapes(family: str, shapes: tuple[Sequence[int], Sequence[int]]) -> None:
    given = " and ".join("x".join(map(str, shape)) for shape in shapes)
    if family == "features":
        if any(len(shape) != 1 for shape in shapes):
            raise SettingsError(
                f"model.family = 'features' takes vectors, the data is {given}; "
                "use 'small', 'image-map' or 'image-flat' for images"
            )
        return
    smallest, largest = (16, 64) if family == "small" else (64, 512)
    sides = {side for shape in shapes for side in shape[1:]}
    side = next(iter(sides), 0)
    images = all(len(shape) == 3 for shape in shapes) and len(sides) == 1
    if not images or side & (side - 1) or not smallest <= side <= largest:
        raise SettingsError(
            f"model.family = '{family}' takes square images of both domains with one side, a "
            f"power of two from {smallest} to {largest}; the data is {given} "
            "(channels x height x width); resize it or choose another family"
        )
