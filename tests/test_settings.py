import numpy as np
import pytest
from pydantic import BaseModel

from iiae.errors import SettingsError
from iiae.settings import (
    Settings,
    check_overrides,
    data_settings,
    describe_settings,
    dump_settings,
    load_settings,
    make_settings,
)

LEAST = {"data": {"name": "synthetic"}}


def test_an_unknown_setting_names_the_closest(tmp_path):
    path = tmp_path / "maps.toml"
    path.write_text('[data]\nname = "x"\n[objective]\nlamda = 1.0\n')
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert str(error.value) == "maps.toml: objective.lamda is not a setting; did you mean lam?"


def test_a_setting_in_the_wrong_section_names_the_right_one():
    with pytest.raises(SettingsError, match=r"did you mean objective.tau\?"):
        make_settings(LEAST, ["training.tau=3"])


def test_overrides_apply_in_order_and_need_no_quotes():
    settings = make_settings(LEAST, ["training.epochs=3", "training.epochs=4", "data.name=a b"])
    assert settings.training.epochs == 4
    assert settings.data.name == "a b"


def test_numbers_stand_for_text_where_text_is_asked_for():
    settings = make_settings(LEAST, ["training.precision=32", "data.root=3"])
    assert settings.training.precision == "32"
    assert settings.data.root == "3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.epochs", "write section.name=value"),
        ("training.epochs=many", "training.epochs = 'many': input should be a valid integer"),
        ("training.epochs=0", "training.epochs = 0: input should be greater than or equal to 1"),
        (
            "model.family=cnn",
            "model.family = 'cnn': give small, image-map, image-flat, features, or module:object",
        ),
        ("data.name.x=1", "name is not a section"),
        (
            "training.precision=16",
            "training.precision = '16': input should be '32', 'bf16' or 'auto'",
        ),
    ],
)
def test_a_wrong_override_says_what_would_be_right(text, message):
    with pytest.raises(SettingsError) as error:
        make_settings(LEAST, [text])
    assert message in str(error.value)


def test_a_missing_name_is_said():
    with pytest.raises(SettingsError, match="data is missing"):
        make_settings({})


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none.toml: cannot be read"):
        load_settings(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(SettingsError, match=r"bad.toml: not a TOML file"):
        load_settings(tmp_path / "bad.toml")


def test_settings_survive_a_round_trip(tmp_path):
    settings = make_settings(LEAST, ["objective.x.kind=bernoulli", "training.patience=3"])
    (tmp_path / "s.toml").write_text(dump_settings(settings))
    assert load_settings(tmp_path / "s.toml") == settings


def test_settings_cannot_be_changed():
    settings = make_settings(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        settings.data.name = "other"  # type: ignore[misc]


def test_every_setting_is_described():
    rows = describe_settings()
    assert len(rows) > 30
    assert all(text for _, _, text in rows)


def test_every_experiment_can_be_read():
    from pathlib import Path

    root = Path(__file__).parents[1]
    studies = {path.stem for path in root.glob("studies/*.py")}  # have plans of their own form
    found = [p for p in sorted(root.glob("experiments/*.toml")) if p.stem not in studies]
    assert len(found) >= 3
    for path in found:
        assert load_settings(path).title


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


def test_another_kind_takes_the_settings_of_the_one_before_with_it():
    base = {**LEAST, "model": {"width": 16}, "objective": {"x": {"weight": 8000.0}}}
    settings = make_settings(base, ["model.family=image-flat", "objective.x.kind=bernoulli"])
    assert settings.model.width is None
    assert make_settings(base, ["objective.x.kind=normal"]).objective.x.weight == 8000


def test_sizes_may_be_integers_of_numpy():
    sizes = {"exclusive": (np.int64(2), 3), "shared": np.int32(4), "width": np.uint8(5)}
    settings = make_settings({**LEAST, "model": sizes})
    assert settings.model.exclusive_sizes == (2, 3)
    assert "shared = 4" in dump_settings(settings)
    assert make_settings({**LEAST, "model": {"exclusive": np.int64(2)}}).model.exclusive == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.shared=4", "model.shared=4: has no effect on a run that is trained already, only"),
        ("objective.x.weight=4", "only data, evaluation have"),
        ("training={epochs=4}", "has no effect"),
        ("evaluation.active_nats=0.5", "active dimensions are chosen when training ends"),
        ("evaluation={active_nats=0.5}", "active dimensions are chosen when training ends"),
    ],
)
def test_overrides_that_come_too_late_for_a_trained_run_are_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        check_overrides(["data.seed=1", text])


def test_overrides_that_a_command_reads_pass():
    check_overrides(["data.x=a", "evaluation.seed=3", "evaluatin.seed=3"])  # loading names the last
    with pytest.raises(SettingsError, match=r"only data.x have"):
        check_overrides(["data.y=a"], ["data.x"])


def test_settings_of_data_alone_are_checked_in_one_line():
    assert data_settings(name="synthetic", root=None).root is None
    with pytest.raises(
        SettingsError, match=r"data.size = 7: input should be greater than or equal"
    ):
        data_settings(name="digits-cdcb", size=7)
