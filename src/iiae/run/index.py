"""A gallery and the run that searches it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iiae.data.names import domain_names
from iiae.run.samples import paths
from iiae.run_folder import TrainedRun

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
        self, queries: Any, top: int = 10, where: str | None = None, **options: Any
    ) -> Searched:
        """The items nearest to each query: files, folders and URLs as for `Run.index`.

        Args:
            queries: By default of the domain that the gallery does not hold.
            top: Number of hits per query.
            where: SQL condition on path, label and metadata, such as `"label = 'cat'"`.
            options: As for `iiae.search.query.search_files`.
        """
        from iiae.search.query import search_files

        if domain := options.get("domain"):
            names = domain_names(self.run.settings.data)
            options["domain"] = names.domain(domain, "domain")
        if where is not None:
            options["filter"] = where
        return search_files(self.run, self.where, paths(queries), top, **options)
