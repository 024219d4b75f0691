"""The page in a browser; skipped where Chromium or Playwright is missing, but not in CI."""

import base64
import io
import os
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

from browsing import api, opened, served, started, with_examples
from helpers import save_run, small_settings, write_images
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.web.app import create_app
from iiae.web.engine import Engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    run = with_examples(save_run(folder / "run"))
    write_images(folder / "c", [f"{'cat' if i % 2 else 'dog'}/{i}.png" for i in range(20)])
    (folder / "m.csv").write_text("path,note\nc/cat/1.png,<img src=x onerror=window.bad=1>\n")
    index_files(
        run, folder / "g", [folder / "c"], "y", metadata=folder / "m.csv", progress=False
    )  # fmt: skip
    return folder, run


@pytest.fixture(scope="module")
def address(place):
    with served(create_app(place[1], Gallery.open(place[0] / "g"), token="s3cret")) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started() as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        enter(page)
        yield page


def enter(page):
    page.get_by_label("Token").fill("s3cret")
    page.get_by_role("button", name="Enter").click()
    api.expect(status(page)).to_have_text("12 of 20 items")


def status(page, of="search"):
    return page.locator(f"#{of}-status")


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
    return page.locator(f"#{by} li.hit > button:first-child")


def names(page, by="shared"):
    return page.locator(f"#{by} li.hit").evaluate_all("(some) => some.map((n) => n.innerText)")


def blank(page):
    """The drawing area in place of the first example."""
    page.get_by_role("button", name="Draw instead").click()


def draw(page, first=60, last=200):
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + first, box["y"] + first)
    page.mouse.down()
    page.mouse.move(box["x"] + last, box["y"] + last, steps=5)
    page.mouse.up()


def settled(page):
    """Waits for the hits of all that was drawn."""
    page.wait_for_timeout(200)  # a search starts 80 ms after the last point
    api.expect(page.locator("#shared")).not_to_have_attribute("aria-busy", "true")
    api.expect(hits(page)).to_have_count(12)


def paper(page):
    """All pixels of the drawing area."""
    return page.evaluate("document.getElementById('pad').toDataURL()")


def tab(page, name):
    page.get_by_role("tab", name=name).click()


@pytest.fixture
def bodies(monkeypatch):
    """Files that the server is sent; the browser does not tell."""
    read, sent = Engine.read, []

    def reading(engine, data, *more):
        sent.append(data)
        return read(engine, data, *more)

    monkeypatch.setattr(Engine, "read", reading)
    return sent


def test_the_first_example_is_searched_on_load_under_a_sentence_of_purpose(page):
    api.expect(page.locator("#about")).to_contain_text("two kinds: x and y")
    api.expect(page.locator("#examples button")).to_have_count(5)
    api.expect(page.get_by_role("button", name="Example 1, x")).to_have_attribute(
        "aria-pressed", "true"
    )
    api.expect(hits(page)).to_have_count(12)
    loaded(page.locator("#card-image"))
    page.get_by_role("button", name="Example 2, x").click()
    api.expect(page.locator("#card-name")).to_have_text("Example 2")


def test_a_drawing_is_found_and_the_ghost_goes(page):
    blank(page)
    api.expect(hits(page)).to_have_count(0)
    api.expect(page.locator("#ghost")).to_have_css("opacity", "0.75")
    draw(page)
    api.expect(hits(page)).to_have_count(12)
    api.expect(page.locator("#ghost")).to_have_css("opacity", "0")
    shot(page, "drawn")
    page.get_by_role("button", name="Clear").click()
    api.expect(hits(page)).to_have_count(0)


def inked(body, ground):
    """Rows and columns of ink in a PNG, as fractions."""
    pixels = np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)
    ink = np.abs(pixels - ground).sum(2) > 60
    return [np.flatnonzero(ink.any(axis)) / ink.shape[1 - axis] for axis in (1, 0)]


