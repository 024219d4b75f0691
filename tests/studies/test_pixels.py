"""Pixels alone, on pairs that a linear map tells apart and on pairs that nothing does."""

import sys

import numpy as np
import torch
from PIL import Image

import pixels


def sides(rows, turn, noise, seed):
    torch.manual_seed(seed)
    cause = torch.randn(rows, 6, dtype=torch.float64)
    x = cause @ turn + noise * torch.randn(rows, 12, dtype=torch.float64)
    return x, cause @ turn.roll(3, 1) + noise * torch.randn(rows, 12, dtype=torch.float64)


def test_correlations_find_partners_that_a_linear_map_tells_apart():
    torch.manual_seed(0)
    turn = torch.randn(6, 12, dtype=torch.float64)
    parts = [sides(rows, turn, 0.05, seed) for seed, rows in enumerate((200, 40, 60))]
    best = max(pixels.correlations(*parts, size=2))
    assert min(best.recall) > 0.9
    assert best.name.startswith("2 pixels, ridge ")
    x, y = parts[2]
    strangers = max(pixels.correlations(*parts[:2], (x, y.roll(7, 0)), size=2))
    assert max(strangers.recall) < 0.2


def test_the_command_prints_raw_pixels_and_correlations(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for i in range(40):
        half = rng.integers(0, 256, (8, 8, 3)).astype("u1")
        both = np.concatenate([half, 255 - half], 1)
        Image.fromarray(both).resize((64, 32), Image.Resampling.NEAREST).save(tmp_path / f"{i}.png")
    words = ["pixels.py", "side-by-side", str(tmp_path), "--sizes", "8"]
    monkeypatch.setattr(sys, "argv", words)
    pixels.main()
    out = capsys.readouterr().out
    assert "8 pixels, raw: " in out
    assert "canonical correlations, 8 pixels, ridge " in out
