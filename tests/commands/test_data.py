def test_every_setting_and_data_set_is_listed(iiae):
    assert "objective.tau" in iiae("settings")[1]
    assert "mnist-cdcb" in iiae("data")[1]


def test_every_data_set_has_its_line():
    from iiae.commands.data import ABOUT
    from iiae.data import DATASETS

    assert set(ABOUT) == set(DATASETS)
