"""Zero-shot retrieval as seen classes, their items and the training grow: z_s beside its features.

    python studies/learning_curve.py features.npz --unseen sake25 --picture curve.png

Each part of the training set is drawn by the seed; IIAE is that of `zero_shot.py`. Of the
three curves, two shrink the training set and one its length; their last points are one run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iiae.data.classes.pairs import ClassPairs
from iiae.data.classes.zero_shot import load_classes
from iiae.metrics.ranking import score
from iiae.rivals.interface import Fitted, TrainingSet
from iiae.rivals.registry import RIVALS
from iiae.settings import data_settings
from zero_shot import IIAE_64


class Point(NamedTuple):
    """Settings of one run, and mAP@all of every seed."""

    curve: str
    value: int
    found: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--unseen", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--classes", type=int, nargs="*", default=[25, 50, 75])
    parser.add_argument("--items", type=int, nargs="*", default=[5, 10, 15])
    parser.add_argument("--steps", type=int, nargs="+", default=[125, 250, 500, 1000])
    parser.add_argument("--validation", type=int, default=1)
    parser.add_argument("--pairing", default="class")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER",
                        help="a setting of `IIAESettings`, such as weight=1000.0")  # fmt: skip
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    points: list[Point] = []
    data = data_settings(
        name="classes",
        root=str(given.features),
        unseen=given.unseen,
        validation=given.validation,
        pairing=given.pairing,
    )
    whole, _, unseen = load_classes(data)
    assert isinstance(whole, ClassPairs) and isinstance(unseen, ClassPairs)
    chosen = {name: json.loads(value) for name, value in (one.split("=") for one in given.set)}
    wanted = [("classes", n) for n in given.classes] + [("items", n) for n in given.items]
    for curve, value in [*wanted, *(("steps", steps) for steps in sorted(given.steps))]:
        steps = value if curve == "steps" else max(given.steps)
        reached: list[float] = []
        for seed in given.seeds:
            train = TrainingSet.of(shrunk(whole, curve, value, seed))
            fitted = IIAE_64.fit(train, seed=seed, **chosen | {"steps": steps})
            reached.append(quality(fitted, unseen))
        points.append(Point(curve, value, reached))
        each = ", ".join(f"{one:.4f}" for one in reached)
        print(f"{curve} {value}: {np.mean(reached):.4f} ({each})", flush=True)
    points += [
        Point(curve, value, points[-1].found)
        for curve, value in (
            ("classes", len(whole.classes)),
            ("items", int(np.bincount(whole.class_of).max())),
        )
    ]
    baseline = quality(RIVALS["as given"].fit(TrainingSet.of(whole)), unseen)
    print(f"as given: {baseline:.4f}")
    if given.picture:
        draw(points, baseline, given.picture, given.features.stem)


def quality(fitted: Fitted, unseen: ClassPairs) -> float:
    """mAP@all of unseen classes, x searching y."""
    x, y = unseen.x, unseen.y
    found = (fitted.embed_x(x.values.numpy()), fitted.embed_y(y.values.numpy()))
    return score(*found, x.labels, y.labels, (1,)).mean["map@all"]


def shrunk(train: ClassPairs, curve: str, value: int, seed: int) -> ClassPairs:
    """Fewer classes, or fewer items of each class and domain; whole for other curves."""
    generator = np.random.default_rng(seed)
    if curve == "classes":
        kept = sorted(generator.permutation(train.classes)[:value])
        return ClassPairs(train.x.of(kept), train.y.of(kept), train.class_list)
    if curve == "items":
        sides = []
        for side in (train.x, train.y):
            rows = [
                generator.permutation(np.flatnonzero(side.labels == name))[:value]
                for name in train.classes
            ]
            sides.append(side.at(np.sort(np.concatenate(rows))))
        return ClassPairs(*sides, train.class_list)
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
