import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iiae.files.bands import band_tensor
from iiae.files.images import image_tensor
from iiae.inference.pixels import FitPixels, MakePixels

STEP = 2 / 255
sides = st.integers(1, 90)


def noise(height, width, bands, top=255, kind="uint8"):
    seed = height * 1000 + width
    return np.random.default_rng(seed).integers(0, top + 1, (height, width, bands)).astype(kind)


def fitted(pixels, shape, pad=False):
    top = np.iinfo(pixels.dtype).max
    return FitPixels(shape, pad, top)(torch.from_numpy(pixels)[None])[0]


@given(sides, st.integers(1, 40), sides, st.booleans())
@settings(deadline=None, max_examples=60)
def test_one_axis_is_resampled_as_pillow_does_to_the_last_bit(size, frame, other, across):
    height, width = (other, size) if across else (size, other)
    shape = (3, other, frame) if across else (3, frame, other)
    pixels = noise(height, width, 3)
    assert torch.equal(fitted(pixels, shape), image_tensor(Image.fromarray(pixels), shape))


@given(sides, sides, st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(deadline=None, max_examples=60)
def test_both_axes_differ_by_one_step_of_255_at_most(height, width, rows, columns, pad):
    pixels = noise(height, width, 3)
    expected = image_tensor(Image.fromarray(pixels), (3, rows, columns), pad)
    off = (fitted(pixels, (3, rows, columns), pad) - expected).abs()
    assert off.max() < 1.001 * STEP
    assert off.mean() < 0.25 * STEP


@given(sides, sides, st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(deadline=None, max_examples=60)
def test_bands_keep_their_bits(height, width, rows, columns, pad):
    pixels = noise(height, width, 2, 65535, "uint16")
    values = np.ascontiguousarray((pixels / np.float32(65535)).astype("f4").transpose(2, 0, 1))
    expected = band_tensor(values, (2, rows, columns), pad)
    torch.testing.assert_close(fitted(pixels, (2, rows, columns), pad), expected, rtol=0, atol=5e-7)


def test_pixels_of_values_are_those_they_came_from():
    for kind in ("uint8", "uint16"):
        top = np.iinfo(kind).max
        pixels = torch.from_numpy(noise(5, 7, 2, top, kind))[None]
        values = FitPixels((2, 5, 7), False, top)(pixels)
        assert torch.equal(MakePixels(top)(values).int(), pixels.int())
