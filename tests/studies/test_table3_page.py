import numpy as np

from table3_page import Line, bootstrap, difference, lines


def line(seeds, values):
    values = {"map@all": np.array(values), "precision@100": np.array(values)}
    return Line("a", "", "cosine", 2, "none", 1.0, seeds, values, {})


def test_a_difference_is_paired_by_query_over_common_seeds():
    """Queries differ far more than methods do, and the interval does not feel it."""
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    first, other = line([0, 1], [hard + 0.1, hard - 9]), line([2, 0], [hard + 9, hard])
    gap, (low, high) = difference(first, other)
    assert round(gap, 9) == round(low, 9) == round(high, 9) == 0.1
    low, high = bootstrap(hard)
    assert high - low > 0.05


def test_seeds_of_a_method_share_a_line_per_reading():
    readings = [
        {
            "reading": name, "distance": "cosine", "dimension": 3,
            "map@all": [0.0, 1.0], "precision@100": [0.5, 0.5],
            "chance map@all": 0.1, "chance precision@100": 0.2,
        }
        for name in ("", "centred")
    ]  # fmt: skip
    row = {"method": "IIAE", "knowledge": [], "readings": readings}
    text = lines([row | {"seed": s, "seconds": float(s)} for s in (1, 3)])
    assert [(one.reading, one.seeds, one.seconds) for one in text] == [
        ("", [1, 3], 2.0),
        ("centred", [1, 3], 2.0),
    ]
    assert text[0].mean("map@all") == 0.5
