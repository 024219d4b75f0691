"""Names of the two domains."""

import pytest

from iiae.data.names import Names, domain_names
from iiae.errors import SettingsError
from iiae.settings import DataSettings, make_settings


def of(**values) -> Names:
    return domain_names(DataSettings(**values))


def test_folders_files_columns_and_collections_name_the_domains():
    assert of(name="two-folders", x="/a/sketches/", y="/b/photos") == ("sketches", "photos")
    assert of(name="two-folders", x="s3://b/sketches", y="s3://b/photos") == ("sketches", "photos")
    assert of(name="arrays", x="rna.csv", y="protein.npy") == ("rna", "protein")
    assert of(name="table", root="t.csv", x="map", y="satellite") == ("map", "satellite")
    assert of(name="classes", root="split2") == ("sketch", "image")
    assert of(name="two-folders", x="v1.2", y="v1.3") == ("v1.2", "v1.3")


def test_what_says_nothing_leaves_x_and_y():
    for names in (
        of(name="synthetic"),
        of(name="arrays", x="pairs.npz"),
        of(name="two-folders", x="left/images", y="right/images"),
        of(name="table", root="t.csv"),
    ):
        assert names == ("x", "y") and not names.known


def test_names_in_settings_win():
    chosen = of(name="two-folders", x="a", y="b", names=["sketch", " pencil  drawing"])
    assert chosen == ("sketch", "pencil drawing") and chosen.known
    assert chosen.of("x") == "sketch" and chosen.of("y") == "pencil drawing"


SKETCHES = Names("sketch", "photo")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("shared, x to y", "shared, sketch to photo"),
        ("Given x, the nearest y", "Given sketch, the nearest photo"),
        ("x and y share 2 nats.", "Sketch and photo share 2 nats."),
        ("only x's, yet in z_s", "only sketch's, yet in z_s"),
        ("only y says; z_x and z_s given y", "only photo says; z_x and z_s given photo"),
        ("objective.x.weight, objective.y.weight", "objective.x.weight, objective.y.weight"),
        ("KL[q(z_x|x) || p], I(X;Z_x)", "KL[q(z_x|x) || p], I(X;Z_x)"),
        ("-log p(x | z_s, z_x)", "-log p(x | z_s, z_x)"),
        ("mean |x - x'| of an element", "mean |x - x'| of an element"),
        ("pairs/x.npy, x.npy, max", "pairs/x.npy, x.npy, max"),
    ],
)
def test_names_take_the_place_of_the_words_x_and_y_alone(text, named):
    assert SKETCHES.put(text) == named
    assert Names("x", "y").put(text) == text


@pytest.mark.parametrize("names", ['["a", "a"]', '["", "b"]', '["a"]', f'["a", "{"b" * 41}"]'])
def test_names_that_cannot_be_used_are_refused(names):
    with pytest.raises(SettingsError, match=r"data\.names"):
        make_settings({"data": {"name": "synthetic"}}, [f"data.names={names}"])
