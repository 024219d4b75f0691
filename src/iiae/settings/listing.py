"""Settings written out: as TOML, and as a list with their meaning."""

from __future__ import annotations

from typing import Any

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from iiae.settings.sections import Settings


def dump_settings(settings: Settings) -> str:
    """Settings as TOML; values that are None are left out."""
    return tomli_w.dumps(settings.model_dump(exclude_none=True))


def describe_settings(
    model: type[BaseModel] = Settings, prefix: str = ""
) -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting."""
    rows: list[tuple[str, str, str]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += describe_settings(inner, f"{prefix}{name}.")
            continue
        default = (
            "required"
            if field.is_required()
            else "none"
            if field.default is None
            else toml_text(field.default)
        )
        rows.append((prefix + name, default, field.description or ""))
    return rows


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    text = "none" if field.default is None else toml_text(field.default)
    return " ".join(text.split()).replace(", ]", "]").replace("[ ", "[")


def toml_text(value: Any) -> str:
    """A value as TOML writes it."""
    return tomli_w.dumps({"v": value}).strip().removeprefix("v = ")
