import pytest

from iiae.search.root import Root, choose_root, find_root


def test_paths_below_the_root_are_relative_and_come_back():
    root = Root("/data/photos")
    for path, stored in {
        "/data/photos/cat/1.png": "./cat/1.png",
        "/data/photos/y.npy#3": "./y.npy#3",
        "/data/photos2/1.png": "/data/photos2/1.png",
        "cell 3": "cell 3",
        "s3://bucket/1.png": "s3://bucket/1.png",
    }.items():
        assert (root.key(path), root.full(stored)) == (stored, path)
    assert Root().key("/a/b") == Root().full("/a/b") == "/a/b"


def test_the_root_of_inputs_is_their_folder_from_the_gallery_on(tmp_path):
    for name in ("in/a", "in/b"):
        (tmp_path / name).mkdir(parents=True)
    where = tmp_path / "out" / "g"
    assert choose_root([tmp_path / "in/a", tmp_path / "in/b"], where) == "../../in"
    assert find_root("../../in", where) == Root(str(tmp_path / "in"))
    assert find_root("../../in", where, tmp_path) == Root(str(tmp_path))
    assert choose_root(["s3://bucket/a", tmp_path], where) == ""


@pytest.mark.parametrize("inputs", [["/tmp", "/usr"]])
def test_there_is_no_root_where_inputs_share_only_the_top_folder(inputs, tmp_path):
    assert choose_root(inputs, tmp_path / "g") == ""
