import pytest

from iiae.errors import SettingsError
from iiae.settings import describe_settings, dump_settings, load_settings, make_settings

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
        ("model.family=cnn", "model.family = 'cnn': input should be 'small', 'image-map'"),
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

    found = sorted(Path(__file__).parents[1].glob("experiments/*.toml"))
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
    with pytest.raises(SettingsError, match=r"model.exclusive = .*: .*or two: \[of z_x, of z_y\]"):
        make_settings(LEAST, [f"model.exclusive={sizes}"])
