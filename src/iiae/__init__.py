"""Learn what two paired domains share and what is exclusive to each.

Names are loaded when first used, so that `import iiae` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iiae.data import PairSet, Splits, suggest_settings
    from iiae.data import load as load_data
    from iiae.errors import DataError, GalleryError, IIAEError, RunError, SettingsError
    from iiae.estimator import IIAETransformer
    from iiae.evaluation.evaluate import evaluate
    from iiae.hub import pull, push
    from iiae.model.build import build_model
    from iiae.model.iiae import IIAE
    from iiae.model.translation import translate
    from iiae.objectives import elbo, iiae_loss, iiae_terms, information_bound
    from iiae.run import Run, fit, load
    from iiae.run_folder import load_run
    from iiae.search.gallery import Gallery
    from iiae.settings import Settings, load_settings, make_settings
    from iiae.types import Draw, Pair

__version__ = "0.1.0"

# where each name is; `load_data` is called `load` there
_HOME = {
    "DataError": "iiae.errors",
    "Draw": "iiae.types",
    "Gallery": "iiae.search.gallery",
    "GalleryError": "iiae.errors",
    "IIAE": "iiae.model.iiae",
    "IIAEError": "iiae.errors",
    "IIAETransformer": "iiae.estimator",
    "Pair": "iiae.types",
    "PairSet": "iiae.data",
    "Run": "iiae.run",
    "RunError": "iiae.errors",
    "Settings": "iiae.settings",
    "SettingsError": "iiae.errors",
    "Splits": "iiae.data",
    "build_model": "iiae.model.build",
    "elbo": "iiae.objectives",
    "evaluate": "iiae.evaluation.evaluate",
    "fit": "iiae.run",
    "iiae_loss": "iiae.objectives",
    "iiae_terms": "iiae.objectives",
    "information_bound": "iiae.objectives",
    "load": "iiae.run",
    "load_data": "iiae.data",
    "load_run": "iiae.run_folder",
    "load_settings": "iiae.settings",
    "make_settings": "iiae.settings",
    "pull": "iiae.hub",
    "push": "iiae.hub",
    "suggest_settings": "iiae.data",
    "translate": "iiae.model.translation",
}

__all__ = [
    "IIAE",
    "DataError",
    "Draw",
    "Gallery",
    "GalleryError",
    "IIAEError",
    "IIAETransformer",
    "Pair",
    "PairSet",
    "Run",
    "RunError",
    "Settings",
    "SettingsError",
    "Splits",
    "build_model",
    "elbo",
    "evaluate",
    "fit",
    "iiae_loss",
    "iiae_terms",
    "information_bound",
    "load",
    "load_data",
    "load_run",
    "load_settings",
    "make_settings",
    "pull",
    "push",
    "suggest_settings",
    "translate",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'iiae' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name.removesuffix("_data"))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
