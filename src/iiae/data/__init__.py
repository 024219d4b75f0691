"""Data sets of pairs, one file per kind; `registry` has the table of their names."""

from iiae.data.base import DataSet, Factor, PairSet, Splits
from iiae.data.registry import (
    DATASETS,
    check_shapes,
    export_pairs,
    fetch,
    load,
    with_absolute_paths,
)
from iiae.data.suggest import suggest_settings

__all__ = [
    "DATASETS",
    "DataSet",
    "Factor",
    "PairSet",
    "Splits",
    "check_shapes",
    "export_pairs",
    "fetch",
    "load",
    "suggest_settings",
    "with_absolute_paths",
]
