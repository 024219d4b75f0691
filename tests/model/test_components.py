"""Principal components in place of columns: learned from training rows, stored, seen alone."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import iiae
from iiae.errors import SettingsError
from iiae.model import components
from iiae.model.components import Components
from iiae.settings import make_settings


def rows(count=200, size=40):
    """Five directions of falling strength, and noise."""
    generator = np.random.default_rng(0)
    causes = generator.normal(size=(count, 5)) * [8.0, 6, 4, 3, 2]
    noise = 0.1 * generator.normal(size=(count, size))
    return torch.from_numpy(causes @ generator.normal(size=(5, size)) + noise + 3).float()


def test_components_are_those_of_principal_component_analysis():
    data = rows()
    made = Components(40, 5)
    made.learn(data.split(30))
    seen = made(data)
    expected = PCA(5).fit_transform(data.numpy())
    expected = expected / np.sqrt(np.square(expected).mean())
    np.testing.assert_allclose(np.abs(seen.numpy()), np.abs(expected), atol=2e-3)
    assert seen.square().mean() == pytest.approx(1, abs=1e-4)


def test_components_that_few_rows_lack_are_zero():
    made = Components(40, 20)
    made.learn([rows()[:8]])
    seen = made(rows())
    assert seen[:, 7:].abs().max() == 0 and seen[:, :5].std(0).min() > 0.01
    constant = Components(3, 2)
    constant.learn([torch.ones(10, 3)])
    assert constant(torch.randn(4, 3)).abs().max() == 0


def test_of_many_rows_an_even_part_is_held(monkeypatch):
    monkeypatch.setattr(components, "VALUES", 40 * 64)
    data = rows(1000)
    made, part = Components(40, 3), Components(40, 3)
    made.learn(data.split(70))
    part.learn([data[::16]])
    torch.testing.assert_close(made.axes.abs(), part.axes.abs(), atol=1e-4, rtol=1e-3)
    assert components._thinned(torch.arange(1000.0).split(70), 64).tolist() == [*range(0, 1000, 16)]


def wide(count=150):
    data = rows(count, 60)
    causes = PCA(3).fit_transform(data.numpy())
    return data.numpy(), causes / causes.std(0)


def test_a_run_that_sees_components_translates_all_columns_and_is_kept(tmp_path):
    x, y = wide()
    run = iiae.fit(x, y, components=6, standardise=True, epochs=80, learning_rate=3e-3,
                   progress=False)  # fmt: skip
    assert run.model.components_x(torch.zeros(2, 60)).shape == (2, 6)
    assert isinstance(run.model.components_y, torch.nn.Identity)  # three columns are no more
    assert run.model.shared_given_x.first[0][0].in_features == 6
    made = run.translate(x, to="y")
    assert np.mean([np.corrcoef(made[:, j], y[:, j])[0, 1] for j in range(3)]) > 0.8
    assert run.translate(y, to="x").shape == x.shape
    again = iiae.load(run.save(tmp_path / "run"))
    assert np.array_equal(again.translate(x, to="y"), made)
    assert np.array_equal(again.embed(x=x).shared, run.embed(x=x).shared)


def test_counts_are_seen_as_components_of_their_logarithms():
    generator = np.random.default_rng(0)
    x = generator.poisson(np.exp(generator.normal(size=(120, 1)) + generator.normal(size=30)))
    settings = {"model": {"components": [4, 0]}, "objective": {"x": {"kind": "poisson"}}}
    run = iiae.fit(x, np.log1p(x[:, :3]), settings=settings, epochs=3, progress=False)
    assert run.model.components_x.axes.shape == (30, 4)
    assert run.embed(x=x).shared.shape[0] == 120


@pytest.mark.parametrize("wrong", ["-1", "[1,2,3]", "0.5", "many"])
def test_other_numbers_of_components_are_refused(wrong):
    with pytest.raises(SettingsError, match=r"model\.components"):
        make_settings(
            {"data": {"name": "arrays"}, "model": {"family": "features"}},
            [f"model.components={wrong}"],
        )
    with pytest.raises(SettingsError, match="components"):
        make_settings({"data": {"name": "arrays"}, "model": {"family": "small", "components": 5}})
