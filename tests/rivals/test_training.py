import numpy as np
import torch

from iiae.rivals.interface import Scale, _seen
from iiae.rivals.training import NoisyDecoder, class_pairs, instance_pairs, items


def seen(world, matches=None):
    train = world.train._replace(matches=matches)
    return _seen(train, (Scale.of(train.x), Scale.of(train.y)), None)


def rows(features, all_features):
    """Where each row is in all rows."""
    return torch.cdist(features, all_features).argmin(1)


def test_pairs_share_a_class_and_classes_come_equally_often(world):
    data = seen(world)
    # classes of very different sizes
    keep = torch.cat([torch.arange(100), torch.arange(120, 122)])
    data = data._replace(x=data.x[keep], class_x=data.class_x[keep].clamp(max=5))
    data = data._replace(class_y=(data.class_y).clamp(max=5))
    counts = torch.zeros(6)
    for x, y, classes in class_pairs(data, 200, 20, ""):
        counts += classes.bincount(minlength=6)
        assert (data.class_x[rows(x, data.x)] == classes)[classes < 5].all()
        assert (data.class_y[rows(y, data.y)] == classes).all()
    assert counts.min() > 0.8 * counts.max()


def test_instance_pairs_are_those_given(world):
    matches = np.array([[3, 7], [25, 30]])
    data = seen(world, matches)
    for x, y, classes in instance_pairs(data, 10, 3, ""):
        index = torch.stack([rows(x, data.x), rows(y, data.y)], 1).tolist()
        assert {tuple(pair) for pair in index} <= {(3, 7), (25, 30)}
        assert (classes == data.class_x[rows(x, data.x)]).all()


def test_items_keep_their_classes(world):
    data = seen(world)
    for x, classes in items(data.x, data.class_x, 30, 3, ""):
        assert (classes == data.class_x[rows(x, data.x)]).all()


def test_the_mean_over_noises_is_the_mean_of_outputs(float64):
    decoder = NoisyDecoder(4, 3, 16, 5, torch.nn.ReLU())
    condition, noises = torch.randn(6, 4), torch.randn(9, 3)
    outputs = [decoder(condition, noise.expand(6, 3)) for noise in noises]
    torch.testing.assert_close(decoder.mean(condition, noises), torch.stack(outputs).mean(0))
