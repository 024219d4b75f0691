"""What a user holds: `Run`, with `fit` and `load` that give one."""

from iiae.run.fit import fit
from iiae.run.index import Index
from iiae.run.run import Latents, Run, load
from iiae.run.samples import as_array

__all__ = ["Index", "Latents", "Run", "as_array", "fit", "load"]
