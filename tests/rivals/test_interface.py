import dataclasses

import numpy as np
import pytest
import torch

from iiae.data.classes.collections import Labelled
from iiae.data.classes.instances import InstancePairs
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError, SettingsError
from iiae.metrics.ranking import score
from iiae.rivals import interface
from iiae.rivals.interface import TrainingSet
from iiae.rivals.registry import RIVALS

# quick on small features: narrow networks, high rates
QUICK = {
    "InfoNCE-64": {"steps": 200, "width": 32, "size": 16},
    "FRWGAN": {
        "steps": 900, "width": 64, "regressor_steps": 500, "regressor_rate": 1e-2,
        "generator_rate": 1e-3, "draws": 20,
    },
    "ZSIH": {"steps": 400, "width": 64, "fusion": 16, "learning_rate": 1e-3},
    "CAAE": {"steps": 300, "width": 64, "latent": 8, "learning_rate": 1e-3, "draws": 20},
    "CVAE": {"steps": 300, "width": 64, "latent": 8, "learning_rate": 1e-3, "draws": 20},
    "SEM-PCYC": {"steps": 400, "size": 16, "generator_rate": 1e-3, "dropout": 0.1},
    "LCALE": {"steps": 400, "size": 16, "learning_rate": 1e-3},
}  # fmt: skip
LEARNED = [name for name in RIVALS if name != "as given"]
SHORT = {"steps": 3, "width": 16, "fusion": 4, "latent": 4, "regressor_steps": 3, "draws": 2}


def marked(labels):
    return np.char.add(labels, "?")


def fit(name, world, seed=0, **settings):
    return RIVALS[name].fit(world.train, world.semantics, seed, **settings)


def short(name):
    known = {field.name for field in dataclasses.fields(RIVALS[name].settings)}
    return {key: value for key, value in SHORT.items() if key in known}


@pytest.mark.parametrize("name", LEARNED)
def test_unseen_classes_are_retrieved_far_above_chance(name, world):
    fitted, test = fit(name, world, **QUICK.get(name, {})), world.test
    while fitted is not None:
        x, y = fitted.embed_x(test.x), fitted.embed_y(test.y)
        labels = test.labels_x, test.labels_y
        scores = score(x, y, *labels, (5,), fitted.distance)
        assert scores.mean["map@all"] > 2 * scores.chance["map@all"]
        fitted = fitted.second


@pytest.mark.parametrize("name", [name for name in LEARNED if RIVALS[name].mixed])
def test_networks_train_in_bfloat16_where_it_pays(name, world, monkeypatch):
    found = []
    for pays in (False, True):
        monkeypatch.setattr(interface, "bf16_pays", lambda *_, pays=pays: pays)
        fitted, test = fit(name, world, **QUICK[name]), world.test
        x, y = fitted.embed_x(test.x), fitted.embed_y(test.y)
        assert x.dtype == np.float32
        found.append((x, score(x, y, test.labels_x, test.labels_y, (5,), fitted.distance)))
    assert not np.array_equal(found[0][0], found[1][0])
    scores = found[1][1]
    assert scores.mean["map@all"] > 2 * scores.chance["map@all"]


