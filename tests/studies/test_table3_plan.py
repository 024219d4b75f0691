from pathlib import Path

import pytest

import table3
from iiae.errors import SettingsError
from table3_plan import read_plan


def test_every_method_is_searched_with_the_same_number_of_trials():
    plan = read_plan(table3.PLAN, [], quick=False)
    counts = {name: len(one.trials) for name, one in plan.methods.items() if one.grid}
    assert set(counts.values()) == {plan.trials}
    assert plan.methods.keys() - counts.keys() == {"as given", "PCA-64"}  # nothing to set
    assert plan.published.keys() <= counts.keys()


def test_every_trial_is_one_that_its_method_takes():
    for method in read_plan(table3.PLAN, [], quick=False).methods.values():
        for settings in method.trials:
            method.rival.settings(**settings)


def test_a_larger_grid_for_one_method_is_refused(tmp_path):
    text = Path(table3.PLAN).read_text(encoding="utf-8")
    larger = text.replace(
        "ridge = [1.0, 10.0, 100.0, 1000.0]", "ridge = [1.0, 3.0, 10.0, 100.0, 1000.0]"
    )
    (tmp_path / "plan.toml").write_text(larger, encoding="utf-8")
    with pytest.raises(SettingsError, match="CCA-64 has 5 trials, not 4"):
        read_plan(tmp_path / "plan.toml", [], quick=False)
