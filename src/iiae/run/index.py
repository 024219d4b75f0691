"""A gallery and the run that searches it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iiae.data.names import domain_names
from iiae.networks.covariates import as_column
from iiae.run.covariates import covariates_of, values_by_name
from iiae.run.samples import as_array, is_paths, paths, samples_of
from iiae.run_folder import TrainedRun
from iiae.types import Domain, other

if TYPE_CHECKING:
    from iiae.search.query import Searched


class Index:
    """A gallery and the run that searches it.

    Attributes:
        run: The run; a temporary one is kept as long as the index is.
        where: Folder or URL of the gallery.
    """

    def __init__(self, run: TrainedRun, where: str | Path):
        self.run, self.where = run, where

    def search(
        self,
        queries: Any,
        top: int = 10,
        where: str | None = None,
        covariates: Any = None,
        **options: Any,
    ) -> Searched:
        """The items nearest to each query.

        Args:
            queries: Files, folders and URLs as for `Run.index`, or samples in memory as for
                `Run.embed`, called `query 0` and so on; by default of the domain that the gallery
                does not hold.
            top: Number of hits per query.
            covariates: Of samples in memory, as for `Run.embed`.
            where: SQL condition on path, label and metadata, such as `"label = 'cat'"`.
            options: As for `iiae.search.query.search_files`.
        """
        from iiae.search.query import search_files

        if domain := options.get("domain"):
            names = domain_names(self.run.settings.data)
            options["domain"] = names.domain(domain, "domain")
        if where is not None:
            options["filter"] = where
        if is_paths(queries):
            return search_files(self.run, self.where, paths(queries), top, **options)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "queries.npy"
            values = self._in_memory(queries, options)
            np.save(file, values)
            if not options.get("vectors") and options.get("columns") is None:
                options["columns"] = self._columns(
                    queries, len(values), covariates, self._domain(options), Path(folder)
                )
            found = search_files(self.run, self.where, [file], top, **options)
        names = [f"query {name.rpartition('#')[2]}" for name in found.names]
        return found._replace(names=names)

    def _in_memory(self, queries: Any, options: Mapping[str, Any]) -> np.ndarray:
        """Queries as the model takes them; latents as they are."""
        if options.get("vectors"):
            return as_array(queries)
        return samples_of(self.run, queries, self._domain(options)).numpy()

    def _columns(
        self, queries: Any, rows: int, covariates: Any, domain: Domain, folder: Path
    ) -> Path | None:
        """A file with the covariates of queries in memory, if the model takes any."""
        names = self.run.model.covariates.names
        if not names and covariates is None:
            return None
        known = values_by_name(covariates_of(self.run, queries, domain, covariates))
        self.run.model.covariates.encode(known, rows)
        values = {name: np.broadcast_to(as_column(known[name]), rows) for name in names}
        texts = {n: v.astype(str) if v.dtype.kind == "O" else v for n, v in values.items()}
        np.savez(folder / "columns.npz", allow_pickle=False, **texts)
        return folder / "columns.npz"

    def _domain(self, options: Mapping[str, Any]) -> Domain:
        from iiae.search.gallery import Gallery

        return options.get("domain") or other(Gallery.open(self.where).info.domain)
