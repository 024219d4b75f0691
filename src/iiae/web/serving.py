"""Running the server."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

from iiae.errors import MissingExtra, SettingsError
from iiae.gallery import Gallery
from iiae.runs import Run, known_digests
from iiae.web.app import LOCAL, create_app


def serve(
    run: Run,
    gallery: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
) -> None:
    """Answers requests until stopped; what is under way is finished first.

    Args:
        run: A trained run.
        gallery: Folder or URL of a gallery of the run's model.
        host: Address to listen on; others than loopback need a token.
        port: To listen on.
        token: Bearer token that requests must carry.

    Raises:
        GalleryError: There is no such gallery, or it is of another model.
        SettingsError: The host is not loopback and there is no token.
        MissingExtra: The extra 'web' is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("web", "the server") from error
    if not token and not _loopback(host):
        raise SettingsError(f"--host {host}: others could reach the server; give it a --token")
    opened = None if gallery is None else Gallery.open(gallery, *known_digests(run.folder))
    hosts = LOCAL if _loopback(host) else ("*",)
    config = uvicorn.Config(
        create_app(run, opened, token or None, hosts=hosts),
        host=host,
        port=port,
        log_level="warning",
        limit_concurrency=256,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
        server_header=False,
    )
    shown = f"[{host}]" if ":" in host else host
    print(f"serving {run.folder} at http://{shown}:{port}/ (Ctrl-C stops)", file=sys.stderr)
    uvicorn.Server(config).run()


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
