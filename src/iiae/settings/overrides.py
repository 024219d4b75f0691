"""Overrides `section.name=value`, as `--set` takes them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from iiae.errors import SettingsError
from iiae.settings.listing import describe_settings, toml_text
from iiae.settings.names import READ_BY
from iiae.settings.sections import Settings
from iiae.settings.sizes import SIZES, of_another_size
from iiae.wording import given_setting

# settings whose effect is part of the weights, beside all of model, objective and training
CHOSEN_IN_TRAINING = {
    "evaluation.active_nats": "the active dimensions are chosen when training ends, and kept "
    "with the weights; train again to choose others"
}


def check_overrides(
    overrides: Sequence[str], allowed: Sequence[str] = ("data", "evaluation")
) -> None:
    """Refuses overrides that have no effect on a run that is trained already.

    Args:
        overrides: `section.name=value`, as for `load_settings`.
        allowed: Sections, or settings, that a command reads.

    Raises:
        SettingsError: An override is of another setting, or of one that training has used up.
    """
    for text in overrides:
        for name in _names(overridden({}, text)):
            if name in CHOSEN_IN_TRAINING:
                raise SettingsError(
                    f"{given_setting(text)}: has no effect: {CHOSEN_IN_TRAINING[name]}"
                )
            parts = name.split(".")
            above = {".".join(parts[:i]) for i in range(1, len(parts) + 1)}
            if parts[0] in Settings.model_fields and not above & set(allowed):
                raise SettingsError(
                    f"{given_setting(text)}: has no effect on a run that is trained already, only "
                    f"{', '.join(allowed)} have; train again to change it"
                )


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of a nested mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def overridden(values: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A nested mapping with one override applied to it.

    `none` is None for those settings whose default it is.

    Raises:
        SettingsError: The text is no override.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SettingsError(
            f"{given_setting(text)}: write section.name=value, as in training.epochs=3"
        )
    *sections, last = name.strip().split(".")
    changed = dict(values)
    inner = changed
    for section in sections:
        below = inner.get(section, {})
        if not isinstance(below, Mapping):
            raise SettingsError(f"{given_setting(text)}: {section} is not a section")
        inner[section] = dict(below)
        inner = inner[section]
    absent = value.strip() == "none" and name.strip() in none_by_default()
    inner[last] = None if absent else _parse(value.strip())
    if name.strip() == "model.size":  # what is set by hand stays
        changed["model"] = of_another_size(values.get("model", {}), inner[last])
    if last in READ_BY:
        _drop_unread(inner, last)
    if name.strip() == "model.family" and inner[last] not in SIZES:
        inner.pop("size", None)  # which no other family has
    return changed


def nested(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides say, as a nested mapping that holds nothing else.

    >>> nested(["data.size=64", "model.size=small"])
    {'data': {'size': 64}, 'model': {'size': 'small'}}
    """
    values: dict[str, Any] = {}
    for text in overrides:
        values = overridden(values, text)
    return values


def _drop_unread(section: dict[str, Any], chooser: str) -> None:
    """Settings that only the kind or family before read go with it."""
    chosen = str(section[chooser])
    for name, readers in READ_BY[chooser].items():
        if chosen not in readers and ":" not in chosen:
            section.pop(name, None)


def _parse(value: str) -> Any:
    """A value in TOML; any other text stands for itself, so that quotes are not needed."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def override_text(name: str, value: Any) -> str:
    """One setting as `--set` takes it; TOML has no None.

    Raises:
        SettingsError: TOML cannot say the value.
    """
    try:
        return f"{name}={'none' if value is None else toml_text(value)}"
    except TypeError:
        raise SettingsError(
            f"{name} = a {type(value).__name__}: a setting is a number, a text, true or false, or "
            "a list of these"
        ) from None


@cache
def none_by_default() -> frozenset[str]:
    """Full names of the settings that are None unless they are given."""
    return frozenset(name for name, default, _ in describe_settings() if default == "none")
