from helpers import small_settings
from iiae.data import load
from iiae.run_folder import (
    load_pairs,
)


def test_a_run_records_which_pairs_train_validate_and_test(folder):
    data, record = load(small_settings().data), load_pairs(folder)
    for name, pairs in data._asdict().items():
        assert record[name].digest == pairs.digest()
        assert record[name].pairs == len(pairs)
    assert len({record[name].digest for name in record}) == 3
