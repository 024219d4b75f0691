import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import random_terms_inputs, small_model
from iiae.distributions import DiagonalNormal, Likelihoods, Normal, Posteriors
from iiae.objectives import (
    Terms,
    elbo,
    exclusive_weight,
    iiae_loss,
    iiae_terms,
    information_bound,
    kl_warmup,
    partial_terms,
)
from iiae.types import Draw, Pair, PartialBatch, mapped

pytestmark = pytest.mark.usefixtures("float64")


def slow_kl(q, p):
    """By the definition, one dimension at a time."""
    total = torch.zeros(len(q.loc))
    for i in range(len(q.loc)):
        for j in range(q.loc.shape[1]):
            m1, v1 = q.loc[i, j].item(), math.exp(q.log_variance[i, j])
            m2, v2 = (
                (0.0, 1.0) if p is None else (p.loc[i, j].item(), math.exp(p.log_variance[i, j]))
            )
            total[i] += 0.5 * (math.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)
    return total


def slow_nll(likelihood, value):
    total = torch.zeros(len(value))
    for i in range(len(value)):
        for a, b in zip(
            value[i].flatten().tolist(), likelihood.loc[i].flatten().tolist(), strict=True
        ):
            v = likelihood.variance
            total[i] += 0.5 * math.log(2 * math.pi * v) + (a - b) ** 2 / (2 * v)
    return total


def test_terms_equal_slow_loops():
    pair, q, p = random_terms_inputs()
    slow = Terms(
        nll_x=slow_nll(p.x, pair.x),
        nll_y=slow_nll(p.y, pair.y),
        kl_x=slow_kl(q.exclusive_x, None),
        kl_y=slow_kl(q.exclusive_y, None),
        kl_s=slow_kl(q.shared, None),
        kl_s_x=slow_kl(q.shared, q.shared_given_x),
        kl_s_y=slow_kl(q.shared, q.shared_given_y),
    )
    for fast, expected in zip(iiae_terms(pair, q, p), slow, strict=True):
        torch.testing.assert_close(fast, expected)


def test_bounds_by_hand():
    t = Terms(*(torch.tensor([v]) for v in (100.0, 200.0, 1.0, 2.0, 10.0, 0.5, 0.25)))
    assert elbo(t).item() == -313
    assert elbo(t, anneal=0.5).item() == -306.5
    assert information_bound(t).item() == -303.75
    assert information_bound(t, anneal=0).item() == -300.75
    assert iiae_loss(t, beta=0.2, lam=2).item() == pytest.approx(0.2 * 313 + 2 * 303.75)


@pytest.mark.parametrize("anneal", [0.0, 0.3, 1.0])
def test_the_loss_equals_the_published_sum(anneal):
    """(b+l)(rec_x+rec_y) + c(b+l)(KL_x+KL_y) + c b KL_s + l(KL[q||r_x] + KL[q||r_y])."""
    w, beta, lam = 1000.0, 0.2, 1.7
    pair, q, p = random_terms_inputs(laplace=w)
    rec_x = w * (pair.x - p.x.loc).abs().flatten(1).mean(1)
    rec_y = w * (pair.y - p.y.loc).abs().flatten(1).mean(1)
    published = (
        (beta + lam) * (rec_x + rec_y)
        + anneal * (beta + lam) * (q.exclusive_x.kl_standard() + q.exclusive_y.kl_standard())
        + anneal * beta * q.shared.kl_standard()
        + lam * (q.shared.kl(q.shared_given_x) + q.shared.kl(q.shared_given_y))
    ).mean()
    # the densities' normalisers, which the program leaves out
    constant = (beta + lam) * (12 * math.log(2 * 12 / w) + 6 * math.log(2 * 6 / w))
    loss = iiae_loss(iiae_terms(pair, q, p), beta, lam, anneal)
    assert abs(loss.item() - published.item() - constant) < 1e-10 * abs(published.item())


