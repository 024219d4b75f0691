"""Settings out of files and mappings, with errors that name the closest setting."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iiae.errors import SettingsError
from iiae.settings.data import DataSettings
from iiae.settings.listing import describe_settings
from iiae.settings.overrides import overridden
from iiae.settings.sections import Settings

REPLACED = {"data.split": "data.unseen"}  # names that settings once had


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a TOML file, with `section.name=value` overrides applied in order.

    A file may spell out defaults of the data's settings, as that of a run does: they do not count
    as given, so that no data set refuses them.

    Raises:
        SettingsError: The file cannot be read, or a setting is unknown or wrong.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    return make_settings(_without_defaults(values), overrides, source=path.name)


def _without_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    data = values.get("data")
    if not isinstance(data, Mapping):
        return values
    defaults = {name: field.default for name, field in DataSettings.model_fields.items()}
    spelled = {n: list(d) if isinstance(d, tuple) else d for n, d in defaults.items()}
    return {**values, "data": {n: v for n, v in data.items() if v != spelled.get(n, ...)}}


def make_settings(
    values: Mapping[str, Any], overrides: Sequence[str] = (), source: str = "settings"
) -> Settings:
    """Settings of a nested mapping; `source` names it in messages.

    >>> make_settings({"data": {"name": "synthetic"}}, ["objective.lam=0.5"]).objective.lam
    0.5
    """
    merged = dict(values)
    for text in sorted(overrides, key=lambda one: not one.startswith("model.size")):
        merged = overridden(merged, text)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(explain(error, source)) from error


def data_settings(**values: Any) -> DataSettings:
    """Settings of data alone, checked as those of a file are; None stands for the default.

    Raises:
        SettingsError: A setting is unknown or wrong.
    """
    given = {name: value for name, value in values.items() if value is not None}
    return make_settings({"data": given}).data


def explain(error: ValidationError, source: str, section: str = "") -> str:
    """The first fault of settings in one line.

    Args:
        error: Of pydantic.
        source: What the settings were read from.
        section: Name of the section that was checked by itself, with a point; "" for all.
    """
    first = error.errors()[0]
    name = section + ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unknown_setting":
        option = first.get("ctx", {}).get("name")
        return f"{source}: {_unknown(f'{name}.{option}')}"
    if first["type"] == "extra_forbidden":
        return f"{source}: {_unknown(name)}"
    if isinstance(first["input"], Mapping) and first["type"] == "value_error":
        return f"{source}: {name}.{reason}"  # of settings that do not go together
    if first["type"] == "missing":
        return f"{source}: {name} is missing"
    return f"{source}: {name} = {first['input']!r}: {reason[:1].lower()}{reason[1:]}"


def _unknown(name: str) -> str:
    """That a setting does not exist, and which one may be meant."""
    if name in REPLACED:
        return f"{name} is not a setting any more; it is called {REPLACED[name]}"
    close = _closest(name)
    hint = f"did you mean {close}?" if close else "`iiae settings` lists them all"
    return f"{name} is not a setting; {hint}"


def _closest(name: str) -> str | None:
    """The known setting most like `name`: in its own section first, then anywhere."""
    section, _, last = name.rpartition(".")
    names = [row[0] for row in describe_settings()]
    own = [n.rpartition(".")[2] for n in names if n.rpartition(".")[0] == section]
    sections = {n.partition(".")[0] for n in names}
    if close := difflib.get_close_matches(last, own if section else sections, 1):
        return f"{section}.{close[0]}" if section else close[0]
    lasts = {n.rpartition(".")[2] for n in names}
    meant = difflib.get_close_matches(last, lasts, 1)  # itself, where another section has it
    same = [n for n in names if n.rpartition(".")[2] in meant]
    wanted = name if section else f"training.{last}"  # as `iiae.fit(seed=1)` means
    close = difflib.get_close_matches(wanted, same, 1, cutoff=0)
    return next(iter(close or difflib.get_close_matches(name, names, 1)), None)
