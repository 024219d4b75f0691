"""What metrics.json of a run holds, a type per section, and how it is read.

Every section but `training` is what a command measured; the fields here are the keys there. A
number that is not finite is null in the file and NaN here.
"""

from iiae.results.estimates import Bound, Estimate
from iiae.results.evaluation import (
    CategoryRetrieval,
    Evaluation,
    ItemCounts,
    Nats,
    Readability,
    Retrieval,
    TranslationQuality,
)
from iiae.results.evidence import (
    Axes,
    Curve,
    Evidence,
    Gain,
    Gains,
    InformationTerms,
    Matching,
    NullCopy,
    NullRuns,
    Style,
    SwapResult,
)
from iiae.results.label_free import LabelFree
from iiae.results.sections import SECTIONS, Results, load_results, read_results
from iiae.results.training import LatentSize, Provenance, SetSizes, Training

__all__ = [
    "SECTIONS",
    "Axes",
    "Bound",
    "CategoryRetrieval",
    "Curve",
    "Estimate",
    "Evaluation",
    "Evidence",
    "Gain",
    "Gains",
    "InformationTerms",
    "ItemCounts",
    "LabelFree",
    "LatentSize",
    "Matching",
    "Nats",
    "NullCopy",
    "NullRuns",
    "Provenance",
    "Readability",
    "Results",
    "Retrieval",
    "SetSizes",
    "Style",
    "SwapResult",
    "Training",
    "TranslationQuality",
    "load_results",
    "read_results",
]
