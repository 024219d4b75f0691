"""Latents and translations written back into cells: AnnData, MuData and their files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iiae.data.ranges import check_values
from iiae.errors import DataError, MissingExtra, RunError, SettingsError
from iiae.files.atomic import refuse_inputs, write_atomically
from iiae.files.cells import (
    OBSM,
    obs_columns,
    open_cells,
)
from iiae.inference.cell_sides import Side, find_sides, label, positions
from iiae.model.translation import content, render
from iiae.run_folder import TrainedRun, columns_of_file, load_features, rows_of, weights_digest
from iiae.types import DOMAINS, Context, Domain, Pair, other

BATCH = 1024  # cells that the model takes at once
KEY = "iiae"


def write_cells(
    run: TrainedRun,
    cells: Any,
    to: Domain | None = None,
    domain: Domain | None = None,
    as_if: Mapping[str, Any] | None = None,
    covariates: Mapping[str, Any] | None = None,
) -> None:
    """Writes latents of every cell into an AnnData or MuData, in place.

    `obsm["X_iiae_shared"]` is the mean of z_s: given both domains if a cell has both, else given
    the one it has. `obsm["X_iiae_rna"]` and the like, named after the modality or panel, are means
    of the exclusive latents, NaN for cells without that domain. Modalities of a MuData get their
    own rows of both. `uns["iiae"]` has the digest of the weights.

    Args:
        run: A trained run.
        cells: With the modalities, layers or panels that the run was trained on.
        to: Domain to translate the other domain to as well, with the prior's mean for its
            exclusive latent: into a layer `iiae` where the domain's features are, or else into
            `obsm["iiae_protein"]`, named likewise.
        domain: Domain of the cells, if they are of one and the run cannot know which.
        as_if: Covariates of the translation that are not those of the cells, `{"batch": "2"}`.
        covariates: Instead of columns of `obs`, one value for all cells or one for each, by name.

    Raises:
        SettingsError: They are no AnnData or MuData, or of one matrix and given without `domain`;
            or `as_if` is given without `to`.
        DataError: The cells have nothing that the run takes, or lack features.
    """
    if as_if and to is None:
        raise SettingsError("as_if: is for a translation; say to which domain")
    if not hasattr(cells, "obsm"):
        raise SettingsError(
            f"{type(cells).__name__}: latents are written into an AnnData or MuData; `embed` and "
            "`translate` return them"
        )
    with open_cells(cells) as opened:
        sides = find_sides(run, opened, domain)
    if to is not None and other(to) not in sides:
        raise DataError(f"{opened.name}: has no {label(run, other(to))} to translate to {to}")
    names = list(map(str, cells.obs_names))
    given = covariates or {}
    known = _covariates(run, cells, given)
    latents = _latents(run, sides, len(names), known)
    for key, values in latents.items():
        cells.obsm[key] = values
    for name, side in sides.items():
        if side.place.modality is not None:
            held = cells.mod[side.place.modality]
            index = positions(names, held.obs_names)
            for key in ("X_iiae_shared", f"X_iiae_{label(run, name)}"):
                held.obsm[key] = latents[key][index]
    data = run.settings.data
    cells.uns[KEY] = {
        "weights": weights_digest(run.folder), "x": data.x or "", "y": data.y or "",
    }  # fmt: skip
    if to is not None:
        wanted = _covariates(run, cells, {**given, **as_if}) if as_if else known
        _write_translation(run, cells, sides, to, known, wanted)


def write_cells_file(
    run: TrainedRun,
    source: str | Path,
    out: str | Path | None = None,
    to: Domain | None = None,
    domain: Domain | None = None,
    as_if: Mapping[str, Any] | None = None,
    columns: Path | None = None,
) -> Path:
    """Writes a copy of a `.h5ad` or `.h5mu` with latents; see `write_cells`.

    Args:
        run: A trained run.
        source: The file.
        out: The copy; by default `cells.iiae.h5mu` beside `cells.h5mu`.
        to, domain, as_if: As for `write_cells`.
        columns: File of covariates that are not in `obs`, as `iiae.run_folder.columns_of_file`.

    Raises:
        SettingsError: `out` has another ending than `source`, or as `write_cells`.
        DataError: The file is missing or damaged, `out` is the source, or as `write_cells`.
        RunError: `out` cannot be written.
        MissingExtra: anndata or mudata is not installed.
    """
    source = Path(source)
    out = Path(out) if out is not None else source.with_suffix(f".{KEY}{source.suffix}")
    if out.suffix.lower() != source.suffix.lower():
        raise SettingsError(f"{out}: a copy of {source.name} ends in {source.suffix}")
    refuse_inputs([out], [source])
    with open_cells(source):
        pass  # raises if something is wrong with the file
    with _quiet():
        cells = _read(source)
        given: Mapping[str, Any] | None = None
        if columns is not None:
            names = list(map(str, cells.obs_names))
            given = columns_of_file(columns, names, run.model.covariates)
        write_cells(run, cells, to, domain, as_if, given)
        write = cells.write_h5mu if source.suffix.lower() == ".h5mu" else cells.write_h5ad
        try:
            write_atomically(out, lambda path: write(path, compression="gzip"))
        except (TypeError, ValueError, KeyError) as error:  # as HDF5 cannot hold what was in them
            raise RunError(f"{out}: cannot be written: {error}") from error
    return out


def _covariates(run: TrainedRun, cells: Any, given: Mapping[str, Any]) -> Context:
    """Covariates that the run takes, of every cell: those given, and columns of `obs`.

    Raises:
        DataError: `given` has covariates that the run does not take, a column is missing, or
            holds a level that no training cell had.
    """
    names = run.model.covariates.names
    if not names and not given:
        return Context()
    rows = list(map(str, cells.obs_names))
    with open_cells(cells) as opened:
        held = obs_columns(opened, [name for name in names if name not in given], rows)
    return Context(None, run.model.covariates.encode({**held, **given}, len(rows)))


@torch.inference_mode()
def _latents(
    run: TrainedRun, sides: Mapping[Domain, Side], count: int, known: Context
) -> dict[str, np.ndarray]:
    """Means of all latents by their key in `obsm`, `(cells, size)`, NaN where there is none."""
    model = run.model
    shared = np.full((count, len(model.active)), np.nan, np.float32)
    latents = {"X_iiae_shared": shared}
    for name, side in sides.items():
        size = model.exclusive_sizes.of(name)
        own = latents[f"X_iiae_{label(run, name)}"] = np.full((count, size), np.nan, np.float32)
        for part in _parts(side.cells):
            values = side.take(part)
            likelihood = run.settings.objective.of(name)
            check_values(values, likelihood, f"{side.matrix.place} from cell {part[0]} on")
            q = model.encoder(name)(values, rows_of(known, part))
            own[part], shared[part] = q.exclusive.mean.numpy(), q.shared.mean.numpy()
    if len(sides) == 2:
        for part in _parts(np.intersect1d(sides["x"].cells, sides["y"].cells)):
            of_part = rows_of(known, part)
            x, y = (sides[name].take(part) for name in DOMAINS)
            q = model.encode(Pair(x, y, of_part, of_part))
            shared[part] = q.shared.mean.numpy()
    return latents


def _write_translation(
    run: TrainedRun,
    cells: Any,
    sides: Mapping[Domain, Side],
    to: Domain,
    known: Context,
    wanted: Context,
) -> None:
    """A layer where all cells and features of the target are, or else a table in `obsm`."""
    source, target = sides[other(to)], sides.get(to)
    made = np.full((len(source.rows), run.shapes.of(to)[0]), np.nan, np.float32)
    for part in _parts(source.cells):
        shared = content(run.model, source.take(part), to, rows_of(known, part))
        made[part] = render(run.model, shared, to, context=rows_of(wanted, part)).numpy()
    names = list(map(str, cells.obs_names))
    columns = load_features(run.folder).of(to)
    if target is not None and target.place.group != OBSM:
        held = cells.mod[target.place.modality] if target.place.modality else cells
        covered = set(source.cells) <= set(positions(names, held.obs_names))
        if covered and list(map(str, held.var_names)) == columns:
            held.layers[KEY] = made[positions(names, held.obs_names)]
            return
    key = f"{KEY}_{label(run, to)}"
    if columns is None:
        cells.obsm[key] = made
        return
    import pandas as pd

    table = pd.DataFrame(made, index=cells.obs_names, columns=pd.Index(columns))
    cells.obsm[key] = table


def _parts(cells: np.ndarray) -> Iterator[np.ndarray]:
    return (cells[i : i + BATCH] for i in range(0, len(cells), BATCH))


def _read(source: Path) -> Any:
    try:
        if source.suffix.lower() == ".h5mu":
            import mudata

            return mudata.read_h5mu(source)
        import anndata

        return anndata.read_h5ad(source)
    except ImportError as error:
        raise MissingExtra("omics", f"{source}: reading cells") from error
    except Exception as error:  # anndata, mudata and h5py each raise their own on damage
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{source}: cannot be read: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences anndata and mudata, whose warnings on copying a file do not concern the copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
