"""Embeds a folder with two Ray workers, once for each output."""

import sys

from iiae.inference.embed import embed_files
from iiae.inference.ray import embed_on_ray

run, source, *outputs = sys.argv[1:]
for output in outputs:
    embed_files(run, source, output, "x", batch=2, shard=3, on_error="skip", engine=embed_on_ray(2))
