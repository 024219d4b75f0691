"""Load on the server: throughput batched against unbatched, latency, growth of memory.

    python benchmarks/serve.py RUN GALLERY IMAGE [--clients 32] [--seconds 60] [--batch 32]

Clients are connections of another process, each of which asks /search again as soon as it is
answered. `--batch 1` works on each request alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("gallery")
    parser.add_argument("image", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    arguments = parser.parse_args()
    rates = {batch: measure(arguments, batch) for batch in arguments.batch}
    first, *others = rates
    for batch in others:
        print(f"batches of {batch}: {rates[batch] / rates[first]:.2f} times batches of {first}")


def measure(arguments: argparse.Namespace, batch: int) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=start, args=(arguments.run, arguments.gallery, port, batch))
    server.start()
    try:
        return asyncio.run(load(arguments, batch, port, server.pid or 0))
    finally:
        server.terminate()
        server.join(30)


def start(run: Path, gallery: str, port: int, batch: int) -> None:
    import torch
    import uvicorn

    from iiae.run_folder import load_run
    from iiae.search.gallery import Gallery
    from iiae.web.app import create_app

    torch.set_num_threads(1)
    app = create_app(load_run(run), Gallery.open(gallery), batch=batch)
    uvicorn.run(app, port=port, log_level="warning")


async def load(arguments: argparse.Namespace, batch: int, port: int, pid: int) -> float:
    body = arguments.image.read_bytes()
    head = f"POST /search?top=10 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    await up(port)
    await clients(port, request, arguments.clients, min(5, arguments.seconds))  # warm
    before, started = memory(pid), time.perf_counter()
    times, wrong = await clients(port, request, arguments.clients, arguments.seconds)
    seconds = time.perf_counter() - started
    after, ms = memory(pid), 1e3 * np.percentile(times, [50, 95, 99])
    print(
        f"batches of {batch}: {len(times):,} answers in {seconds:.0f} s, "
        f"{len(times) / seconds:.0f}/s, {wrong} errors; ms at the median, 95th, 99th percentile: "
        f"{ms[0]:.0f}, {ms[1]:.0f}, {ms[2]:.0f}; memory {before:.0f} to {after:.0f} MiB "
        f"({100 * (after / before - 1):+.1f}%)",
        flush=True,
    )
    return len(times) / seconds


async def up(port: int) -> None:
    for _ in range(600):
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("the server did not start")


async def clients(port: int, request: bytes, count: int, seconds: float) -> tuple[list[float], int]:
    end = time.perf_counter() + seconds
    found = await asyncio.gather(*(client(port, request, end) for _ in range(count)))
    return [t for times, _ in found for t in times], sum(wrong for _, wrong in found)


async def client(port: int, request: bytes, end: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, wrong = [], 0
    while time.perf_counter() < end:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - started)
        wrong += not head.startswith(b"HTTP/1.1 200")
    writer.close()
    return times, wrong


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
