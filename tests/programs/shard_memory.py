"""Reads an epoch of shards; prints the rows and the most memory, whole and by half, in bytes."""

import json
import sys

import psutil

from iiae.data import load
from iiae.data.sampling import make_batches
from iiae.settings import DataSettings

me = psutil.Process()
given = {"name": "parquet-shards", "root": sys.argv[1], "buffer": int(sys.argv[2])}
pairs = load(DataSettings.model_validate(given)).train
batches = make_batches(pairs, 100, seed=0)
before, most, seen = me.memory_info().rss, [], 0
for draw in batches:
    seen += len(pairs[draw].x)
    most.append(me.memory_info().rss - before)
half = len(most) // 2
print(json.dumps([seen, max(most), max(most[:half]), max(most[half:])]))
