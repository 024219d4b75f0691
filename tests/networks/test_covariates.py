"""Covariates as columns: learned of training pairs, refused by name."""

import numpy as np
import pytest
import torch

from iiae.errors import DataError
from iiae.networks.covariates import Covariates, learn_covariates

COLUMNS = {
    "batch": np.array(["b", "a", "b", "a"]),
    "donor": np.array([3, 1, 3, 3]),
    "age": np.array([20.0, 40.0, 20.0, 40.0]),
    "site": np.array(["here"] * 4),
    "cell": np.arange(4),
    "hole": np.array([1.0, np.nan, 2.0, 3.0]),
}


def test_categories_become_one_hot_and_numbers_standard_units():
    learned = learn_covariates(["batch", "donor", "age"], COLUMNS)
    found = learned.encode({"batch": ["a", "b"], "donor": [3, 1], "age": [20.0, 50.0]}, 2)
    expected = [[1, 0, 0, 1, -1], [0, 1, 1, 0, 2]]
    assert torch.equal(found, torch.tensor(expected, dtype=torch.float32))
    assert Covariates.from_json(learned.to_json()) == learned


def test_a_name_says_its_kind_and_one_value_is_for_all():
    learned = learn_covariates(["donor:continuous", "cell:continuous"], COLUMNS)
    assert learned.names == ("donor", "cell")
    found = learned.encode({"donor": 2.5, "cell": 1.5}, 3)
    assert torch.equal(found, torch.zeros(3, 2))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sex", "sex is no column of the data; it has age, batch"),
        ("site", "site is here in every training pair"),
        ("cell", "a level for each training pair.*cell:continuous"),
        ("hole", "hole: no value in row 1"),
        ("batch:continuous", "batch: holds text, not numbers"),
    ],
)
def test_columns_of_which_nothing_can_be_learned_are_refused(name, message):
    with pytest.raises(DataError, match=message):
        learn_covariates([name], COLUMNS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": ["c"]}, "batch: c occurs in no training pair; its levels are a, b"),
        ({"batch": ["a", "b", "a"]}, "batch has 3 values for 2 samples"),
        ({}, "covariates given: none; the model takes batch"),
        ({"batch": "a", "age": 3}, "covariates given: age, batch; the model takes batch$"),
        ({"bach": "a"}, "takes batch; bach is none of them, did you mean batch"),
    ],
)
def test_values_that_a_model_cannot_take_are_refused_by_name(values, message):
    with pytest.raises(DataError, match=message):
        learn_covariates(["batch"], COLUMNS).encode(values, 2)
