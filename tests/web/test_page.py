"""The page in a browser; skipped where Chromium or Playwright is missing, but not in CI."""

import os
import re
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")

import uvicorn

from helpers import needs, save_run, small_settings, write_images
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.web.app import create_app

api = needs("playwright.sync_api")
pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("chromium is not installed", allow_module_level=True)
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


@pytest.fixture(scope="module")
def address(place):
    with served(create_app(place[1], Gallery.open(place[0] / "g"), token="s3cret")) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


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


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        enter(page)
        yield page


def check(page, address, url):
    """Nothing comes from elsewhere."""
    if not url.startswith((address, "blob:", "data:")):
        page.wrong.append(url)


def enter(page):
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


def draw(page, first=60, last=200):
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + first, box["y"] + first)
    page.mouse.down()
    page.mouse.move(box["x"] + last, box["y"] + last, steps=5)
    page.mouse.up()


def paper(page):
    """All pixels of the drawing area."""
    return page.evaluate("document.getElementById('pad').toDataURL()")


def colour(page, at):
    script = "document.getElementById('pad').getContext('2d').getImageData({0}, {0}, 1, 1).data"
    return page.evaluate(f"[...{script.format(at)}]")


def test_drawing_finds_and_more_like_this_goes_on(page):
    draw(page)
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


def test_a_stroke_is_taken_back_and_so_is_clear(page):
    undo = page.get_by_role("button", name="Undo")
    api.expect(undo).to_be_disabled()
    papers = [paper(page)]
    for first in (60, 120):
        draw(page, first, first + 40)
        papers.append(paper(page))
    page.get_by_role("button", name="Clear").click()
    assert len(set(papers)) == 3 and paper(page) == papers[0]
    for expected in reversed(papers):
        undo.click()
        assert paper(page) == expected
    api.expect(undo).to_be_disabled()
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
    translate = page.get_by_role("button", name="Translate", exact=True)
    translate.click()
    api.expect(page.get_by_role("status")).to_have_text("choose a source first")
    files = [place[0] / "c" / "cat" / f"{i}.png" for i in (1, 3, 5)]
    page.locator("#file-source").set_input_files(files[0])
    translate.click()
    api.expect(page.locator("#results img")).to_have_count(6)
    page.locator("#file-like").set_input_files(files[1])
    page.locator("#file-like2").set_input_files(files[2])
    translate.click()
    api.expect(page.locator("#results img")).to_have_count(9)
    first = page.locator("#shown").get_attribute("src")
    page.get_by_label("From the first reference to the second").press("End")
    assert page.locator("#shown").get_attribute("src") != first
    loaded(page.locator("#shown").first)
    shot(page, "translated")


def test_items_of_the_gallery_are_references_for_what_was_drawn(page):
    draw(page)
    api.expect(hits(page)).to_have_count(12)
    page.get_by_role("tab", name="Translate").click()
    loaded(page.locator("#shot-source"))
    api.expect(page.get_by_label("Draws")).to_be_visible()
    picks = page.locator("#picks button")
    for i in (0, 3):
        picks.nth(i).click()
    api.expect(page.get_by_label("Draws")).to_be_hidden()
    loaded(page.locator("#shot-like2"))
    page.get_by_role("button", name="Translate", exact=True).click()
    api.expect(page.locator("#results img")).to_have_count(9)
    shot(page, "references")
    page.get_by_label("Translate to domain").select_option("x")  # items are of y
    api.expect(picks.first).to_be_hidden()
    api.expect(page.locator("#shot-like")).not_to_have_attribute("src", "")
    page.get_by_role("button", name="Translate", exact=True).click()
    api.expect(page.locator("#results img")).to_have_count(6)


@pytest.fixture(scope="module")
def feature_address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    run = save_run(folder / "run", small_settings())
    rows = np.random.default_rng(0).normal(size=(20, run.shapes[1][0]))
    np.savez(folder / "y.npz", features=rows, paths=[f"cell {i}" for i in range(20)])
    index_files(run, folder / "g", [folder / "y.npz"], "y", progress=False)
    with served(create_app(run, Gallery.open(folder / "g"))) as address:
        yield address, rows


def test_a_domain_is_chosen_only_once_the_gallery_is_known(browser, feature_address):
    """On a slow line the page's own choice would come after the user's, and undo it."""
    context = browser.new_context()
    page = context.new_page()
    held = []
    page.route("**/about", lambda route: held.append(route))
    with page.expect_request("**/about"):
        page.goto(feature_address[0])
    domain = page.get_by_label("The query is of domain")
    api.expect(domain).to_be_disabled()
    held[0].continue_()
    domain.select_option("y")  # waits until it can be chosen
    api.expect(page.locator("#expected")).to_contain_text("domain y")
    api.expect(domain).to_have_value("y")
    context.close()


@pytest.mark.parametrize("width", [1200, 360])
def test_features_are_searched_and_translated(browser, feature_address, tmp_path, width):
    address, rows = feature_address
    np.savetxt(tmp_path / "row.csv", rows[3:4], delimiter=",")
    with opened(browser, address, viewport={"width": width, "height": 900}) as page:
        page.get_by_label("The query is of domain").select_option("y")
        page.get_by_label("Features from a text file").set_input_files(tmp_path / "row.csv")
        api.expect(hits(page).first).to_contain_text("cell 3")
        api.expect(hits(page).first).to_contain_text("distance 0.000")
        page.get_by_label("Features, numbers").fill("1 2 three")
        page.get_by_role("button", name="Search", exact=True).click()
        api.expect(page.get_by_role("status")).to_contain_text("features are finite numbers")
        page.get_by_label("Features, numbers").fill(" ".join(["0.5"] * 32))
        page.get_by_label("The query is of domain").select_option("x")
        page.get_by_role("tab", name="Translate").click()
        translate = page.get_by_role("button", name="Translate", exact=True)
        page.get_by_label("Draws").fill("2")
        translate.click()
        cards = page.locator("#results li")
        api.expect(cards).to_have_count(2)
        api.expect(cards.first).to_contain_text("Nearest items by the shared latent: cell")
        api.expect(cards.first.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("32 values from ")
        )
        with page.expect_download() as download:
            page.get_by_role("link", name="Save as CSV").click()
        assert np.loadtxt(download.value.path(), delimiter=",").shape == (2, 32)
        for i in (0, 1):
            page.locator("#picks button").nth(i).click()
        translate.click()
        api.expect(cards).to_contain_text(["Step 1 of 9"])
        page.get_by_label("From the first reference to the second").press("End")
        api.expect(cards).to_contain_text(["Step 9 of 9"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shot(page, f"features-{width}")
        page.get_by_label("Reference, numbers", exact=False).first.fill("1, 2")
        translate.click()
        api.expect(page.get_by_role("status")).to_contain_text("2 numbers given; domain y has 32")


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
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "color_scheme": scheme}
    with opened(browser, address, **phone) as page:
        enter(page)
        look_through(page, scheme)


def look_through(page, scheme):
    page.locator("#pad").tap()
    assert colour(page, 256) != colour(page, 8)
    api.expect(hits(page)).to_have_count(12)
    loaded(page.locator("#shared img").first)
    for tab in ("Search", "Translate"):
        page.get_by_role("tab", name=tab).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        shot(page, f"phone-{scheme}-{tab.lower()}")
    behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert behind == {"light": "rgb(251, 251, 249)", "dark": "rgb(22, 22, 26)"}[scheme]
