"""settings"""

from iiae.settings.sections import *  # noqa: F403
