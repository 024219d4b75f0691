from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data import load
from iiae.data.arrays import ArrayPairs
from iiae.data.degrade import Degradation, Degrade, DegradedPairs, degraded
from iiae.errors import SettingsError
from iiae.settings import DataSettings
from iiae.types import Draw, Pair, PartialBatch


def smooth(count=64, side=16, channels=3):
    """Images of waves, `(count, channels, side, side)`."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.linspace(0, 6, side)
    shift = torch.rand(count, channels, 1, 1, generator=generator) * 6
    return 0.8 * torch.sin(grid[:, None] + shift) * torch.cos(grid[None] - shift)


def test_the_share_of_images_is_changed_and_each_side_on_its_own():
    images = smooth(400)
    made = Degrade(0.5)(Pair(images, images.clone()), seed=3)
    changed = [(side != images).flatten(1).any(1) for side in made[:2]]
    for one in changed:
        assert 0.35 < one.float().mean() < 0.5  # one of 16 draws nothing to do
    assert 0.15 < (changed[0] & changed[1]).float().mean() < 0.35


def test_degradations_are_mild():
    images = smooth(200)
    made = Degrade(1.0)(Pair(images, images), seed=1)
    away = (made.x - images).abs().flatten(1).mean(1)
    assert 0 < away.mean() < 0.1
    assert away.max() < 0.4


def test_a_seed_repeats_a_batch_and_another_does_not():
    pair = Pair(smooth(), smooth())
    one, same, another = (Degrade(0.5)(pair, seed) for seed in (4, 4, 5))
    assert torch.equal(one.x, same.x) and torch.equal(one.y, same.y)
    assert not torch.equal(one.x, another.x)


def test_images_stay_in_range_and_inputs_stay_as_they_are():
    images = smooth(100).sign()
    before = images.clone()
    made = Degrade(1.0)(PartialBatch(images, images[:60], 60), seed=0)
    assert torch.equal(images, before)
    assert (len(made.x), len(made.y), made.pairs) == (100, 60, 60)
    assert max(side.abs().max() for side in (made.x, made.y)) <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (200, 240)])
def test_colour_and_grey_keep_their_shape_at_every_size(channels, size):
    images = torch.zeros(3, channels, *size)
    how = Degradation(blur=0.5, side=0.7, quality=80, noise=3.0)
    made = degraded(images, [how, None, how])
    assert made.shape == images.shape
    assert torch.equal(made[1], images[1])
    assert made[0].std().item() == pytest.approx(3 / 127.5, rel=0.2)


def test_lower_quality_is_further_from_the_image():
    images = smooth(20)
    far = [
        (degraded(images, [Degradation(quality=q)] * 20) - images).abs().mean() for q in (95, 60)
    ]
    assert 0 < far[0] < far[1]


def test_training_draws_are_degraded_and_fixed_appearances_are_not():
    clean = load(DataSettings(name="digits-cdcb", size=16))
    parts = load(DataSettings(name="digits-cdcb", size=16, degrade=1.0))
    draw = Draw(torch.arange(20), seed=2)
    assert not torch.equal(parts.train[draw].x, clean.train[draw].x)
    assert torch.equal(parts.train[draw].x, parts.train[draw].x)
    assert torch.equal(
        parts.train[Draw(torch.arange(20))].x, clean.train.pairs(Draw(torch.arange(20))).x
    )
    for name in ("validation", "test"):
        one, other = (getattr(some, name)[draw].x for some in (clean, parts))
        assert torch.equal(one, other)


def test_rows_without_a_partner_are_degraded_too():
    settings = {"name": "digits-cdcb", "size": 16, "missing": 0.5}
    clean, parts = (load(DataSettings(**settings, degrade=d)) for d in (0, 1.0))
    draw = Draw(torch.arange(200), seed=2)
    one, other = clean.train[draw], parts.train[draw]
    assert one.pairs == other.pairs
    lone = slice(one.pairs, None)
    assert (one.x[lone] != other.x[lone]).flatten(1).any(1).float().mean() > 0.8


def test_degraded_copies_are_the_same_at_every_call_and_near_the_pairs():
    pairs = load(DataSettings(name="digits-cdcb", size=16)).test
    copies = DegradedPairs(pairs)
    one, same = (copies.pairs(Draw(torch.arange(30))) for _ in range(2))
    assert torch.equal(one.x, same.x)
    away = (one.x - pairs.pairs(Draw(torch.arange(30))).x).abs().mean()
    assert 0.005 < away < 0.2
    assert copies.digest() != pairs.digest()
    assert np.array_equal(copies.keys, pairs.keys)
    assert len(list(chain(copies.batches(100)))) == -(-len(pairs) // 100)


@pytest.mark.parametrize(
    ("array", "form"),
    [
        (np.zeros((8, 5), np.float32), "5 floats"),
        (np.zeros((8, 3, 16, 16), np.float32), "3x16x16 floats"),
        (np.zeros((8, 16, 16, 4), np.uint8), "4x16x16 bytes"),
    ],
)
def test_what_is_no_8_bit_colour_or_grey_image_is_refused_by_its_form(array, form):
    with pytest.raises(SettingsError, match=f"8-bit images, RGB or grey; x has {form}"):
        DegradedPairs(ArrayPairs(array, array))


def test_the_setting_is_refused_for_images_of_floats(tmp_path):
    values = np.random.default_rng(0).uniform(-1, 1, (12, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    where = str(tmp_path / "x.npy")
    with pytest.raises(
        SettingsError, match=r"data.degrade = 0.5 must be set to 0 here: .* x has 1x8x8 floats"
    ):
        load(DataSettings(name="arrays", x=where, y=where, degrade=0.5))


def test_image_folders_and_tables_are_suggested_with_degradation(tmp_path):
    from iiae.data.suggest import suggest_settings

    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    for given in ({"pairs": tmp_path}, {"pairs": "pairs.csv"}, {"x": tmp_path, "y": tmp_path}):
        assert suggest_settings(**given)["data"]["degrade"] == 0.5
