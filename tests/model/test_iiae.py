import pytest
import torch

from helpers import small_model, small_settings
from iiae.distributions import DiagonalNormal
from iiae.errors import DataError, SettingsError
from iiae.model.active import select_active, signal_share
from iiae.model.build import build_model
from iiae.model.latents import Embeddings, embed, embed_sides
from iiae.model.units import CountUnits
from iiae.networks.interface import Networks, SharedEncoding
from iiae.settings import LIKELIHOODS, ModelSettings, ObjectiveSettings
from iiae.types import Draw, Pair, mapped


def test_z_s_comes_from_x_alone_from_y_alone_or_from_both():
    model, pairs = small_model()
    model.eval()
    pair = pairs.pairs(Draw(torch.arange(6)))
    q = model.encode(pair)
    torch.testing.assert_close(model.encode_x(pair.x).shared.mean, q.shared_given_x.mean)
    torch.testing.assert_close(model.encode_y(pair.y).shared.mean, q.shared_given_y.mean)
    assert q.shared.mean.shape == (6, 4)
    assert not torch.allclose(q.shared.mean, q.shared_given_x.mean)


def test_embeddings_keep_the_order_of_the_set():
    model, pairs = small_model()
    whole = embed(model, pairs.batches(1000))
    parts = embed(model, pairs.batches(7))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.mean, other.mean)
    x = pairs.pairs(Draw(torch.tensor([13]))).x
    torch.testing.assert_close(whole.exclusive_x.mean[13:14], model.encode_x(x).exclusive.mean)


@pytest.mark.parametrize("domain", ["x", "y"])
def test_latents_that_are_not_finite_are_refused_by_row_and_domain(domain):
    model, pairs = small_model()
    pair = pairs.pairs(Draw(torch.arange(20)))
    pair = Pair(pair.x.clone(), pair.y.clone())
    getattr(pair, domain)[13, 1] = torch.inf
    halves = [Pair(pair.x[part], pair.y[part]) for part in (slice(0, 10), slice(10, 20))]
    with pytest.raises(DataError, match=f"row 13 of {domain}: its latents are not finite"):
        embed(model, halves)
    with pytest.raises(DataError, match=f"row 13 of {domain}: its latents are not finite"):
        embed_sides(model, [pair.x], pair.y.split(3))


def test_signal_shares_of_large_means_and_of_one_sample_are_numbers():
    large = DiagonalNormal(torch.randn(50, 2) * 1e30, torch.zeros(50, 2))
    assert torch.allclose(signal_share(large), torch.ones(2).double())
    assert signal_share(DiagonalNormal(torch.ones(1, 2), torch.zeros(1, 2))).tolist() == [0, 0]


def test_signal_share_by_hand():
    # means -1 and 1 have variance 2; noise variance 2 makes a half
    posterior = DiagonalNormal(torch.tensor([[-1.0], [1.0]]), torch.full((2, 1), 2.0).log())
    assert signal_share(posterior).item() == pytest.approx(0.5)


def test_a_dimension_is_active_where_both_domains_carry_signal():
    strong, weak = torch.randn(500, 1) * 3, torch.randn(500, 1) * 0.01
    log_variance = torch.zeros(500, 3)
    x = DiagonalNormal(torch.cat([strong, strong, weak], 1), log_variance)
    y = DiagonalNormal(torch.cat([strong, weak, weak], 1), log_variance)
    train = Embeddings(x, y, x, y)
    held = Embeddings(*(one.rows(slice(200)) for one in train))
    active = select_active(train, held, 0.1)
    assert active.shared.tolist() == [True, False, False]
    assert active.exclusive_x.tolist() == [True, True, False]
    assert active.exclusive_y.tolist() == [True, False, False]


def test_where_no_dimension_is_active_all_are_kept():
    weak = DiagonalNormal(torch.randn(500, 3) * 0.1, torch.zeros(500, 3))
    weak_everywhere = Embeddings(weak, weak, weak, weak)
    active = select_active(weak_everywhere, weak_everywhere, 0.1)
    assert all(one.all() for one in active)


