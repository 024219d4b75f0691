"""Zero-shot retrieval of unseen classes: IIAE beside other 64-d embeddings of the same features.

    python benchmarks/zero_shot.py features.npz --split sake25 --seeds 0 1 2 3 4 --out table.json

Every method sees the same features, training classes, number of pairs and steps. `--on validation`
scores held-out seen classes, for choosing settings; unseen classes are for the last run only.
Differences to the features as given are paired: bootstrap over queries of per-query AP.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.data.classes.pairs import ClassPairs, load_classes, standardised_splits
from iiae.data.sampling import make_batches
from iiae.hardware import bf16_pays
from iiae.metrics.ranking import score
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.networks.layers import dense
from iiae.networks.mlp import hidden
from iiae.objectives import Terms, iiae_loss, iiae_terms, kl_warmup
from iiae.settings import Settings, make_settings
from iiae.types import Pair

SIZE = 64


class Method(NamedTuple):
    """Embeddings of x and y, and of z_x and z_y where there are such."""

    x: Callable[[Tensor], Tensor]
    y: Callable[[Tensor], Tensor]
    exclusive: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--validation", type=int, default=10)
    parser.add_argument("--on", choices=["validation", "test"], default="test")
    parser.add_argument("--pairing", choices=["class", "instance"], default="class")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        settings = zero_shot_settings(given, seed)
        parts = standardised_splits(load_classes(settings.data))
        train, held = parts.train, getattr(parts, given.on)
        baseline = None
        for name in ["as given", *(n for n in given.methods if n != "as given")]:
            began = time.perf_counter()
            method = METHODS[name](train, settings, given.steps)
            seconds = time.perf_counter() - began
            found = score_method(method.x, method.y, held)
            baseline = baseline if baseline is not None else found.per_query["map@all"]
            row = {"method": name, "seed": seed, "seconds": seconds, **found.mean}
            row["difference"] = _paired(found.per_query["map@all"], baseline)
            if method.exclusive:
                row["exclusive map@all"] = score_method(*method.exclusive, held).mean["map@all"]
            rows.append(row)
            print(
                f"seed {seed} {name:28} mAP@all {row['map@all']:.4f} "
                f"P@25 {row['precision@25']:.4f} {seconds:.0f} s",
                flush=True,
            )
    print(_table(rows, given, held))
    if given.out:
        given.out.write_text(json.dumps({"split": held.split, "rows": rows}, indent=2))


def zero_shot_settings(given: argparse.Namespace, seed: int) -> Settings:
    values = {
        "data": {
            "name": "classes",
            "root": str(given.features),
            "split": given.split,
            "validation": given.validation,
            "pairing": given.pairing,
        },
        "model": {"family": "features", "exclusive": SIZE, "shared": SIZE},
        "objective": {
            "beta": 0.5,
            "tau": 2000.0,
            "x": {"kind": "normal", "weight": 100.0},
            "y": {"kind": "normal", "weight": 100.0},
        },
        "training": {"learning_rate": 2e-4, "adam_beta1": 0.5, "batch": 100, "seed": seed},
    }
    return make_settings(values, given.overrides)


def score_method(x: Callable[[Tensor], Tensor], y: Callable[[Tensor], Tensor], held: ClassPairs):
    with torch.inference_mode():
        query, gallery = x(held.x.values).numpy(), y(held.y.values).numpy()
    return score(query, gallery, held.x.labels, held.y.labels, (25, 100))


def as_given(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """Standardised by the training classes; nothing is learned."""
    return Method(lambda x: x, lambda y: y)


def pca(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """The first principal components of both domains together."""
    _, _, axes = torch.linalg.svd(torch.cat([train.x.values, train.y.values]), full_matrices=False)
    return Method(lambda x: x @ axes[:SIZE].T, lambda y: y @ axes[:SIZE].T)


def cca(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """Ridge-regularised canonical correlations over class pairs, as many as IIAE sees."""
    x, y = _all_pairs(train, settings, min(steps, 200))
    a, b = canonical_axes(x - x.mean(0), y - y.mean(0), SIZE, 0.1)
    return Method(lambda x: x @ a, lambda y: y @ b)


def canonical_axes(x: Tensor, y: Tensor, size: int, ridge: float) -> tuple[Tensor, Tensor]:
    """The first canonical directions of rows that have mean 0, `(features, size)` each."""
    white_x, white_y = (
        _inverse_root(s.T @ s / len(s) + ridge * torch.eye(s.shape[1])) for s in (x, y)
    )
    u, _, vh = torch.linalg.svd(white_x @ (x.T @ y / len(x)) @ white_y)
    return white_x @ u[:, :size], white_y @ vh[:size].T


def infonce(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """Two towers of the shared encoders' size, symmetric InfoNCE within a batch."""
    torch.manual_seed(settings.training.seed)
    size = train.shapes[0][0]
    towers = nn.ModuleList([_tower(size), _tower(size)])
    optimiser = torch.optim.Adam(towers.parameters(), 1e-3, fused=True)
    for pair in _pairs(train, settings, steps):
        a, b = (F.normalize(t(v)) for t, v in zip(towers, pair, strict=True))
        logits, target = a @ b.T / 0.1, torch.arange(len(a))
        loss = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    towers.eval()
    return Method(towers[0], towers[1])


def _tower(size: int) -> nn.Module:
    return nn.Sequential(
        hidden(size, 512, nn.LeakyReLU(0.2)), hidden(512, 256, nn.LeakyReLU(0.2)), dense(256, SIZE)
    )


