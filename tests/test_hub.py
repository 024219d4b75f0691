import json
import sys

import numpy as np
import pytest
import torch

import iiae
from helpers import small_settings
from iiae import hub as sharing
from iiae.data import load
from iiae.errors import MissingExtra, RunError
from iiae.evaluation.evaluate import evaluate
from iiae.hub import CARD, model_card, pull, push
from iiae.results import Results, load_results
from iiae.run_folder import (
    COMPARISON,
    FEATURES,
    HISTORY,
    METRICS,
    MODEL,
    PAIRS,
    SETTINGS,
    load_run,
    save_metrics,
    save_settings,
)
from iiae.settings import make_settings
from iiae.training import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An evaluated run whose files name paths of this machine."""
    path = tmp_path_factory.mktemp("run")
    run = fit(small_settings(), path, progress=False)
    save_metrics(path, "test", evaluate(run, load(run.settings.data).test))
    metrics = json.loads((path / METRICS).read_text())
    metrics["training"]["made_with"]["command"] = "iiae train /home/ada/secret.toml --x=/data/x.npy"
    (path / METRICS).write_text(json.dumps(metrics))
    data = run.settings.data.model_copy(update={"root": "/home/ada/pairs"})
    save_settings(path, run.settings.model_copy(update={"data": data}))
    return path


def front_matter(card):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(card.split("---\n")[1])


def test_a_pushed_run_is_pulled_and_answers_the_same(folder, tmp_path):
    assert push(folder, tmp_path / "shared") == str(tmp_path / "shared")
    assert {p.name for p in (tmp_path / "shared").iterdir()} == {
        SETTINGS, MODEL, COMPARISON, METRICS, HISTORY, PAIRS, CARD,
    }  # fmt: skip
    (tmp_path / "shared" / "evil.py").write_text("import os")
    pulled = pull(tmp_path / "shared", tmp_path / "mine")
    assert not (tmp_path / "mine" / "evil.py").exists()
    x = torch.randn(5, 32)
    before = load_run(folder).model.encode_x(x)
    assert torch.equal(pulled.model.encode_x(x).shared.mean, before.shared.mean)
    with torch.no_grad():
        next(pulled.model.parameters()).add_(1)  # as if trained further
    push(pulled, tmp_path / "further")
    assert np.array_equal(
        iiae.load(tmp_path / "further").embed(x=x).shared, pulled.embed(x=x).shared
    )
    (tmp_path / "shared" / FEATURES).write_text('{"x": ["a"], "y": null}')
    push(folder, tmp_path / "shared")  # again, over one with names of features
    assert not (tmp_path / "shared" / FEATURES).exists()


def test_paths_of_this_machine_are_not_shared(folder, tmp_path):
    push(folder, tmp_path)
    for path in tmp_path.iterdir():
        assert b"/home" not in path.read_bytes(), path
        assert b"/data/x.npy" not in path.read_bytes(), path
    assert load_run(tmp_path).settings.data.root == "pairs"
    command = json.loads((tmp_path / METRICS).read_text())["training"]["made_with"]["command"]
    assert command == "iiae train secret.toml --x=x.npy"


def test_the_card_tells_what_was_measured(folder, tmp_path):
    push(folder, tmp_path)
    card = (tmp_path / CARD).read_text()
    values = front_matter(card)
    assert values["library_name"] == "iiae"
    results = load_results(tmp_path)
    measured = {m["name"]: m["value"] for m in values["model-index"][0]["results"][0]["metrics"]}
    expected = results.test.retrieval.shared_x_to_y.recall[1].rate
    assert measured["Recall@1, x to y"] == expected
    assert "### Instance retrieval among 60 items, %" in card
    assert "- pairs trained on: 200" in card
    settings = load_run(folder).settings
    data = settings.data.model_copy(update={"names": ("sketch", "photo")})
    named = model_card(settings.model_copy(update={"data": data}), results, ((8,), (8,)))
    assert "shared, x to y" in card and "shared, sketch to photo" in named
    assert "Pairs (x, y), sketch and photo, are split" in named


def test_the_card_is_one_the_hub_takes(folder, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    push(folder, tmp_path)
    card = hub.ModelCard.load(tmp_path / CARD)
    assert card.data.library_name == "iiae"
    assert card.data.eval_results[0].metric_type == "recall_at_1"


def class_features(path):
    """Ten classes in both domains, of unequal numbers of items."""
    rng, arrays = np.random.default_rng(0), {}
    names = np.array([f"class {c}" for c in "abcdefghij"])
    for side, count in (("sketch", 4), ("photo", 6)):
        labels = np.repeat(names, count)
        arrays |= {
            f"{side}_features": rng.normal(size=(len(labels), 5)).astype(np.float32),
            f"{side}_classes": labels,
            f"{side}_paths": np.array([f"{name}/{i}.png" for i, name in enumerate(labels)]),
        }
    np.savez(path, **arrays)
    path.with_name("unseen.txt").write_text("class h\nclass i\nclass j\n")


def settings_of(kind, folder):
    if kind == "vectors":
        return small_settings("training.epochs=1")
    if kind == "images":
        return make_settings(
            {
                "data": {"name": "digits-cdcb", "size": 16, "limit": 60},
                "model": {"width": 4, "shared": 2, "exclusive": 2},
                "training": {"epochs": 1, "batch": 30},
                "evaluation": {"translations": 8},
            }
        )
    class_features(folder / "features.npz")
    data = {"name": "classes", "root": str(folder / "features.npz"),
            "unseen": str(folder / "unseen.txt"), "validation": 1}  # fmt: skip
    model = {"family": "features", "shared": 3, "exclusive": 2, "width": 8}
    return make_settings({"data": data, "model": model, "training": {"epochs": 1, "batch": 8}})


@pytest.mark.parametrize(
    ("kind", "measure"),
    [("vectors", "Recall@1"), ("images", "Recall@1"), ("classes", "mAP@all")],
)
def test_a_run_of_every_kind_can_be_evaluated_and_pushed(kind, measure, tmp_path):
    run = fit(settings_of(kind, tmp_path), tmp_path / "run", progress=False)
    results = evaluate(run, load(run.settings.data).test)
    save_metrics(run.folder, "test", results)
    push(run.folder, tmp_path / "shared")
    card = (tmp_path / "shared" / CARD).read_text()
    measures = front_matter(card)["model-index"][0]["results"][0]["metrics"]
    assert [one["name"] for one in measures] == [f"{measure}, x to y", f"{measure}, y to x"]
    assert all(0 <= one["value"] <= 1 for one in measures)
    assert "chance" in card
    pull(tmp_path / "shared", tmp_path / "pulled")


def test_a_run_without_results_says_so():
    settings = small_settings()
    card = model_card(settings, Results(), ((3, 16, 16), (4,)))
    assert "Not evaluated on test pairs" in card
    assert "x is 3x16x16, y is 4 features" in card
    assert "model-index" not in front_matter(card)


def test_what_is_there_is_not_overwritten(folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="holds something else than a run"):
        push(folder, tmp_path)
    with pytest.raises(RunError, match="is a file; name a folder"):
        push(folder, tmp_path / "thesis.tex")
    with pytest.raises(RunError, match="is there already; choose another folder"):
        pull(folder, tmp_path)


def test_what_is_no_run_is_neither_pushed_nor_pulled(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        push(tmp_path, tmp_path / "a")
    with pytest.raises(RunError, match="not a run folder"):
        pull(tmp_path / "nowhere", tmp_path / "a")
    assert not (tmp_path / "a").exists()


class FakeHub:
    """What is used of huggingface_hub, on a folder."""

    def __init__(self, root):
        self.root, self.asked = root, []

    def HfApi(self):
        return self

    def create_repo(self, name, private, exist_ok):
        self.asked.append((name, private, exist_ok))

    def upload_folder(self, repo_id, folder_path, commit_message, delete_patterns):
        self.deleted = delete_patterns
        pull(folder_path, self.root / repo_id)
        return f"https://huggingface.co/{repo_id}"

    def snapshot_download(self, name, revision, allow_patterns):
        self.asked.append((name, revision))
        if not (self.root / name).is_dir():
            raise FileNotFoundError("404 Client Error")
        return str(self.root / name)


def test_hub_names_go_to_the_hub(folder, tmp_path, monkeypatch):
    hub = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(sharing, "_hub", lambda: hub)
    assert push(folder, "hf://ada/run", private=True) == "https://huggingface.co/ada/run"
    pulled = pull("hf://ada/run@v1", tmp_path / "mine")
    assert pulled.settings.model == small_settings().model
    assert hub.asked == [("ada/run", True, True), ("ada/run", "v1")]
    assert FEATURES in hub.deleted and "*" not in hub.deleted
    with pytest.raises(RunError, match=r"hf://ada/none: the Hub gave no answer.*404 Client Error"):
        pull("hf://ada/none", tmp_path / "none")


@pytest.mark.parametrize("name", ["hf://ada", "hf://", "hf://a/b/c", "hf://a/b@", "hf://../x y"])
def test_a_hub_name_is_owner_and_name(name, tmp_path):
    with pytest.raises(RunError, match="write hf://owner/name"):
        pull(name, tmp_path / "out")


def test_without_a_network_the_message_says_so(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")  # else no attribute until used
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RunError, match=r"the Hub gave no answer.*is there a network"):
        pull("hf://ada/none", tmp_path / "out")


def test_without_the_client_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[hub\]'"):
        push(folder, "hf://ada/run")
