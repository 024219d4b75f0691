from pathlib import Path

import pytest

from iiae.data.registry import find, load, settings_of
from iiae.errors import SettingsError
from iiae.settings import data_settings, load_settings, make_settings

LEAST = {"data": {"name": "synthetic"}}


def test_an_unknown_setting_names_the_closest(tmp_path):
    path = tmp_path / "maps.toml"
    path.write_text('[data]\nname = "x"\n[objective]\nlamda = 1.0\n')
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert (
        str(error.value)
        == "maps.toml: objective.lamda is not a setting; did you mean objective.lam?"
    )


def test_a_setting_in_the_wrong_section_names_the_right_one():
    with pytest.raises(SettingsError, match=r"did you mean objective.tau\?"):
        make_settings(LEAST, ["training.tau=3"])


def test_a_name_alone_that_is_misspelt_names_the_setting():
    with pytest.raises(
        SettingsError, match=r"epoch is not a setting; did you mean training.epochs"
    ):
        make_settings(LEAST, ["epoch=3"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("objectiv.y.weigth", "objective"),
        ("evaluaton.batch", "evaluation"),
        ("seeds", "training.seed"),
    ],
)
def test_a_misspelt_section_names_the_setting_or_the_right_one(name, meant):
    with pytest.raises(SettingsError, match=rf"did you mean {meant}\?"):
        make_settings(LEAST, [f"{name}=3"])


def test_a_missing_name_is_said():
    with pytest.raises(SettingsError, match="data is missing"):
        make_settings({})


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none.toml: cannot be read"):
        load_settings(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(SettingsError, match=r"bad.toml: not a TOML file"):
        load_settings(tmp_path / "bad.toml")


def test_every_experiment_can_be_read():
    root = Path(__file__).parents[2]
    studies = {path.stem for path in root.glob("studies/*.py")}  # have plans of their own form
    experiments = [p for p in sorted(root.glob("experiments/*.toml")) if p.stem not in studies]
    assert len(experiments) >= 3
    for path in experiments:
        settings = load_settings(path)
        assert settings.title
        assert settings_of(find(settings.data.name), settings.data) is settings.data


def test_settings_of_data_alone_are_checked_in_one_line():
    assert data_settings(name="synthetic", root=None).root is None
    with pytest.raises(
        SettingsError, match=r"data.size = 7: input should be greater than or equal"
    ):
        data_settings(name="digits-cdcb", size=7)


def test_a_name_that_settings_once_had_says_which_replaces_it():
    with pytest.raises(SettingsError, match=r"any more; it is called data.unseen"):
        make_settings({"data": {"name": "classes"}}, ["data.split=sake25"])


def test_a_default_in_a_file_is_not_given_but_one_in_an_override_is(tmp_path):
    (tmp_path / "s.toml").write_text('[data]\nname = "synthetic"\nsize = 32\ncovariates = []\n')
    assert len(load(load_settings(tmp_path / "s.toml", ["data.limit=20"]).data).train) == 20
    with pytest.raises(SettingsError, match=r"data.size = 32: has no effect on synthetic"):
        load(load_settings(tmp_path / "s.toml", ["data.size=32"]).data)


def test_only_data_sets_of_your_own_may_have_options_of_their_own():
    assert data_settings(name="mine:WAVES", periods=2).model_extra == {"periods": 2}
    with pytest.raises(SettingsError, match=r"data.perods is not a setting; did"):
        data_settings(name="waves", perods=2)