def joint_vae(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """No exclusive latents: ELBO of z_s alone; r_x and r_y follow q (JMVAE, Suzuki et al. 2016)."""

    def loss(t: Terms, settings: Settings, anneal: float) -> Tensor:
        bare = t._replace(kl_x=torch.zeros_like(t.kl_x), kl_y=torch.zeros_like(t.kl_y))
        return iiae_loss(bare, 1.0, 0.0, anneal) + (t.kl_s_x + t.kl_s_y).mean()

    return _train(train, settings, steps, loss, exclusive=False)


def no_bound(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """lambda = 0; r_x and r_y are fitted to q, which does not feel it."""

    def loss(t: Terms, settings: Settings, anneal: float) -> Tensor:
        return iiae_loss(t, settings.objective.beta, 0.0, anneal) + (t.kl_s_x + t.kl_s_y).mean()

    return _train(train, settings, steps, loss, detach=True)


def iiae(train: ClassPairs, settings: Settings, steps: int) -> Method:
    """The published objective and networks."""
    o = settings.objective

    def loss(t: Terms, settings: Settings, anneal: float) -> Tensor:
        return iiae_loss(t, o.beta, o.lam, anneal, o.inter)

    return _train(train, settings, steps, loss)


def _train(
    train: ClassPairs,
    settings: Settings,
    steps: int,
    loss: Callable[[Terms, Settings, float], Tensor],
    exclusive: bool = True,
    detach: bool = False,
) -> Method:
    torch.manual_seed(settings.training.seed)
    model = build_model(settings.model, settings.objective, train.shapes).train()
    rate, betas = settings.training.learning_rate, (settings.training.adam_beta1, 0.999)
    optimiser = torch.optim.Adam(model.parameters(), rate, betas, fused=True)
    bf16 = bf16_pays(torch.device("cpu"))
    for step, pair in enumerate(_pairs(train, settings, steps)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            q = model.encode(pair)
            z = q.rsample()
            if not exclusive:
                none = torch.zeros_like(z.exclusive_x)
                z = z._replace(exclusive_x=none, exclusive_y=none)
            p = model.decode(z)
        terms = iiae_terms(pair, q, p)
        if detach:
            fixed = type(q.shared)(*(part.detach() for part in q.shared))
            terms = terms._replace(
                kl_s_x=fixed.kl(q.shared_given_x), kl_s_y=fixed.kl(q.shared_given_y)
            )
        optimiser.zero_grad()
        loss(terms, settings, kl_warmup(step, settings.objective.tau)).backward()
        optimiser.step()
    model.eval()
    return _method(model, exclusive)


def _method(model: IIAE, exclusive: bool) -> Method:
    own = (lambda x: model.encode_x(x).exclusive.mean, lambda y: model.encode_y(y).exclusive.mean)
    return Method(
        lambda x: model.encode_x(x).shared.mean,
        lambda y: model.encode_y(y).shared.mean,
        own if exclusive else None,
    )


def _pairs(train: ClassPairs, settings: Settings, steps: int):
    batches = make_batches(train, settings.training.batch, settings.training.seed)
    epoch, done = 0, 0
    while done < steps:
        batches.set_epoch(epoch)
        for draw in batches:
            if done == steps:
                return
            yield train.pairs(draw)
            done += 1
        epoch += 1


def _all_pairs(train: ClassPairs, settings: Settings, steps: int) -> Pair:
    x, y = zip(*_pairs(train, settings, steps), strict=True)
    return Pair(torch.cat(x), torch.cat(y))


def _inverse_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.rsqrt()) @ vectors.T


def _paired(values: np.ndarray, baseline: np.ndarray) -> list[float]:
    """Mean difference of per-query AP with its 95% bootstrap interval."""
    difference = values - baseline
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(difference), size=(2000, len(difference)))
    means = difference[drawn].mean(1)
    return [float(difference.mean()), *map(float, np.quantile(means, [0.025, 0.975]))]


def _table(rows: list[dict[str, Any]], given: argparse.Namespace, held: ClassPairs) -> str:
    lines = [
        f"\n{given.features.name}, {held.split}: {len(held.classes)} classes, "
        f"{len(held.x.labels)} queries, {len(held.y.labels)} items; {len(given.seeds)} seeds, "
        f"{given.steps} steps; mean ± sd over seeds\n",
        "| method | mAP@all | P@25 | P@100 | mAP@25 by K | above the features | exclusive |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == name]

        def cell(key: str, own: list[dict[str, Any]] = own) -> str:
            values = np.array([row[key] for row in own])
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            return f"{values.mean():.4f} ± {spread:.4f}"

        mean, low, high = np.array([row["difference"] for row in own]).mean(0)
        beside = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" if name != "as given" else ""
        exclusive = cell("exclusive map@all") if "exclusive map@all" in own[0] else ""
        figures = [cell(k) for k in ("map@all", "precision@25", "precision@100", "map@25_by_k")]
        lines.append(f"| {name} | {' | '.join(figures)} | {beside} | {exclusive} |")
    return "\n".join(lines)


METHODS: dict[str, Callable[[ClassPairs, Settings, int], Method]] = {
    "as given": as_given,
    "PCA-64": pca,
    "CCA-64": cca,
    "two towers, InfoNCE": infonce,
    "joint VAE": joint_vae,
    "IIAE, lambda = 0": no_bound,
    "IIAE": iiae,
}


if __name__ == "__main__":
    main()
