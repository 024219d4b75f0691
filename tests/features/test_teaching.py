import numpy as np
import pytest
import torch

from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.features.teaching import across, mixed, tasks

CLASSES = [f"c{i}" for i in range(8)]


def test_quality_is_of_domains_scaled_as_in_training():
    """An offset and a scale of one domain change nothing."""
    generator = np.random.default_rng(0)
    labels = np.repeat(CLASSES, 6)
    centres = np.repeat(generator.standard_normal((8, 5)), 6, axis=0)
    x, y = (centres + generator.standard_normal((48, 5)) for _ in range(2))

    def side(values):
        return Labelled(torch.from_numpy(values).float(), labels, labels)

    plain = across(lambda part: part, ClassPairs(side(x), side(y)))
    moved = across(lambda part: part, ClassPairs(side(x), side(5 + 3 * y)))
    assert moved == pytest.approx(plain, abs=1e-6)
    assert 0.2 < plain < 1


def _pairs(x, y):
    labels = np.repeat(CLASSES, 6)
    sides = (Labelled(torch.from_numpy(v).float(), labels, labels) for v in (x, y))
    return ClassPairs(*sides)


def test_one_task_has_the_items_of_both_domains_and_two_have_their_own():
    rng = np.random.default_rng(0)
    pairs = _pairs(rng.normal(size=(48, 5)), rng.normal(size=(48, 5)))
    (both,) = tasks(pairs, pairs, apart=False)
    x, y = tasks(pairs, pairs, apart=True)
    assert torch.equal(both.values, torch.cat([x.values, y.values]))
    assert both.labels.tolist() == 2 * np.repeat(np.arange(8), 6).tolist()
    assert torch.equal(x.values, pairs.x.values) and torch.equal(y.values, pairs.y.values)
    assert [task.domain for task in (both, x, y)] == ["both", "x", "y"]


def test_quality_apart_is_of_one_domain_whatever_the_other_holds():
    """x knows its classes and y does not: across domains both look like chance."""
    rng = np.random.default_rng(0)
    known = np.repeat(np.eye(8), 6, axis=0) + 0.01 * rng.normal(size=(48, 8))
    pairs = _pairs(known, rng.normal(size=(48, 8)))
    x, y = tasks(pairs, pairs, apart=True)
    assert x.quality(lambda values: values) == pytest.approx(1)
    assert y.quality(lambda values: values) < 0.5
    (both,) = tasks(pairs, pairs, apart=False)
    assert both.quality(lambda values: values) < 0.5


def test_mixing_keeps_a_share_of_each_row():
    values, share = torch.tensor([[1.0], [5.0]]), torch.tensor([[0.75], [1.0]])
    assert mixed(values, share, torch.tensor([1, 0])).tolist() == [[2.0], [5.0]]
