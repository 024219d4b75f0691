import json
import math
from typing import NamedTuple

import numpy as np

from iiae.types import plain


class Found(NamedTuple):
    rate: float
    many: object


def test_plain_values_are_json_whatever_they_were():
    result = Found(math.nan, {1: np.array([1.0, np.inf, -np.inf]), "two": (np.float32("nan"), 2)})
    plainly = plain(result)
    assert plainly == {"rate": None, "many": {"1": [1.0, None, None], "two": [None, 2]}}
    json.dumps(plainly, allow_nan=False)


def test_finite_values_are_left_as_they_are():
    assert plain([1, True, None, "nan", 1e308, np.int64(3)]) == [1, True, None, "nan", 1e308, 3]
