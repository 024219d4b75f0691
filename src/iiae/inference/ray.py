"""Embedding on Ray; nothing else imports it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from iiae.errors import MissingExtra
from iiae.inference.embed import Embedder, Engine, Job, Shard


class ShardWorker:
    """A Ray actor's body: holds the model, takes rows of (start, stop, file), writes the shards."""

    def __init__(self, job: Job):
        import torch

        torch.set_num_threads(1)  # there is a process for each core
        self.embedder = Embedder(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        shards = [
            Shard(range(int(start), int(stop)), Path(file))
            for start, stop, file in zip(batch["start"], batch["stop"], batch["file"], strict=True)
        ]
        return {"items": list(self.embedder.write(shards))}


def embed_on_ray(workers: int) -> Engine:
    """An engine for `embed_files`: shards go to `workers` actors of Ray Data.

    Rows are those of `embed_here`: shards and batches are the same. Files must be where every
    machine sees them. A shard whose worker is killed is given to another. A cluster is joined
    where `RAY_ADDRESS` names one, else Ray is started here, and stopped at the end.
    """

    def embed(job: Job, shards: Sequence[Shard]) -> Iterator[int]:
        if not shards:
            return
        ray, data = _import_ray()
        mine = not ray.is_initialized()
        if mine:
            _start(ray, workers)
        try:
            rows = [
                {"start": s.numbers.start, "stop": s.numbers.stop, "file": str(s.file.absolute())}
                for s in shards
            ]
            # an error would come out of Ray as another: what failed is in the shards
            placed = job._replace(
                run=job.run.absolute(), parts=job.parts.absolute(), on_error="skip"
            )
            done = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                ShardWorker,
                fn_constructor_args=(placed,),
                batch_size=1,
                compute=data.ActorPoolStrategy(size=min(workers, len(rows))),
                num_cpus=1,
            )
            for row in done.iter_rows():
                yield int(row["items"])
        finally:
            if mine:
                ray.shutdown()

    return embed


def _import_ray() -> tuple[Any, Any]:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("ray", "--engine ray") from error
    return ray, ray.data


def _start(ray: Any, workers: int) -> None:
    if "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=False)
        return
    cores = max(workers, os.cpu_count() or 1)
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="error")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
