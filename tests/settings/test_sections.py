import numpy as np
import pytest
from pydantic import BaseModel

from iiae.errors import SettingsError
from iiae.settings import Settings, dump_settings, load_settings, make_settings

LEAST = {"data": {"name": "synthetic"}}


def test_numbers_stand_for_text_where_text_is_asked_for():
    settings = make_settings(LEAST, ["training.precision=32", "data.root=3"])
    assert settings.training.precision == "32"
    assert settings.data.root == "3"


def test_settings_cannot_be_changed():
    settings = make_settings(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        settings.data.name = "other"  # type: ignore[misc]


def test_exclusive_latents_have_one_size_or_one_each(tmp_path):
    sizes = {
        one: make_settings(LEAST, [f"model.exclusive={one}"]).model.exclusive_sizes
        for one in ("3", "[3,8]")
    }
    assert sizes == {"3": (3, 3), "[3,8]": (3, 8)}
    (tmp_path / "s.toml").write_text(dump_settings(make_settings(LEAST, ["model.exclusive=[3,8]"])))
    assert load_settings(tmp_path / "s.toml").model.exclusive == (3, 8)


@pytest.mark.parametrize("sizes", ["0", "[3,0]", "[3,8,9]", "[]", "wide", "2.5"])
def test_sizes_of_exclusive_latents_that_are_none_are_refused(sizes):
    with pytest.raises(SettingsError, match=r"model.exclusive = .*: .*or two: \[of x, of y\]"):
        make_settings(LEAST, [f"model.exclusive={sizes}"])


FLOATS = [
    f"{section}.{name}"
    for section, inner in Settings.model_fields.items()
    if isinstance(inner.annotation, type) and issubclass(inner.annotation, BaseModel)
    for name, field in inner.annotation.model_fields.items()
    if field.annotation in (float, float | None)
]


@pytest.mark.parametrize("name", [*FLOATS, "objective.x.weight"])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_that_are_not_finite_are_refused(name, value):
    assert len(FLOATS) > 10
    with pytest.raises(SettingsError, match=f"{name} = {value}: input should be a finite number"):
        make_settings(LEAST, [f"{name}={value}"])


@pytest.mark.parametrize("section", ["data", "training", "evaluation"])
def test_seeds_are_those_that_every_generator_takes(section):
    for seed in (0, 2**32 - 1):
        assert getattr(make_settings(LEAST, [f"{section}.seed={seed}"]), section).seed == seed
    for seed in (-1, 2**32):
        with pytest.raises(SettingsError, match=f"{section}.seed = {seed}: input should be"):
            make_settings(LEAST, [f"{section}.seed={seed}"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective.y.kind=bernoulli", "objective.y.weight=5"], "objective.y.weight = 5.0 has no"),
        (["objective.x={kind='categorical', weight=5}"], "only on 'laplace' and 'normal'"),
        (["model.family=image-map", "model.width=8"], "model.width = 8 has no effect on family"),
        (["model.dropout=0.5"], "model.dropout = 0.5 has no effect on family 'small', only on 'fe"),
        (["evaluation.cutoffs=[10,0]"], "input should be greater than or equal to 1"),
    ],
)
def test_settings_that_the_chosen_kind_does_not_read_are_refused(overrides, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(LEAST, overrides)


def test_sizes_may_be_integers_of_numpy():
    sizes = {"exclusive": (np.int64(2), 3), "shared": np.int32(4), "width": np.uint8(5)}
    settings = make_settings({**LEAST, "model": sizes})
    assert settings.model.exclusive_sizes == (2, 3)
    assert "shared = 4" in dump_settings(settings)
    assert make_settings({**LEAST, "model": {"exclusive": np.int64(2)}}).model.exclusive == 2
