"""Charts in a page."""

import re
import xml.etree.ElementTree as ElementTree

from iiae.data.names import Names
from iiae.report.charts import curve_figures, reading_figures
from results_made import matrix

TERMS = ("loss", "nll_x", "nll_y", "kl_s", "kl_x", "kl_y", "kl_s_x", "kl_s_y")


def test_curves_take_the_ink_of_the_page_and_the_names_of_the_domains():
    history = [
        {"step": 10.0 * i, "train_loss": 9.0 - i, **{f"validation_{t}": 5.0 - i for t in TERMS}}
        for i in range(3)
    ]
    (figure,) = curve_figures(history, Names("sketch", "photo"))
    root = ElementTree.fromstring(figure.svg)
    assert root.get("width") == "100%" and root.get("height") is None
    assert "currentColor" in figure.svg and "#000000" not in figure.svg
    assert not re.search(r"fill: ?#ffffff", figure.svg)
    for text in ("sketch", "photo", "held out", "KL(q ‖ r_x)", "nats per pair"):
        assert text in figure.svg, text
    assert curve_figures([], Names("x", "y")) == []


def test_bars_are_of_every_factor_and_latent():
    read = matrix({"digit": "z_s"}, digit={"z_s given x": 0.9, "z_x": None})
    (figure,) = reading_figures({"means": read})
    assert "digit (belongs to z_s)" in figure.svg
    assert reading_figures({}) == []