@pytest.mark.parametrize("name", LEARNED)
def test_a_seed_decides_everything_and_leaves_torch_s_state_alone(name, world):
    state = torch.get_rng_state()
    first, second = (fit(name, world, seed=3, **short(name)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    for domain in ("embed_x", "embed_y"):
        rows = getattr(world.test, domain[-1])
        a, b = (getattr(each, domain)(rows) for each in (first, second))
        np.testing.assert_array_equal(a, b)
        assert a.shape == (len(rows), first.dimension if domain == "embed_x" else a.shape[1])
        assert a.dtype == np.float32


@pytest.mark.parametrize("name", LEARNED)
def test_an_embedding_depends_on_its_own_feature_alone(name, world):
    fitted = fit(name, world, **short(name))
    both, alone = fitted.embed_x(world.test.x[:2]), fitted.embed_x(world.test.x[1:2])
    np.testing.assert_allclose(both[1:], alone, rtol=1e-4, atol=1e-5)


def test_knowledge_names_what_was_used(world):
    words_alone = world.semantics._replace(similarity=None, above=None)
    used = {
        name: fit(name, world, **short(name)).knowledge for name in RIVALS if name != "as given"
    }
    assert used["CVAE"] == used["CAAE"] == used["CCA-64"] == ()
    assert used["SAE"] == used["LCALE"] == ("word vectors",)
    assert used["SEM-PCYC"] == ("word vectors", "WordNet")
    fitted = RIVALS["SEM-PCYC"].fit(world.train, words_alone, 0, steps=2)
    assert fitted.knowledge == ("word vectors",)


def test_semantics_of_unseen_classes_change_nothing(world):
    """Neither their words nor nodes that are above no seen class."""
    s = world.semantics
    seen = np.isin(s.classes, world.train.classes)
    words = np.where(seen[:, None], s.words, s.words[::-1])
    extra = np.where(seen, 0.0, 1.0)[:, None]  # a node above unseen classes alone
    changed = s._replace(
        words=words,
        similarity=np.concatenate([np.where(seen[:, None], s.similarity, 0.9), 0.3 + 0 * extra], 1),
        above=np.concatenate([s.above, extra.astype(bool)], 1),
    )
    a, b = (
        RIVALS["SEM-PCYC"].fit(world.train, known, 0, steps=3).embed_x(world.test.x)
        for known in (s, changed)
    )
    np.testing.assert_array_equal(a, b)


def test_features_are_standardised_by_the_training_part(world):
    moved = world.train._replace(x=5 + 3 * world.train.x)
    a = RIVALS["SAE"].fit(world.train, world.semantics).embed_x(world.test.x)
    b = RIVALS["SAE"].fit(moved, world.semantics).embed_x(5 + 3 * world.test.x)
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_constant_features_are_no_obstacle(world):
    flat = world.train._replace(x=np.concatenate([world.train.x, np.full((600, 1), 7.0)], 1))
    assert np.isfinite(RIVALS["SAE"].fit(flat, world.semantics).embed_x(flat.x)).all()


def test_a_training_set_of_the_library_s_pairs_keeps_its_instances():
    side = lambda paths: Labelled(torch.randn(2, 3), np.array(["a", "b"]), np.array(paths))  # noqa: E731
    x, y = side(["a/1-1.png", "b/2-1.png"]), side(["a/1.jpg", "b/2.jpg"])
    assert TrainingSet.of(ClassPairs(x, y)).matches is None
    train = TrainingSet.of(InstancePairs(x, y))
    assert train.matches.tolist() == [[0, 0], [1, 1]]
    assert train.classes == ("a", "b")
    np.testing.assert_array_equal(train.x, x.values.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t._replace(x=t.x[:, 0]), r"features of x have shape \(600,\)"),
        (lambda t: t._replace(y=t.y * np.nan), "features of y must be finite numbers"),
        (lambda t: t._replace(labels_x=t.labels_x[1:]), "x: 600 features and 599 labels"),
        (lambda t: t._replace(labels_x=np.full(600, "cat")), "classes in one domain only: cat, cl"),
        (lambda t: t._replace(matches=np.array([[0, 600]])), "matches name rows beyond the 600"),
        (lambda t: t._replace(matches=np.array([0, 1])), r"matches have shape \(2,\)"),
        (
            lambda t: t._replace(labels_x=np.full(600, "a"), labels_y=np.full(600, "a")),
            "1 class; at least 2",
        ),
        (
            lambda t: t._replace(labels_x=marked(t.labels_x), labels_y=marked(t.labels_y)),
            r"no semantics for class class 00\?, class 01\?, .* and 25 more$",
        ),
    ],
)  # fmt: skip
def test_a_wrong_training_set_is_one_clear_line(world, change, message):
    with pytest.raises(DataError, match=message) as raised:
        RIVALS["SAE"].fit(change(world.train), world.semantics)
    assert "\n" not in str(raised.value)


def test_missing_semantics_and_other_widths_are_named(world):
    with pytest.raises(DataError, match="SAE needs word vectors of the seen classes"):
        RIVALS["SAE"].fit(world.train)
    fitted = RIVALS["SAE"].fit(world.train, world.semantics)
    with pytest.raises(DataError, match="features of x are 20 wide; SAE was fitted on 24"):
        fitted.embed_x(world.test.y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lamb": 1.0}, "lamb is not a setting of SAE, which has lam"),
        ({"lam": -1.0}, "lam = -1.0: must be a number from 0"),
        ({"lam": float("nan")}, "lam = nan: must be a number from 0"),
        ({"lam": "1"}, "lam = '1': must be a number from 0"),
    ],
)
def test_wrong_settings_are_named(world, settings, message):
    with pytest.raises(SettingsError, match=message):
        RIVALS["SAE"].fit(world.train, world.semantics, **settings)
    with pytest.raises(SettingsError, match=r"steps = 1.5: must be a whole number from 1"):
        RIVALS["LCALE"].fit(world.train, world.semantics, steps=1.5)
