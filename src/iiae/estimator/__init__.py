"""The scikit-learn interface."""

from iiae.errors import MissingExtra

try:
    import sklearn.base  # noqa: F401
except ImportError as error:
    raise MissingExtra("sklearn", "iiae.estimator") from error

from iiae.estimator.transformer import IIAETransformer

__all__ = ["IIAETransformer"]
