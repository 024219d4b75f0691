import numpy as np
import pytest
import torch
from PIL import Image

from iiae.errors import DataError
from iiae.files.images import open_image
from iiae.run import as_array


@pytest.mark.parametrize("kind", ["tensor", "pandas", "polars", "arrow"])
def test_tables_of_every_kind_are_arrays(kind):
    values = np.arange(6.0).reshape(3, 2)
    if kind == "tensor":
        given = torch.from_numpy(values)
    elif kind == "pandas":
        given = pytest.importorskip("pandas").DataFrame(values, columns=["a", "b"])
    elif kind == "polars":
        given = pytest.importorskip("polars").DataFrame(values, schema=["a", "b"])
    else:
        given = pytest.importorskip("pyarrow").table({"a": values[:, 0], "b": values[:, 1]})
    np.testing.assert_array_equal(as_array(given), values)


def test_tables_of_mixed_numbers_are_arrays_and_text_is_named():
    pandas = pytest.importorskip("pandas")
    numbers = {"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]}
    np.testing.assert_array_equal(as_array(pandas.DataFrame(numbers)), [[1, 0.5, 1], [2, 1.5, 0]])
    missing = pandas.DataFrame({**numbers, "d": pandas.array([None, 3], dtype="Int64")})
    np.testing.assert_array_equal(as_array(missing)[:, 3], [np.nan, 3])
    with pytest.raises(DataError, match=r"column 'e' holds text, not numbers"):
        as_array(pandas.DataFrame({**numbers, "e": ["u", "v"]}))
    with pytest.raises(DataError, match="list: pictures differ in size; give their files"):
        as_array([Image.new("L", (2, 3)), Image.new("L", (4, 3))])
    with pytest.raises(DataError, match="list: rows differ in length"):
        as_array([[1, 2], [3]])


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "L"])
def test_pictures_in_memory_are_read_as_their_files_are(mode, tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    values = as_array([image, image])
    assert values.shape == ((2, 5, 6) if mode == "L" else (2, 5, 6, 3))
    image.save(tmp_path / ("p.tif" if mode == "CMYK" else "p.png"))
    file = open_image(next(tmp_path.iterdir())).convert("L" if mode == "L" else "RGB")
    np.testing.assert_array_equal(values[0], np.asarray(file))


def test_what_is_masked_is_missing_and_small_or_sparse_tensors_are_arrays():
    masked = np.ma.array([[1, 999], [3, 4]], mask=[[0, 1], [0, 0]])
    np.testing.assert_array_equal(as_array(masked), [[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(as_array(np.ma.array([1, 2])), [1, 2])
    rows = torch.tensor([[0.5, 0.0], [0.0, 2.0]])
    for given in (rows.bfloat16(), rows.to_sparse()):
        np.testing.assert_array_equal(as_array(given), rows.numpy())