def test_drawings_are_fitted_before_they_are_sent_unless_as_drawn(page, bodies):
    blank(page)
    draw(page, 40, 100)
    settled(page)
    small = bodies[-1]
    page.get_by_role("button", name="Clear").click()
    draw(page, 130, 280)
    settled(page)
    ground = np.array(list(bytes.fromhex(page.locator("#ground").input_value()[1:])))
    for body in (small, bodies[-1]):  # whatever its size and place on the pad
        rows, columns = inked(body, ground)
        assert np.ptp(columns) > 0.6
        assert rows.min() + rows.max() == pytest.approx(1, abs=0.1)
    page.get_by_text("Options").click()
    page.get_by_label("as drawn").check()
    settled(page)
    assert inked(bodies[-1], ground)[0].min() > 0.3


def test_a_stroke_is_taken_back_and_so_is_clear(page):
    blank(page)
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


def test_a_drawing_that_comes_back_under_an_example_is_shown_in_its_place(page):
    blank(page)
    draw(page, 60, 100)
    page.get_by_role("button", name="Example 2").click()
    api.expect(page.locator("#card-name")).to_have_text("Example 2")
    page.get_by_role("button", name="Undo").click()
    api.expect(page.locator("#card")).to_be_hidden()
    api.expect(page.locator("#pad")).to_be_visible()


def test_a_reload_keeps_the_query_its_domain_and_the_tab(page):
    page.get_by_text("Options").click()
    page.get_by_label("The query is of").select_option("y")
    page.get_by_role("button", name="Example 3").click()
    tab(page, "Translate")
    page.reload()
    api.expect(page.locator("#card-name")).to_have_text("Example 3")
    api.expect(page.locator("#domain")).to_have_value("y")
    api.expect(page.locator("#translate")).to_be_visible()


def test_more_like_this_shows_the_query_and_back_returns_to_the_drawing(page):
    blank(page)
    draw(page)
    settled(page)
    before, drawn = names(page), paper(page)
    name = page.locator("#shared li.hit small").first.inner_text()
    hits(page).first.click()
    api.expect(page.locator("#card-name")).to_have_text(f"Like {name}")
    api.expect(page.locator("#own-title")).to_have_text("Same look")
    api.expect(hits(page, "exclusive")).to_have_count(12)
    assert "?item=" in page.url
    shot(page, "like")
    second = names(page)
    page.go_back()
    api.expect(page.locator("#pad")).to_be_visible()
    api.expect(page.locator("#own-title")).to_have_text("Control:")
    settled(page)
    assert names(page) == before and paper(page) == drawn
    page.go_forward()
    api.expect(page.locator("#card-name")).to_have_text(f"Like {name}")
    api.expect(hits(page, "exclusive")).to_have_count(12)
    assert names(page) == second
    page.reload()
    api.expect(hits(page, "exclusive")).to_have_count(12)
    assert names(page) == second


def test_the_control_is_one_line_until_it_is_asked_for(page):
    api.expect(page.locator("#own-note")).to_contain_text("this order should look random")
    api.expect(hits(page, "exclusive")).to_have_count(0)
    page.get_by_role("button", name="show").click()
    api.expect(hits(page, "exclusive")).to_have_count(12)
    page.get_by_role("button", name="hide").click()
    api.expect(hits(page, "exclusive")).to_have_count(0)


def test_content_and_look_are_weighed_by_a_slider(page):
    hits(page).first.click()
    api.expect(page.locator("#mix-row")).to_be_visible()
    weight = page.get_by_label("From content to look")
    weight.press("End")
    api.expect(page.locator("#shared-title")).to_have_text("Same look")
    api.expect(hits(page)).to_have_count(12)
    page.wait_for_timeout(300)
    words = "(some) => some.map((n) => n.title)"
    assert hits(page).evaluate_all(words) == hits(page, "exclusive").evaluate_all(words)
    weight.press("PageDown")
    api.expect(page.locator("#shared-title")).to_have_text("Content and look together")
    api.expect(page.locator("#shared-note")).to_contain_text("Shared latent")


