import pytest

from iiae.errors import RunError, SettingsError
from iiae.results import CategoryRetrieval, Readability
from iiae.sweep.rows import retrieval_columns, select
from results_made import evaluation, scores


def test_a_row_of_classes_has_the_chance_of_the_measure_that_it_shows():
    each = ((0.4, 0.45), (0.5, 0.35), (0.3, 0.45))
    x, y, own = (scores(**{"map@all": one}) for one in each)
    test = evaluation(30, None, Readability({}, {}))
    row = retrieval_columns(test._replace(categories=CategoryRetrieval("test", 3, x, y, None, own)))
    assert row["measure"] == "map@all"
    assert (row["recall_x_to_y"], row["recall_y_to_x"]) == (0.4, 0.5)
    assert row["chance"] == pytest.approx(0.4)
    assert row["exclusive_y_to_x"] is None


def test_the_best_run_has_most_of_a_score():
    rows = [
        {"run": "a", "label_free_nats": 0.1},
        {"run": "b", "label_free_nats": 0.2},
        {"run": "c"},
    ]
    assert select(rows, "nats")["run"] == "b"


def test_a_score_that_is_none_or_that_no_run_has_is_refused():
    with pytest.raises(SettingsError, match="--select fame: is no score; choose one of nats"):
        select([], "fame")
    with pytest.raises(RunError, match="no run of the sweep has this score"):
        select([{"run": "a", "status": "failed"}], "nats")
