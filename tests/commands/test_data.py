def test_every_setting_and_data_set_is_listed(run_iiae):
    assert "objective.tau" in run_iiae("settings").stdout
    assert "mnist-cdcb" in run_iiae("data").stdout
