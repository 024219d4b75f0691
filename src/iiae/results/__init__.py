"""results"""

from iiae.results.evidence import *  # noqa: F403
