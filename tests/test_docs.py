"""Examples in the docs and in docstrings run; the reference is that of the program."""

import ast
import doctest
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iiae

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.name
)
def test_python_examples_run(page, tmp_path, monkeypatch):
    if "IIAE_DATA" in "".join(blocks(page, "python")):
        pytest.importorskip("mudata")
        if not (Path(os.environ.get("IIAE_DATA", "")) / "omics").is_dir():
            pytest.skip("IIAE_DATA names no folder with cells")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    text = page.read_text(encoding="utf-8")
    for shown in re.findall(r"\(pictures/(howto-[\w-]+\.png)\)", text):  # what the block drew
        with Image.open(shown) as drawn, Image.open(page.parent / "pictures" / shown) as kept:
            assert drawn.size == kept.size
            off = np.abs(np.asarray(drawn, float) - np.asarray(kept, float)).mean()
            assert off < 32, f"{shown} is {off:.0f} of 255 from what the page shows"


def docstring_examples():
    """Home, name and docstring of each thing whose docstring has an example."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if ">>>" in (text or ""):
                yield path, getattr(node, "name", path.stem), text


@pytest.mark.parametrize(
    ("path", "text"),
    [pytest.param(path, text, id=name) for path, name, text in docstring_examples()],
)
def test_examples_in_docstrings_give_what_they_say(path, text):
    module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    names = dict(vars(importlib.import_module(module)))
    example = doctest.DocTestParser().get_doctest(text, names, module, str(path), 0)
    output = []
    result = doctest.DocTestRunner().run(example, out=output.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(output)


def test_no_example_stands_where_none_is_run():
    run = sum(text.count(">>>") for *_, text in docstring_examples())
    assert run == sum(p.read_text("utf-8").count(">>>") for p in (ROOT / "src").rglob("*.py"))


def test_the_reference_is_current():
    loader = SourceFileLoader("reference", str(ROOT / "scripts" / "reference"))
    spec = importlib.util.spec_from_loader("reference", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == module.reference(), "stale: run scripts/reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_in_the_docs_exists():
    import typer.main

    from iiae.commands.app import app

    known = typer.main.get_command(app).commands
    options = {
        name: {o for p in c.params if not p.hidden for o in p.opts} for name, c in known.items()
    }
    seen = 0
    for page in PAGES:
        for line in "".join(blocks(page, "console")).splitlines():
            words = line.removeprefix("$ ").split(" #")[0].split()
            if words[:1] != ["iiae"]:
                continue
            seen += 1
            assert words[1] in known, line
            for word in words[2:]:
                if word.startswith("--"):
                    assert word in options[words[1]], line
    assert seen > 5


def test_every_page_is_in_the_site_s_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))
    pages = (ROOT / "docs").rglob("*.md")
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in pages}


@pytest.mark.slow
def test_the_tutorials_run_as_they_stand(tmp_path, iiae, monkeypatch):
    pytest.importorskip("lancedb")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in "qg":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(30, 4)))
        (tmp_path / f"{name}.txt").write_text("\n".join(f"class {i % 3}" for i in range(30)))
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    names = {}
    for block in blocks(ROOT / "docs" / "tutorials.md", "python"):
        exec(compile(block, "tutorials.md", "exec"), names)
    lines = "".join(blocks(ROOT / "docs" / "tutorials.md", "console")).splitlines()
    assert len(lines) > 13
    for line in lines:
        code, _, err = iiae(*shlex.split(line.removeprefix("$ iiae ")))
        assert code == 0, line + err
    assert (tmp_path / "runs/digits/report.html").is_file()
    with Image.open(tmp_path / "between.png") as between:
        assert between.height > between.width  # one column: the source, references and five steps
    assert np.load(tmp_path / "predicted.npy").shape == (397, 40)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path / "site"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "IIAETransformer" in (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    pages = {p: p.read_text(encoding="utf-8") for p in (tmp_path / "site").rglob("*.html")}
    assert not [page for page, text in pages.items() if "arithmatex" in text or r"\(" in text]
    assert sum(text.count("<math ") for text in pages.values()) > 100


def test_every_public_name_has_a_place_in_the_api_pages():
    lines = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    listed = {line.removeprefix("::: ") for line in lines}
    for name in iiae.__all__:
        home = iiae._HOME[name]
        inner = name.removesuffix("_data")
        assert listed & {home, f"{home}.{inner}"}, name
