import numpy as np
import pytest

from iiae.errors import DataError
from iiae.rivals.semantics import read_semantics, word_vectors

NAMES = ["ant", "bee", "car"]


@pytest.fixture
def arrays():
    return {
        "classes": np.array(NAMES),
        "word_vectors": np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]]),
        "path_to_ancestors": np.array([[1.0, 0.5, 0.1], [0.5, 0.5, 0.2], [0.2, 0.1, 1.0]]),
        "ancestors": np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], np.uint8),
    }


@pytest.fixture
def write(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "semantics.npz", **arrays)
        return tmp_path / "semantics.npz"

    return write


def test_only_seen_classes_and_ancestors_of_theirs_are_kept(arrays, write):
    known = read_semantics(write(arrays), ["bee", "ant"])
    assert known.classes == ("ant", "bee")
    np.testing.assert_allclose(known.words, [[0.6, 0.8], [0, 1]])
    np.testing.assert_allclose(known.similarity, [[1, 0.5], [0.5, 0.5]])  # the last is above car
    assert known.of(["bee"]).similarity.tolist() == [[0.5]]  # the first is above ant alone


def test_wordnet_is_optional(arrays, write):
    del arrays["path_to_ancestors"], arrays["ancestors"]
    known = read_semantics(write(arrays), NAMES)
    assert known.similarity is None
    assert known.of(["car"]).words.shape == (1, 2)


def test_classes_without_semantics_are_named(arrays, write):
    path = write(arrays)
    with pytest.raises(DataError, match=r"^no semantics for class dog, eel$"):
        read_semantics(path, ["ant", "eel", "dog"])
    with pytest.raises(DataError, match=r"^no semantics for class bee$"):
        read_semantics(path, ["ant"]).of(["bee"])


def test_word_vectors_of_another_width_are_named():
    with pytest.raises(DataError, match=r"that of ant is 2 wide, that of bee 3$"):
        word_vectors({"ant": [1, 2], "bee": [1, 2, 3]})


@pytest.mark.parametrize("vector", [[0.0, 0.0], [np.nan, 1.0]])
def test_a_word_vector_without_direction_is_named(arrays, write, vector):
    arrays["word_vectors"][1] = vector
    path = write(arrays)
    assert read_semantics(path, ["ant", "car"]).words.shape == (2, 2)
    with pytest.raises(DataError, match="the word vector of bee is all zeros or not finite"):
        read_semantics(path, NAMES)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("word_vectors", np.ones((2, 2)), r"word_vectors has shape \(2, 2\); expected \(3, size\)"),
        ("ancestors", np.ones((3, 2)), r"ancestors \(3, 2\); they must be equal"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_named(arrays, write, key, values, message):
    path = write(arrays | {key: values})
    with pytest.raises(DataError, match=message):
        read_semantics(path, NAMES)


@pytest.mark.data
def test_real_classes_have_semantics(real_data):
    path = real_data / "sketchy" / "semantics.npz"
    known = read_semantics(path, ["cat", "airplane"])
    np.testing.assert_allclose(np.linalg.norm(known.words, axis=1), 1)
    assert known.similarity.shape == known.above.shape
    assert known.above.any(0).all()
    assert (known.similarity == 1).any(1).all()  # each class's own node
