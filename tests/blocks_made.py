"""Three blocks of latents, and factors that each belong to one."""

import numpy as np

from iiae.metrics.factors import BlockFactor

N = 600
rng = np.random.default_rng(0)
BLOCKS = {name: rng.normal(size=(N, 4)) for name in ("x", "shared", "y")}
NOISE = rng.normal(size=N)
COLOUR = BlockFactor(BLOCKS["x"][:, :2], "continuous", "x")
RADIUS = BlockFactor(np.abs(BLOCKS["y"][:, 0]), "continuous", "y")
NAME = BlockFactor(np.where(BLOCKS["shared"][:, 1] > 0, "cat", "dog"), "categorical", "shared")
FACTORS = {"colour": COLOUR, "radius": RADIUS, "name": NAME}
