import torch

from iiae.training.library_sizes import predicted_share


def test_the_predicted_share_is_that_of_what_the_other_domain_holds():
    values, noise = torch.randn(400, 3), torch.randn(400)
    assert predicted_share(values, values.sum(1)) > 0.99
    assert 0.4 < predicted_share(values, values[:, 0] + noise) < 0.6
    assert predicted_share(values, noise) < 0.05


def test_more_columns_than_pairs_predict_no_noise():
    assert predicted_share(torch.randn(200, 600), torch.randn(200)) < 0.1
