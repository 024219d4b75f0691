"""Translations of IIAE beside those of regression, an encoder-decoder of equal size.

    python studies/translation.py experiments/digits-cdcb.toml --seeds 0 1 2 --out runs/translation

Regression is what a user would pick instead: the encoder of z_s and the decoder that IIAE
translates with, trained on the same pairs, steps and rate to least mean absolute difference, with
no exclusive latent. Content kept is read from all translations by the IIAE of the same seed. Rows
and a picture of each direction are kept in `--out`; a repeat goes on with what is missing, IIAE's
training where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import iiae
from iiae.data import Splits, load
from iiae.data.base import PairSet
from iiae.data.sampling import make_batches
from iiae.evaluation.translations import l1, ssim, translation_quality
from iiae.features.backbone import load_backbone
from iiae.files.atomic import json_text, write_atomically
from iiae.files.pictures import Row as Named
from iiae.files.pictures import grid, save_picture
from iiae.metrics.kernel import kernel_distance
from iiae.metrics.retrieval import instance_retrieval
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.model.translation import content, draw_exclusive, exclusive_means, render
from iiae.results import TranslationQuality
from iiae.run_folder import MODEL
from iiae.settings import Settings, load_settings
from iiae.types import Domain, Draw, Pair, other

SIDES: tuple[Domain, Domain] = ("x", "y")
BATCH, SHOWN = 64, 8  # pairs at once, and in a picture


class Row(NamedTuple):
    """Figures of one method, direction and seed; `perceptual` and `kernel` with a backbone."""

    method: str
    to: str
    seed: int
    ssim: float
    l1: float
    diversity: float
    content: float
    perceptual: float | None = None
    kernel: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/translation"))
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--backbone", help="folder or hub name of a vision model")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--quick", action="store_true", help="two epochs, to try whether it runs")
    given = parser.parse_args()
    rows: list[Row] = []
    for seed in given.seeds:
        own = [*given.set, f"training.seed={seed}", *["training.epochs=2"] * given.quick]
        settings = load_settings(given.settings, own)
        rows += kept_rows(settings, given.out / f"seed-{seed}", given.split, given.backbone)
    print(table(rows))


def kept_rows(settings: Settings, folder: Path, split: str, backbone: str | None) -> list[Row]:
    """Rows of one seed, as they lie in its folder, or trained and measured now."""
    name = f"{split}-{Path(backbone).name}" if backbone else split
    path = folder / f"{name}.json"
    if path.exists():
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    finished = (folder / "run" / MODEL).exists()
    started = (folder / "run").exists()
    run = (iiae.load(folder / "run") if finished
           else iiae.fit(settings, out=folder / "run", resume=started))  # fmt: skip
    data = load(settings.data)
    features = load_backbone(backbone).embed if backbone else None
    rows = [
        row for to in SIDES for row in _rows(run.model, settings, data, to, folder, split, features)
    ]
    text = json_text([row._asdict() for row in rows], indent=1)
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
    return rows


def _rows(
    model: IIAE, settings: Settings, data: Splits, to: Domain, folder: Path, split: str, features
) -> list[Row]:
    """IIAE with three exclusive latents, then regression."""
    pairs, seed = getattr(data, split), settings.training.seed
    limit = settings.evaluation.translations
    found = translation_quality(model, pairs, to, BATCH, limit, settings.evaluation.seed, features)
    rows = [of_iiae(found, source, to, seed) for source in ("draw", "prior mean", "partner")]
    regression = kept_regression(settings, data, to, folder / f"regression-{to}.pt")
    chosen = list(pairs.batches(BATCH, pairs.sample(limit, settings.evaluation.seed)))
    save_picture(picture(model, regression, pairs, to), folder / f"{split}-to-{to}.png")
    return [*rows, of_regression(regression, model, chosen, to, seed, features)]


def of_iiae(found: TranslationQuality, source: str, to: str, seed: int) -> Row:
    """IIAE's figures, with the exclusive latent of one source."""
    drawn = source == "draw"
    return Row(
        f"IIAE, {source}",
        to,
        seed,
        found.ssim[source].mean,
        found.l1[source].mean,
        found.diversity.mean if drawn else 0.0,
        found.content_recall.mean if drawn else float("nan"),
        found.perceptual[source].mean if found.perceptual else None,
        found.kernel[source] if found.kernel else None,
    )


class Regression(nn.Module):
    """The encoder of z_s and the decoder of IIAE, without an exclusive latent."""

    def __init__(self, model: IIAE, to: Domain):
        super().__init__()
        self.encoder = model.shared_given_y if to == "x" else model.shared_given_x
        self.decoder = model.decoder_x if to == "x" else model.decoder_y
        self.exclusive = model.exclusive_sizes[SIDES.index(to)]

    def forward(self, source: Tensor) -> Tensor:
        shared = self.encoder(source).posterior.mean
        return self.decoder(shared, shared.new_zeros(len(shared), self.exclusive)).mean


