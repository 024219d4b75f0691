import pytest

from iiae.errors import SettingsError
from iiae.settings import dump_settings, load_settings, make_settings

FEATURES = {"data": {"name": "arrays"}, "model": {"family": "features"}}


def sizes(settings):
    model = settings.model
    return model.width, model.shared, model.exclusive


def test_widths_and_latents_follow_from_the_size():
    found = [sizes(make_settings(FEATURES, [f"model.size={s}"])) for s in ("small", "large")]
    assert found == [(64, 16, 8), (512, 64, 32)]
    assert sizes(make_settings(FEATURES)) == sizes(make_settings(FEATURES, ["model.size=auto"]))


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_set_by_hand_wins_in_whatever_order(order):
    words = ["model.size=large", "model.shared=32", "model.exclusive=[3, 8]"][::order]
    medium = {**FEATURES, "model": {"family": "features", "size": "medium"}}
    assert sizes(make_settings(medium, words)) == (512, 32, (3, 8))


def test_the_settings_of_a_run_can_be_given_another_size(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(dump_settings(make_settings(FEATURES, ["model.size=small", "model.shared=5"])))
    assert sizes(load_settings(path)) == (64, 5, 8)
    assert sizes(load_settings(path, ["model.size=large"])) == (512, 5, 32)
    assert sizes(load_settings(path, ["model.size=auto"])) == (64, 5, 8)


def test_a_size_that_is_none_or_of_networks_without_sizes_is_refused():
    with pytest.raises(
        SettingsError, match=r"model.size = 'huge': input should be 'auto', 'small'"
    ):
        make_settings(FEATURES, ["model.size=huge"])
    with pytest.raises(
        SettingsError, match=r"model.size = 'large' has no effect on family 'image-"
    ):
        make_settings({**FEATURES, "model": {"family": "image-map", "size": "large"}})
