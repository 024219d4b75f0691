from iiae.settings import describe_settings, dump_settings, load_settings, make_settings

LEAST = {"data": {"name": "synthetic"}}


def test_settings_survive_a_round_trip(tmp_path):
    settings = make_settings(LEAST, ["objective.x.kind=bernoulli", "training.patience=3"])
    (tmp_path / "s.toml").write_text(dump_settings(settings))
    assert load_settings(tmp_path / "s.toml") == settings


def test_every_setting_is_described():
    rows = describe_settings()
    assert len(rows) > 30
    assert all(text for _, _, text in rows)
