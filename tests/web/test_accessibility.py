"""axe finds nothing on the page, on its description of the API, and on the report."""

import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

from browsing import api, opened, served, started, with_examples
from helpers import needs, save_run, write_images
from iiae.data import load
from iiae.evaluation.evaluate import evaluate
from iiae.report.page import write_report
from iiae.run_folder import save_metrics
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.web.app import create_app

axe = needs("axe_playwright_python.sync_playwright").Axe()
pytestmark = pytest.mark.slow
screens = pytest.mark.parametrize(
    "screen",
    [
        {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
        for scheme in ("light", "dark")
        for width in (1280, 800, 390)
    ],
    ids=lambda screen: f"{screen['color_scheme']}-{screen['viewport']['width']}",
)


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = with_examples(save_run(tmp_path_factory.mktemp("accessible") / "run"))
    save_metrics(run.folder, "test", evaluate(run, load(run.settings.data).test))
    return run


@pytest.fixture(scope="module")
def address(run):
    write_images(run.folder / "c", [f"{i}.png" for i in range(20)])
    index_files(run, run.folder / "g", [run.folder / "c"], "y", progress=False)
    with served(create_app(run, Gallery.open(run.folder / "g"))) as address:
        yield address


def violations(page):
    """What axe finds, in a line each."""
    found = axe.run(page).response
    assert len(found["passes"]) > 10  # it has looked
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]


@screens
def test_the_page_has_no_violation_on_any_tab(browser, address, screen):
    with opened(browser, address, **screen) as page:
        api.expect(page.locator("#shared li.hit")).to_have_count(12)
        page.get_by_role("button", name="show").click()  # the control by the exclusive latent
        for name in ("Search", "Translate", "Map"):
            page.get_by_role("tab", name=name).click()
            page.wait_for_timeout(300)
            assert violations(page) == [], name
        page.goto(f"{address}docs")
        api.expect(page.locator("h2").nth(2)).to_be_visible()
        assert violations(page) == []


@screens
def test_the_report_has_no_violation_folded_or_open(browser, run, tmp_path, screen):
    path = write_report(run, load(run.settings.data).test, tmp_path / "report.html")
    with opened(browser, path.as_uri(), **screen) as page:
        assert violations(page) == []
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert violations(page) == []
