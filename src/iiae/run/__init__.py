"""What a user holds: `Run`, with `fit` and `load` that give one."""

from iiae.run.applied import Latents
from iiae.run.fit import fit, load
from iiae.run.index import Index
from iiae.run.run import Run
from iiae.run.samples import as_array

__all__ = ["Index", "Latents", "Run", "as_array", "fit", "load"]
