import numpy as np
import pytest
import torch

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
