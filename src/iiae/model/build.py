"""The model that settings describe."""

from __future__ import annotations

import math
from collections.abc import Sequence

from iiae.distributions import Head, LearnedScale, LikelihoodKind
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE, Units
from iiae.model.units import DataUnits, StandardUnits
from iiae.networks.interface import Family, Shapes
from iiae.settings import (
    FAMILIES,
    LIKELIHOODS,
    READ_BY,
    LikelihoodSettings,
    ModelSettings,
    ObjectiveSettings,
    Settings,
    imported,
    imported_task,
)


def build_model(model: ModelSettings, objective: ObjectiveSettings, shapes: Shapes) -> IIAE:
    """The model that settings describe, for data of these shapes.

    Args:
        model: Family and sizes of the networks.
        objective: Its likelihoods become the decoders' heads.
        shapes: Of one x and one y, without the batch axis.

    Raises:
        SettingsError: The family does not take data of these shapes, or cannot be imported.
    """
    family = imported(model.family, FAMILIES, Family)
    refusal = family.refusal(shapes)
    if refusal:
        form = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise SettingsError(f"model.family = '{model.family}' {refusal}; the data is {form}")
    heads = tuple(
        build_head(likelihood, shape)
        for likelihood, shape in zip((objective.x, objective.y), shapes, strict=True)
    )
    for name in READ_BY.keys() & type(model).model_fields.keys() - family.reads:
        if getattr(model, name) != type(model).model_fields[name].default:
            raise SettingsError(f"model.{name} has no effect on '{model.family}'; leave it out")
    given = {name: getattr(model, name) for name in family.reads}
    extra = {name: value for name, value in given.items() if value is not None}
    sizes = model.exclusive_sizes
    networks = family.build(shapes, sizes, model.shared, heads, **extra)
    units = _units(model, objective, shapes)
    return IIAE(networks, math.prod(family.latent(shapes, model.shared)), sizes, units)


def _units(
    model: ModelSettings, objective: ObjectiveSettings, shapes: Shapes
) -> tuple[Units, Units]:
    """Standard units for vectors of real numbers where they are asked for."""
    if not model.standardise:
        return DataUnits(), DataUnits()
    if any(len(shape) == 3 for shape in shapes):
        raise SettingsError("model.standardise is for vectors, and these are images; leave it out")
    real = (
        imported(one.kind, LIKELIHOODS, LikelihoodKind).support == "real"
        for one in (objective.x, objective.y)
    )
    x, y = (
        StandardUnits(shape[0]) if own else DataUnits()
        for shape, own in zip(shapes, real, strict=True)
    )
    return x, y


def check_parts(settings: Settings) -> None:
    """Raises SettingsError, before data is loaded, if a part of your own cannot be imported."""
    imported(settings.model.family, FAMILIES, Family)
    for likelihood in (settings.objective.x, settings.objective.y):
        imported(likelihood.kind, LIKELIHOODS, LikelihoodKind)
    for task in settings.evaluation.tasks:
        imported_task(task)


def build_head(likelihood: LikelihoodSettings, shape: Sequence[int]) -> Head:
    """The likelihood of one domain; locations of images are bounded to [-1, 1].

    A learned scale is one an element of vectors, and one for all elements of images.

    Args:
        likelihood: Its settings.
        shape: Of one sample.

    Raises:
        SettingsError: The weight is to be learned and the likelihood has no scale.
    """
    kind = imported(likelihood.kind, LIKELIHOODS, LikelihoodKind)
    if not kind.weighted:
        return kind.head()
    images = len(shape) == 3
    if likelihood.weight != "auto":
        return kind.head(likelihood.weight, tanh=images)
    if kind.scaled is None:
        raise SettingsError(f"{likelihood.kind} has no scale to learn; give a number as weight")
    return LearnedScale(kind.scaled, (1,) if images else tuple(shape), tanh=images)
