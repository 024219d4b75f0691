import numpy as np
import pytest

from iiae.metrics.ranking import score
from iiae.rivals.interface import TrainingSet
from studies_world import ITEMS, write_features
from zero_shot import IIAE_64, JOINT_VAE, PCA

QUICK = {"steps": 150, "shared": 8, "dropout": 0.1, "weight": 1000.0}


@pytest.fixture
def parts(tmp_path):
    """Training items of twenty classes, and all items of four others."""
    write_features(tmp_path / "f.npz", "", sizes=(20, 20))
    arrays = np.load(tmp_path / "f.npz")
    x, y, labels = (arrays[k] for k in ("sketch_features", "photo_features", "photo_classes"))
    seen = np.arange(len(labels)) < 20 * ITEMS
    train = TrainingSet(x[seen], y[seen], labels[seen], labels[seen])
    return train, (x[~seen], y[~seen], labels[~seen])


def quality(reading, held):
    x, y, labels = held
    return score(reading.embed_x(x), reading.embed_y(y), labels, labels, (1,)).mean["map@all"]


@pytest.mark.parametrize("given", [{}, {"lam": 0.0}])
def test_iiae_aligns_unseen_classes_and_keeps_them_out_of_its_exclusive_latents(parts, given):
    train, held = parts
    fitted = IIAE_64.fit(train, **QUICK | given, exclusive=1)
    assert fitted.dimension == 8
    assert quality(fitted, held) > 0.7
    assert quality(fitted.second, held) > 0.7
    exclusive = fitted.second.second
    assert exclusive.dimension == 1 and exclusive.second is None
    assert quality(exclusive, held) < quality(fitted, held) - 0.3


def test_centred_means_have_mean_zero_over_the_training_items(parts):
    train, _ = parts
    centred = JOINT_VAE.fit(train, **QUICK | {"steps": 20}).second
    assert np.abs(centred.embed_x(train.x).mean(0)).max() < 1e-5
    assert np.abs(centred.embed_y(train.y).mean(0)).max() < 1e-5


def test_a_joint_vae_aligns_unseen_classes(parts):
    train, held = parts
    assert quality(JOINT_VAE.fit(train, **QUICK), held) > 0.7


def test_principal_components_keep_distances_if_there_are_enough(parts):
    train, (x, *_) = parts
    whole = PCA.fit(train, size=20)
    scaled = (x - train.x.mean(0)) / train.x.std(0)
    gap = np.linalg.norm(scaled[0] - scaled[7])
    assert np.linalg.norm(whole.embed_x(x[:1]) - whole.embed_x(x[7:8])) == pytest.approx(gap, 1e-4)
