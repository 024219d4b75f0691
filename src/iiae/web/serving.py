"""Running the server."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from iiae.errors import SettingsError
from iiae.run_folder import TrainedRun
from iiae.run_folder.examples import load_examples
from iiae.search.gallery import Gallery
from iiae.web.app import LOCAL, create_app
from iiae.web.guard import Limits


def serve(
    run: TrainedRun,
    gallery: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    root: str | Path | None = None,
) -> None:
    """Answers requests until SIGTERM or Ctrl-C; requests under way are finished first.

    Args:
        run: A trained run.
        gallery: Folder or URL of a gallery of the run's model.
        host: Address to listen on; others than loopback need a token.
        port: To listen on.
        token: Bearer token that requests must carry.
        root: Where the gallery's files lie now, if they were moved.

    Raises:
        GalleryError: There is no such gallery, or it is of another model.
        RunError: The examples of the run are damaged.
        SettingsError: The host is not loopback and there is no token, the token has letters that
            browsers do not send, or the port is taken.
    """
    if not token and not _loopback(host):
        raise SettingsError(f"--host {host}: others could reach the server; give it a --token")
    if token and not (token.isascii() and token.isprintable()):
        raise SettingsError("--token: letters, digits and signs of ASCII: browsers send no others")
    load_examples(run.folder)  # refuses damaged ones before the server starts
    opened = None if gallery is None else Gallery.open(gallery, root=root)
    hosts = LOCAL if _loopback(host) else ("*",)
    limits = Limits()
    config = uvicorn.Config(
        create_app(run, opened, token or None, limits, hosts),
        log_level="warning",
        limit_concurrency=256,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=round(limits.seconds) + 10,  # an upload, and its answer
        server_header=False,
    )
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"serving {run.folder} at http://{shown}:{port}/ (Ctrl-C stops)", file=sys.stderr)
    server = uvicorn.Server(config)
    with _stopped_by(lambda: setattr(server, "should_exit", True)):
        server.run([listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"--host {host} --port {port}: cannot listen there: {error.strerror}"
        ) from error


@contextmanager
def _stopped_by(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C call `stop`, also when uvicorn hands them on at its end: exit code 0."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, lambda *_: stop()) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