def kept_regression(settings: Settings, data: Splits, to: Domain, path: Path) -> Regression:
    """The regression of a seed, trained unless its file is there."""
    torch.manual_seed(settings.training.seed)
    model = Regression(build_model(settings.model, settings.objective, data.train.shapes), to)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    train_regression(model, settings, data, to)
    write_atomically(path, lambda place: torch.save(model.state_dict(), place))
    return model.eval()


def train_regression(model: Regression, settings: Settings, data: Splits, to: Domain) -> None:
    """As many steps as IIAE; keeps the weights of the least difference on validation pairs."""
    training = settings.training
    order = make_batches(data.train, training.batch, training.seed)
    total = len(order) * training.epochs
    betas = (training.adam_beta1, 0.999)
    optimiser = torch.optim.Adam(model.parameters(), training.learning_rate, betas)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, 2 * (1 - step / total))
    )
    best, kept = float("inf"), None
    for epoch in range(training.epochs):
        order.set_epoch(epoch)
        model.train()
        for draw in order:
            pair = data.train[draw]
            loss = l1(model(getattr(pair, other(to))), getattr(pair, to)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            decay.step()
        held = validation_difference(model, data, to)
        if held < best:
            best = held
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    assert kept is not None
    model.load_state_dict(kept)


@torch.no_grad()
def validation_difference(model: Regression, data: Splits, to: Domain) -> float:
    """Mean absolute difference on the validation pairs."""
    model.eval()
    far = [
        l1(model(getattr(pair, other(to))), getattr(pair, to))
        for pair in data.validation.batches(500)
    ]
    return torch.cat(far).mean().item()


@torch.inference_mode()
def of_regression(
    model: Regression, reader: IIAE, batches: list[Pair], to: Domain, seed: int, features
) -> Row:
    """The figures of regression; `reader` reads z_s from sources and from translations."""
    reader.eval()
    source = torch.cat([getattr(pair, other(to)) for pair in batches])
    partner = torch.cat([getattr(pair, to) for pair in batches])
    made = torch.cat([model(part) for part in source.split(BATCH)])
    z = [
        torch.cat([reader.encoder(side)(part).shared.mean for part in images.split(BATCH)])
        for side, images in ((to, made), (other(to), source))
    ]
    row = Row(
        "regression",
        to,
        seed,
        ssim(made, partner).mean().item(),
        l1(made, partner).mean().item(),
        0.0,
        instance_retrieval(z[0], z[1], ks=(1,)).recall[1].rate,
    )
    if features is None:
        return row
    both = [torch.cat([features(p) for p in images.split(BATCH)]) for images in (made, partner)]
    far = 1 - nn.functional.cosine_similarity(both[0], both[1]).mean().item()
    return row._replace(perceptual=far, kernel=kernel_distance(both[0], both[1]))


@torch.inference_mode()
def picture(model: IIAE, regression: Regression, pairs: PairSet, to: Domain) -> Image.Image:
    """A column a pair: what is given, what is right, and what is made of it."""
    pair = pairs.pairs(Draw(torch.linspace(0, len(pairs) - 1, SHOWN).long()))
    source, truth = getattr(pair, other(to)), getattr(pair, to)
    shared, styles = content(model, source, to), exclusive_means(model, truth, to)
    drawn = draw_exclusive(model, to, 2, torch.Generator().manual_seed(0))
    made = {
        "source": source,
        "truth": truth,
        "regression": regression(source),
        "style of the partner": render(model, shared, to, styles),
        "style of the next": render(model, shared, to, styles.roll(-1, 0)),
        "style of the first": render(model, shared, to, styles[:1]),
        "one sample": render(model, shared, to, drawn[:1]),
        "another": render(model, shared, to, drawn[1:]),
    }
    return grid(f"translated to {to}", [Named(*row) for row in made.items()])


def table(rows: list[Row]) -> str:
    """Means over seeds as a Markdown table."""
    measures = [name for name in Row._fields[3:] if any(getattr(r, name) is not None for r in rows)]
    lines = [
        "| method | to | " + " | ".join(measures) + " |",
        "|---|---|" + "---|" * len(measures),
    ]
    for method, to in dict.fromkeys((row.method, row.to) for row in rows):
        own = [row for row in rows if (row.method, row.to) == (method, to)]
        means = (np.mean([getattr(row, name) for row in own]) for name in measures)
        cells = ("-" if np.isnan(mean) else f"{mean:.3f}" for mean in means)
        lines.append(f"| {method} | {to} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
