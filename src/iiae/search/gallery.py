"""A persistent gallery: latents of a collection on disk, searched, kept up to date. On LanceDB."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from iiae.errors import GalleryError
from iiae.search.columns import make_schema, make_table, new_fields, read_info
from iiae.search.items import (
    OWN,
    VECTORS,
    GalleryInfo,
    Items,
    Latent,
    SearchResult,
    by_id_or_path,
    check_paths,
    check_vectors,
    make_hits,
)
from iiae.search.ivf import CELLS_SEARCHED, build_index, has_index
from iiae.search.lance import (
    Value,
    at_or_below,
    connect,
    equals,
    gallery_errors,
    in_list,
    retry_on_conflict,
)
from iiae.search.root import Root, find_root
from iiae.search.values import stored

TABLE = "items"

log = logging.getLogger("iiae")


class Gallery:
    """Items in a local folder or an object store, one row a path.

    Every change is one commit: a process killed at any moment leaves what was committed
    before. Several processes may read and write at once; a search sees one version.

    Args:
        table: The LanceDB table; use `create` or `open`.
        where: For messages.
        root: Folder that paths are relative to; by default as the gallery records it.
    """

    def __init__(self, table: Any, where: str, root: str | Path | None = None):
        self.table, self.where = table, where
        info = read_info(table.schema)
        if info is None:
            raise GalleryError(
                f"{where}: is a LanceDB table, but not a gallery; index into a new one"
            )
        self.info, self.root = info, find_root(info.root, where, root)

    @classmethod
    def create(cls, where: str | Path, info: GalleryInfo) -> Gallery:
        """A new, empty gallery.

        Raises:
            GalleryError: There is one already, or the place cannot be written to.
        """
        db = connect(where)
        with gallery_errors(where):
            return cls(db.create_table(TABLE, schema=make_schema(info)), str(where))

    @classmethod
    def open(
        cls, where: str | Path, model: str | None = None, root: str | Path | None = None
    ) -> Gallery:
        """The gallery in a folder or at a URL.

        Args:
            where: What `create` or `iiae index` wrote.
            model: Digest of the model it must be of; any by default.
            root: Where the files lie now, if they were moved apart from the gallery.

        Raises:
            GalleryError: There is none, or it holds vectors of another model.
        """
        gallery = cls.find(where, root)
        if gallery is None:
            raise GalleryError(f"{where}: no gallery: iiae index RUN {where} FILES --domain y")
        if model not in (None, gallery.info.model):
            raise GalleryError(
                f"{where}: holds vectors of model {gallery.info.model[:12]}, the run is model "
                f"{model[:12]}; use the run that made it, or index into a new gallery"
            )
        return gallery

    @classmethod
    def find(cls, where: str | Path, root: str | Path | None = None) -> Gallery | None:
        """The gallery at `where`, or None where there is none yet."""
        if "://" not in str(where) and not Path(where).is_dir():
            if Path(where).exists():
                raise GalleryError(f"{where}: is a file; a gallery is a folder")
            return None
        with gallery_errors(where):
            try:
                return cls(connect(where).open_table(TABLE), str(where), root)
            except ValueError as error:
                if "not found" in str(error):
                    return None
                raise

    def __len__(self) -> int:
        return self.count()

    def count(self, where: str | None = None) -> int:
        """Items, or those that a filter keeps."""
        with gallery_errors(self.where):
            return self.table.count_rows(where)

    @property
    def columns(self) -> list[str]:
        """Names of the metadata columns."""
        with gallery_errors(self.where):
            return [name for name in self.table.schema.names if name not in OWN]

    def rows(self, where: str, more: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Items that a filter keeps, paths from the root on; `more` columns: see `VECTORS`."""
        return self.located(self.scan(where, more).to_pylist())

    def held(self, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The items of these paths, by path."""
        rows = self.rows(in_list("path", [self.root.key(path) for path in paths]))
        return {row["path"]: row for row in rows}

    def item(self, item: str, more: Sequence[str] = ()) -> dict[str, Any]:
        """The item of an id, or of a path.

        Raises:
            GalleryError: There is none.
        """
        rows = self.rows(by_id_or_path(self.root.key(item)), more)
        if not rows:
            raise GalleryError("the gallery has no such item")
        return rows[0]

    def scan(self, where: str | None, more: Sequence[str] = ()) -> Any:
        """An Arrow table of items as they are stored, with `more` of their large columns."""
        with gallery_errors(self.where):
            search = self.table.search().select([*self._shown, *more])
            return (search.where(where) if where else search).to_arrow()

    def latents(self, table: Any, latent: Latent) -> Float[np.ndarray, "items size"]:
        """Vectors of a table that `scan` gave."""
        flat = table[latent].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(table), getattr(self.info, latent))

    def located(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with paths as they are now, not as they are stored."""
        return [{**row, "path": self.root.full(row["path"])} for row in rows]

    @property
    def _shown(self) -> list[str]:
        """Columns but for those that are large."""
        return [n for n in self.table.schema.names if n not in (*VECTORS, "thumbnail")]

    def put(self, items: Items) -> None:
        """Adds items, or replaces those of the same path, in one commit.

        Metadata that is not given keeps its value; a new name becomes a column.

        Raises:
            GalleryError: Vectors have the wrong size, are not finite, too large or, under cosine,
                zero; a metadata name or value does not fit; the disk is full.
        """
        check_paths(items.paths)
        for latent in VECTORS:
            check_vectors(getattr(items, latent), self.info, latent, items.paths)
        self.add_columns(dict(zip(items.paths, items.metadata, strict=True)))
        held, keys = self.held(items.paths), [self.root.key(path) for path in items.paths]

        def commit() -> None:
            rows = make_table(items, keys, held, self.table.schema)
            merge = self.table.merge_insert("path").when_matched_update_all()
            merge.when_not_matched_insert_all().execute(rows)

        with gallery_errors(self.where):
            retry_on_conflict(commit)

    def update(self, path: str, values: Mapping[str, Value]) -> int:
        """Sets label or metadata of the item of a path; returns the number of items."""
        own = [name for name in values if name in OWN and name != "label"]
        if own:
            raise GalleryError(f"{own[0]} cannot be set; label and metadata can")
        self.add_columns({path: {k: v for k, v in values.items() if k != "label"}})
        chosen = equals("path", self.root.key(path))
        with gallery_errors(self.where):
            schema = self.table.schema
            held = values.keys() & set(schema.names)  # None alone makes no column
            new = {name: stored(values[name], schema.field(name).type) for name in held}
            if not new:
                return self.count(chosen)
            return retry_on_conflict(lambda: self.table.update(chosen, new)).rows_updated

    def delete(self, paths: Sequence[str]) -> int:
        """Removes items of these paths, items in folders of these paths, and rows of array files.

        Returns the number of items removed.
        """
        removed = 0
        for start in range(0, len(paths), 500):
            parts = [self._at_or_below(path) for path in paths[start : start + 500]]
            with gallery_errors(self.where):
                done = retry_on_conflict(lambda parts=parts: self.table.delete(" OR ".join(parts)))
            removed += done.num_deleted_rows
        return removed

    def _at_or_below(self, path: str) -> str:
        """`at_or_below` of a path as it is stored; a folder around the root holds all below."""
        around = Root(path).key(self.root.folder) != self.root.folder if self.root.folder else False
        return " OR ".join(map(at_or_below, {self.root.key(path), *(["."] if around else [])}))

    def search(
        self,
        queries: Float[np.ndarray, "queries size"],
        top: int = 10,
        where: str | None = None,
        by: Latent = "shared",
    ) -> SearchResult:
        """The nearest items of each query.

        Args:
            queries: Vectors of the latent `by`, one a row.
            top: Number of hits per query, at most 10,000.
            where: SQL condition on path, label and metadata, such as `label = 'cat'`.
            by: Which latent to compare.

        Raises:
            GalleryError: Queries of the wrong size, not finite, too large or zero under cosine; a
                filter that cannot be understood.
        """
        if not 1 <= top <= 10_000:
            raise GalleryError(f"top {top}: must be between 1 and 10,000")
        check_vectors(queries, self.info, by, [f"query {i}" for i in range(len(queries))])
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if not len(queries):
            return SearchResult([], "exact")
        with gallery_errors(self.where):
            search = self.table.search(list(queries), vector_column_name=by, query_type="vector")
            # LanceDB warns unless _distance is asked for by name
            search = (
                search.distance_type(self._metric).select([*self._shown, "_distance"]).limit(top)
            )
            search = search.nprobes(CELLS_SEARCHED)  # no index, no effect
            if where:
                search = search.where(where, prefilter=True)
            rows = self.located(search.to_arrow().to_pylist())
            method = f"IVF_FLAT, {CELLS_SEARCHED} cells" if has_index(self.table, by) else "exact"
        return SearchResult(make_hits(rows, len(queries), self.info), method)

    def tidy(self) -> str:
        """Merges small commits, removes old versions, builds or brings up to date the index.

        Returns how the gallery is searched from now on.
        """
        with gallery_errors(self.where):
            retry_on_conflict(lambda: self.table.optimize(cleanup_older_than=timedelta(hours=1)))
            lines = [
                build_index(self.table, latent, getattr(self.info, latent), self._metric)
                for latent in VECTORS
            ]
        log.info("%s: %s", self.where, lines[0])
        return lines[0]

    @property
    def _metric(self) -> Literal["l2", "cosine"]:
        return "cosine" if self.info.distance == "cosine" else "l2"

    def add_columns(self, metadata: Mapping[str, Mapping[str, Value]]) -> None:
        """Makes a column for each new name that has values; those of the others must fit.

        Args:
            metadata: Names and values, by path.

        Raises:
            GalleryError: A name or value does not fit; nothing is changed then.
        """

        def commit() -> None:
            fields = new_fields(metadata, self.table.schema)
            if fields:
                self.table.add_columns(fields)

        with gallery_errors(self.where):
            retry_on_conflict(commit)
