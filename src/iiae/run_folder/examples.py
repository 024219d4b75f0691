"""Held-out pairs that a run keeps, for people to try: some as they are, more as latents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import as_samples
from iiae.data.base import PairSet
from iiae.files.atomic import write_arrays
from iiae.files.images import image_bytes
from iiae.files.optional import read_if_there, read_npz
from iiae.metrics.spread_out import typical
from iiae.model.latents import Embeddings
from iiae.run_folder.names import EXAMPLES
from iiae.types import DOMAINS, Domain, Draw

KEPT = {4: 12, 2: 64}  # pairs kept as they are: of images, of vectors
LATENTS = 256  # pairs whose latents are kept


class Examples(NamedTuple):
    """Held-out pairs of a run.

    `samples` are a few pairs of different content, by domain; `shared` and `exclusive` are the
    means of r and of the exclusive posteriors of more pairs, row i of x and of y of one pair.
    `covariates` are columns of the samples, as networks take them, of models that take any.
    """

    samples: dict[Domain, Tensor]
    shared: dict[Domain, Tensor]
    exclusive: dict[Domain, Tensor]
    covariates: Tensor | None = None


def save_examples(folder: Path, pairs: PairSet, index: Tensor, held: Embeddings) -> None:
    """Writes examples.npz.

    Args:
        folder: Run folder.
        pairs: Held-out pairs.
        index: Which of them `held` has.
        held: Their posteriors.

    Raises:
        RunError: The folder cannot be written to.
    """
    index = index[:LATENTS]
    arrays: dict[str, np.ndarray] = {}
    kept = KEPT[1 + len(pairs.shapes[0])]
    chosen = typical(held.shared_given_x.mean[: len(index)], kept)
    pair = pairs.pairs(Draw(index[chosen]))
    for domain, values in zip(DOMAINS, (pair.x, pair.y), strict=True):
        values = values.detach().cpu()
        arrays[domain] = image_bytes(values) if values.ndim == 4 else values.float().numpy()
    if (known := pair.context_x.covariates) is not None:
        arrays["covariates"] = known.float().cpu().numpy()
    for domain, shared, exclusive in (
        ("x", held.shared_given_x, held.exclusive_x),
        ("y", held.shared_given_y, held.exclusive_y),
    ):
        arrays[f"shared_{domain}"] = shared.mean[: len(index)].float().cpu().numpy()
        arrays[f"exclusive_{domain}"] = exclusive.mean[: len(index)].float().cpu().numpy()
    write_arrays(folder / EXAMPLES, arrays)


def load_examples(folder: str | Path) -> Examples | None:
    """What `save_examples` wrote; None if there is no such file.

    Raises:
        RunError: The file is damaged.
    """
    hint = "; without the file, pages have no examples"
    return read_if_there(Path(folder) / EXAMPLES, _read, hint)


def _read(path: Path) -> Examples:
    held = read_npz(path)
    known = torch.from_numpy(held["covariates"]) if "covariates" in held else None
    samples, shared, exclusive = (_both(held, name) for name in ("", "shared_", "exclusive_"))
    return Examples(samples, shared, exclusive, known)


def _both(held: Mapping[str, np.ndarray], name: str) -> dict[Domain, Tensor]:
    return {domain: as_samples(torch.from_numpy(held[name + domain])) for domain in DOMAINS}
