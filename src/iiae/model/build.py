"""The model that settings describe."""

from __future__ import annotations

import math

from iiae.distributions import Head, LikelihoodKind
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE
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
        build_head(likelihood, len(shape) == 3)
        for likelihood, shape in zip((objective.x, objective.y), shapes, strict=True)
    )
    for name in READ_BY.keys() & type(model).model_fields.keys() - family.reads:
        if getattr(model, name) != type(model).model_fields[name].default:
            raise SettingsError(f"model.{name} has no effect on '{model.family}'; leave it out")
    given = {name: getattr(model, name) for name in family.reads}
    extra = {name: value for name, value in given.items() if value is not None}
    sizes = model.exclusive_sizes
    networks = family.build(shapes, sizes, model.shared, heads, **extra)
    return IIAE(networks, math.prod(family.latent(shapes, model.shared)), sizes)


def check_parts(settings: Settings) -> None:
    """Raises SettingsError, before data is loaded, if a part of your own cannot be imported."""
    imported(settings.model.family, FAMILIES, Family)
    for likelihood in (settings.objective.x, settings.objective.y):
        imported(likelihood.kind, LIKELIHOODS, LikelihoodKind)
    for task in settings.evaluation.tasks:
        imported_task(task)


def build_head(likelihood: LikelihoodSettings, images: bool) -> Head:
    """The likelihood of one domain; locations of images are bounded to [-1, 1]."""
    kind = imported(likelihood.kind, LIKELIHOODS, LikelihoodKind)
    return kind.head(likelihood.weight, tanh=images) if kind.weighted else kind.head()
