"""The model that settings describe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from iiae.distributions import Head, LearnedScale, LikelihoodKind
from iiae.errors import SettingsError
from iiae.model.components import Components
from iiae.model.effects import CovariateEffects
from iiae.model.iiae import IIAE, Units
from iiae.model.units import CountUnits, DataUnits, StandardUnits
from iiae.networks.covariates import Covariates
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


def build_model(
    model: ModelSettings,
    objective: ObjectiveSettings,
    shapes: Shapes,
    covariates: Covariates = Covariates(),
) -> IIAE:
    """The model that settings describe, for data of these shapes.

    Args:
        model: Family and sizes of the networks.
        objective: Its likelihoods become the decoders' heads.
        shapes: Of one x and one y, without the batch axis.
        covariates: What decoders take beside latents, and encoders do not see.

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
    extra = _own_settings(model, family)
    latent = family.latent(shapes, model.shared, **extra)
    if covariates.width and not family.covariates:
        raise SettingsError(
            f"data.covariates: networks of '{model.family}' take none, those of 'features' do"
        )
    if covariates.width:
        extra["covariates"] = covariates.width
    sizes = model.exclusive_sizes
    if any(counts := _component_counts(model, shapes)):
        extra["components"] = counts
    units = _units(model, objective, shapes)
    before = _effects(covariates.width, units, shapes), _components(counts, shapes)
    networks = family.build(shapes, sizes, model.shared, heads, **extra)
    return IIAE(networks, math.prod(latent), sizes, units, covariates, *before)


def _own_settings(model: ModelSettings, family: Family) -> dict[str, Any]:
    """What the family reads of section `model`, as far as it is given; components are counted.

    Raises:
        SettingsError: A setting is given that the family does not read.
    """
    for name in READ_BY["family"].keys() - family.reads:
        if getattr(model, name) != type(model).model_fields[name].default:
            raise SettingsError(f"model.{name} has no effect on '{model.family}'; leave it out")
    given = {name: getattr(model, name) for name in family.reads - {"components"}}
    return {name: value for name, value in given.items() if value is not None}


def _component_counts(model: ModelSettings, shapes: Shapes) -> tuple[int, ...]:
    """How many principal components of x and of y encoders take; 0 where they take all columns."""
    return tuple(
        count if count < math.prod(shape) else 0
        for count, shape in zip(model.component_counts, shapes, strict=True)
    )


def _effects(
    width: int, units: tuple[Units, Units], shapes: Shapes
) -> tuple[CovariateEffects | None, CovariateEffects | None]:
    """Of covariates, where units let a likelihood have them: of columns' deviations, of counts."""
    x, y = (
        CovariateEffects(width, shape) if width and not isinstance(unit, DataUnits) else None
        for unit, shape in zip(units, shapes, strict=True)
    )
    return x, y


def _components(counts: Sequence[int], shapes: Shapes) -> tuple[nn.Module, nn.Module]:
    x, y = (
        Components(shape[0], count) if count else nn.Identity()
        for count, shape in zip(counts, shapes, strict=True)
    )
    return x, y


def _units(
    model: ModelSettings, objective: ObjectiveSettings, shapes: Shapes
) -> tuple[Units, Units]:
    """Log counts, and standard units for vectors of real numbers if settings ask for them."""
    if model.standardise and any(len(shape) == 3 for shape in shapes):
        raise SettingsError("model.standardise is for vectors, and these are images; leave it out")

    def unit(likelihood: LikelihoodSettings, shape: Sequence[int]) -> Units:
        support = imported(likelihood.kind, LIKELIHOODS, LikelihoodKind).support
        if support == "counts":
            return CountUnits(shape[0], likelihood.size)
        return StandardUnits(shape[0]) if model.standardise and support == "real" else DataUnits()

    return unit(objective.x, shapes[0]), unit(objective.y, shapes[1])


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
        SettingsError: The weight is to be learned and the likelihood has no scale, or the
            likelihood is of counts and the samples are images.
    """
    kind = imported(likelihood.kind, LIKELIHOODS, LikelihoodKind)
    if kind.support == "counts":
        if len(shape) != 1:
            raise SettingsError(f"{likelihood.kind} is of vectors of counts, and these are images")
        return kind.head(shape[0])
    if not kind.weighted:
        return kind.head()
    images = len(shape) == 3
    if likelihood.weight != "auto":
        return kind.head(likelihood.weight, tanh=images)
    if kind.scaled is None:
        raise SettingsError(f"{likelihood.kind} has no scale to learn; give a number as weight")
    return LearnedScale(kind.scaled, (1,) if images else tuple(shape), tanh=images)
