"""What a user holds: a trained model and all that can be asked of it."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from iiae.data import Splits
from iiae.data.names import domain_names
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE
from iiae.model.prediction import Prediction, predict
from iiae.run import applied
from iiae.run.index import Index
from iiae.run.samples import paths
from iiae.run_folder import Shapes, StoredRun, check_unchanged, keep_run, load_features
from iiae.settings import Settings
from iiae.types import Domain

if TYPE_CHECKING:
    from iiae.evaluation.held_out import HeldOut
    from iiae.evidence.readings import FeatureReading
    from iiae.results import Evaluation, Evidence


class Run:
    """A trained model with its settings, and the folder that it is kept in.

    `fit` and `load` make one. Without a folder it lies in a temporary one that goes with it.

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
    def embed(self, x: Any = None, y: Any = None, covariates: Any = None) -> applied.Latents:
        """Posterior means of samples of one domain.

        Args:
            x: Samples of x, as an array (dense or sparse), tensor, data frame, AnnData or MuData in
                the form that the model was trained on, or files and folders as for
                `iiae.files.sources.open_source`.
            y: Instead, samples of y.
            covariates: Of the samples by name, one value for all or one for each, where the run
                was fitted with any: a mapping, or a data frame.

        Raises:
            SettingsError: Both or neither are given.
            DataError: The samples do not fit the model.
        """
        if (x is None) == (y is None):
            raise SettingsError("embed takes x=... or y=..., one of them")
        values, domain = (x, "x") if y is None else (y, "y")
        return applied.encoded(self._stored, values, domain, covariates)

    def translate(
        self,
        source: Any,
        to: Domain | str = "y",
        like: Any = None,
        samples: int = 0,
        seed: int = 0,
        *,
        covariates: Any = None,
        as_if: Any = None,
        size: Any = None,
    ) -> np.ndarray:
        """The content of each sample in the other domain.

        Args:
            source: Samples of the domain that `to` is not, as for `embed`.
            to: "x", "y" or what the run calls it, such as "photo".
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
            SettingsError: `to` is no domain, `like` and `samples` are both given, or `size` is
                given where `to` has no library sizes.
            DataError: The samples do not fit the model.
        """
        to = self._domain(to, "to")
        if samples and like is not None:
            raise SettingsError("give like=... or samples=..., not both")
        given = applied.Given.of(self._stored, source, to, covariates, as_if, size)
        if samples:
            return applied.drawn(self.model, given, to, samples, seed)
        return applied.translated(self._stored, given, to, like)

    def predict(
        self,
        source: Any,
        to: Domain | str = "y",
        level: float = 0.9,
        samples: int = 200,
        seed: int = 0,
        *,
        covariates: Any = None,
        as_if: Any = None,
        size: Any = None,
    ) -> Prediction:
        """What the other domain would measure of each sample, with an interval of each value.

        What is drawn for a row depends on the other rows of the call.
        Arguments are those of `translate`, and `level` and `samples` those of
        `iiae.model.prediction.predict`; so are errors.

        Returns:
            `mean`, `low` and `high`, `(rows, *shape)` each.
        """
        to = self._domain(to, "to")
        values, known, target = applied.Given.of(self._stored, source, to, covariates, as_if, size)
        return predict(self.model, values, to, level, samples, seed, known, target)

    def evaluate(
        self,
        split: str = "test",
        x: Any = None,
        y: Any = None,
        covariates: Any = None,
        sizes: Any = None,
    ) -> Evaluation:
        """Retrieval, bound terms, reconstruction and probes on held-out pairs.

        Results on the pairs that the run held out are stored with it.

        Args:
            split: "test" or "validation".
            x: Instead, other pairs: samples of x.
            y: Their partners, row by row.
            covariates, sizes: Of these other pairs, as for `fit`.

        Raises:
            SettingsError: One of x and y is given without the other.
            DataError: The data is missing or does not fit the model.
        """
        from iiae.evaluation.evaluate import evaluate
        from iiae.run.measured import measured_evaluation

        if x is not None or y is not None:
            pairs = applied.given_pairs(self._stored, x, y, covariates, sizes)
            return evaluate(self._stored, pairs, "given")
        return measured_evaluation(self._stored, self._held_out(split), split)

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
        from iiae.run.measured import measured_evidence

        return measured_evidence(self._stored, self._held_out(split), split, null, epochs)

    def verdict(self) -> str:
        """Four sentences on what `evaluate` and `evidence` measured: print them."""
        from iiae.report.verdict import as_text, run_verdict

        return domain_names(self.settings.data).put(as_text(run_verdict(self.folder)))

    def features(self, domain: Domain | str = "x", split: str = "test") -> list[FeatureReading]:
        """Which features of a domain its latents read, those first that the exclusive one adds.

        Args:
            domain: "x", "y" or what the run calls it.
            split: "test" or "validation".

        Raises:
            DataError: As `iiae.evidence.readings.read_features`, or the data is missing.
        """
        from iiae.evidence.readings import read_features

        known, pairs = self._domain(domain, "domain"), self._held_out(split).pairs
        return read_features(self.model, pairs, known, load_features(self.folder).of(known))

    def report(self, out: str | Path | None = None, images: str | Path | None = None) -> Path:
        """Writes one self-contained HTML page, `report.html` in the run's folder by default.

        Args:
            out: The file to write.
            images: Of a run on features of images, the folder with both domains' images.

        Raises:
            SettingsError: `images` is given, and the run has no such features.
            DataError: The data is missing or does not fit, or `images` lacks a picture.
            RunError: The file cannot be written.
        """
        from iiae.report.page import write_report
        from iiae.results import load_results
        from iiae.run.measured import measured_evaluation

        held, results = self._held_out("test"), load_results(self.folder)
        if results.test is None:
            results = results._replace(test=measured_evaluation(self._stored, held, "test"))
        path, pictures = Path(out or self.folder / "report.html"), Path(images) if images else None
        return write_report(self._stored, held.pairs, path, pictures, results)

    def index(
        self, inputs: Any, domain: Domain | str, where: str | Path | None = None, **options: Any
    ) -> Index:
        """Puts samples in files into a gallery, to be searched.

        Args:
            inputs: Files, folders and URLs, as for `iiae.files.sources.open_source`.
            domain: Theirs, "x", "y" or what the run calls it.
            where: Folder or URL of the gallery; `gallery` in the run's folder by default.
            options: As for `iiae.search.index.index_files`.

        Raises:
            DataError: A sample cannot be read or does not fit the model.
            GalleryError: The gallery is of another model or domain, or cannot be written.
            RunError: The model was trained further; save it first.
            MissingExtra: LanceDB is not installed.
        """
        from iiae.search.index import index_files

        check_unchanged(self._stored)
        place, options = where or self.folder / "gallery", {"progress": False, **options}
        index_files(self, place, paths(inputs), self._domain(domain, "domain"), **options)
        return Index(self, place)

    def write(
        self, cells: Any, to: str | None = None, domain: str | None = None,
        as_if: Any = None, covariates: Any = None,
    ) -> None:  # fmt: skip
        """Writes latents, and a translation if asked, into an AnnData or MuData, in place.

        `obsm["X_iiae_shared"]`, `obsm["X_iiae_rna"]` and the like, and `uns["iiae"]`; arguments,
        keys and errors are those of `write_cells`. Data frames are matched by name.
        """
        target = self._domain(to, "to") if to else None
        known = self._domain(domain, "domain") if domain else None
        applied.write_into(self._stored, cells, target, known, as_if, covariates)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Copies the run, with the weights that it has now, into a folder that `load` can read.

        Raises:
            RunError: The folder holds a run already, or cannot be written to.
        """
        return keep_run(self._stored, Path(folder), overwrite)

    def _domain(self, given: str, option: str) -> Domain:
        return domain_names(self.settings.data).domain(given, option)

    def _held_out(self, split: str) -> HeldOut:
        from iiae.evaluation.held_out import held_out_pairs

        return held_out_pairs(self._stored, split, self.data)