def test_a_hit_lends_its_look_to_a_query_of_the_other_domain(page):
    api.expect(page.locator("#mix-row")).to_be_hidden()
    with page.expect_request(lambda request: "like_item=" in request.url):
        page.get_by_role("button", name="Use the look of").nth(2).click()
    api.expect(page.locator("#shared-note")).to_contain_text("Shared latent 50%")
    api.expect(page.locator("#own-title")).to_contain_text("Same look as")
    loaded(page.locator("#look-of img"))
    shot(page, "both")
    page.get_by_role("button", name="Remove", exact=True).click()
    api.expect(page.locator("#mix-row")).to_be_hidden()


def test_an_uploaded_item_finds_itself_and_metadata_is_text(page, place):
    page.get_by_text("Options").click()
    page.get_by_label("The query is of").select_option("y")
    page.get_by_label("Upload a picture").set_input_files(place[0] / "c" / "cat" / "1.png")
    api.expect(hits(page).first).to_have_attribute("title", re.compile(r"cat/1\.png$"))
    api.expect(page.locator("#shared .bar").first).to_have_attribute(
        "title", re.compile("distance 0.000")
    )
    api.expect(hits(page).first).to_contain_text("note: <img src=x onerror=window.bad=1>")
    assert page.evaluate("window.bad") is None
    page.get_by_label("Only label").select_option("dog")
    api.expect(status(page)).to_have_text("10 of 20 items")
    shot(page, "uploaded")


def test_a_file_that_is_no_picture_is_named_and_the_last_query_stays(page):
    before = names(page)
    page.get_by_label("Upload a picture").set_input_files(
        {"name": "note.txt", "mimeType": "text/plain", "buffer": b"not an image"}
    )
    api.expect(page.locator("#wrong")).to_contain_text(
        "note.txt cannot be read as a picture. JPEG, PNG"
    )
    api.expect(page.locator("#card-name")).to_have_text("Example 1")
    assert names(page) == before


def test_a_picture_of_too_many_pixels_is_made_smaller_before_it_is_sent(page, bodies):
    large = io.BytesIO()
    Image.new("L", (6000, 5000)).save(large, "PNG")
    page.get_by_label("Upload a picture").set_input_files(
        {"name": "large.png", "mimeType": "image/png", "buffer": large.getvalue()}
    )
    api.expect(page.locator("#card-name")).to_have_text("large.png")
    settled(page)
    assert Image.open(io.BytesIO(bodies[-1])).size == (1024, 853)


