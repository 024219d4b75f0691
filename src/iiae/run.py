"""What a user holds: a trained model and all that can be asked of it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.covariates import plain_name
from iiae.data import Splits
from iiae.data.arrays import ArrayPairs, make_pairs, split_rows
from iiae.data.context import with_context
from iiae.data.matched import split_matched
from iiae.data.omics import read_omics
from iiae.data.ranges import check_values
from iiae.data.suggest import suggest_settings, suggest_settings_of
from iiae.errors import DataError, RunError, SettingsError
from iiae.examples import EXAMPLES
from iiae.files.cells import find_place, is_cells, open_cells, read_place
from iiae.files.matrices import Matrix, is_sparse, make_matrix
from iiae.files.sources import read_all
from iiae.model import translation
from iiae.model.iiae import IIAE
from iiae.run_folder import (
    COMPARISON,
    FEATURES,
    HISTORY,
    METRICS,
    MODEL,
    PAIRS,
    SETTINGS,
    Shapes,
    StoredRun,
    load_run,
    open_samples,
    save_metrics,
)
from iiae.settings import (
    Settings,
    describe_settings,
    load_settings,
    make_settings,
)
from iiae.types import Context, Domain, mapped, other

if TYPE_CHECKING:
    from iiae.evaluation.held_out import HeldOut
    from iiae.results import Evaluation, Evidence, NullRuns
    from iiae.search.query import Searched

FILES = (SETTINGS, MODEL, COMPARISON, EXAMPLES, FEATURES, METRICS, HISTORY, PAIRS)
BATCH = 256  # samples that the model takes at once


class Latents(NamedTuple):
    """Posterior means given one domain: z_s, and z_x or z_y, a row per sample."""

    shared: np.ndarray
    exclusive: np.ndarray


class Run:
    """A trained model with its settings, and the folder that it is kept in.

    `fit` and `load` make one. A run that was fitted without a folder lies in a temporary one, which
    goes with the object; `save` keeps it.

    Attributes:
        folder: Where its files are.
        settings: All settings that made it.
        model: The model, in evaluation mode on the CPU.
        shapes: Of one x and one y.
        data: The pairs that it was fitted on, if they were given in memory.
    """

    def __init__(self, stored: StoredRun, data: Splits | None = None, temporary: bool = False):
        self._stored, self.data = stored, data
        if temporary:
            weakref.finalize(self, shutil.rmtree, stored.folder, ignore_errors=True)

    @property
    def folder(self) -> Path:
        return self._stored.folder

    @property
    def settings(self) -> Settings:
        return self._stored.settings

    @property
    def model(self) -> IIAE:
        return self._stored.model

    @property
    def shapes(self) -> Shapes:
        return self._stored.shapes

    def __repr__(self) -> str:
        form = " and ".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"Run({str(self.folder)!r}, x and y of {form}, z_s of {len(self.model.active)})"

    @torch.inference_mode()
    def embed(
        self, x: Any = None, y: Any = None, covariates: Mapping[str, Any] | None = None
    ) -> Latents:
        """Posterior means of samples of one domain.

        Args:
            x: Samples of x, as an array (dense or sparse), tensor, data frame, AnnData or MuData in
                the form that the model was trained on, or files and folders as for
                `iiae.files.sources.open_source`.
            y: Instead, samples of y.
            covariates: Of the samples by name, one value for all or one for each, where the run
                was fitted with any.

        Raises:
            SettingsError: Both or neither are given.
            DataError: The samples do not fit the model.
        """
        if (x is None) == (y is None):
            raise SettingsError("embed takes x=... or y=..., one of them")
        domain: Domain = "x" if y is None else "y"
        batches, known = self._batches(x if y is None else y, domain), Context()
        if covariates or self.model.covariates.names:
            batches = list(batches)
            known = self._known(covariates, sum(map(len, batches)))
        encode = self.model.encoder(domain)
        parts, first = [], 0
        for samples in batches:
            rows = slice(first, first + len(samples))
            parts.append(encode(samples, mapped(known, lambda v, rows=rows: v[rows])))
            first = rows.stop
        shared, exclusive = (
            torch.cat([getattr(part, name).mean for part in parts]).numpy()
            for name in ("shared", "exclusive")
        )
        return Latents(shared, exclusive)

    def translate(
        self,
        source: Any,
        to: Domain = "y",
        like: Any = None,
        samples: int = 0,
        seed: int = 0,
        *,
        covariates: Mapping[str, Any] | None = None,
        as_if: Mapping[str, Any] | None = None,
        size: Any = None,
    ) -> np.ndarray:
        """The content of each sample in the other domain.

        Args:
            source: Samples of the domain that `to` is not, as for `embed`.
            to: "x" or "y".
            like: References of `to`, one for all or one each; without them the prior's mean.
            samples: Number of exclusive latents to draw from the aggregate posterior of training
                samples, instead of `like`.
            seed: Random seed of the samples.
            covariates: Of the source, as for `embed`.
            as_if: Covariates of the translation, `{"batch": "2"}`: as if it were measured there.
                Those left out are as in the source. References of `like` are taken to have these.
            size: Library sizes of a translation to counts, one for all or one each; by default
                the median of training samples.

        Returns:
            `(rows, *shape)`, or `(samples, rows, *shape)`.

        Raises:
            SettingsError: `to` is no domain, or `like` and `samples` are both given.
            DataError: The samples do not fit the model.
        """
        if to not in ("x", "y"):
            raise SettingsError(f"to = {to!r}: must be 'x' or 'y'")
        if samples and like is not None:
            raise SettingsError("give like=... or samples=..., not both")
        values = self._samples(source, other(to))
        known = self._known(covariates, len(values))
        target = self._known({**(covariates or {}), **(as_if or {})}, len(values), size)
        if not samples:
            reference = None if like is None else self._samples(like, to)
            return translation.translate(
                self.model, values, to, like=reference, context=known, target=target
            ).numpy()
        generator = torch.Generator().manual_seed(seed)
        drawn = translation.draw_exclusive(self.model, to, samples, generator)
        shared = translation.content(self.model, values, to, known)
        made = [translation.render(self.model, shared, to, one[None], target) for one in drawn]
        return torch.stack(made).numpy()

    def evaluate(
        self,
        split: str = "test",
        x: Any = None,
        y: Any = None,
        covariates: Mapping[str, Any] | None = None,
        sizes: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Retrieval, bound terms, reconstruction and probes on held-out pairs.

        Results on the pairs that the run held out are stored with it.

        Args:
            split: "test" or "validation".
            x: Instead, other pairs: samples of x.
            y: Their partners, row by row.
            covariates: Of these other pairs, as for `fit`.
            sizes: Theirs, as for `fit`.

        Raises:
            DataError: The data is missing or does not fit the model.
        """
        from iiae.evaluation.evaluate import evaluate

        if x is not None or y is not None:
            columns = _columns(_with_values(covariates), sizes or {})
            pairs = ArrayPairs(as_array(x), as_array(y), columns=columns)
            known = with_context(pairs, self.model.covariates, self.settings.objective)
            return evaluate(self._stored, known, "given")
        return self._evaluate(self._held_out(split), split)

    def evidence(self, split: str = "test", null: int = 0, epochs: int | None = None) -> Evidence:
        """Probes, leakage, swaps, dependence and information in nats: what went where.

        Args:
            split: "test" or "validation".
            null: Number of short copies to train on shuffled pairs, to compare with one on the
                pairs as they are; 19 are needed for a p-value of 0.05.
            epochs: Of each copy; a tenth of the run's by default.

        Raises:
            DataError: There are too few pairs, the data is missing or does not fit the model, or
                its pairs cannot be shuffled.
            MissingExtra: scikit-learn is not installed.
        """
        from iiae.evidence.collect import prove_run

        held = self._held_out(split)
        data = held.data._replace(**{split: held.pairs})
        results = prove_run(self._stored, data, split)
        if null:
            results = results._replace(null=self._null(data, split, null, epochs))
        if held.recorded:
            save_metrics(self.folder, "evidence", results, held.digest)
        return results

    def report(self, out: str | Path | None = None, images: str | Path | None = None) -> Path:
        """Writes one self-contained HTML page, `report.html` in the run's folder by default."""
        from iiae.report.page import write_report
        from iiae.results import load_results

        held = self._held_out("test")
        if load_results(self.folder).test is None:
            self._evaluate(held, "test")
        path = self.folder / "report.html" if out is None else Path(out)
        folder = None if images is None else Path(images)
        return write_report(self._stored, held.pairs, path, folder)

    def index(
        self, inputs: Any, domain: Domain, where: str | Path | None = None, **options: Any
    ) -> Index:
        """Puts samples in files into a gallery, to be searched.

        Args:
            inputs: Files, folders and URLs, as for `iiae.files.sources.open_source`.
            domain: Theirs, "x" or "y".
            where: Folder or URL of the gallery; `gallery` in the run's folder by default.
            options: As for `iiae.search.index.index_files`.

        Raises:
            DataError: A sample cannot be read or does not fit the model.
            GalleryError: The gallery is of another model or domain, or cannot be written.
            MissingExtra: LanceDB is not installed.
        """
        from iiae.search.index import index_files

        place = self.folder / "gallery" if where is None else where
        options = {"progress": False, **options}
        index_files(self._stored, place, _paths(inputs), domain, **options)
        return Index(self, place)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Copies the run into a folder that `load` and all commands can read.

        Raises:
            RunError: The folder holds a run already, or cannot be written to.
        """
        folder = Path(folder)
        if (folder / MODEL).exists() and not overwrite:
            raise RunError(
                f"{folder}: holds a run already; choose another folder or overwrite=True"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if (self.folder / name).is_file():
                    shutil.copyfile(self.folder / name, folder / name)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written to: {error.strerror}") from error
        return folder

    def _evaluate(self, held: HeldOut, split: str) -> Evaluation:
        from iiae.evaluation.evaluate import evaluate

        results = evaluate(self._stored, held.pairs, split)
        if held.recorded:
            save_metrics(self.folder, split, results, held.digest)
        return results

    def _null(self, data: Splits, split: str, copies: int, epochs: int | None) -> NullRuns:
        from iiae import training
        from iiae.evidence.null import train_null

        each = self.settings.training
        epochs = epochs or max(1, round(each.epochs / 10))
        short = {"training": each.model_copy(update={"epochs": epochs})}
        settings = self.settings.model_copy(update=short)

        def train(pairs: Splits) -> IIAE:
            with tempfile.TemporaryDirectory(prefix="iiae-null-") as folder:
                return training.fit(settings, folder, pairs, progress=False).model

        return train_null(train, data, split, copies, epochs, self.settings.evaluation)

    def _held_out(self, split: str) -> HeldOut:
        from iiae.evaluation.held_out import held_out_pairs

        return held_out_pairs(self._stored, split, self.data)

    def write(self, cells: Any, to: Domain | None = None, domain: Domain | None = None) -> None:
        """Writes latents, and a translation if asked, into an AnnData or MuData, in place.

        `obsm["X_iiae_shared"]`, `obsm["X_iiae_rna"]` and the like, and `uns["iiae"]`; arguments,
        keys and errors are those of `iiae.inference.cells.write_cells`.
        """
        from iiae.inference.cells import write_cells

        write_cells(self._stored, cells, to, domain)

    def _batches(self, values: Any, domain: Domain) -> Iterator[Tensor]:
        """Samples of a domain, some at a time; cells and sparse arrays are made dense here."""
        if not is_cells(values) and not is_sparse(values):
            yield from self._samples(values, domain).split(BATCH)
            return
        from iiae.inference.cells import domain_matrix

        sparse = is_sparse(values)
        matrix = make_matrix(values) if sparse else domain_matrix(self._stored, values, domain)
        size = self.shapes["xy".index(domain)][0]
        if matrix.values.shape[1] != size:
            raise DataError(f"{domain} has {matrix.values.shape[1]} values, the model takes {size}")
        for first in range(0, matrix.values.shape[0], BATCH):
            last = min(first + BATCH, matrix.values.shape[0])
            yield torch.from_numpy(matrix.take(np.arange(first, last)))

    def _known(self, covariates: Mapping[str, Any] | None, rows: int, size: Any = None) -> Context:
        """What networks are given of samples beside their values."""
        mine = self.model.covariates
        columns = mine.encode(covariates or {}, rows) if covariates or mine.names else None
        if size is None:
            return Context(None, columns)
        sizes = torch.as_tensor(as_array(size), dtype=torch.float32).flatten()
        if len(sizes) not in (1, rows) or not bool((sizes > 0).all()):
            raise DataError(
                f"{len(sizes)} library sizes for {rows} samples; give 1 or {rows} above 0"
            )
        return Context(sizes.expand(rows), columns)

    def _samples(self, values: Any, domain: Domain) -> Tensor:
        """Samples of a domain as the model takes them, `(rows, *shape)`."""
        if is_cells(values) or is_sparse(values):
            return torch.cat(list(self._batches(values, domain)))
        shape = tuple(self.shapes[0 if domain == "x" else 1])
        if _is_paths(values):
            return read_all(open_samples(self, _paths(values), domain))
        array = as_array(values)
        if array.shape == shape:
            array = array[None]
        pairs = ArrayPairs(array, array, (domain, domain))
        if tuple(pairs.shapes[0]) != shape:
            form, right = ("x".join(map(str, s)) for s in (pairs.shapes[0], shape))
            raise DataError(f"{domain} has samples of {form}, the model takes {right}")
        samples = next(iter(pairs.batches(len(pairs)))).x
        check_values(samples, getattr(self.settings.objective, domain), domain)
        return samples


class Index:
    """A gallery and the run that searches it."""

    def __init__(self, run: Run, where: str | Path):
        self.run, self.where = run, where

    def search(self, queries: Any, top: int = 10, **options: Any) -> Searched:
        """The items nearest to each query: files, folders and URLs as for `Run.index`.

        Args:
            queries: By default of the domain that the gallery does not hold.
            top: Number of hits per query.
            options: As for `iiae.search.query.search_files`.
        """
        from iiae.search.query import search_files

        return search_files(self.run._stored, self.where, _paths(queries), top, **options)


def fit(
    first: Any = None,
    second: Any = None,
    /,
    out: str | Path | None = None,
    *,
    x: Any = None,
    y: Any = None,
    pairs: str | Path | None = None,
    covariates: Mapping[str, Any] | Sequence[str] | None = None,
    sizes: Mapping[str, Any] | None = None,
    data: Splits | None = None,
    model: IIAE | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
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
            themselves. Or an AnnData, a MuData or the path of one. Two AnnData are matched by name.
        second: Samples of y; row i, or the file of the same name, is the partner of x's.
        x: The same as `first`; of cells, the place of x, as in `data.x`: "rna", "rna:counts".
        y: The same as `second`; of cells, the place of y, "protein" or "obsm:protein".
        out: Run folder to write; a temporary one by default.
        pairs: Instead of x and y, a folder of images side by side, or a table of paths; or cells.
        covariates: Of arrays x and y: what encoders and decoders are given of each pair beside x
            and y, by name, such as `{"batch": array}`. Text and whole numbers are categories,
            other numbers are continuous. Of cells: names of columns of `obs`, `["batch"]`.
        sizes: Library sizes of arrays of counts, `{"x": array}`; see `objective.x.size`.
        data: Pairs to train on instead of those that settings name.
        model: Model to train instead of the one that settings describe.
        resume: Continue the run in `out`.
        overwrite: Replace a run in `out`.
        progress: Show a progress bar.
        settings: Settings by full name, `{"training.epochs": 40}`.
        named: Settings by the last part of their name, if it is theirs alone: `epochs=40`.

    Raises:
        SettingsError: A setting is unknown, ambiguous or wrong.
        DataError: The data is missing, damaged or does not fit.
        RunError: `out` holds a run already, or training had to stop.
    """
    from iiae import training

    overrides = [*_overrides(settings or {}), *_overrides(_full_names(named))]
    cells = first if second is None and is_cells(first) else None
    if pairs is not None and is_cells(pairs):
        cells = pairs
    implied = {"data.covariates": list(covariates)} if covariates else {}
    implied |= {f"objective.{side}.size": "given" for side in sizes or {}}
    overrides = [*_overrides(implied), *overrides]
    if cells is None:
        x, y = _one(first, x, "x"), _one(second, y, "y")
    if cells is not None:
        chosen, data = _of_cells(cells, x, y, overrides)
    elif isinstance(x, Settings) or (isinstance(x, str | Path) and Path(x).suffix == ".toml"):
        if y is not None or pairs is not None:
            raise SettingsError("settings name the data themselves; give out=... for the folder")
        chosen = x if isinstance(x, Settings) else load_settings(Path(x))
        chosen = make_settings(chosen.model_dump(exclude_unset=True), overrides)
    elif pairs is not None or _is_paths(x):
        chosen = make_settings(suggest_settings(x, y, pairs), overrides)
    else:
        if x is None or y is None:
            raise SettingsError("give x and y, pairs=..., or settings")
        sides = _side(x, "x"), _side(y, "y")
        columns = _columns(_with_values(covariates), sizes or {})
        chosen = make_settings(suggest_settings_of(make_pairs(*sides)), overrides)
        data = split_rows(*sides, chosen.data, columns)
    folder = tempfile.mkdtemp(prefix="iiae-") if out is None else out
    stored = training.fit(chosen, folder, data, model, resume, progress, overwrite)
    return Run(stored, data, temporary=out is None)


