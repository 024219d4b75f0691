import pytest
import torch

from helpers import small_settings
from iiae.data import Splits
from iiae.data.base import ShuffledPairs
from iiae.data.synthetic import LinearGaussianPairs
from iiae.errors import DataError
from iiae.evidence.matching import match_held_out
from iiae.evidence.null import train_null
from iiae.results import NullCopy, NullRuns
from iiae.training import fit
from iiae.types import Draw

SETTINGS = small_settings("training.epochs=8", "training.batch=50", "training.learning_rate=3e-3")
DATA = Splits(*(LinearGaussianPairs(n, 4.0, i) for i, n in enumerate((600, 100, 200))))
SHUFFLED = Splits(*(ShuffledPairs(part, 90 + i) for i, part in enumerate(DATA)))


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    def call(data):
        return fit(SETTINGS, tmp_path_factory.mktemp("null"), data, progress=False).model

    return call


@pytest.mark.parametrize(("data", "paired"), [(DATA, True), (SHUFFLED, False)])
def test_trained_copies_and_permutation_agree_on_pairs_and_on_shuffled_pairs(train, data, paired):
    torch.manual_seed(0)
    null = train_null(train, data, "test", 4, 8, SETTINGS.evaluation)
    cheap = match_held_out(train(data), data, "test", SETTINGS.evaluation)
    assert (null.excess.nats > 0.1) is paired
    assert (cheap.p_value < 0.05 and cheap.excess > 0.1) is paired
    assert (null.p_values.nats == 0.2) is paired or not paired
    assert len(null.shuffled) == 4


def test_p_values_count_the_real_training_and_ties():
    real, worse, same = NullCopy(1.0, 0.5, 2.0), NullCopy(0.0, 0.1, 3.0), NullCopy(1.0, 0.5, 2.0)
    found = NullRuns(1, real, [worse, same, worse])
    assert found.p_values == NullCopy(0.5, 0.5, 1.0)
    assert found.excess.nats == pytest.approx(2 / 3)


def test_shuffled_pairs_keep_every_sample_and_no_partner():
    pairs = ShuffledPairs(DATA.test, 3)
    x, y, *_ = next(pairs.batches(len(pairs)))
    assert torch.equal(x, DATA.test.x)
    assert torch.equal(y, DATA.test.y[pairs.partner])
    assert sorted(pairs.partner.tolist()) == list(range(len(pairs)))
    assert pairs.digest() != ShuffledPairs(DATA.test, 4).digest()
    assert pairs.digest() != DATA.test.digest()


def test_shuffled_pairs_are_augmented_as_the_pairs_are():
    pairs = LinearGaussianPairs(20, 1.0, 0)
    pairs.augment = lambda batch, seed: batch._replace(x=batch.x + seed)
    draw = Draw(torch.arange(20), seed=7)
    shuffled = ShuffledPairs(pairs, 0)
    assert torch.equal(shuffled[draw].x, pairs.x + 7)
    assert torch.equal(shuffled[draw].y, pairs.y[shuffled.partner])


def test_pairs_without_some_partners_are_refused(train):
    from iiae.data.missing import PartialPairs

    class Part(PartialPairs):
        def __init__(self):
            pass

    with pytest.raises(DataError, match="lack partners in part"):
        train_null(train, DATA._replace(train=Part()), "test", 1, 1, SETTINGS.evaluation)
