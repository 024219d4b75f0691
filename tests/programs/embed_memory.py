"""Embeds a file and prints the most memory that it took, in KiB."""

import resource
import sys

from iiae.inference.embed import embed_files

run, source, output = sys.argv[1:]
embed_files(run, source, output, "x", shard=1000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