def _one(given: Any, named: Any, name: str) -> Any:
    if given is not None and named is not None:
        raise SettingsError(f"{name} is given twice, by position and by name")
    return named if given is None else given


def _of_cells(
    cells: Any, x: Any, y: Any, overrides: Sequence[str]
) -> tuple[Settings, Splits | None]:
    """Settings for cells, and their pairs if the cells are in memory."""
    if isinstance(cells, str | Path):
        return make_settings(suggest_settings(x, y, cells), overrides), None
    section = {name: value for name, value in (("x", x), ("y", y)) if value is not None}
    asked = make_settings({"data": {"name": "omics", **section}}, overrides)
    pairs = read_omics(cells, asked.data)
    suggested = suggest_settings_of(pairs, {"name": "omics", **section})
    chosen = make_settings(suggested, overrides)
    return chosen, split_matched(pairs, chosen.data)


def _side(values: Any, name: str) -> Matrix:
    """Samples in memory; columns of a table that are named by text keep their names."""
    if is_cells(values):
        with open_cells(values) as cells:
            return read_place(cells, find_place(cells, "", name))
    if is_sparse(values):
        return make_matrix(values, place=name)
    names: list[Any] = list(getattr(values, "columns", ()))
    named = names if names and all(isinstance(one, str) for one in names) else None
    return Matrix(as_array(values), None, named, name)


