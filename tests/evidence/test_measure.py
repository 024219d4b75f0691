import numpy as np
import pytest
import torch

from iiae.data.base import Factor
from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.evidence import measure as evidence
from iiae.evidence.measure import Blocks, components, measure_evidence, views
from iiae.model.active import select_active
from iiae.model.latents import Embeddings
from iiae.report.evidence_tables import evidence_tables

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
    return Blocks(x, s, y, s, s + noise)


def measured(found=None, factors=FACTORS):
    return measure_evidence({"means": found or latents()}, factors, seed=0, permutations=5)


def shown(found):
    return "\n".join(" ".join(row) for t in evidence_tables(found) for row in t.rows)


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
    assert "collapsed: z_x" in shown(found)


def test_a_collapsed_shared_latent_is_reported_and_nothing_is_told_apart():
    nothing = np.zeros((N, 3))
    found = measured(Blocks(own_x, nothing, own_y, nothing, nothing))
    assert found.leakage["means"].collapsed == ("z_s",)
    assert found.domains == {}
    assert "collapsed: z_s" in shown(found)


def test_the_same_seed_gives_exactly_the_same():
    same = latents()
    assert measured(same) == measured(same)


def test_dependent_blocks_show_in_the_estimators_that_apply():
    found = measured(latents(y=own_y + shared), {})
    apart, together = (
        found.dependence[name]["hsic"].p_value for name in ("z_x and z_s", "z_s and z_y")
    )
    assert apart > 0.05 > together
    refused = found.dependence["z_s and z_y"]["gaussian"]
    assert isinstance(refused, str)
    assert "4000 samples or more" in refused
    table = next(t for t in evidence_tables(found) if "Dependence" in t.title)
    assert table.rows[0][1].startswith("refused (a)")
    assert f"(a) {refused}" in table.note


def test_domains_that_can_be_told_apart_are(plain_evidence):
    assert plain_evidence.domains["means"].linear < 0.6
    moved = latents()._replace(given_y=shared + 1.0)
    assert measured(moved, {}).domains["means"].linear > 0.6


def test_each_view_has_its_own_readings_and_equal_blocks_are_probed_once(monkeypatch):
    probed = []
    real = evidence.probe_matrix

    def spy(blocks, *rest):
        probed.extend(blocks)
        return real(blocks, *rest)

    monkeypatch.setattr(evidence, "probe_matrix", spy)
    leaky = latents(s=np.hstack([shared, own_x]))
    both = {"means": leaky, "samples": latents()}
    found = measure_evidence(both, FACTORS, seed=0, permutations=5)
    assert probed == ["z_x", "z_s", "z_y", "z_s, samples"]
    readings = [found.probes[view].cells["colour"]["z_s"].linear.score for view in both]
    assert readings[0] > 0.9 > 0.1 > readings[1]
    assert set(found.domains) == set(both)


def test_idle_dimensions_are_in_means_and_neither_in_active_means_nor_in_samples():
    mean = torch.tensor(np.hstack([shared, 0.01 * own_x[:, :1]])).float()
    posterior = DiagonalNormal(mean, torch.tensor([-7.0, -7.0, -7.0, 0.0]).expand(N, 4))
    own = DiagonalNormal(torch.tensor(own_x).float(), torch.full((N, 3), -7.0))
    embeddings = Embeddings(posterior, posterior, own, own)
    found = views(embeddings, select_active(embeddings, embeddings, 0.1), seed=0)
    assert [v.shared.shape[1] for v in found.values()] == [8, 6, 8]
    idle = {name: v.given_x[:, 3] for name, v in found.items() if name != "active means"}
    order = {name: abs(np.corrcoef(z, own_x[:, 0])[0, 1]) for name, z in idle.items()}
    assert order["means"] > 0.99 > 0.2 > order["samples"]


def test_exclusive_curves_are_at_chance_unless_the_latents_match(plain_evidence):
    assert abs(plain_evidence.exclusive_x_to_y.area) < 0.15
    assert measured(latents(y=own_x), {}).exclusive_x_to_y.area > 0.98
    assert measured(latents(y=own_y[:, :2]), {}).exclusive_x_to_y is None


def test_results_repeat_and_tables_show_every_part(plain_evidence):
    one, same = plain_evidence, measured(latents()._replace(given_y=shared))
    assert one.probes == same.probes
    titles = " ".join(table.title for table in evidence_tables(one))
    for part in (
        "Leakage",
        "What each latent predicts",
        "Exclusive retrieval",
        "Dependence",
        "Axis",
    ):
        assert part in titles
    assert not [t for t in evidence_tables(measured(factors={})) if "Leak" in t.title]


def test_components_keep_the_leading_directions():
    wide = rng.standard_normal((N, 1)) @ np.ones((1, 5)) * 9 + rng.standard_normal((N, 5))
    found = components(wide, 2)
    assert found.shape == (N, 2)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-6)
    assert abs(np.corrcoef(found[:, 0], wide.sum(1))[0, 1]) > 0.99
    with pytest.raises(DataError, match="collapsed"):
        components(np.ones((N, 3)), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"s": np.where(shared > 2, np.nan, shared)}, "z_s has values that are not finite"),
        ({"y": own_y[1:]}, "z_y has 239 pairs and z_s 240"),
        ({"x": own_x[:, 0]}, r"z_x has shape \(240,\); expected \(pairs, dimensions\)"),
        ({"x": own_x[:9], "s": shared[:9], "y": own_y[:9]}, "9 pairs; evidence needs at least 20"),
    ],
)
@pytest.mark.parametrize("factors", [{}, FACTORS])
def test_latents_that_cannot_be_used_are_refused_with_and_without_factors(change, message, factors):
    with pytest.raises(DataError, match=message):
        measured(latents(**change), factors)


def test_one_factor_alone_is_probed_and_has_no_axis_scores():
    found = measured(factors={"content": FACTORS["content"]})
    assert found.axes is None
    assert found.probes["means"].cells["content"]["z_s"].linear.score > 0.9
    assert evidence_tables(found)
