import numpy as np
import pytest

from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.evidence_tables import evidence_tables
from iiae.tasks.evidence import LatentSet, components, measure_evidence

N = 240
rng = np.random.default_rng(0)
shared, own_x, own_y = (rng.standard_normal((N, 3)) for _ in range(3))
label = (shared[:, 0] > 0).astype(int)
FACTORS = {
    "content": Factor(label, "categorical", "shared"),
    "colour": Factor(own_x[:, :2], "continuous", "x"),
}


def latents(x=own_x, s=shared, y=own_y):
    noise = 0.01 * rng.standard_normal(s.shape)
    return LatentSet(x, y, {"means": s}, s, s + noise)


def measured(found=None, factors=FACTORS):
    return measure_evidence(found or latents(), factors, seed=0, permutations=5)


@pytest.fixture(scope="module")
def plain_evidence():
    return measured()


def test_separate_blocks_leak_nothing_and_tell_all_at_home(plain_evidence):
    found = plain_evidence
    assert found.leakage["means"].value < 0.05
    assert found.leakage["means"].at_home > 0.8
    assert found.probes["means"].cells["colour"]["z_x"].linear.score > 0.95


def test_a_leak_is_found_and_named():
    leaky = latents(s=np.hstack([shared, own_x[:, :1] + 0.1 * own_x[:, 1:2]]))
    found = measured(leaky)
    assert found.leakage["means"].value > 0.15
    by_factor = found.leakage["means"].by_factor
    assert by_factor["colour"] > by_factor["content"]


def test_collapsed_latents_are_not_praised():
    found = measured(latents(x=np.zeros((N, 3))))
    assert found.leakage["means"].value is None
    assert found.leakage["means"].collapsed == ("z_x",)
    shown = "\n".join(" ".join(row) for t in evidence_tables(found.as_dict()) for row in t.rows)
    assert "collapsed: z_x" in shown


def test_dependent_blocks_show_in_the_estimators_that_apply():
    found = measured(latents(y=own_y + shared), {})
    apart, together = (
        found.dependence[name]["hsic"].p_value for name in ("z_x and z_s", "z_s and z_y")
    )
    assert apart > 0.05 > together
    refused = found.dependence["z_s and z_y"]["gaussian"]
    assert isinstance(refused, str)
    assert "4000 samples or more" in refused


def test_domains_that_can_be_told_apart_are(plain_evidence):
    assert plain_evidence.domains.linear < 0.6
    moved = latents()._replace(given_y=shared + 1.0)
    assert measured(moved, {}).domains.linear > 0.6


def test_exclusive_curves_are_at_chance_unless_the_latents_match(plain_evidence):
    assert abs(plain_evidence.exclusive_x_to_y.area) < 0.15
    assert measured(latents(y=own_x), {}).exclusive_x_to_y.area > 0.98
    assert measured(latents(y=own_y[:, :2]), {}).exclusive_x_to_y is None


def test_results_repeat_and_tables_show_every_part(plain_evidence):
    one, same = plain_evidence.as_dict(), measured(latents()._replace(given_y=shared)).as_dict()
    assert one["probes"] == same["probes"]
    titles = " ".join(table.title for table in evidence_tables(one))
    for part in ("Leakage", "What each latent tells", "Exclusive retrieval", "Dependence", "Axis"):
        assert part in titles
    assert not [t for t in evidence_tables(measured(factors={}).as_dict()) if "Leak" in t.title]


def test_components_keep_the_leading_directions():
    wide = rng.standard_normal((N, 1)) @ np.ones((1, 5)) * 9 + rng.standard_normal((N, 5))
    found = components(wide, 2)
    assert found.shape == (N, 2)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-6)
    assert abs(np.corrcoef(found[:, 0], wide.sum(1))[0, 1]) > 0.99
    with pytest.raises(DataError, match="collapsed"):
        components(np.ones((N, 3)), 2)