def linear_gaussian(noise=0.4):
    """x = z_s + z_x + e, y = z_s - z_y + e': everything is normal, so all is known exactly.

    Returns the joint covariance of (z_s, z_x, z_y, x, y).
    """
    maps = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0]])
    joint = torch.zeros(5, 5)
    joint[:3, :3] = torch.eye(3)
    joint[3:, :3] = maps
    joint[:3, 3:] = maps.T
    joint[3:, 3:] = maps @ maps.T + noise * torch.eye(2)
    return joint


def conditional(joint, of, given):
    """Weights and variance of normal `of` given `given`."""
    weights = joint[of][:, given] @ torch.linalg.inv(joint[given][:, given])
    return weights, joint[of][:, of] - weights @ joint[given][:, of]


def expected_elbo(q_mean, q_cov, x, y, noise):
    """E_q log p(x, y | z) - KL[q || N(0, I)] for a normal q over (z_s, z_x, z_y)."""
    maps = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, -1.0]])
    residual = torch.stack([x, y]) - maps @ q_mean
    spread = torch.diagonal(maps @ q_cov @ maps.T)
    log_likelihood = -0.5 * ((residual**2 + spread) / noise + math.log(2 * math.pi * noise)).sum()
    kl = 0.5 * (q_cov.trace() + q_mean @ q_mean - 3 - torch.logdet(q_cov))
    return log_likelihood - kl


def test_elbo_is_at_most_the_log_evidence_and_equal_at_the_exact_posterior():
    noise = 0.4
    joint = linear_gaussian(noise)
    z, data = [0, 1, 2], [3, 4]
    x, y = torch.tensor(0.7), torch.tensor(-1.2)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(2), joint[3:, 3:]).log_prob(
        torch.stack([x, y])
    )
    weights, cov = conditional(joint, z, data)
    exact = expected_elbo(weights @ torch.stack([x, y]), cov, x, y, noise)
    torch.testing.assert_close(exact, evidence)

    # ours, with the diagonal of the exact posterior: a bound, and its closed form
    mean = weights @ torch.stack([x, y])
    n = 200_000
    q = [DiagonalNormal(mean[i].expand(n, 1), cov[i, i].log().expand(n, 1)) for i in z]
    zs, zx, zy = (part.rsample() for part in q)
    p = Likelihoods(Normal(zs + zx, noise), Normal(zs - zy, noise))
    pair = Pair(x.expand(n, 1), y.expand(n, 1))
    bounds = elbo(iiae_terms(pair, Posteriors(q[0], q[0], q[0], q[1], q[2]), p))
    closed = expected_elbo(mean, torch.diag(torch.diagonal(cov)), x, y, noise)
    assert abs(bounds.mean() - closed) < 4 * bounds.std() / n**0.5
    assert closed < evidence


