import numpy as np
import pytest

from gallery_made import INFO, items
from iiae.errors import GalleryError
from iiae.search.columns import make_schema, make_table, new_fields, read_info


def test_a_column_is_made_by_its_first_values(gallery):
    gallery.put(items(2, year=lambda i: None))
    assert gallery.columns == []
    assert gallery.update("/c/a/0.png", {"year": None}) == 1
    gallery.put(items(2, year=lambda i: 1990 + i))
    assert gallery.count("year > 1990") == 1


def test_a_schema_gives_back_what_its_gallery_is_made_of():
    pyarrow = pytest.importorskip("pyarrow")
    assert read_info(make_schema(INFO)) == INFO
    assert read_info(pyarrow.schema([])) is None


def test_rows_keep_what_the_gallery_held_unless_it_is_given():
    pyarrow = pytest.importorskip("pyarrow")
    schema = make_schema(INFO)
    schema = schema.append(pyarrow.field("a", "int64")).append(pyarrow.field("b", "string"))
    some = items(2, a=lambda i: i)
    held = {some.paths[0]: {"a": 9, "b": "old"}}
    table = make_table(some, ["k0", "k1"], held, schema)
    assert table["a"].to_pylist() == [0, 1]
    assert table["b"].to_pylist() == ["old", None]
    assert table["path"].to_pylist() == ["k0", "k1"]
    np.testing.assert_array_equal(np.array(table["shared"].to_pylist(), "f4"), some.shared)


def test_a_new_name_without_a_value_makes_no_column():
    pytest.importorskip("pyarrow")
    metadata = {"p": {"year": 1990, "note": None}, "q": {"year": None}}
    assert [field.name for field in new_fields(metadata, make_schema(INFO))] == ["year"]
    with pytest.raises(GalleryError, match="year is 1990 and 'x'"):
        new_fields({"p": {"year": 1990}, "q": {"year": "x"}}, make_schema(INFO))
