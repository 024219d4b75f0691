"""Settings of a run: frozen, read from TOML, with errors that name the closest setting."""

from iiae.settings.base import MOST_SEED
from iiae.settings.data import DataSettings
from iiae.settings.listing import describe_settings, dump_settings
from iiae.settings.names import FAMILIES, LIKELIHOODS, READ_BY, imported, imported_task
from iiae.settings.overrides import check_overrides, nested, none_by_default, override_text
from iiae.settings.reading import data_settings, explain, load_settings, make_settings
from iiae.settings.sections import (
    EvaluationSettings,
    LikelihoodSettings,
    ModelSettings,
    ObjectiveSettings,
    Settings,
    TrainingSettings,
)

__all__ = [
    "FAMILIES",
    "LIKELIHOODS",
    "MOST_SEED",
    "READ_BY",
    "DataSettings",
    "EvaluationSettings",
    "LikelihoodSettings",
    "ModelSettings",
    "ObjectiveSettings",
    "Settings",
    "TrainingSettings",
    "check_overrides",
    "data_settings",
    "describe_settings",
    "dump_settings",
    "explain",
    "imported",
    "imported_task",
    "load_settings",
    "make_settings",
    "nested",
    "none_by_default",
    "override_text",
]
