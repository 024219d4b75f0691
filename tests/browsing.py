"""A browser and a server for tests; skipped where Chromium or Playwright is missing, not in CI."""

import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")

import uvicorn

from helpers import needs
from iiae.data import load
from iiae.model.latents import embed
from iiae.run_folder.examples import save_examples

api = needs("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("chromium is not installed", allow_module_level=True)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def started():
    """Chromium."""
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(app):
    """Address of a server in a thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(30)


@contextmanager
def opened(browser, address, **more):
    """A page that must meet no error and ask no other host."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **more})
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: check(page, address, request.url))
    page.goto(address)
    yield page
    assert page.wrong == []
    context.close()


def check(page, address, url):
    """Nothing comes from elsewhere."""
    if not url.startswith((address, "blob:", "data:")):
        page.wrong.append(url)


def with_examples(run):
    pairs = load(run.settings.data).validation
    index = pairs.sample(40, 0)
    save_examples(run.folder, pairs, index, embed(run.model, pairs.batches(40, index)))
    return run
