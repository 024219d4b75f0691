"""Zero-shot retrieval as seen classes, their items and the training grow: z_s beside its features.

    python benchmarks/learning_curve.py features.npz --split sake25 --picture curve.png

Each part of the training set is drawn by the seed; everything else is as in `zero_shot.py`. Of the
three curves, two shrink the training set and one its length; their last points are one run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iiae.data.classes.pairs import ClassPairs, load_classes, standardised_splits
from zero_shot import iiae, score_method, zero_shot_settings


class Point(NamedTuple):
    """Settings of one run, and mAP@all of every seed."""

    curve: str
    value: int
    found: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--classes", type=int, nargs="*", default=[25, 50, 75])
    parser.add_argument("--items", type=int, nargs="*", default=[5, 10, 15])
    parser.add_argument("--steps", type=int, nargs="+", default=[125, 250, 500, 1000])
    parser.add_argument("--validation", type=int, default=1)
    parser.add_argument("--pairing", default="class")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    points: list[Point] = []
    parts = {
        seed: standardised_splits(load_classes(zero_shot_settings(given, seed).data))
        for seed in given.seeds
    }
    wanted = [("classes", n) for n in given.classes] + [("items", n) for n in given.items]
    for curve, value in [*wanted, *(("steps", steps) for steps in sorted(given.steps))]:
        found: list[float] = []
        for seed, (whole, _, unseen) in parts.items():
            settings = zero_shot_settings(given, seed)
            train = shrunk(whole, curve, value, seed)
            method = iiae(train, settings, value if curve == "steps" else max(given.steps))
            found.append(score_method(method.x, method.y, unseen).mean["map@all"])
        points.append(Point(curve, value, found))
        each = ", ".join(f"{one:.4f}" for one in found)
        print(f"{curve} {value}: {np.mean(found):.4f} ({each})", flush=True)
    whole, _, unseen = parts[given.seeds[0]]
    points += [
        Point(curve, value, points[-1].found)
        for curve, value in (
            ("classes", len(whole.classes)),
            ("items", int(np.bincount(whole.class_of).max())),
        )
    ]
    baseline = score_method(lambda x: x, lambda y: y, unseen).mean["map@all"]
    print(f"as given: {baseline:.4f}")
    if given.picture:
        draw(points, baseline, given.picture, given.features.stem)


def shrunk(train: ClassPairs, curve: str, value: int, seed: int) -> ClassPairs:
    """Fewer classes, or fewer items of each class and domain; whole for other curves."""
    generator = np.random.default_rng(seed)
    if curve == "classes":
        kept = sorted(generator.permutation(train.classes)[:value])
        return ClassPairs(train.x.of(kept), train.y.of(kept), train.split)
    if curve == "items":
        sides = []
        for side in (train.x, train.y):
            rows = [
                generator.permutation(np.flatnonzero(side.labels == name))[:value]
                for name in train.classes
            ]
            sides.append(side.at(np.sort(np.concatenate(rows))))
        return ClassPairs(*sides, train.split)
    return train


def draw(points: list[Point], baseline: float, path: Path, name: str) -> None:
    """One panel a curve, with every seed, their mean, and the features as given."""
    from matplotlib.figure import Figure

    titles = {
        "classes": "seen classes",
        "items": "items a class and domain",
        "steps": "steps of training",
    }
    curves = list(dict.fromkeys(point.curve for point in points))
    figure = Figure(figsize=(3.6 * len(curves), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    for panel, curve in zip(panels, curves, strict=True):
        own = [point for point in points if point.curve == curve]
        x = [point.value for point in own]
        panel.plot(x, [np.mean(point.found) for point in own], "o-", label="z_s, mean of seeds")
        for point in own:
            panel.plot([point.value] * len(point.found), point.found, ".", color="0.6")
        panel.axhline(baseline, linestyle="--", color="black", label="features as given")
        panel.set_xlabel(titles[curve])
    panels[0].set_ylabel("mAP@all, unseen classes")
    panels[0].legend(loc="lower right", fontsize="small")
    figure.suptitle(name, fontsize="medium")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
