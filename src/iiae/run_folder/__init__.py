"""run_folder"""

from iiae.run_folder.stored import *  # noqa: F403
