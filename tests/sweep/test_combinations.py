import pytest

from iiae.errors import SettingsError
from iiae.sweep.combinations import plan


def test_a_plan_is_every_combination_with_its_own_folder():
    runs = plan(["objective.lam=0,0.3", "objective.beta=1"], [0, 7])
    assert [one.values for one in runs] == [
        {"objective.lam": lam, "objective.beta": "1", "training.seed": seed}
        for lam in ("0", "0.3")
        for seed in ("0", "7")
    ]
    assert runs[0].name == "000-lam=0-beta=1-seed=0"
    assert len({one.name for one in runs}) == 4


def test_settings_of_one_name_keep_their_sections_and_names_are_safe():
    (one,) = plan(["objective.x.weight=1", "objective.y.weight=2", "data.root=a/../b"])
    assert one.name == "000-objective.x.weight=1-objective.y.weight=2-data.root=a_.._b"


def test_commas_in_brackets_belong_to_the_value():
    runs = plan(["evaluation.cutoffs=[1,2],[3]"])
    assert [one.values["evaluation.cutoffs"] for one in runs] == ["[1,2]", "[3]"]


@pytest.mark.parametrize(
    ("over", "seeds", "message"),
    [
        ([], [], "nothing to sweep"),
        (["objective.lam"], [], "write section.name=value,value"),
        (["objective.lam="], [], "none of them empty"),
        (["objective.lam=1,,2"], [], "none of them empty"),
        (["objective.lam=1,1"], [], "1 comes twice"),
        (["objective.lam=1", "objective.lam=2"], [], "swept already"),
        (["training.seed=1"], [2], "in --over and in --seeds"),
    ],
)
def test_what_cannot_be_planned_is_refused(over, seeds, message):
    with pytest.raises(SettingsError, match=message):
        plan(over, seeds)
