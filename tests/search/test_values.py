import math

import pytest

from gallery_made import items
from iiae.errors import GalleryError
from iiae.search.lance import equals


@pytest.mark.parametrize(
    ("held", "fits", "does_not"),
    [
        ([1990], [7, 8.0, None], [1990.5, "x", True, 2**63, 1e300, math.nan]),
        ([0.5, 1], [7, 2.5, None], ["x", True, 2**53 + 1, math.inf]),
        (["00007"], ["x", 7, 2.5, None], [True]),
        ([True], [False, None], [1, 0.5, "x"]),
    ],
)
def test_values_that_do_not_fit_their_column_are_refused_and_never_cut(
    gallery, held, fits, does_not
):
    gallery.put(items(len(held), n=lambda i: held[i]))
    for value in fits:
        gallery.put(items(1, n=lambda i, value=value: value))
        stored = gallery.rows(equals("path", "/c/a/0.png"))[0]["n"]
        assert stored == (str(value) if isinstance(held[0], str) and value is not None else value)
        assert gallery.update("/c/a/0.png", {"n": value}) == 1
    before = gallery.rows("true")
    for value in does_not:
        for act in (
            lambda value: gallery.update("/c/a/0.png", {"n": value}),
            lambda value: gallery.put(items(1, m=lambda i: 1, n=lambda i: value)),
        ):
            with pytest.raises(GalleryError, match=r"n of /c/a/0.png is .*; the column holds"):
                act(value)
    assert gallery.rows("true") == before
