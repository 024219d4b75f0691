"""Cars: what z_s and z_y know of identity, elevation and azimuth, on the test cars.

    python benchmarks/cars.py RUN --picture cars.png

Across: 1-NN from every y (azimuths 1 to 23) to the x of all test cars and elevations, by r means;
a hit has the same car, or elevation. Other cars: 1-NN among y of other cars, and ridge probes whose
folds leave out whole cars (for the car itself: whole azimuths), so that no near-duplicate helps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from iiae.data import load
from iiae.data.cars import CarPairs
from iiae.files.atomic import write_atomically
from iiae.files.pictures import Row, grid
from iiae.metrics.retrieval import wilson
from iiae.model.latents import embed
from iiae.model.translation import translate
from iiae.run_folder import StoredRun, load_run
from iiae.types import Draw


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    run = load_run(given.run)
    test = load(run.settings.data).test
    assert isinstance(test, CarPairs)
    found = embed(run.model, test.batches(200))
    known = {name: factor.values for name, factor in test.factors().items()}
    generator = torch.Generator().manual_seed(0)
    y = found.shared_given_y
    latents = {"z_s given y, mean": y.mean, "z_s given y, sample": y.sample(generator)}
    latents["z_y, mean"] = found.exclusive_y.mean
    print("| latent | measure | car | elevation | azimuth |\n|---|---|---|---|---|")
    chance = {name: 1 / len(np.unique(values)) for name, values in known.items()}
    print(_row("chance", "", [f"{chance[n]:.3f}" for n in ("car", "elevation", "azimuth")]))
    print(_row("z_s, y to x", "1-NN across", [*_across(found, known), ""]))
    for name, latent in latents.items():
        z = latent.numpy().astype(np.float64)
        print(_row(name, "1-NN among other cars", ["", *_nearest(z, known)]))
        print(_row(name, "linear probe", _probes(z, known)))
    if given.picture:
        picture = _turned(run, test)
        write_atomically(given.picture, lambda path: picture.save(path, "PNG"))


def _row(latent: str, measure: str, cells: list[str]) -> str:
    return f"| {latent} | {measure} | {' | '.join(cells)} |"


def _across(found, known) -> list[str]:
    """Every y against one x of each car and elevation."""
    keys = list(zip(known["car"], known["elevation"], strict=True))
    first = [keys.index(key) for key in dict.fromkeys(keys)]
    gallery = found.shared_given_x.mean[first]
    nearest = torch.cdist(found.shared_given_y.mean, gallery).argmin(1).numpy()
    picked = np.array(first)[nearest]
    return [_rate(known[name][picked] == known[name]) for name in ("car", "elevation")]


def _nearest(z: np.ndarray, known) -> list[str]:
    distance = np.square(z[:, None] - z[None]).sum(-1)
    distance[known["car"][:, None] == known["car"][None]] = np.inf
    nearest = distance.argmin(1)
    return [_rate(known[name][nearest] == known[name]) for name in ("elevation", "azimuth")]


def _probes(z: np.ndarray, known) -> list[str]:
    cells: list[str] = []
    for name in ("car", "elevation", "azimuth"):
        groups = known["azimuth"] if name == "car" else known["car"]
        probe = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-2, 4, 13)))
        folds = GroupKFold(min(7, len(np.unique(groups))))
        predicted = cross_val_predict(probe, z, known[name], groups=groups, cv=folds)
        cells.append(_rate(predicted == known[name]))
    return cells


def _rate(hits: np.ndarray) -> str:
    found = wilson(int(hits.sum()), len(hits))
    return f"{found.rate:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _turned(run: StoredRun, test: CarPairs):
    """One car turned through all azimuths by the exclusive latents of another."""
    azimuths = 23
    own = test.pairs(Draw(torch.arange(azimuths)))
    other = test.pairs(Draw(torch.arange(azimuths) + 4 * azimuths))
    rows = [
        Row("x, azimuth 0", own.x[:1]),
        Row("true azimuths 1 to 23", own.y),
        Row("turned by its own z_y", translate(run.model, own.x, "y", like=own.y)),
        Row("another car", other.y),
        Row("turned by the other's z_y", translate(run.model, own.x, "y", like=other.y)),
    ]
    return grid("One test car turned through all azimuths", rows)


if __name__ == "__main__":
    main()
