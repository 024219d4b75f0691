import torch

from iiae.metrics.differences import l1, ssim


def test_l1_is_the_mean_over_elements_of_each_sample():
    made, partner = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    expected = [
        sum((a - b).abs().flatten().tolist()) / 32 for a, b in zip(made, partner, strict=True)
    ]
    torch.testing.assert_close(l1(made, partner), torch.tensor(expected))
    assert l1(made[:, 0, 0], made[:, 0, 0]).tolist() == [0.0] * 3


def test_ssim_is_1_of_equal_images_and_falls_with_noise():
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    torch.testing.assert_close(ssim(images, images), torch.ones(2))
    near, far = (ssim(images, images + s * torch.randn_like(images)) for s in (0.1, 1.0))
    assert (far < near).all() and (near < 1).all()
