"""Learn what two paired domains share and what is exclusive to each.

Names are loaded when first used, so that `import iiae` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iiae.evaluation.evaluate import evaluate
    from iiae.model.iiae import IIAE, build_model
    from iiae.model.translation import translate
    from iiae.objectives import elbo, iiae_loss, iiae_terms, information_bound
    from iiae.run_folder import load_run
    from iiae.search.gallery import Gallery
    from iiae.settings import Settings, load_settings
    from iiae.training import fit
    from iiae.types import Pair

__version__ = "0.1.0"

_HOME = {
    "IIAE": "iiae.model.iiae",
    "Gallery": "iiae.search.gallery",
    "Pair": "iiae.types",
    "Settings": "iiae.settings",
    "build_model": "iiae.model.iiae",
    "elbo": "iiae.objectives",
    "evaluate": "iiae.evaluation.evaluate",
    "fit": "iiae.training",
    "iiae_loss": "iiae.objectives",
    "iiae_terms": "iiae.objectives",
    "information_bound": "iiae.objectives",
    "load_run": "iiae.run_folder",
    "load_settings": "iiae.settings",
    "translate": "iiae.model.translation",
}

__all__ = [
    "IIAE",
    "Gallery",
    "Pair",
    "Settings",
    "build_model",
    "elbo",
    "evaluate",
    "fit",
    "iiae_loss",
    "iiae_terms",
    "information_bound",
    "load_run",
    "load_settings",
    "translate",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'iiae' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