def test_the_information_bound_is_at_most_l_dis_on_the_linear_gaussian_pair():
    """Exact encoders: its terms equal, or bound from above, informations known in closed form."""
    noise = 0.4
    joint = linear_gaussian(noise)

    def information(a, b, given=()):
        """I(a; b | given) in nats, from the joint normal."""
        given = list(given)

        def half_log_det(of):
            return 0.5 * torch.logdet(joint[of][:, of]) if of else torch.tensor(0.0)

        return (
            half_log_det(a + given) + half_log_det(b + given) - half_log_det(a + b + given)
            - half_log_det(given)
        )  # fmt: skip

    s, zx, zy, x, y = [0], [1], [2], [3], [4]
    n = 400_000
    draws = torch.distributions.MultivariateNormal(torch.zeros(5), joint).sample((n,))

    def posterior(of, given):
        weights, cov = conditional(joint, of, given)
        loc = draws[:, given] @ weights.T
        return DiagonalNormal(loc, torch.diagonal(cov).log().expand(n, 1))

    q = Posteriors(
        posterior(s, x + y), posterior(s, x), posterior(s, y), posterior(zx, x), posterior(zy, y)
    )
    latents = q.rsample()
    p = Likelihoods(
        Normal(latents.shared + latents.exclusive_x, noise),
        Normal(latents.shared - latents.exclusive_y, noise),
    )
    t = iiae_terms(Pair(draws[:, x], draws[:, y]), q, p)
    close = {"atol": 0.01, "rtol": 0.0}
    # exact posteriors make the KL terms equalities
    torch.testing.assert_close(t.kl_x.mean(), information(zx, x), **close)
    torch.testing.assert_close(t.kl_y.mean(), information(zy, y), **close)
    torch.testing.assert_close(t.kl_s_x.mean(), information(s, y, x), **close)
    torch.testing.assert_close(t.kl_s_y.mean(), information(s, x, y), **close)
    # and the likelihood term a bound of I(X; Z_x, Z_s), up to the entropy of x
    entropy_x = 0.5 * math.log(2 * math.pi * math.e * joint[3, 3].item())
    entropy_y = 0.5 * math.log(2 * math.pi * math.e * joint[4, 4].item())
    l_dis = (
        2 * (information(x, s) - information(x, s, y))
        - information(zx, s)
        - information(zy, s)
    )  # fmt: skip
    bound = information_bound(t).mean() + entropy_x + entropy_y
    assert bound < l_dis


@given(st.permutations(range(5)))
def test_terms_follow_the_order_of_the_batch(order):
    torch.manual_seed(0)
    pair, q, p = random_terms_inputs()
    terms = iiae_terms(pair, q, p)
    moved = iiae_terms(
        Pair(pair.x[order], pair.y[order]),
        Posteriors(*(DiagonalNormal(d.loc[order], d.log_variance[order]) for d in q)),
        Likelihoods(Normal(p.x.loc[order], 0.7), Normal(p.y.loc[order], 1.3)),
    )
    for before, after in zip(terms, moved, strict=True):
        torch.testing.assert_close(after, before[order])


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0, 1))
def test_the_loss_is_symmetric_in_the_domains(beta, lam, anneal):
    torch.manual_seed(0)
    pair, q, p = random_terms_inputs()
    swapped = Posteriors(q.shared, q.shared_given_y, q.shared_given_x, q.exclusive_y, q.exclusive_x)
    one = iiae_loss(iiae_terms(pair, q, p), beta, lam, anneal)
    other = iiae_loss(
        iiae_terms(Pair(pair.y, pair.x), swapped, Likelihoods(p.y, p.x)), beta, lam, anneal
    )
    torch.testing.assert_close(one, other)


def test_warm_up_does_not_touch_the_inter_kls():
    pair, q, p = random_terms_inputs()
    t = iiae_terms(pair, q, p)
    torch.testing.assert_close(
        information_bound(t, 0.0), -(t.nll_x + t.nll_y) - t.kl_s_x - t.kl_s_y
    )


def test_warm_up_runs_from_zero_to_one():
    assert kl_warmup(0, 2000) == 0
    assert kl_warmup(2000, 2000) == pytest.approx(1 - math.exp(-1))
    assert kl_warmup(10**7, 2000) == 1
    assert kl_warmup(0, 0) == 1


def test_gradients_reach_every_parameter():
    model, pairs = small_model()
    pair = mapped(pairs.pairs(Draw(torch.arange(20))), torch.Tensor.double)
    q, p = model(pair)
    iiae_loss(iiae_terms(pair, q, p), 0.2, 1.0, 0.5).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_lambda_alone_trains_the_one_domain_encoders():
    model, pairs = small_model()
    pair = mapped(pairs.pairs(Draw(torch.arange(20))), torch.Tensor.double)
    q, p = model(pair)
    iiae_loss(iiae_terms(pair, q, p), beta=1.0, lam=0.0).backward()
    last = model.shared_given_x.rest[-1].weight
    assert last.grad is None or last.grad.abs().max() == 0


