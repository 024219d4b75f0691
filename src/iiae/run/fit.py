"""`iiae.fit` and `iiae.load`, which give a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iiae.data import Splits
from iiae.errors import Interrupted, SettingsError
from iiae.files.cells import is_cells
from iiae.model.iiae import IIAE
from iiae.run.arguments import Request, both_overrides, settings_elsewhere
from iiae.run.run import Run
from iiae.run_folder import load_run, warn_of_estimator
from iiae.settings import Settings


def fit(
    first: Any = None,
    second: Any = None,
    /,
    out: str | Path | None = None,
    *,
    x: Any = None,
    y: Any = None,
    pairs: Any = None,
    covariates: Any = None,
    sizes: Any = None,
    data: Splits | None = None,
    model: IIAE | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    settings: Mapping[str, Any] | Settings | None = None,
    **named: Any,
) -> Run:
    """Learns what two domains share and what is exclusive to each.

    >>> import iiae, numpy as np
    >>> shared = np.random.default_rng(0).normal(size=(60, 3))
    >>> run = iiae.fit(shared @ np.ones((3, 5)), shared @ np.eye(3), epochs=1, progress=False)
    >>> run.embed(y=shared).shared.shape
    (60, 32)

    Args:
        first: Samples of x: an array (dense or sparse), tensor or data frame, an array file, or a
            folder of images. Or `Settings`, or the path of a settings file, which name the data
            themselves. Or an AnnData, a MuData or the path of one. Two AnnData are matched by name,
            and so are two data frames whose index is text.
        second: Samples of y; row i, or the file of the same name, is the partner of x's.
        x: The same as `first`; of cells, the place of x, as in `data.x`: "rna", "rna:counts".
        y: The same as `second`; of cells, the place of y, "protein" or "obsm:protein".
        out: Run folder to write; a temporary one by default.
        pairs: Instead of x and y, a folder of images side by side, or a table of paths; or cells.
            Beside arrays x and y, which row of x belongs to which of y, `(pairs, 2)`; all other
            rows are trained on without a partner. Not with `covariates` or `sizes`.
        covariates: Of arrays x and y: what is known of each pair and is to be taken out of all
            latents, by name, such as `{"batch": array}` or a data frame. Text and whole numbers are
            categories, other numbers are continuous. Of cells, a MuData or two AnnData: names of
            columns of `obs`, `["batch"]`. Rows of data frames are matched by name.
        sizes: Library sizes of arrays of counts, `{"x": array}`; see `objective.x.size`.
        data: Pairs to train on instead of those that settings name.
        model: Model to train instead of the one that settings describe.
        resume: Continue the run in `out`.
        overwrite: Replace a run in `out`.
        progress: Show a progress bar.
        settings: Settings by full name, `{"training.epochs": 40}`, or by section,
            `{"training": {"epochs": 40}}`; or those of another run, `other.settings`, whose data
            these are not.
        named: Settings by the last part of their name, if it is theirs alone or one of training:
            `epochs=40`, `batch=64`, `seed=1`. None turns off what is off by default:
            `patience=None`.

    Raises:
        SettingsError: A setting is unknown, ambiguous or wrong.
        DataError: The data is missing, damaged or does not fit.
        RunError: `out` holds a run already, or training had to stop.
    """
    from iiae import training

    if resume and overwrite:
        raise SettingsError("resume=True continues the run in out, overwrite=True replaces it")
    if isinstance(settings, Settings):
        settings = settings_elsewhere(settings)
    request = Request.of(first, second, x, y, pairs, covariates, sizes)
    overrides = [*request.overrides(), *both_overrides(settings, named)]
    chosen, made = request.settle(overrides)
    if data is not None and not (made is None and isinstance(data, Splits)):
        raise SettingsError("data: takes iiae.data.Splits beside settings, instead of x and y")
    folder = tempfile.mkdtemp(prefix="iiae-") if out is None else out
    data = data if made is None else made
    try:
        stored = training.fit(chosen, folder, data, model, resume, progress, overwrite)
    except Interrupted:
        raise  # its state is saved there
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Run(stored, data, temporary=out is None)


def load(
    folder: str | Path,
    x: Any = None,
    y: Any = None,
    *,
    pairs: Any = None,
    covariates: Any = None,
    sizes: Any = None,
) -> Run:
    """The run in a folder.

    Warns of a folder that `IIAETransformer.save` wrote: its model takes standardised rows.

    Args:
        folder: That training wrote.
        x, y, pairs, covariates, sizes: Of a run fitted on samples in memory, these again, as for
            `fit`, for what needs held-out pairs: `Run.evaluate`, `evidence`, `features`, `report`.

    Raises:
        RunError: The folder is not a finished run, or is damaged.
        SettingsError: The run was fitted on files, or on samples of another kind.
        DataError: The samples do not fit each other.
    """
    warn_of_estimator(Path(folder))
    stored = load_run(folder)
    if all(one is None for one in (x, y, pairs, covariates, sizes)):
        return Run(stored)
    if covariates is None and is_cells(x):
        covariates = stored.settings.data.covariates or None  # names of columns of obs
    request = Request.of(x, y, None, None, pairs, covariates, sizes)
    return Run(stored, request.again(stored.settings))