def load(folder: str | Path) -> Run:
    """The run in a folder.

    Raises:
        RunError: The folder is not a finished run, or is damaged.
    """
    return Run(load_run(folder))


def as_array(values: Any) -> np.ndarray:
    """An array of an array, tensor, data frame (pandas, polars) or Arrow table.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    if hasattr(values, "to_pandas") and not hasattr(values, "to_numpy"):
        values = values.to_pandas()
    try:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    except ValueError as error:
        raise DataError(f"{type(values).__name__}: rows differ in length") from error
    if array.dtype.kind == "O" and hasattr(values, "columns"):
        return _of_frame(values)
    if array.dtype.kind not in "buif":
        raise DataError(f"{type(values).__name__}: holds {array.dtype}, not numbers")
    return array


def _of_frame(frame: Any) -> np.ndarray:
    """Columns of several types of numbers in float64; a value that is missing is NaN."""
    columns: list[np.ndarray] = []
    for name in frame.columns:
        column = frame[name]
        if getattr(column.dtype, "kind", np.asarray(column).dtype.kind) not in "buif":
            raise DataError(f"{type(frame).__name__}: column {name!r} holds text, not numbers")
        number = column.astype("float64") if hasattr(column, "astype") else column
        columns.append(np.asarray(number, dtype=np.float64))
    return np.stack(columns, 1)


def _with_values(covariates: Mapping[str, Any] | Sequence[str] | None) -> Mapping[str, Any]:
    if covariates is None or isinstance(covariates, Mapping):
        return covariates or {}
    raise SettingsError("covariates of arrays are given with their values, {'batch': array}")


def _columns(covariates: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Columns of pairs by name, out of arrays or columns of data frames."""
    if unknown := set(sizes) - {"x", "y"}:
        raise SettingsError(f"sizes are of 'x' and 'y', not of {min(unknown)!r}")
    named = {plain_name(name): values for name, values in covariates.items()}
    named |= {f"size_{side}": values for side, values in sizes.items()}
    return {
        name: values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        for name, values in named.items()
    }


def _is_paths(values: Any) -> bool:
    if isinstance(values, str | Path):
        return True
    listed = isinstance(values, Sequence) and len(values) > 0
    return listed and all(isinstance(value, str | Path) for value in values)


def _paths(values: Any) -> list[str | Path]:
    return [values] if isinstance(values, str | Path) else list(values)


def _overrides(values: Mapping[str, Any]) -> list[str]:
    """Settings by full name as `load_settings` takes them."""
    import tomli_w

    return [
        f"{name}={tomli_w.dumps({'v': value}).strip().removeprefix('v = ')}"
        for name, value in values.items()
    ]


def _full_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """Full names of settings given by the last part of theirs."""
    known = [name for name, *_ in describe_settings()]
    full: dict[str, Any] = {}
    for short, value in named.items():
        matches = [name for name in known if name.rpartition(".")[2] == short]
        if len(matches) > 1:
            raise SettingsError(
                f"{short} is the name of several settings: {', '.join(matches)}; give the one you "
                f"mean as settings={{'{matches[0]}': {value!r}}}"
            )
        full[matches[0] if matches else short] = value
    return full
