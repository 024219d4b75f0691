"""The model as a scikit-learn transformer of two views, for tables of numbers."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from iiae.data.base import Splits
from iiae.data.scaling import Standard, find_standard
from iiae.errors import Interrupted, SettingsError
from iiae.estimator.fitting import settings_of, split_pairs
from iiae.estimator.stored import load_estimator, save_estimator
from iiae.estimator.tables import check_columns, dense
from iiae.metrics.retrieval import partner_ranks
from iiae.model.columns import block_columns, block_names, check_block
from iiae.model.iiae import IIAE
from iiae.model.translation import translate
from iiae.run.covariates import warn_of_indexes
from iiae.run.samples import column_names
from iiae.run_folder import load_history, load_metrics
from iiae.settings import Settings
from iiae.types import Domain, other

NUMBERS = "float64"
ROWS = 4096  # rows encoded at once
LEAST_PAIRS = 3  # two to train on, one to validate
FITTING = threading.Lock()  # all threads share torch's generator, which `fit` seeds


class IIAETransformer(TransformerMixin, BaseEstimator):
    """Shared and exclusive latents of two views of the same items.

    Row i of `X` and row i of `Y` (scikit-learn's `y`) belong together; both are tables of
    numbers; sparse ones are made dense. Each feature is standardised with the mean and scale of
    the pairs that `fit` was given; they are kept, saved, and undone by `translate`. Parameters are
    those settings of the same name; see `iiae settings`. Of several threads that fit, one trains at
    a time, so that `random_state` decides the result; processes train side by side.

    Args:
        shared: Size of z_s.
        exclusive: Size of z_x and of z_y, or both of them.
        width: Second hidden width of the encoders; the first is twice as wide.
        beta: Weight of the ELBO.
        lam: Weight of the information bound.
        tau: KL warm-up, in steps; 0 for none.
        weight: Of the mean squared error of a standardised row, of either view.
        epochs: Passes over the pairs.
        batch: Pairs a step.
        learning_rate: Of Adam.
        validation: Part of the pairs held out to choose the best epoch, in (0, 1).
        block: What `transform` and `transform_y` return: "shared" (z_s), "active" (its
            dimensions whose signal exceeds their noise), "exclusive" (z_x or z_y), or "both";
            needs no new fit.
        random_state: Of weights, order, samples and held-out pairs.

    Attributes:
        model_: The trained `IIAE`, on standardised rows.
        settings_: All settings of the run.
        history_: One row of losses an epoch.
        metrics_: What training recorded.
        standard_x_, standard_y_: Mean and scale of each feature.
        n_features_in_, n_features_y_: Features of X and of Y.
        feature_names_in_, feature_names_y_: Their names, if X or Y was a table with text as names.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> IIAETransformer(epochs=1, shared=3).fit(X, 2 * X[:, :4]).transform(X).shape
    (60, 3)
    """

    n_features_in_: int
    feature_names_in_: np.ndarray
    feature_names_y_: np.ndarray
    model_: IIAE
    settings_: Settings
    standard_x_: Standard
    standard_y_: Standard

    def __init__(  # as many parameters as there are settings worth searching over
        self,
        shared: int = 16,
        exclusive: int | tuple[int, int] = 8,
        *,
        width: int = 128,
        beta: float = 0.2,
        lam: float = 1.0,
        tau: float = 500.0,
        weight: float = 100.0,
        epochs: int = 100,
        batch: int = 100,
        learning_rate: float = 1e-3,
        validation: float = 0.1,
        block: str = "shared",
        random_state: Any = None,
    ):
        self.shared = shared
        self.exclusive = exclusive
        self.width = width
        self.beta = beta
        self.lam = lam
        self.tau = tau
        self.weight = weight
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.validation = validation
        self.block = block
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> IIAETransformer:
        """Learns from pairs of rows.

        Args:
            X: `(pairs, features)`.
            y: Y, `(pairs, other features)`; one dimension counts as one feature.

        Raises:
            ValueError: The tables are not numbers, hold NaN, differ in length, or are too short.
            DataError: Values are so large that they cannot be standardised.
            SettingsError: A parameter is outside its range.
            RunError: Training diverged or the shared latent collapsed.
        """
        x, y = self._pairs(X, y, reset=True)
        self.n_features_y_ = y.shape[1]
        self.standard_x_, self.standard_y_ = find_standard(x, "X"), find_standard(y, "Y")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        check_block(self.block)
        if not 0 < self.validation < 1:
            raise SettingsError(f"validation = {self.validation}: must be above 0 and below 1")
        rows = self.standard_x_.apply(x).numpy(), self.standard_y_.apply(y).numpy()
        self._train(split_pairs(*rows, self.validation, seed), settings_of(self, seed))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Posterior means given x alone, `(rows, columns of the block)`, float32."""
        return self._encode(self._rows(X, "x"), "x")

    def transform_y(self, y: Any) -> np.ndarray:
        """Posterior means given y alone, `(rows, columns of the block)`, float32."""
        return self._encode(self._rows(y, "y"), "y")

    def translate(self, source: Any, to: Domain = "y", like: Any = None) -> np.ndarray:
        """The content of each row in the other view, in that view's own units.

        Args:
            source: Rows of X where `to` is "y", rows of Y where it is "x".
            to: View to translate to.
            like: Rows of that view to take the exclusive latent from, one for all or one
                each; without it the prior's mean.

        Raises:
            ValueError: Rows do not fit the view.
            DataError: `like` has neither one row nor as many as `source`.
        """
        if to not in ("x", "y"):
            raise SettingsError(f"to = {to!r}: must be 'x' or 'y'")
        rows = self._rows(source, other(to))
        reference = None if like is None else self._rows(like, to)
        return self.standards()[to].undo(translate(self.model_, rows, to, like=reference))

    def score(self, X: Any, y: Any) -> float:
        """Recall@1 of each row's partner by z_s, mean of both directions, in [0, 1].

        Squared Euclidean distance of posterior means over all rows given; guessing reaches
        1 / rows, so compare scores of tables of one length only.
        """
        check_is_fitted(self)
        x, y = self._pairs(X, y, reset=False)
        z_x = block_columns(self.model_, self.standard_x_.apply(x), "x", "shared")
        z_y = block_columns(self.model_, self.standard_y_.apply(y), "y", "shared")
        hits = [(partner_ranks(*z) == 0).double().mean().item() for z in ((z_x, z_y), (z_y, z_x))]
        return sum(hits) / 2

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`; `input_features` is not used."""
        check_is_fitted(self)
        return np.asarray(block_names(self.model_, "x", self.block), dtype=object)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Writes a run folder (no pickles) that `load`, and `iiae translate`, can read.

        `iiae` commands take standardised rows; `estimator.json` holds mean and scale.

        Raises:
            RunError: The folder holds a run already and `overwrite` is off, or cannot be written
                to.
            SettingsError: `random_state` is a generator, which cannot be written down.
        """
        check_is_fitted(self)
        return save_estimator(self, Path(folder), overwrite)

    @classmethod
    def load(cls, folder: str | Path) -> IIAETransformer:
        """What `save` wrote, fitted.

        Raises:
            RunError: The folder is no run, was not written by `save`, or is damaged.
        """
        return load_estimator(cls, Path(folder))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _pairs(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        if y is None:
            raise ValueError(
                "This IIAETransformer estimator requires y to be passed, but the target y is None"
            )
        names = column_names(y)
        warn_of_indexes(X, y, ("X", "y"))
        X, y = dense(X), dense(y)
        x, y = self._validate(X, y, reset=reset, multi_output=True, y_numeric=True)
        y = y.astype(np.float64).reshape(len(y), -1)
        if reset and len(x) < LEAST_PAIRS:
            raise ValueError(f"n_samples={len(x)}: at least {LEAST_PAIRS} pairs are needed")
        if reset:
            self._keep_names(names)
        else:
            check_columns(self, y, names)
        return x, y

    def _validate(self, *tables: Any, **checks: Any) -> Any:
        return validate_data(self, *tables, dtype=NUMBERS, **checks)

    def _rows(self, values: Any, side: Domain) -> Tensor:
        check_is_fitted(self)
        if side == "x":
            return self.standard_x_.apply(self._validate(dense(values), reset=False), "X")
        y = check_array(dense(values), ensure_2d=False, dtype=NUMBERS)
        y = y.reshape(len(y), -1)
        check_columns(self, y, column_names(values))
        return self.standard_y_.apply(y, "Y")

    def _keep_names(self, names: list[str] | None) -> None:
        """Of the columns of Y; scikit-learn keeps those of X."""
        if names is not None:
            self.feature_names_y_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_y_"):
            del self.feature_names_y_

    def standards(self) -> dict[str, Standard]:
        """Mean and scale of each feature, by domain."""
        return {"x": self.standard_x_, "y": self.standard_y_}

    def _encode(self, rows: Tensor, side: Domain) -> np.ndarray:
        check_block(self.block)
        parts = [block_columns(self.model_, p, side, self.block) for p in rows.split(ROWS)]
        return torch.cat(parts).numpy()

    def _train(self, data: Splits, settings: Settings) -> None:
        from iiae.training import fit

        with tempfile.TemporaryDirectory() as folder, FITTING, torch.random.fork_rng():
            try:
                run = fit(settings, folder, data=data, progress=False)
            except Interrupted:
                raise KeyboardInterrupt from None
            self.keep(run.model, settings, Path(folder))

    def keep(self, model: IIAE, settings: Settings, folder: Path) -> None:
        """Makes a trained model, and what is recorded of it in a run folder, this object's."""
        self.model_, self.settings_ = model, settings
        self.history_, self.metrics_ = load_history(folder), load_metrics(folder)
