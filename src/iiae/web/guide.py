"""Help for visitors of the page: examples, a scale of distances, drawing colours, looks, a map."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.names import domain_names
from iiae.metrics.spread_out import spread_out
from iiae.model.translation import draw_exclusive, exclusive_means, render
from iiae.run_folder import TrainedRun, load_features
from iiae.run_folder.examples import Examples, load_examples
from iiae.search.encoding import Space
from iiae.search.gallery import Gallery
from iiae.search.items import VECTORS, Latent
from iiae.types import Context, Domain, mapped, other
from iiae.web.pictures import ink_extent, pen_and_paper

LEVELS = (0.05, 0.25, 0.5, 0.95)
SOME = 500  # items of the gallery that are looked at
LOOKS = 24  # kept to choose from
MAPPED = 2000  # items on a map
LABELS = 100  # that are listed


class Look(NamedTuple):
    """One exclusive latent to translate with, and whose it is: an item's id, or an example."""

    exclusive: Tensor
    shared: np.ndarray | None
    id: str | None
    name: str
    example: int | None


class Guide:
    """What the page shows before a query; called from the model's thread.

    Args:
        run: A trained run.
        gallery: Of its model, or None.
        space: Of the gallery.
    """

    def __init__(self, run: TrainedRun, gallery: Gallery | None, space: Space | None):
        self.run, self.gallery, self.space = run, gallery, space
        self.names = domain_names(run.settings.data)
        self._version: int | None = None

    @cached_property
    def examples(self) -> Examples | None:
        """Held-out pairs that the run keeps."""
        return load_examples(self.run.folder)

    @cached_property
    def features(self) -> dict[str, list[str] | None]:
        """Names of the values of each domain, where they have any."""
        names = load_features(self.run.folder)
        return {"x": names.x, "y": names.y}

    def purpose(self) -> str:
        """One or two sentences for people who see the page for the first time."""
        x, y = self.names
        return self.run.settings.about or (
            f"Pairs of two kinds: {x} and {y}. The model saw only pairs, and learned what both "
            "share (the content) and what is exclusive to each (the look)."
        )

    @cached_property
    def drawing(self) -> dict[str, dict[str, Any]]:
        """By domain: the colours of pen and paper, and where ink lies, measured on its images."""
        if len(self.run.shapes[0]) == 1:
            return {}
        canvases: dict[str, dict[str, Any]] = {}
        for domain in ("x", "y"):
            images = self.examples.samples[domain] if self.examples else self._drawn(domain)
            pen, paper = pen_and_paper(images)
            extent = ink_extent(images)
            canvases[domain] = {"pen": pen, "paper": paper, "extent": extent and extent._asdict()}
        return canvases

    def _drawn(self, domain: Domain, draws: int = 32) -> Tensor:
        model, generator = self.run.model, torch.Generator().manual_seed(0)
        shared = torch.randn(draws, len(model.active), generator=generator).to(model.active.device)
        return render(model, shared, domain, draw_exclusive(model, domain, draws, generator)).cpu()

    def _renew(self) -> None:
        """Forgets what was read of the gallery if the gallery has changed since."""
        version = self.gallery.table.version if self.gallery else None
        if version != self._version:
            for name in ("_table", "_scale", "_looks_of_items"):
                self.__dict__.pop(name, None)
            self._version = version

    @property
    def scale(self) -> dict[str, Any]:
        """Quantiles (5, 25, 50 and 95%) of distances: of true partners and strangers for queries of
        the other domain, of items of the gallery for those of its own."""
        self._renew()
        return self._scale

    @cached_property
    def _scale(self) -> dict[str, Any]:
        if self.gallery is None or self.space is None:
            return {}
        return {"other": self._between_domains(), "own": self._within_gallery()}

    def _between_domains(self) -> dict[str, Any]:
        if self.gallery is None or self.space is None or self.examples is None:
            return {}
        domain = self.gallery.info.domain
        if len(self.examples.shared[domain]) < 2:  # no strangers
            return {}
        queries = self.space.vectors(self.examples.shared[other(domain)], other(domain), "query")
        items = self.space.vectors(self.examples.shared[domain], domain, "item")
        far = self._distances(queries.numpy(), items.numpy())
        return {"partners": _levels(np.diagonal(far)), "strangers": _levels(_apart(far))}

    def _within_gallery(self) -> dict[str, Any]:
        levels: dict[str, Any] = {}
        for latent in VECTORS:
            items = self._some(latent)
            if len(items) > 1:
                queries = np.stack([self.as_query(row, latent) for row in items])
                levels[latent] = _levels(_apart(self._distances(queries, items)))
        return levels

    def _distances(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        if self.gallery is not None and self.gallery.info.distance == "cosine":
            unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, items)]
            return 1 - unit[0] @ unit[1].T
        return np.linalg.norm(queries[:, None] - items[None], axis=2)

    def as_query(self, vector: np.ndarray, latent: Latent) -> np.ndarray:
        """The vector of an item, to look for items like it."""
        return self.space.item_as_query(vector) if self.space and latent == "shared" else vector

    @cached_property
    def _table(self) -> Any:
        """Some items of the gallery, the same ones each time."""
        assert self.gallery is not None
        table = self.gallery.scan(None, VECTORS)
        order = np.argsort(np.asarray(table["id"].to_pylist(), dtype=object))
        return table.take(order[:MAPPED])

    def _some(self, latent: Latent) -> np.ndarray:
        assert self.gallery is not None
        return self.gallery.latents(self._table, latent)[:SOME]

    def about_gallery(self) -> dict[str, Any]:
        """Labels of the gallery, and for some items the number whose files are still there."""
        if self.gallery is None:
            return {}
        self._renew()
        labels = sorted({row for row in self._table["label"].to_pylist() if row is not None})
        paths = map(self.gallery.root.full, self._table["path"].to_pylist()[:100])
        images = len(self.run.shapes[0]) == 3
        local = [path for path in paths if images and os.path.isabs(path)]
        gone = sum(not _is_there(path) for path in local)
        return {"labels": labels[:LABELS], "gone": gone, "looked_for": len(local)}

    def looks(self, to: Domain) -> list[Look]:
        """Exclusive latents far apart: of items if the gallery is of domain `to`, or examples."""
        if self.gallery is not None and self.gallery.info.domain == to:
            self._renew()
            return self._looks_of_items
        model, examples = self.run.model, self.examples
        if examples is None or (model.covariates.names and examples.covariates is None):
            return []
        known = mapped(Context(None, examples.covariates), lambda v: v.to(self._device))
        z = exclusive_means(model, examples.samples[to].to(self._device), to, known).cpu()
        chosen = spread_out(z, LOOKS).tolist()
        return [Look(z[i], None, None, f"example {i + 1}", i) for i in chosen]

    @cached_property
    def _looks_of_items(self) -> list[Look]:
        own, shared = torch.from_numpy(self._some("exclusive").copy()), self._some("shared")
        rows = self._table.slice(0, len(own)).select(["id", "path"]).to_pylist()
        return [
            Look(own[i], shared[i], rows[i]["id"], rows[i]["path"].split("/")[-1], None)
            for i in spread_out(own, LOOKS).tolist()
        ]

    def choose_looks(self, to: Domain, query: np.ndarray | None, count: int) -> list[Look]:
        """Looks of other content than a query's first: items that are strangers to its vector."""
        looks = self.looks(to)
        far = self.scale.get("other", {}).get("strangers")
        if query is not None and far is not None:
            looks = sorted(looks, key=lambda look: self._is_near(query, look, far[1]))
        return looks[:count]

    def _is_near(self, query: np.ndarray, look: Look, far: float) -> bool:
        if look.shared is None:
            return False
        return bool(self._distances(query[None], look.shared[None])[0, 0] < far)

    def map(self, by: Latent) -> Mapping[str, Any]:
        """Items of the gallery on the plane of the two main directions of a latent (PCA)."""
        assert self.gallery is not None
        self._renew()
        vectors = self.gallery.latents(self._table, by).astype(np.float64)
        centred = vectors - vectors.mean(0)
        _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
        points = np.zeros((len(vectors), 2))
        points[:, : len(axes[:2])] = centred @ axes[:2].T
        explained = (sizes**2 / max(float((sizes**2).sum()), 1e-30))[:2]
        rows = self._table.drop_columns(list(VECTORS)).to_pylist()
        return {
            "points": points,
            "explained": explained,
            "items": [_described(row) for row in rows],
        }

    @property
    def _device(self) -> torch.device:
        return self.run.model.active.device


def _described(row: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in row.items() if k not in ("id", "path", "label", "digest")}
    name = row["path"].split("/")[-1]
    return {"id": row["id"], "name": name, "label": row["label"], "metadata": metadata}


def _levels(values: np.ndarray) -> Sequence[float]:
    return np.quantile(values, LEVELS).tolist()


def _apart(far: np.ndarray) -> np.ndarray:
    """Entries off the diagonal."""
    return far[~np.eye(len(far), dtype=bool)]


def _is_there(path: str) -> bool:
    """Whether a file exists; of `FILE#row`, a row of a file, that file."""
    return os.path.exists(path) or os.path.exists(path.rpartition("#")[0])