GIVE = """([kind, data]) => {
  const carried = new DataTransfer();
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  carried.items.add(new File([bytes], "given.png", { type: "image/png" }));
  const more = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: carried, ...more })
    : new DragEvent(kind, { dataTransfer: carried, ...more });
  return document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, place, kind):
    data = base64.b64encode((place[0] / "c" / "cat" / "3.png").read_bytes()).decode()
    assert page.evaluate(GIVE, [kind, data]) is (kind == "paste")  # a drop must not leave the page
    api.expect(page.locator("#card-name")).to_have_text("given.png")
    api.expect(hits(page)).to_have_count(12)


def test_old_hits_are_dimmed_at_once_and_gone_after_150_ms(page):
    held = []
    page.route("**/search?**", lambda route: held.append(route))
    page.get_by_role("button", name="Example 3").click()
    api.expect(page.locator("#shared")).to_have_attribute("aria-busy", "true")
    api.expect(status(page)).to_have_text("Working ...")
    api.expect(hits(page)).to_have_count(0)
    held[0].continue_()
    api.expect(hits(page)).to_have_count(12)
    api.expect(page.locator("#shared")).not_to_have_attribute("aria-busy", "true")


def test_a_server_that_is_gone_is_named_in_peoples_words(page):
    page.route("**/search?**", lambda route: route.abort())
    page.get_by_role("button", name="Example 3").click()
    api.expect(page.locator("#wrong")).to_have_text(
        "The server does not answer. Is iiae serve still running?"
    )


def test_a_wrong_token_is_said_to_be_wrong_and_nothing_else_is_shown(browser, address):
    with opened(browser, address) as page:
        page.get_by_label("Token").fill("guess")
        page.get_by_role("button", name="Enter").click()
        api.expect(page.locator("#login-wrong")).to_have_text("That token is not right.")
        api.expect(page.locator("#main")).to_be_hidden()
        enter(page)


def test_translation_is_live_and_led_by_looks_of_other_items(page):
    tab(page, "Translate")
    images = page.locator("#results figure > img")
    api.expect(images).to_have_count(6)
    api.expect(page.locator("#picks button")).to_have_count(6)
    api.expect(status(page, "translate")).to_have_text("6 translations to y")
    first = images.first.get_attribute("src")
    page.get_by_role("button", name="Example 2").click()  # live: no other click
    api.expect(images.first).not_to_have_attribute("src", first)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save in the look of").first.click()
    with open(download.value.path(), "rb") as file:
        assert Image.open(file).size == (16, 16)
    shot(page, "translated")


def test_one_look_two_looks_and_chance(page, place):
    tab(page, "Translate")
    images = page.locator("#results figure > img")
    api.expect(images).to_have_count(6)
    picks = page.locator("#picks button")
    api.expect(page.locator("#box-like2")).to_be_hidden()
    picks.nth(0).click()
    api.expect(images).to_have_count(1)
    picks.nth(3).click()
    api.expect(images).to_have_count(9)
    first = page.locator("#shown").get_attribute("src")
    page.get_by_label("From the first look to the second").press("End")
    assert page.locator("#shown").get_attribute("src") != first
    for name in ("second look, to blend", "look"):
        page.get_by_role("button", name=f"Remove the {name}", exact=True).click()
    api.expect(images).to_have_count(6)
    page.get_by_label("Looks", exact=True).select_option("by chance")
    page.get_by_label("Samples").fill("99")
    page.get_by_label("Samples").press("Enter")
    api.expect(images).to_have_count(16)
    api.expect(page.get_by_label("Samples")).to_have_value("16")
    page.locator("#file-like").set_input_files(place[0] / "c" / "cat" / "3.png")
    api.expect(images).to_have_count(1)


def test_an_item_of_the_gallery_is_translated_to_the_other_domain(page):
    hits(page).first.click()
    api.expect(page.locator("#own-title")).to_have_text("Same look")
    tab(page, "Translate")
    api.expect(page.locator("#to")).to_have_text("x")
    api.expect(page.locator("#results figure > img")).to_have_count(6)
    api.expect(page.locator("#picks button").first).to_have_attribute(
        "aria-label", re.compile("The look of example")
    )


def test_without_a_gallery_what_is_drawn_is_translated(browser, place):
    with served(create_app(place[1])) as address, opened(browser, address) as page:
        api.expect(page.get_by_role("tab", name="Search")).to_be_hidden()
        api.expect(page.locator("#moved")).to_contain_text("iiae index RUN GALLERY")
        api.expect(page.locator("#results figure > img")).to_have_count(6)
        blank(page)
        api.expect(status(page, "translate")).to_contain_text("Draw, drop a picture")
        draw(page)
        api.expect(page.locator("#results figure > img")).to_have_count(6)


def test_pictures_that_are_gone_are_counted_and_still_shown(browser, place, tmp_path):
    write_images(tmp_path / "c", [f"{i}.png" for i in range(12)])
    index_files(place[1], tmp_path / "g", [tmp_path / "c"], "y", progress=False)
    shutil.rmtree(tmp_path / "c")
    app = create_app(place[1], Gallery.open(tmp_path / "g"))
    with served(app) as address, opened(browser, address) as page:
        api.expect(page.locator("#moved")).to_contain_text("12 of 12 files")
        loaded(page.locator("#shared img").first)


def test_the_map_leads_to_items(page):
    tab(page, "Map")
    api.expect(page.locator("#map-note")).to_contain_text("20 items by the two main directions")
    points = page.locator("#points")
    points.press("ArrowRight")
    api.expect(status(page, "map")).to_contain_text(".png")
    api.expect(page.locator("#legend li")).to_have_count(2)
    names = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        points.press(key)
        names.add(status(page, "map").text_content())
    assert len(names) > 2
    shot(page, "map")
    points.press("Enter")
    api.expect(page.locator("#card-name")).to_contain_text("Like ")


def test_a_tap_on_the_map_leads_to_an_item(browser, address):
    with opened(browser, address, has_touch=True, viewport={"width": 390, "height": 800}) as page:
        enter(page)
        tab(page, "Map")
        api.expect(page.locator("#map-note")).to_contain_text("20 items")
        points = page.locator("#points")
        points.press("ArrowRight")
        place = page.evaluate(
            """import("./page/map.js").then((map) => {
                const box = document.getElementById("points").getBoundingClientRect();
                const [x, y] = map.placeOf(0);
                return [box.left + (x * box.width) / 1200, box.top + (y * box.height) / 900];
            })"""
        )
        page.touchscreen.tap(*place)
        api.expect(page.locator("#card-name")).to_contain_text("Like ")
        assert page.locator("#search").is_visible()


def test_images_of_many_bands_are_tried_without_drawing(browser, banded_run, tmp_path):
    run, folder = banded_run
    index_files(run, tmp_path / "g", [folder / "y"], "y", progress=False)
    with (
        served(create_app(run, Gallery.open(tmp_path / "g"))) as address,
        opened(browser, address) as page,
    ):
        api.expect(status(page)).to_have_text("12 of 40 items")
        api.expect(page.locator("#bands")).to_contain_text("A file of 5 bands")
        for name in ("pad", "undo", "close"):
            assert not page.locator(f"#{name}").is_visible()
        page.get_by_label("Upload a picture").set_input_files(folder / "x" / "7.npy")
        api.expect(page.locator("#card-name")).to_have_text("7.npy")
        api.expect(status(page)).to_have_text("12 of 40 items")
        tab(page, "Translate")
        api.expect(page.locator("#results li").first).to_be_visible()
        shot(page, "bands")
        with page.expect_download() as download:
            page.get_by_role("link", name="Save").first.click()
        assert np.load(download.value.path()).shape == (16, 16, 2)


@pytest.fixture(scope="module")
def feature_address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    run = with_examples(save_run(folder / "run", small_settings()))
    rows = np.random.default_rng(0).normal(size=(20, run.shapes[1][0]))
    paths = [f"cell {i}" for i in range(20)]
    np.savez(folder / "y.npz", features=rows, paths=paths, labels=["a", "b"] * 10)
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
    api.expect(page.locator("#domain")).to_be_disabled()
    held[0].continue_()
    page.get_by_text("Options").click()
    domain = page.get_by_label("The query is of")
    domain.select_option("y")  # waits until it can be chosen
    api.expect(page.locator("#expected")).to_contain_text("32 numbers")
    api.expect(domain).to_have_value("y")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_features_are_searched_in_a_table_and_translated(browser, feature_address, tmp_path, width):
    address, rows = feature_address
    np.savetxt(tmp_path / "row.csv", rows[3:4], delimiter=",")
    with opened(browser, address, viewport={"width": width, "height": 900}) as page:
        table = page.locator("#shared tr")
        api.expect(table).to_have_count(13)  # of the first example, and the heading
        page.get_by_role("button", name="Example 2").click()
        page.get_by_text("Options").click()
        page.get_by_label("The query is of").select_option("y")
        page.get_by_label("Features from a text file").set_input_files(tmp_path / "row.csv")
        api.expect(table.nth(1)).to_contain_text("cell 3")
        api.expect(table.nth(1).locator(".bar")).to_have_attribute(
            "title", re.compile("distance 0.000")
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shot(page, f"rows-{width}")
        (tmp_path / "named.csv").write_text(
            ",".join(["cell", *(f"c{i}" for i in range(32))]) + "\n"
            + "".join(f"{i}," + ",".join(map(str, rows[i])) + "\n" for i in (5, 6))
        )  # fmt: skip
        page.get_by_label("Features from a text file").set_input_files(tmp_path / "named.csv")
        api.expect(page.locator("#expected")).to_have_text("the first of 2 rows of named.csv")
        api.expect(table.nth(1)).to_contain_text("cell 5")
        page.get_by_label("Features from a text file").set_input_files(
            {"name": "y.npz", "mimeType": "", "buffer": b"PK\0"}
        )
        api.expect(page.locator("#wrong")).to_contain_text("a table of numbers is wanted")
        page.get_by_label("Paste 32 numbers").fill("1 2 three")
        page.get_by_role("button", name="Use", exact=True).click()
        api.expect(page.locator("#wrong")).to_contain_text("Features are finite numbers")
        page.get_by_label("The query is of").select_option("x")
        page.get_by_label("Paste 32 numbers").fill(" ".join(["0.5"] * 32))
        page.get_by_role("button", name="Use", exact=True).click()
        tab(page, "Translate")
        cards = page.locator("#results li")
        api.expect(cards).to_have_count(6)
        api.expect(cards.first).to_contain_text("Most unusual features, in standard deviations")
        api.expect(cards.first.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("32 values from ")
        )
        with page.expect_download() as download:
            page.get_by_role("link", name="Save as CSV").click()
        assert np.loadtxt(download.value.path(), delimiter=",").shape == (6, 32)
        for i in (0, 1):
            page.locator("#picks button").nth(i).click()
        api.expect(cards).to_contain_text(["Step 1 of 9"])
        page.get_by_label("From the first look to the second").press("End")
        api.expect(cards).to_contain_text(["Step 9 of 9"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shot(page, f"features-{width}")


def test_covariates_of_the_query_are_chosen_beside_its_numbers(browser, run_of_batches, tmp_path):
    done, x, batch = run_of_batches
    (tmp_path / "columns.csv").write_text("\n".join(["batch", *batch]) + "\n")
    file = done.folder.parent / "x.npy"
    index_files(
        done,
        tmp_path / "g",
        [file],
        "x",
        "euclidean",
        columns=tmp_path / "columns.csv",
        progress=False,
    )
    with (
        served(create_app(done, Gallery.open(tmp_path / "g"))) as address,
        opened(browser, address) as page,
    ):
        page.get_by_text("Options").click()
        page.get_by_label("The query is of").select_option("x")
        page.get_by_label("Paste 6 numbers").fill(", ".join(map(str, x[7])))
        page.get_by_label("batch").select_option("two")
        page.get_by_role("button", name="Use", exact=True).click()
        first = page.locator("#shared tr").nth(1)
        api.expect(first).to_contain_text("x.npy#7")
        nearest = first.locator(".bar")
        api.expect(nearest).to_have_attribute("title", re.compile("distance 0.000"))
        page.get_by_label("batch").select_option("one")  # searched again at once
        api.expect(nearest).not_to_have_attribute("title", re.compile("distance 0.000"))
        page.get_by_role("button", name="Example 3").click()  # with the batch that it is of
        given = [float(one) for one in page.locator("#values").input_value().split(",")]
        row = np.abs(x - np.array(given)).sum(1).argmin()
        api.expect(page.get_by_label("batch")).to_have_value(batch[row])
        tab(page, "Translate")
        api.expect(page.locator("#results li")).to_have_count(5)  # in looks of examples
        shot(page, "covariates")


def test_the_keyboard_alone_draws_searches_and_changes_tabs(page):
    page.get_by_role("button", name="Draw instead").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "pad"
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown", " "):
        page.keyboard.press(key)
    api.expect(page.locator("#cursor")).to_be_visible()
    api.expect(hits(page)).to_have_count(12)
    hits(page).nth(2).focus()
    page.keyboard.press("Enter")
    api.expect(page.locator("#own-title")).to_have_text("Same look")
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
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_every_tab_fits_every_screen(browser, address, scheme, width):
    screen = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with opened(browser, address, has_touch=True, **screen) as page:
        enter(page)
        loaded(page.locator("#shared img").first)
        assert hits(page).first.bounding_box()["y"] < 800  # in view without scrolling
        for name in ("Search", "Translate", "Map"):
            page.get_by_role("tab", name=name).tap()
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            shot(page, f"{width}-{scheme}-{name.lower()}")
        behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert behind == {"light": "rgb(251, 251, 249)", "dark": "rgb(22, 22, 26)"}[scheme]
        page.get_by_role("tab", name="Search").tap()
        blank(page)
        page.locator("#pad").tap()
        api.expect(hits(page)).to_have_count(12)
