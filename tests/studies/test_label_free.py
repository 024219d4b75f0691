import numpy as np
import pytest

from iiae.results import LabelFree
from label_free import QUICK, correlations, table, truth


def row(recall, leak, **scores):
    values = dict.fromkeys((f"label_free_{name}" for name in LabelFree._fields), 0.0)
    values |= {f"label_free_{name}": value for name, value in scores.items()}
    return {
        "status": "done", "recall_x_to_y": recall, "recall_y_to_x": recall,
        "largest_leak_active": leak, **values,
    }  # fmt: skip


def test_the_truth_is_retrieval_less_what_leaked():
    assert truth(row(0.8, 0.25)) == pytest.approx(0.6)
    assert truth(row(1.0, 1.0)) == 0


def test_a_score_that_orders_runs_as_the_truth_does_correlates_and_loses_nothing():
    rows = [
        row(recall, leak, nats=n, inter_kl=-n)
        for n, (recall, leak) in enumerate([(0.5, 1.0), (0.4, 0.5), (0.6, 0.5), (0.9, 0.1)])
    ]
    correlation = correlations([*rows, {"status": "failed"}])
    assert correlation["nats"].correlation == pytest.approx(1)
    assert correlation["nats"].lost == 0
    assert correlation["inter_kl"].correlation == pytest.approx(-1)
    assert correlation["inter_kl"].lost == 1
    assert correlation["crossed"].correlation == 0


def test_the_interval_of_a_correlation_is_wide_for_few_runs_and_the_table_begins_with_the_best():
    rng = np.random.default_rng(0)
    many = [row(r, 0.0, nats=r + n) for r, n in rng.normal(0.5, 0.1, (60, 2))]
    few = [correlations(many[i : i + 12])["nats"] for i in range(0, 60, 12)]
    all_ = correlations(many)["nats"]
    assert np.mean([one.high - one.low for one in few]) > all_.high - all_.low
    assert all_.low < all_.correlation < all_.high
    assert "| `nats` |" in table({"a set": correlations(many)}).splitlines()[2]


def test_the_quick_plan_is_six_short_runs():
    (one,) = QUICK.values()
    assert one.settings["training"]["epochs"] <= 4
    assert [len(text.partition("=")[2].split(",")) for text in one.over] == [2, 3]
