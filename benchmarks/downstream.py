"""Does disentangling help? One task downstream, from z_s and from what it is compared with.

    python benchmarks/downstream.py experiments/mnist-cdcb.toml --out runs/downstream \
        --set objective.inter=2 --seeds 0 1 2

The task is to tell the digit of a coloured pair from few labels, and to still tell it where colours
come out otherwise than in the labelled pairs. All representations are learned from the same pairs
without labels, whose colours say nothing of the digit: z_s, everything IIAE has side by side, a
joint VAE (one latent for both, ELBO alone) of the same networks and total size, canonical
correlations and principal components of the pixels. The classifier is logistic regression, the
same for all. Trained runs are kept in OUT and used again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from iiae.data import Splits, load
from iiae.data.digits import ColouredDigits
from iiae.model.build import build_head
from iiae.model.iiae import IIAE
from iiae.networks.small import small
from iiae.rivals.baselines import canonical_axes
from iiae.run_folder import MODEL, StoredRun, load_run
from iiae.settings import Settings, load_settings
from iiae.training import fit
from iiae.types import Draw, Pair

LABELS = (20, 50, 100, 500)
TIED = 0.9  # of a colour that depends on the digit, in the labelled pairs of the shifted task
SHIFTED = 500  # labels of the shifted task
DRAWS = 10  # of the labelled pairs, for each seed

Encode = Callable[[Pair], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for seed in given.seeds:
        settings = load_settings(given.experiment, [*given.overrides, f"training.seed={seed}"])
        data = load(settings.data)
        for name, encode in representations(settings, data, given.out / f"seed{seed}").items():
            scores = measure(encode, data, seed)
            found.setdefault(name, []).extend(scores)
            means = {k: np.mean([one[k] for one in scores]) for k in scores[0]}
            print(seed, name, "  ".join(f"{k} {v:.3f}" for k, v in means.items()), flush=True)
    print("\n" + _table(found, len(given.seeds)))


def representations(settings: Settings, data: Splits, out: Path) -> dict[str, Encode]:
    """What a pair becomes; each keeps the scale it has, which is one of unit variance or prior."""
    ours = _fitted(settings, data, out / "iiae", None).model
    joint = _joint(settings, data, out / "joint", {"beta": 1.0, "lam": 0.0})
    # without exclusive latents and inter-KLs what remains is the ELBO with the KL weight of z_s
    as_light = _joint(settings, data, out / "joint-light", {"inter": 0.0})
    objective = settings.objective
    light = objective.beta / (objective.beta + objective.lam)
    some = [*islice(data.train.batches(500), 20)]
    sides = [torch.cat([getattr(p, d).flatten(1) for p in some]) for d in ("x", "y")]
    size = joint.active.numel()

    def z_s(pair: Pair) -> Tensor:
        return ours.encode(pair).shared.mean

    def everything(pair: Pair) -> Tensor:
        q = ours.encode(pair)
        return torch.cat([q.shared.mean, q.exclusive_x.mean, q.exclusive_y.mean], 1)

    return {
        f"z_s ({ours.active.numel()})": z_s,
        "z_s, active": lambda p: z_s(p)[:, ours.active],
        f"z_s, z_x, z_y ({ours.active.numel() + sum(ours.exclusive_sizes)})": everything,
        f"joint VAE ({size})": lambda p: joint.encode(p).shared.mean,
        f"joint VAE, KL weight {light:.2f} ({size})": lambda p: as_light.encode(p).shared.mean,
        f"CCA ({size})": canonical(sides, size // 2),
        f"PCA ({size})": principal(torch.cat(sides, 1), size),
    }


def _joint(settings: Settings, data: Splits, out: Path, weights: dict[str, float]) -> IIAE:
    """A VAE of pairs: the same networks with one latent, as large as all of IIAE's together."""
    side = 4  # of the map of `small`
    total = settings.model.shared * side**2 + sum(settings.model.exclusive_sizes)
    channels = -(-total // side**2)
    likelihoods = settings.objective.x, settings.objective.y
    heads = tuple(build_head(*one) for one in zip(likelihoods, data.train.shapes, strict=True))
    torch.manual_seed(settings.training.seed)
    networks = small(data.train.shapes, (1, 1), channels, heads, settings.model.width or 24)  # pyright: ignore[reportArgumentType]
    model = JointVAE(networks, channels * side**2, (1, 1))
    bare = settings.objective.model_copy(update=weights)
    return _fitted(settings.model_copy(update={"objective": bare}), data, out, model).model


class JointVAE(IIAE):
    """IIAE whose exclusive latents are held at nothing: only z_s carries anything."""

    def __init__(self, *parts):
        super().__init__(*parts)
        for network in (self.exclusive_x, self.exclusive_y):
            network.register_forward_hook(_nothing)


def _nothing(network, given, posterior):
    """N(0, 1) with no room: its KL is 0, and the decoder sees noise that it learns to leave."""
    return type(posterior)(posterior.loc * 0, posterior.log_variance * 0)


def _fitted(settings: Settings, data: Splits, out: Path, model: IIAE | None) -> StoredRun:
    if (out / MODEL).is_file():
        return load_run(out, model)
    return fit(settings, out, data, model, progress=False)


def principal(pixels: Tensor, size: int) -> Encode:
    mean = pixels.mean(0)
    _, scales, axes = torch.linalg.svd(pixels - mean, full_matrices=False)
    axes = axes[:size].T * (len(pixels) ** 0.5 / scales[0])

    def encode(pair: Pair) -> Tensor:
        return (torch.cat([pair.x.flatten(1), pair.y.flatten(1)], 1) - mean) @ axes

    return encode


def canonical(sides: Sequence[Tensor], size: int) -> Encode:
    """Canonical variates of both sides, of their first 300 principal components, ridge 0.01."""
    means = [side.mean(0) for side in sides]
    bases, scores = [], []
    for side, mean in zip(sides, means, strict=True):
        _, scales, axes = torch.linalg.svd(side - mean, full_matrices=False)
        bases.append(axes[:300].T / (scales[:300] / len(side) ** 0.5 + 0.1))
        scores.append((side - mean) @ bases[-1])
    x, y = scores
    inner = canonical_axes(x.T @ x / len(x), y.T @ y / len(y), x.T @ y / len(x), size, 0.01)
    a, b = bases[0] @ inner[0], bases[1] @ inner[1]

    def encode(pair: Pair) -> Tensor:
        x, y = pair.x.flatten(1) - means[0], pair.y.flatten(1) - means[1]
        return torch.cat([x @ a, y @ b], 1)

    return encode


@torch.inference_mode()
def measure(encode: Encode, data: Splits, seed: int) -> list[dict[str, float]]:
    """Accuracy on the test pairs, for each draw of the labelled ones."""
    train, test = data.train, data.test
    assert isinstance(train, ColouredDigits)
    assert isinstance(test, ColouredDigits)
    held = torch.cat([encode(pair) for pair in test.batches(500)]).numpy()
    found: list[dict[str, float]] = []
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(1000 * seed + draw)
        order = torch.randperm(len(train), generator=generator)[:SHIFTED]
        pairs, label = train.pairs(Draw(order)), train.labels[order]
        plain, spread = encode(pairs).numpy(), _spread(label)
        one = {
            f"{n} labels": _accuracy(plain[spread[:n]], label[spread[:n]], held, test)
            for n in LABELS
        }
        tied = encode(_tied(train, order, generator)).numpy()
        one["colours tied"] = _accuracy(tied, label, held, test)
        one["lost"] = one[f"{SHIFTED} labels"] - one["colours tied"]
        found.append(one)
    return found


def _spread(label: np.ndarray) -> np.ndarray:
    """An order in which classes take turns, so that the first few have every class alike."""
    rank = np.array([(label[:i] == one).sum() for i, one in enumerate(label)])
    return np.argsort(rank, kind="stable")


def _tied(train: ColouredDigits, order: Tensor, generator: torch.Generator) -> Pair:
    """The same digits with colours that their class decides by TIED; chance by the rest."""
    palette = torch.rand(10, 2, 3, generator=generator)
    tied = ColouredDigits(train.digits[order].numpy(), train.labels[order], train.size, 0)
    own = palette[torch.from_numpy(tied.labels)]
    tied.colours = TIED * own + (1 - TIED) * torch.rand(own.shape, generator=generator)
    return tied.pairs(Draw(torch.arange(len(order))))


def _accuracy(z: np.ndarray, label: np.ndarray, held: np.ndarray, test: ColouredDigits) -> float:
    classifier = LogisticRegression(max_iter=1000).fit(z, label)
    return float(classifier.score(held, test.labels))


def _table(found: Mapping[str, Sequence[Mapping[str, float]]], seeds: int) -> str:
    """Mean ± sd over seeds, each the mean of its draws."""
    names = list(next(iter(found.values()))[0])
    lines = [f"| from (dimensions) | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, rows in found.items():
        cells: list[str] = []
        for key in names:
            per_seed = np.array([row[key] for row in rows]).reshape(seeds, -1).mean(1)
            spread = f" ± {per_seed.std(ddof=1):.3f}" if seeds > 1 else ""
            cells.append(f"{per_seed.mean():.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
