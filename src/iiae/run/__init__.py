"""run"""

from iiae.run.run import *  # noqa: F403
