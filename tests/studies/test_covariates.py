import json

import numpy as np
import pytest

import covariates
from defaults import Sides

rng = np.random.default_rng(0)


def pairs(rows=400):
    cause = rng.normal(size=(rows, 4))
    return Sides(cause @ rng.normal(size=(4, 9)), cause @ rng.normal(size=(4, 7)))


def test_a_site_adds_one_vector_to_all_of_its_pairs():
    everything = pairs()
    parts = covariates.at_sites(everything, seed=1, count=200)
    assert [len(part.site) for part in parts] == [144, 16, 40]
    whole = np.concatenate([part.pairs.x for part in parts])
    site = np.concatenate([part.site for part in parts])
    # less what its site adds, each row is one of the set again
    left = np.linalg.matrix_rank(np.c_[everything.x - everything.x.mean(0)], tol=1e-6)
    centred = np.concatenate([whole[site == s] - whole[site == s].mean(0) for s in np.unique(site)])
    assert np.linalg.matrix_rank(centred, tol=1e-6) == left == 4
    assert np.linalg.matrix_rank(whole - whole.mean(0), tol=1e-6) > left


def test_within_sites_only_items_of_the_own_site_count():
    site = np.array(["a", "a", "b", "b"])
    distance = np.array([[2.0, 1, 0, 0], [9, 1, 0, 0], [0, 0, 1, 2], [0, 0, 3, 4]])
    assert covariates.within(distance, site) == pytest.approx((1 / 2 + 0 + 0 + 1 / 2) / 4)


def test_rows_are_measured_once_and_tabled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(covariates, "SETS", {"made": lambda _: pairs()})
    measured: list[bool] = []

    def quick(parts, given, seed):
        measured.append(given)
        return dict.fromkeys(covariates.MEASURES, 0.25 + given)

    monkeypatch.setattr(covariates, "measured", quick)
    words = [
        "covariates",
        "--data",
        "x",
        "--out",
        str(tmp_path),
        "--pairs",
        "100",
        "--seeds",
        "0",
        "1",
    ]
    monkeypatch.setattr("sys.argv", words)
    covariates.main()
    covariates.main()
    assert measured == [False, True] * 2
    assert len(list(tmp_path.glob("*.json"))) == 4
    assert json.loads((tmp_path / "made-100-site as covariate-1.json").read_text())["pairs"] == 100
    assert "| made | 100 | site as covariate | 1.250 ± 0.000 |" in capsys.readouterr().out
