"""The published feature experiment, on made-up features in the authors' file layout."""

import numpy as np
import pytest
import torch

from iiae.data import load
from iiae.evaluation.evaluate import evaluate
from iiae.settings import load_settings
from iiae.training import fit

CLASSES, SIZE = 24, 64


@pytest.fixture
def split1(tmp_path):
    """Classes are low-dimensional; each domain turns and shifts them in its own way."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "split1"
    folder.mkdir()
    centres = generator.standard_normal((CLASSES, 8))
    for side, count in (("sketch", 30), ("image", 40)):
        turn = generator.standard_normal((8, SIZE)) / 2
        labels = np.repeat(np.arange(CLASSES), count)
        noise = 0.5 * generator.standard_normal((len(labels), SIZE))
        values = centres[labels] @ turn + noise + generator.standard_normal(SIZE)
        for part, chosen in (("train", labels < CLASSES - 6), ("test", labels >= CLASSES - 6)):
            np.save(folder / f"{part}_{side}_features.npy", values[chosen].astype(np.float32))
            paths = [
                f"/data/{side}/class{c:02d}/{i}.png" for i, c in enumerate(labels) if chosen[i]
            ]
            np.save(folder / f"{part}_{side}_paths.npy", np.array(paths))
    return folder


def test_the_published_experiment_runs_on_the_authors_layout(split1, tmp_path, experiments):
    settings = load_settings(
        experiments / "sketchy-published.toml",
        [
            f'data.root="{split1}"',
            "training.compile=false",
            "training.epochs=30",
            "training.learning_rate=1e-3",
            "training.batch=17",
            "model.width=32",
            "objective.x.weight=100",
            "objective.y.weight=100",
            "evaluation.cutoffs=[10]",
        ],
    )
    torch.manual_seed(0)
    data = load(settings.data)
    run = fit(settings, tmp_path / "run", data=data, progress=False)
    evaluation = evaluate(run, data.test)
    assert evaluation.categories is not None
    assert evaluation.categories.split.startswith("as the files say (digest ")
    shared = evaluation.categories.shared_x_to_y
    assert (shared.queries, shared.gallery) == (6 * 30, 6 * 40)
    assert shared.mean["map@all"] > 1.8 * shared.chance["map@all"]
    exclusive = evaluation.categories.exclusive_x_to_y
    assert exclusive is not None
    assert exclusive.mean["map@all"] < shared.mean["map@all"]