def test_inter_weights_the_two_inter_kls_alone_and_is_published_at_one():
    pair, q, p = random_terms_inputs()
    t = iiae_terms(pair, q, p)
    inter = t.kl_s_x + t.kl_s_y
    assert torch.equal(information_bound(t, 0.3), information_bound(t, 0.3, 1.0))
    torch.testing.assert_close(
        information_bound(t, 0.3, 2.5), information_bound(t, 0.3) - 1.5 * inter
    )
    torch.testing.assert_close(
        iiae_loss(t, 0.2, 0.7, 0.3, 2.5), iiae_loss(t, 0.2, 0.7, 0.3) + 0.7 * 1.5 * inter.mean()
    )
    assert (information_bound(t, 1.0, 2.0) <= information_bound(t)).all()


def test_exclusive_weights_the_two_exclusive_kls_of_the_bound_alone_and_is_published_at_one():
    pair, q, p = random_terms_inputs()
    t = iiae_terms(pair, q, p)
    own = t.kl_x + t.kl_y
    assert torch.equal(
        information_bound(t, 0.3, 2.0), information_bound(t, 0.3, 2.0, exclusive=1.0)
    )
    torch.testing.assert_close(
        information_bound(t, 0.3, 2.0, 4.0), information_bound(t, 0.3, 2.0) - 0.3 * 3.0 * own
    )
    torch.testing.assert_close(
        iiae_loss(t, 0.2, 0.7, 0.3, 2.0, 4.0),
        iiae_loss(t, 0.2, 0.7, 0.3, 2.0) + 0.7 * 0.3 * 3.0 * own.mean(),
    )
    assert (information_bound(t, exclusive=4.0) <= information_bound(t)).all()


def test_the_exclusive_weight_rises_late_from_the_published_one_to_its_end():
    assert exclusive_weight(0, 8) == 1
    assert exclusive_weight(0.25, 8) == 1 + 7 / 64
    assert exclusive_weight(1, 8) == 8
    assert exclusive_weight(0.5, 1) == 1


def part_paired_inputs():
    """A model, 12 rows, and a batch of them: 6 pairs, 4 x alone, 2 y alone."""
    model, pairs = small_model()
    x, y = (v.double() for v in pairs.pairs(Draw(torch.arange(12)))[:2])
    return model, Pair(x, y), PartialBatch(x[:10], torch.cat([y[:6], y[10:]]), 6)


def test_terms_of_pairs_are_those_without_samples_alone():
    model, rows, batch = part_paired_inputs()
    q, p = model.eval().forward_partial(batch)
    terms = partial_terms(batch, q, p)
    first = Posteriors(q.shared, *(d.rows(slice(6)) for d in q[1:]))
    likelihoods = Likelihoods(*(Normal(side.loc[:6], side.variance) for side in p))
    alone = iiae_terms(Pair(rows.x[:6], rows.y[:6]), first, likelihoods)
    for term, expected in zip(terms, alone, strict=True):
        assert term.shape == (12,)
        torch.testing.assert_close(term[:6], expected)


def test_a_batch_without_samples_alone_is_a_batch_of_pairs():
    model, rows, _ = part_paired_inputs()
    batch = PartialBatch(rows.x, rows.y, 12)
    q, p = model.forward_partial(batch)
    for term, expected in zip(partial_terms(batch, q, p), iiae_terms(rows, q, p), strict=True):
        assert torch.equal(term, expected)


