"""MkDocs hook: formulas become MathML when the site is built, so that no page needs a script."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL
)  # what pymdownx.arithmatex writes: \(...\) in a line, \[...\] on its own


def on_page_content(page_html: str, **_: Any) -> str:
    """Replaces each formula of a page; `mkdocs` calls this."""
    return FORMULA.sub(_mathml, page_html)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[1] == "div" else "inline"
    return convert(html.unescape(match[2]).strip(), display=display)