def test_many_dimensions_of_little_each_are_all_active():
    """A signal share of a half each, which no threshold near 1 would keep."""
    torch.manual_seed(0)
    cause = torch.randn(2000, 16)
    posterior = [DiagonalNormal(cause + 0.1 * torch.randn(2000, 16), torch.zeros(2000, 16))] * 2
    train = Embeddings(*posterior, *posterior)
    assert select_active(train, train, 0.1).shared.all()


def test_what_one_domain_alone_knows_is_not_active_in_z_s():
    torch.manual_seed(0)
    common, own = torch.randn(2, 500, 1)
    log_variance = torch.full((500, 2), -2.0)
    x = DiagonalNormal(torch.cat([common, own], 1), log_variance)
    y = DiagonalNormal(torch.cat([common, torch.randn(500, 1)], 1), log_variance)
    train = Embeddings(x, y, x, y)
    assert select_active(train, train, 0.1).shared.tolist() == [True, False]


@pytest.mark.parametrize(
    ("family", "shapes", "message"),
    [
        (
            "small",
            ((3, 7, 28), (3, 28, 28)),
            "sides of 8 to 128 pixels, none more than twice as long as another",
        ),
        ("small", ((3, 32, 32), (3, 65, 64)), "none more than twice as long as another"),
        (
            "small",
            ((3, 256, 256), (3, 256, 256)),
            "or choose another family; the data is 3x256x256 and 3x256x256",
        ),
        ("image-map", ((3, 32, 32), (3, 32, 32)), "from 64 to 512"),
        ("features", ((3, 32, 32), (5,)), "for images; the data is 3x32x32 and 5"),
        ("small", ((12,), (12,)), "takes images; use 'features' for vectors"),
    ],
)
def test_a_family_refuses_data_it_cannot_take(family, shapes, message):
    with pytest.raises(SettingsError) as error:
        build_model(ModelSettings(family=family), ObjectiveSettings(), shapes)
    assert message in str(error.value)


@pytest.mark.parametrize("kind", [*LIKELIHOODS])
def test_every_likelihood_can_be_built_and_trained(kind):
    model, pairs = small_model(
        small_settings(f"objective.x.kind={kind}", f"objective.y.kind={kind}")
    )
    pair = mapped(pairs.pairs(Draw(torch.arange(50))), torch.sigmoid)
    if isinstance(model.units_x, CountUnits):
        pair = mapped(pair, lambda v: (5 * v).round())
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        _, p = model(pair)
        losses.append(-(p.x.log_prob(pair.x) + p.y.log_prob(pair.y)).mean())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert p.x.mean.shape == pair.x.shape
    first, last = torch.stack(losses).detach().split(15)
    assert last.mean() < first.mean()


class Linear(torch.nn.Module):
    """Networks of a caller's own."""

    def __init__(self, size, latent, encodes_shared=False):
        super().__init__()
        self.layer = torch.nn.Linear(size, 2 * latent)
        self.encodes_shared = encodes_shared

    def forward(self, *values):
        loc, log_variance = self.layer(torch.cat(values, 1)).chunk(2, 1)
        posterior = DiagonalNormal(loc, log_variance)
        return SharedEncoding(posterior, values[0]) if self.encodes_shared else posterior


def test_any_modules_that_keep_the_interface_will_do(tmp_path):
    from iiae.data import load
    from iiae.distributions import NormalHead
    from iiae.model.iiae import IIAE
    from iiae.networks.mlp import Decoder
    from iiae.run_folder import load_run
    from iiae.training import fit

    settings = small_settings()
    head = NormalHead(50.0, tanh=False)

    def model():
        return IIAE(
            Networks(
                Linear(32, 3), Linear(32, 3), Linear(32, 5, True), Linear(32, 5, True),
                Linear(64, 5), Decoder(8, 32, head), Decoder(8, 32, head),
            ),
            5,
            (3, 3),
        )  # fmt: skip

    run = fit(settings, tmp_path, data=load(settings.data), model=model(), progress=False)
    again = load_run(tmp_path, model=model())
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])