def test_terms_of_samples_alone_are_those_of_their_side_with_r_for_the_joint_posterior():
    model, _, batch = part_paired_inputs()
    with torch.no_grad():
        q, p = model.forward_partial(batch)
    t = partial_terms(batch, q, p)
    x, y = slice(6, 10), slice(10, 12)
    torch.testing.assert_close(t.nll_x[x], -p.x.log_prob(batch.x)[6:])
    torch.testing.assert_close(t.nll_y[y], -p.y.log_prob(batch.y)[6:])
    torch.testing.assert_close(t.kl_x[x], slow_kl(q.exclusive_x.rows(slice(6, None)), None))
    torch.testing.assert_close(t.kl_y[y], slow_kl(q.exclusive_y.rows(slice(6, None)), None))
    torch.testing.assert_close(t.kl_s[x], slow_kl(q.shared_given_x.rows(slice(6, None)), None))
    torch.testing.assert_close(t.kl_s[y], slow_kl(q.shared_given_y.rows(slice(6, None)), None))
    for absent in (t.nll_y[x], t.kl_y[x], t.nll_x[y], t.kl_x[y], t.kl_s_x[6:], t.kl_s_y[6:]):
        assert (absent == 0).all()


@pytest.mark.parametrize("side", ["x", "y"])
def test_a_sample_alone_trains_its_own_networks_and_no_other(side):
    model, _, batch = part_paired_inputs()
    q, p = model.eval().forward_partial(batch)  # eval: moments of BatchNorm mix samples
    own = slice(6, 10) if side == "x" else slice(10, 12)
    rows = Terms(*(term[own] for term in partial_terms(batch, q, p)))
    iiae_loss(rows, 0.2, 1.0).backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert reached == name.split(".")[0].endswith(f"_{side}"), name


def test_the_elbo_of_x_alone_is_at_most_its_log_evidence():
    """x = z_s + z_x + e, with the exact marginal posteriors: its closed form, and a bound."""
    noise, x, n = 0.4, 0.7, 200_000
    evidence = -0.5 * (x**2 / (2 + noise) + math.log(2 * math.pi * (2 + noise)))
    mean, variance = x / (2 + noise), 1 - 1 / (2 + noise)
    r = DiagonalNormal(torch.full((n, 1), mean), torch.full((n, 1), math.log(variance)))
    z_s, z_x = r.rsample(), r.rsample()
    none = DiagonalNormal(torch.zeros(0, 1), torch.zeros(0, 1))
    value = torch.full((n, 1), x)
    batch = PartialBatch(value, torch.zeros(0, 1), 0)
    p = Likelihoods(Normal(z_s + z_x, noise), Normal(torch.zeros(1, 1), noise))
    p.y.loc = torch.zeros(0, 1)
    p.y.log_prob = lambda value: torch.zeros(len(value))
    bound = elbo(partial_terms(batch, Posteriors(none, r, none, r, none), p))
    # E log p(x | z) has the residual's mean and spread; both KLs are of one normal
    residual = (x - 2 * mean) ** 2 + 2 * variance
    kl = 0.5 * (mean**2 + variance - 1 - math.log(variance))
    closed = -0.5 * (residual / noise + math.log(2 * math.pi * noise)) - 2 * kl
    assert abs(bound.mean() - closed) < 4 * bound.std() / n**0.5
    assert closed < evidence


def test_samples_alone_teach_the_encoders_of_what_is_shared_a_share_of_their_gradient():
    def gradients(alone):
        torch.manual_seed(0)
        model, _, batch = part_paired_inputs()
        q, p = model.eval().forward_partial(batch, alone)
        terms = Terms(*(term[6:] for term in partial_terms(batch, q, p)))
        loss = iiae_loss(terms, 0.2, 1.0)
        loss.backward()
        return loss.item(), dict(model.named_parameters())

    (whole, full), (same, tenth), (_, none) = (gradients(share) for share in (1.0, 0.1, 0.0))
    assert whole == same  # the loss is what it was
    for name, parameter in full.items():
        if parameter.grad is None:
            continue
        share = 0.1 if name.startswith("shared_given") else 1.0
        torch.testing.assert_close(tenth[name].grad, share * parameter.grad)
        if share < 1:
            assert not none[name].grad.any()
