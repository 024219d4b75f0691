"""The page in a browser; skipped where Chromium or Playwright is missing."""

import os
import shutil
import socket
import threading
import time

import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

import uvicorn
from playwright import sync_api as api

from helpers import save_run, write_images
from iiae.gallery import Gallery
from iiae.searching import index_files
from iiae.web.app import create_app

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    run = save_run(folder / "run")
    write_images(folder / "c", [f"{'cat' if i % 2 else 'dog'}/{i}.png" for i in range(20)])
    (folder / "m.csv").write_text("path,note\nc/cat/1.png,<img src=x onerror=window.bad=1>\n")
    index_files(
        run, folder / "g", [folder / "c"], "y", metadata=folder / "m.csv", progress=False
    )  # fmt: skip
    return folder, run


@pytest.fixture(scope="module")
def address(place):
    """A server in a thread, with a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = create_app(place[1], Gallery.open(place[0] / "g"), token="s3cret")
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: check(page, address, request.url))
    enter(page, address)
    yield page
    assert page.wrong == []
    context.close()


def check(page, address, url):
    """Nothing comes from elsewhere."""
    if not url.startswith((address, "blob:", "data:")):
        page.wrong.append(url)


def enter(page, address):
    page.goto(address)
    page.get_by_label("Token").fill("s3cret")
    page.get_by_role("button", name="Enter").click()
    api.expect(page.locator("#about")).to_contain_text("20 items of domain y")


def shot(page, name):
    """Kept where SHOTS names a folder, to be looked at."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def loaded(image):
    """Waits for a picture; wait_for_function would, but the page's policy forbids its eval."""
    for _ in range(500):
        if image.evaluate("(node) => node.naturalWidth") > 0:
            return
        time.sleep(0.01)
    raise AssertionError("the picture did not load")


def hits(page, by="shared"):
    return page.locator(f"#{by} button")


def test_drawing_finds_and_more_like_this_goes_on(page):
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=5)
    page.mouse.up()
    for by in ("shared", "exclusive"):
        api.expect(hits(page, by)).to_have_count(12)
    api.expect(page.get_by_role("status")).to_contain_text("exact search")
    api.expect(page.locator("#own-note")).to_contain_text("any order is chance")
    loaded(page.locator("#shared img").first)
    shot(page, "drawn")
    hits(page).first.click()
    api.expect(page.locator("#own-note")).to_contain_text("its own look")
    api.expect(hits(page)).to_have_count(12)
    page.get_by_role("button", name="Clear").click()
    api.expect(hits(page)).to_have_count(0)


def test_an_uploaded_item_finds_itself_and_metadata_is_text(page, place):
    page.get_by_label("The query is of domain").select_option("y")
    page.get_by_label("Upload a picture").set_input_files(place[0] / "c" / "cat" / "1.png")
    api.expect(hits(page).first).to_contain_text("distance 0.000")
    api.expect(hits(page).first).to_contain_text("note: <img src=x onerror=window.bad=1>")
    assert page.evaluate("window.bad") is None
    page.get_by_label("Only label").fill("dog")
    api.expect(hits(page)).to_have_count(10)
    shot(page, "uploaded")


def test_a_file_that_is_no_image_is_said_to_be_none(page):
    page.get_by_label("Upload a picture").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"not an image"}
    )
    api.expect(page.get_by_role("status")).to_contain_text("not an image that can be read")


def test_translation_with_draws_and_between_two_references(page, place):
    page.get_by_role("tab", name="Translate").click()
    page.get_by_role("button", name="Translate", exact=True).click()
    api.expect(page.get_by_role("status")).to_have_text("choose a source first")
    files = [place[0] / "c" / "cat" / f"{i}.png" for i in (1, 3, 5)]
    page.locator("#file-source").set_input_files(files[0])
    page.get_by_role("button", name="Translate", exact=True).click()
    api.expect(page.locator("#results img")).to_have_count(6)
    page.locator("#file-like").set_input_files(files[1])
    page.locator("#file-like2").set_input_files(files[2])
    page.get_by_role("button", name="Translate", exact=True).click()
    api.expect(page.locator("#results img")).to_have_count(9)
    first = page.locator("#shown").get_attribute("src")
    page.get_by_label("From the first reference to the second").press("End")
    assert page.locator("#shown").get_attribute("src") != first
    loaded(page.locator("#shown").first)
    shot(page, "translated")


def test_the_keyboard_alone_draws_searches_and_changes_tabs(page):
    page.get_by_role("tab", name="Search").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "pad"
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown", " "):
        page.keyboard.press(key)
    api.expect(hits(page)).to_have_count(12)
    hits(page).nth(2).focus()
    page.keyboard.press("Enter")
    api.expect(page.locator("#own-note")).to_contain_text("its own look")
    page.get_by_role("tab", name="Search").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-translate"
    api.expect(page.locator("#translate")).to_be_visible()


def test_every_control_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, canvas')]
        .filter((n) => !(n.textContent.trim() || n.ariaLabel || n.labels?.length))
        .map((n) => n.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_sideways_scrolling(browser, address, scheme):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, color_scheme=scheme
    )
    page = context.new_page()
    enter(page, address)
    page.locator("#pad").tap()
    dot = "document.getElementById('pad').getContext('2d').getImageData(256, 256, 1, 1).data[0]"
    assert page.evaluate(dot) < 128
    api.expect(hits(page)).to_have_count(12)
    loaded(page.locator("#shared img").first)
    for tab in ("Search", "Translate"):
        page.get_by_role("tab", name=tab).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        shot(page, f"phone-{scheme}-{tab.lower()}")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(251, 251, 249)", "dark": "rgb(22, 22, 26)"}[scheme]
    context.close()
