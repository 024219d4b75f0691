"""Feature files from image folders: `iiae features`."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pooch

from iiae.console import tracked
from iiae.data.classes.collections import Collections, class_files
from iiae.errors import DataError, SettingsError
from iiae.features.backbone import Backbone
from iiae.files.atomic import write_arrays
from iiae.files.decoding import OnError, Skipped, read_batches
from iiae.files.folders import image_files, subfolders
from iiae.files.image_source import Images

log = logging.getLogger("iiae")


class Cache:
    """Features by backbone and content of the file, in one SQLite file; safe to interrupt."""

    def __init__(self, folder: Path | None, digest: str):
        folder = folder or Path(pooch.os_cache("iiae")) / "features"
        folder.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(folder / f"{digest}.sqlite")
        self.connection.execute(
            "create table if not exists features (hash text primary key, v blob)"
        )

    def __contains__(self, key: str) -> bool:
        query = "select 1 from features where hash = ?"
        return self.connection.execute(query, (key,)).fetchone() is not None

    def get(self, key: str) -> np.ndarray:
        query = "select v from features where hash = ?"
        return np.frombuffer(self.connection.execute(query, (key,)).fetchone()[0], np.float32)

    def add(self, keys: Sequence[str], values: np.ndarray) -> None:
        rows = [(k, v.astype(np.float32).tobytes()) for k, v in zip(keys, values, strict=True)]
        with self.connection:
            self.connection.executemany("insert or replace into features values (?, ?)", rows)

    def close(self) -> None:
        self.connection.close()


def extract_features(
    root: Path,
    backbone: Backbone | Mapping[str, Backbone],
    out: Path,
    cache: Path | None = None,
    batch: int = 64,
    on_error: OnError = "stop",
) -> dict[str, int]:
    """Features of every image of a folder, as an `.npz`; returns the number of images per domain.

    `root/domain/class/image` gives `{domain}_features` (float32), `{domain}_classes` and
    `{domain}_paths` (relative to the domain's folder) for each domain; `root/class/image` and
    `root/image` are one domain called as the folder is. `backbone` and `backbone_labels` say what
    made them and which classes it was trained on; `protocol`, for fine-tuned backbones, whether one
    was trained on all domains ("joint") or one on each ("apart").

    Features are kept by the backbone's digest and the file's content, so a stopped run resumes,
    and moved or copied files cost nothing.

    Args:
        root: The folder.
        backbone: See `iiae.features.backbone.load_backbones`; one for all, or one per domain.
        out: The `.npz` to write.
        cache: Folder of kept features; by default the user's cache.
        batch: Images a step.
        on_error: "skip" lists files that cannot be read and leaves them out.

    Raises:
        SettingsError: `out` does not end in `.npz`.
        DataError: The folder is missing or empty, an image cannot be read, or a domain has no
            backbone.
        RunError: `out` cannot be written.
    """
    if out.suffix != ".npz":
        raise SettingsError(f"{out}: features are written as .npz; give a name that ends so")
    folders = _domains(root)
    backbones = _by_domain(backbone, [folder.name for folder in folders])
    arrays = _origin(backbone, backbones)
    counts: dict[str, int] = {}
    for folder in folders:
        extracted = _extracted(folder, backbones[folder.name], cache, batch, on_error)
        arrays |= {f"{folder.name}_{key}": values for key, values in extracted.items()}
        counts[folder.name] = len(extracted["paths"])
    write_arrays(out, arrays)
    return counts


def _by_domain(
    backbone: Backbone | Mapping[str, Backbone], domains: Sequence[str]
) -> dict[str, Backbone]:
    if isinstance(backbone, Backbone):
        return dict.fromkeys(domains, backbone)
    for name in domains:
        if name not in backbone:
            raise DataError(f"no backbone was trained on {name}; there are {', '.join(backbone)}")
    return {name: backbone[name] for name in domains}


def _origin(
    given: Backbone | Mapping[str, Backbone], backbones: Mapping[str, Backbone]
) -> dict[str, np.ndarray]:
    """The origin of the features (backbones and their labels), as arrays."""
    names = dict.fromkeys(f"{one.name} {one.digest}" for one in backbones.values())
    labels = dict.fromkeys(name for one in backbones.values() for name in one.classes)
    arrays = {
        "backbone": np.array(", ".join(names)),
        "backbone_labels": np.array([*labels], dtype=np.str_),
    }
    if not isinstance(given, Backbone):
        arrays["protocol"] = np.array(["apart"])
    elif given.taught:
        arrays["protocol"] = np.array(["joint"])
    return arrays


def _extracted(
    folder: Path, backbone: Backbone, cache: Path | None, batch: int, on_error: OnError
) -> dict[str, np.ndarray]:
    """Features, classes and paths of one domain."""
    with closing(Cache(cache, backbone.digest)) as kept:
        files, labels = _labelled(folder)
        keys = _hashes(files)
        skipped = Skipped(on_error)
        _fill(kept, backbone, files, keys, batch, skipped)
        there = [i for i, key in enumerate(keys) if key in kept]
        skipped.check(len(there))
        features = np.stack([kept.get(keys[i]) for i in there])
    paths = np.array([files[i].relative_to(folder).as_posix() for i in there])
    return {"features": features, "classes": labels[there], "paths": paths}


def _domains(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return [folder for folder in subfolders(root) if subfolders(folder)] or [root]


def _labelled(folder: Path) -> tuple[list[Path], np.ndarray]:
    if subfolders(folder):
        return class_files(folder)
    files = [folder / name for name in image_files(folder)]
    return files, np.full(len(files), folder.name)


def _hashes(files: Sequence[Path]) -> list[str]:
    def key(file: Path) -> str:
        try:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            return f"unreadable {file}"  # decoding raises the reason

    with ThreadPoolExecutor() as pool:
        return list(pool.map(key, files))


def _fill(
    kept: Cache,
    backbone: Backbone,
    files: Sequence[Path],
    keys: Sequence[str],
    batch: int,
    skipped: Skipped,
) -> None:
    """Computes the features that the cache lacks."""
    key_of = dict(zip(files, keys, strict=True))
    first = {key: file for file, key in reversed(key_of.items())}  # one file a content
    missing = [file for key, file in first.items() if key not in kept]
    if len(missing) < len(files):
        log.info("%d of %d features are kept from before", len(files) - len(missing), len(files))
    shape = (3, backbone.side, backbone.side)
    source = Images(None, [str(file) for file in missing], shape)
    batches = read_batches(source, batch, skipped)
    for some in tracked(batches, "extracting", -(-len(missing) // batch)):
        made = backbone.embed(some.values).numpy()
        kept.add([key_of[missing[i]] for i in some.numbers], made)


def save_features(
    path: Path, source: Path, features: Collections, names: tuple[str, str], note: str
) -> None:
    """Writes two labelled collections of features as one `.npz`, as `extract` does.

    Args:
        path: The file.
        source: The file they come from; other arrays of an `.npz` are kept.
        features: The features, their classes and paths.
        names: Names of the two domains.
        note: Added to the source's description of its backbone.

    Raises:
        RunError: The file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    if source.suffix.lower() == ".npz":
        with np.load(source, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    for name, side in zip(names, (features.x, features.y), strict=True):
        arrays[f"{name}_features"] = side.values.numpy()
        arrays[f"{name}_classes"], arrays[f"{name}_paths"] = side.labels, side.paths
    arrays["backbone"] = np.array(f"{arrays.get('backbone', '')} {note}".strip())
    if features.unseen is not None:
        arrays["unseen"] = np.array(features.unseen)
    if features.protocol:
        arrays["protocol"] = np.array([features.protocol])
    write_arrays(path, arrays)
