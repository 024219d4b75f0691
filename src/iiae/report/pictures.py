"""Held-out pairs translated, searched and reconstructed, as rows of pictures for the report."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from iiae.data.base import PairSet
from iiae.data.classes.pairs import ClassPairs
from iiae.data.classes.zero_shot import domains
from iiae.data.names import domain_names
from iiae.errors import SettingsError
from iiae.files.pictures import framed, strip
from iiae.model.translation import analogies, draw_exclusive, translate
from iiae.report.hits import Hits, Nearest, first_hits, nearest_partners, picture_reader
from iiae.run_folder import TrainedRun
from iiae.types import Domain, Draw, Pair, other

SAMPLES = 8
FINE = 64  # pixels from which on a picture is shown smoothed
FRAMES = "Blue, whole frame: {right}. Orange, broken frame: {wrong}."


class Strip(NamedTuple):
    """A row of pictures: its label, a data address, the number of tiles, and whether it is fine."""

    label: str
    source: str
    tiles: int
    fine: bool


class Figure(NamedTuple):
    """A titled figure: rows of pictures, or a drawing as SVG. `wide` has its rows below each
    other even where two would fit."""

    title: str
    note: str
    rows: Sequence[Strip] = ()
    svg: str = ""
    wide: bool = True


def make_strip(label: str, images: Sequence[Tensor | None]) -> Strip:
    """A row of images in [-1, 1], `(channels, height, width)` each; None leaves a place empty."""
    data = io.BytesIO()
    width = next(image.shape[-1] for image in images if image is not None)
    strip(images).save(data, "PNG", optimize=True)
    return Strip(label, address(data.getvalue()), len(images), width >= FINE)


def address(png: bytes) -> str:
    """A PNG as a data address."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def hit_figures(run: TrainedRun, pairs: PairSet, images: Path | None) -> list[Figure]:
    """Queries of x with their first hits of y; empty if there are no pictures of them.

    Raises:
        SettingsError: `images` is given, and the pairs are no features of images in files.
        DataError: `images` lacks the first picture.
    """
    if isinstance(pairs, ClassPairs):
        return _class_hits(run, pairs, images)
    if images is not None:
        raise SettingsError(
            f"{images}: a folder of images is for runs on features of classes (iiae features), to "
            "show hits; this run has no such features"
        )
    if len(run.shapes[0]) != 3:
        return []
    partners = nearest_partners(run, pairs)
    x, y = domain_names(run.settings.data)
    rows = [
        make_strip(f"{x} {i + 1}", _marked(pairs, hits)) for i, hits in enumerate(partners.hits)
    ]
    note = (
        f"Each row: a held-out {x}, then the five nearest of {partners.items:,} {y} by z_s alone. "
        + "Blue frame: its true partner."
    )
    return [Figure(f"Search: from {x} to {y}", note, rows, wide=False)]


def _marked(pairs: PairSet, hits: Nearest) -> list[Tensor]:
    """The query and its hits, the right ones framed; small pictures enlarged first."""
    query = pairs.pairs(Draw(hits.query[None])).x
    shown = [query, *(pairs.pairs(Draw(item[None])).y for item in hits.items)]
    factor = max(1, FINE // query.shape[-1])
    large = [one.repeat_interleave(factor, -1).repeat_interleave(factor, -2) for one in shown]
    right = [False, *hits.right]
    marked = [framed(one, [True]) if good else one for one, good in zip(large, right, strict=True)]
    return [one[0] for one in marked]


def _class_hits(run: TrainedRun, pairs: ClassPairs, images: Path | None) -> list[Figure]:
    names = domains(run.settings.data)
    of_x, of_y = (
        picture_reader(items, images / name if images else None)
        for items, name in zip((pairs.x, pairs.y), names, strict=True)
    )
    if of_x is None or of_y is None:
        return []
    chosen = first_hits(run.model, pairs, run.settings.evaluation.batch, run.settings.data.seed)
    titles = {
        "random": "First ten hits of random queries",
        "worst": "First ten hits: one query of each of the three worst classes",
        "best": "First ten hits: one query of each of the three best classes",
    }
    note = "The query first, then the nearest items of the other domain. " + FRAMES.format(
        right="of the query's class", wrong="of another"
    )
    return [
        Figure(titles[kind], note, [_class_row(one, of_x, of_y) for one in hits])
        for kind, hits in chosen._asdict().items()
    ]


def _class_row(one: Hits, of_x: Callable[..., Tensor], of_y: Callable[..., Tensor]) -> Strip:
    images = [*of_x([one.query]), *framed(of_y(one.items), one.right)]
    return make_strip(f"{one.label}, AP {one.average_precision:.2f}", images)


def made_figures(run: TrainedRun, pairs: PairSet) -> list[Figure]:
    """Analogies, translations and reconstructions of pairs drawn at random from the set."""
    pair = pairs.pairs(Draw(pairs.sample(SAMPLES, run.settings.evaluation.seed)))
    names = domain_names(run.settings.data)
    figures = [
        Figure(
            f"Analogies: {names.of(domain)}",
            f"Each row keeps the content (z_s) of its first picture, each column the look "
            f"(z_{domain}) of the picture on top. Rows should agree in content, columns in look.",
            list(_analogies(run, pair, domain)),
        )
        for domain in ("y", "x")
    ]
    figures += [
        Figure(
            f"Translation: {names.of(other(to))} to {names.of(to)}",
            f"Content of the {names.of(other(to))} alone, rendered as {names.of(to)}: with the "
            "look of the true partner, with the prior's mean, and with samples.",
            list(_translations(run, pair, to)),
        )
        for to in ("y", "x")
    ]
    note = "From posterior means of (z_s, z_x) and (z_s, z_y)."
    return [*figures, Figure("Reconstruction", note, list(_reconstructions(run, pair)))]


def _analogies(run: TrainedRun, pair: Pair, domain: Domain) -> Iterator[Strip]:
    values = pair.x if domain == "x" else pair.y
    yield make_strip("look of", [None, *values])
    for i, row in enumerate(analogies(run.model, values, domain)):
        yield make_strip("" if i else "content of", [values[i], *row])


def _translations(run: TrainedRun, pair: Pair, to: Domain) -> Iterator[Strip]:
    source, partner = (pair.x, pair.y) if to == "y" else (pair.y, pair.x)
    generator = torch.Generator().manual_seed(run.settings.evaluation.seed)
    yield make_strip("source", list(source))
    yield make_strip("true partner", list(partner))
    yield make_strip("look of the partner", list(translate(run.model, source, to, like=partner)))
    yield make_strip("prior mean", list(translate(run.model, source, to)))
    for i, drawn in enumerate(draw_exclusive(run.model, to, 5, generator)):
        made = translate(run.model, source, to, exclusive=drawn[None])
        yield make_strip(f"sample {i + 1}", list(made))


@torch.inference_mode()
def _reconstructions(run: TrainedRun, pair: Pair) -> Iterator[Strip]:
    names = domain_names(run.settings.data)
    p = run.model.decode(run.model.encode(pair).mean, run.model.known(pair))
    for name, given, made in ((names.x, pair.x, p.x.mean), (names.y, pair.y, p.y.mean)):
        yield make_strip(name, list(given))
        yield make_strip(f"{name}, reconstructed", list(made))
