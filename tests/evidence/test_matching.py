import math

import pytest
import torch

from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.evidence.matching import match_partners, partner_scores
from iiae.metrics.similarity import Aggregate, mutual_information
from iiae.model.latents import Embeddings


def embeddings(pairs, noise=0.3, size=3, shuffled=False):
    """z_s of both domains: a common factor, read with noise by each."""
    common = torch.randn(pairs, size)
    x, y = (common + noise * torch.randn(pairs, size) for _ in range(2))
    y = y[torch.randperm(pairs)] if shuffled else y
    given = [DiagonalNormal(z, torch.full_like(z, 2 * math.log(noise))) for z in (x, y + 5)]
    own = DiagonalNormal(torch.randn(pairs, 2), torch.zeros(pairs, 2))
    return Embeddings(*given, own, own)


def test_scores_are_the_closed_form_mutual_information():
    train, held = embeddings(500), embeddings(20)
    aggregate = Aggregate.of(train.shared_given_x, train.shared_given_y)
    sides = [
        aggregate.centred(held.shared_given_x, "x"),
        aggregate.centred(held.shared_given_y, "y"),
    ]
    wanted = mutual_information(*sides, aggregate.variance)
    torch.testing.assert_close(partner_scores(train, held, 20), wanted, rtol=1e-4, atol=1e-3)


def test_partners_match_and_shuffled_ones_do_not():
    train, chosen = embeddings(500), embeddings(300)
    found = match_partners(train, chosen, embeddings(400), permutations=199)
    assert found.p_value == 1 / 200
    assert found.nats.low > 1 > found.null_high
    assert found.recall > 0.1 > found.null_recall
    null = match_partners(train, chosen, embeddings(400, shuffled=True), permutations=199)
    assert null.p_value > 0.05
    assert null.nats.value < 0 < found.excess


def test_nats_of_well_known_partners_reach_their_limit_and_no_more():
    train, chosen, held = (embeddings(300, noise=0.01) for _ in range(3))
    found = match_partners(train, chosen, held, permutations=9)
    assert found.most == pytest.approx(math.log(300))
    assert found.most - 0.01 < found.nats.value <= found.most
    assert found.recall > 0.99


def test_two_pairs_are_refused():
    with pytest.raises(DataError, match="2 pairs are too few"):
        match_partners(embeddings(9), embeddings(9), embeddings(2))
