import math

import torch

from helpers import small_settings
from iiae.data import load
from iiae.evidence.label_free import label_free_scores
from iiae.results import LabelFree
from iiae.run_folder import load_run
from iiae.training import fit


def test_a_trained_run_scores_above_the_same_run_without_its_shared_latent(tmp_path):
    settings = small_settings("training.epochs=20", "training.learning_rate=3e-3")
    fit(settings, tmp_path, progress=False)
    run, data = load_run(tmp_path), load(settings.data)
    found = label_free_scores(run, data)
    assert found == label_free_scores(run, data)
    assert all(map(torch.isfinite, map(torch.tensor, found)))
    with torch.no_grad():
        for weights in run.model.shared_given_x.parameters():
            weights.copy_(torch.randn_like(weights))
    spoilt = label_free_scores(run, data)
    for name in ("nats", "interaction", "estimate", "inter_kl", "nats_apart"):
        assert getattr(found, name) > getattr(spoilt, name), name
    assert LabelFree._fields[-1] == "balance"
    assert found.balance <= found.retrieval


def test_few_validation_pairs_have_every_score_but_their_dependence(tmp_path):
    settings = small_settings("training.epochs=1", "data.validation=3")
    fit(settings, tmp_path, progress=False)
    found = label_free_scores(load_run(tmp_path), load(settings.data))
    assert math.isnan(found.independent)
    assert all(math.isfinite(value) for value in found._replace(independent=0.0))
