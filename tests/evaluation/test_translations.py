import json

import pytest
import torch

from iiae.data.base import PairSet
from iiae.evaluation.translations import translation_quality
from iiae.metrics.kernel import kernel_distance
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.model.translation import translate
from iiae.settings import make_settings
from iiae.types import Draw, Pair, plain

SHAPE = (3, 16, 16)


class Noise(PairSet):
    shapes = (SHAPE, SHAPE)
    count = 10

    def __len__(self):
        return self.count

    def pairs(self, draw):
        images = torch.rand(2, 10, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return Pair(*(side[draw.indices] for side in images))

    def factors(self):
        return {}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    values = {"data": {"name": "digits-cdcb", "size": 16}, "model": {"shared": 2, "width": 4}}
    settings = make_settings(values)
    return build_model(settings.model, settings.objective, (SHAPE, SHAPE)).eval()


def test_l1_is_the_mean_distance_to_the_true_partner(model):
    pairs = Noise()
    quality = translation_quality(model, pairs, "y", 4, 100, 0)
    pair = pairs.pairs(Draw(torch.arange(10)))
    made = translate(model, pair.x, "y", like=pair.y)
    assert quality.pairs == 10
    assert quality.l1["partner"].mean == pytest.approx(
        (made - pair.y).abs().mean().item(), rel=1e-4
    )
    assert quality.l1["partner"].low < quality.l1["partner"].mean < quality.l1["partner"].high


def test_the_true_partner_itself_would_be_perfect(model, monkeypatch):
    from iiae.evaluation import translations as quality

    pair = Noise().pairs(Draw(torch.arange(10)))
    monkeypatch.setattr(quality, "render", lambda *_, **__: pair.x)
    measured = translation_quality(
        model, Noise(), "x", 10, 100, 0, lambda images: images.flatten(1)
    )
    assert measured.l1["prior mean"].mean == 0
    assert measured.ssim["prior mean"].mean == pytest.approx(1, abs=1e-6)
    assert measured.perceptual["draw"].mean == pytest.approx(0, abs=1e-6)
    assert measured.kernel.keys() == {"partner", "prior mean", "draw", "prior draw"}
    pixels = pair.x.flatten(1)
    assert measured.kernel["draw"] == pytest.approx(kernel_distance(pixels, pixels), rel=1e-6)
    assert measured.diversity.mean == 0


def test_draws_that_differ_are_diverse_and_the_figures_repeat(model):
    one, same = (translation_quality(model, Noise(), "x", 5, 8, 3) for _ in range(2))
    assert one == same
    assert one.diversity.mean > 0
    assert one.perceptual is None
    assert one.pairs == 8


def test_content_that_is_kept_is_found_again(model, monkeypatch):
    from iiae.evaluation import translations as quality

    # encoders that read z_s off the image without fail
    class Given:
        def __init__(self, images, context=None):
            self.shared = self.exclusive = type("Posterior", (), {"mean": images.flatten(1)})

    pair = Noise().pairs(Draw(torch.arange(10)))
    monkeypatch.setattr(IIAE, "encoder", lambda *_: Given)
    monkeypatch.setattr(quality, "render", lambda *_, **__: pair.y)
    measured = translation_quality(model, Noise(), "x", 10, 10, 0)
    assert measured.content_recall.mean == 1
    assert measured.content_distance == 0
    monkeypatch.setattr(quality, "render", lambda *_, **__: pair.y.roll(1, 0))
    measured = translation_quality(model, Noise(), "x", 10, 10, 0)
    assert measured.content_recall.mean == 0
    assert measured.content_distance == pytest.approx(1, abs=0.2)


def test_one_pair_has_means_and_no_intervals(model):
    pairs = Noise()
    pairs.count = 1
    quality = translation_quality(model, pairs, "y", 4, 100, 0)
    assert quality.pairs == 1
    assert quality.l1["partner"].mean > 0
    assert quality.l1["partner"].low is quality.l1["partner"].high is None
    assert quality.content_distance is None
    assert quality.content_chance == 1
    json.dumps(plain(quality), allow_nan=False)


def test_pairs_beyond_the_limit_are_drawn_from_all(model):
    drawn = []

    class Watched(Noise):
        def pairs(self, draw):
            drawn.extend(draw.indices.tolist())
            return super().pairs(draw)

    for seed in range(20):
        translation_quality(model, Watched(), "x", 4, 3, seed)
    assert len(drawn) == 60
    assert set(drawn) == set(range(10))


def test_equal_sources_count_as_one():
    from iiae.evaluation.translations import _summary

    shared, rows = torch.randn(5, 3).repeat_interleave(2, 0), {"diversity": [torch.zeros(10)]}
    read = {"draw": shared, "prior draw": shared}
    quality = _summary(rows, shared, read, torch.arange(10) // 2)
    assert quality.content_recall.mean == 1
    assert quality.content_chance == pytest.approx(1 / 5)
