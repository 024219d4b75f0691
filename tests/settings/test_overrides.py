import pytest

from iiae.errors import SettingsError
from iiae.settings import check_overrides, make_settings

LEAST = {"data": {"name": "synthetic"}}


def test_overrides_apply_in_order_and_need_no_quotes():
    settings = make_settings(LEAST, ["training.epochs=3", "training.epochs=4", "data.name=a b"])
    assert settings.training.epochs == 4
    assert settings.data.name == "a b"


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


def test_none_is_a_value_of_settings_that_are_none_by_default():
    given = {"data": {"name": "synthetic"}, "training": {"patience": 3}}
    assert make_settings(given, ["training.patience=none"]).training.patience is None
    assert make_settings(given, ["training.logger=none"]).training.logger == "none"
    with pytest.raises(SettingsError, match=r"training.patience=none: has no effect on a run"):
        check_overrides(["training.patience=none"])


def test_another_kind_takes_the_settings_of_the_one_before_with_it():
    base = {**LEAST, "model": {"width": 16}, "objective": {"x": {"weight": 8000.0}}}
    settings = make_settings(base, ["model.family=image-flat", "objective.x.kind=bernoulli"])
    assert settings.model.width is None
    assert make_settings(base, ["objective.x.kind=normal"]).objective.x.weight == 8000


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
