import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from helpers import save_run, small_settings, write_images
from iiae.settings import dump_settings


def run_iiae(*arguments, cwd=None):
    code = "from iiae.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run on small images, trained by the command."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "digits.toml").write_text(
        'title = "digits"\n[data]\nname = "digits-cdcb"\nsize = 16\nlimit = 100\n'
        "[model]\nwidth = 4\nshared = 2\nexclusive = 2\n[training]\nepochs = 1\nbatch = 32\n"
    )
    done = run_iiae("train", folder / "digits.toml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "next: iiae evaluate" in done.stdout
    return folder / "run"


def test_help_is_quick_and_imports_neither_torch_nor_lightning():
    code = (
        "import sys\nfrom iiae.cli import main\nsys.argv = ['iiae', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'lightning', 'numpy') if m in sys.modules])"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "HEAVY []" in done.stdout
    assert "translate" in done.stdout
    assert time.perf_counter() - started < 5


def test_a_run_is_evaluated_translated_and_reported(digits_run, tmp_path):
    done = run_iiae("evaluate", digits_run)
    assert done.returncode == 0, done.stderr
    assert "Instance retrieval among 359 items" in done.stdout
    found = json.loads(run_iiae("evaluate", digits_run, "--json", "--split", "validation").stdout)
    assert found["pairs"] == 179
    assert json.loads((digits_run / "metrics.json").read_text())["test"]["pairs"] == 359

    done = run_iiae("data", "digits-cdcb", "--export", tmp_path, "--count", 3, "--size", 16)
    assert done.returncode == 0, done.stderr
    picture = tmp_path / "grid.png"
    done = run_iiae(
        "translate", digits_run, tmp_path / "x", "--to", "y", "--samples", 2, "--out", picture
    )
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as image:
        assert image.width > 3 * 64
    done = run_iiae(
        "translate", digits_run, tmp_path / "y" / "0000.png", tmp_path / "y" / "0001.png",
        "--to", "x", "--like", tmp_path / "x" / "0002.png", "--out", tmp_path / "folder",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["0000.png", "0001.png"]

    done = run_iiae("report", digits_run)
    assert done.returncode == 0, done.stderr
    assert (digits_run / "report.html").stat().st_size > 50_000


def test_features_are_trained_from_arrays_and_translated(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, :4] * 2)
    done = run_iiae(
        "train", "--x", tmp_path / "x.npy", "--y", tmp_path / "y.npy", "--set",
        "training.epochs=1", "--set", "training.batch=16", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run_iiae(
        "translate", tmp_path / "run", tmp_path / "x.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "t.npy").shape == (80, 4)
    done = run_iiae(
        "translate", tmp_path / "run", tmp_path / "y.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert done.returncode == 2
    assert "has 4 features; the model takes 6" in done.stderr


def test_a_run_is_resumed_without_its_file(tmp_path):
    (tmp_path / "s.toml").write_text(dump_settings(small_settings()))
    assert run_iiae("train", tmp_path / "s.toml", "--out", tmp_path / "run").returncode == 0
    done = run_iiae("train", "--resume", "--out", tmp_path / "run", "--set", "training.epochs=3")
    assert done.returncode == 0, done.stderr
    assert "epoch 3/3" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "SettingsError: give a settings file"),
        (["train", "none.toml"], "SettingsError: none.toml: cannot be read"),
        (["train", "--resume"], "SettingsError: --resume needs --out"),
        (["train", "--x", "none.npy", "--y", "n.npy"], "DataError: none.npy: no such file"),
        (["evaluate", "nowhere"], "RunError: nowhere: not a run folder"),
        (["translate", "nowhere", "a.png", "--to", "z"], "SettingsError: --to z: is x or y"),
        (["push", "nowhere", "there"], "RunError: nowhere: not a run folder"),
        (["pull", "hf://ada", "there"], "RunError: hf://ada: write hf://owner/name"),
        (["export", "nowhere", "out", "--format", "tf"], "SettingsError: --format tf: is onnx"),
        (["data", "mnist"], "DataError: data.name = 'mnist' is not a data set; did you mean"),
        (["data", "synthetic", "--export", "x"], "DataError: only images can be written"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    arguments, message, tmp_path, iiae, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, errors = iiae(*arguments)
    assert code == 2
    assert errors.startswith(message)
    assert errors.count("\n") == 1


def test_nothing_else_is_printed_where_a_command_ends_in_an_error(tmp_path):
    done = run_iiae("train", "none.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_translate_names_what_is_wrong_with_its_input(digits_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    done = run_iiae("translate", digits_run, tmp_path / "broken.png", "--to", "y")
    assert (done.returncode, "broken.png: not an image" in done.stderr) == (2, True)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        Image.new("RGB", (16, 16)).save(tmp_path / folder / "same.png")
    done = run_iiae(
        "translate", digits_run, tmp_path / "a" / "same.png", tmp_path / "b" / "same.png",
        "--to", "y", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 2
    assert "two inputs are called same" in done.stderr


def test_every_setting_and_data_set_is_listed():
    assert "objective.tau" in run_iiae("settings").stdout
    assert "mnist-cdcb" in run_iiae("data").stdout


def test_a_run_is_pushed_and_pulled(digits_run, tmp_path):
    done = run_iiae("push", digits_run, tmp_path / "shared")
    assert done.stdout == f"pushed to {tmp_path / 'shared'}\n", done.stderr
    done = run_iiae("pull", tmp_path / "shared", tmp_path / "mine")
    assert done.stdout == f"wrote {tmp_path / 'mine'}\n", done.stderr


def test_a_folder_is_embedded(digits_run, tmp_path):
    run_iiae("data", "digits-cdcb", "--export", tmp_path, "--count", 3, "--size", 16)
    (tmp_path / "x" / "broken.png").write_bytes(b"no image")
    output = tmp_path / "z.npz"
    common = ("embed", digits_run, "--input", tmp_path / "x", "--output", output)
    done = run_iiae(*common, "--domain", "x", "--block", "exclusive")
    assert done.stdout == f"wrote 3 rows into {output}; 1 left out, see {output}.failed.jsonl\n"
    with np.load(output) as found:
        assert found["path"].tolist() == ["0000.png", "0001.png", "0002.png"]
        assert found["vector"].shape == (3, 2)
    assert "SettingsError: --domain z: is x or y" in run_iiae(*common, "--domain", "z").stderr
    wrong = run_iiae(*common, "--domain", "x", "--engine", "spark")
    assert "SettingsError: --engine spark: is local or ray" in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("train", "e.toml", "--out", ""),
        ("train", "--x", "", "--y", "a"),
        ("translate", "run", "a.png", "--to", "y", "--out="),
        ("translate", "run", "a.png", "--to", "y", "--out", "out", "--grid", " "),
        ("features", "a", "--backbone", "b", "--out", ""),
        ("head", "a.npz", "-o", ""),
        ("finetune", "a", "--backbone", "b", "--split", "c", "--out", ""),
        ("report", "run", "--out", ""),
        ("sweep", "e.toml", "--out", ""),
        ("data", "digits-cdcb", "--export", ""),
        ("embed", "run", "--input", "a", "--domain", "x", "--output", ""),
        ("export", "run", ""),
        ("pull", "a", ""),
    ],
)
def test_an_empty_path_is_never_the_current_folder(iiae, words):
    code, out, err = iiae(*words)
    assert (code, out) == (2, "")
    assert "is empty, as an unset shell variable is; give a path" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "digits-cdcb", "--size", 16), "--count and --size are of the pairs"),
        (("data", "--root", "a"), "--root and --export are of one data set"),
        (("data", "digits-cdcb", "--export", "a", "--size", 7), "data.size = 7: input should be"),
        (("data", "synthetic", "--export", "a", "--size", 16), "data.size = 16: has no effect on"),
        (("disentangle", "run", "--factors", "f.csv"), "--factors and --seed are for --latents"),
        (("disentangle", "run", "--seed", 3), "--factors and --seed are for --latents"),
        (("disentangle", "--latents", "a.npz", "--set", "data.seed=1"), "--set is for a run"),
        (
            ("embed", "run", "--input", "a", "--domain", "x", "--output", "a.npz", "--workers", 3),
            "--workers 3: is for --engine ray",
        ),
        (("train", "e.toml", "--y", "a"), "--y a: belongs with --x"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(iiae, words, message):
    code, _, err = iiae(*words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("command", ["translate", "head", "finetune", "disentangle"])
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused_by_every_command(iiae, command, seed):
    given = {
        "translate": ("run", "a.png", "--to", "y"),
        "head": ("a.npz",),
        "finetune": ("a", "--backbone", "b", "--split", "c"),
        "disentangle": ("--latents", "a.npz"),
    }
    code, _, err = iiae(command, *given[command], "--seed", seed)
    assert code == 2
    assert "--seed" in err


def test_names_of_translations_decide_their_form(iiae, tmp_path, monkeypatch):
    save_run(tmp_path / "run")
    write_images(tmp_path / "in", ["a.png", "b.png"])
    monkeypatch.chdir(tmp_path)
    translated = ("translate", "run", "in", "--to", "y", "--out")
    assert iiae(*translated, "results.v2")[0] == 0
    assert sorted(p.name for p in (tmp_path / "results.v2").iterdir()) == ["a.png", "b.png"]
    assert iiae(*translated, "grid.JPEG")[0] == 0
    with Image.open(tmp_path / "grid.JPEG") as image:
        assert image.format == "JPEG"
    (tmp_path / "folder.png").mkdir()
    assert iiae(*translated, "folder.png")[0] == 0
    assert len(list((tmp_path / "folder.png").iterdir())) == 2
    for option in (("--grid", "g.png"), ("--full-size",)):
        code, _, err = iiae(*translated, "grid.png", *option)
        assert code == 2
        assert "--grid and --full-size go with a folder; --out grid.png is one picture" in err
    assert iiae("translate", "run", "in", "--to", "y")[0] == 0
    assert (tmp_path / "translation.png").is_file()


def test_translated_features_are_npy_and_take_no_options_of_images(iiae, tmp_path, monkeypatch):
    save_run(tmp_path / "run", small_settings())
    np.save(tmp_path / "x.npy", np.zeros((3, 32)))
    monkeypatch.chdir(tmp_path)
    translated = ("translate", "run", "x.npy", "--to", "y")
    assert iiae(*translated)[0] == 0
    assert iiae(*translated, "--out", "model.v1.2")[0] == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "run", "x.npy", "translation.npy", "model.v1.2.npy",
    }  # fmt: skip
    for option in (("--full-size",), ("--on-error", "skip"), ("--grid", "g.png"), ("--spread",)):
        code, _, err = iiae(*translated, *option)
        assert code == 2
        assert "are for images, not for features" in err


def test_the_version_is_that_of_the_package(iiae):
    import iiae as package

    assert iiae("--version")[:2] == (0, f"iiae {package.__version__}\n")


def test_what_is_no_fault_of_the_user_is_one_line(iiae, monkeypatch, tmp_path):
    def broken(*_):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("iiae.run_folder.load_run", broken)
    code, out, errors = iiae("evaluate", tmp_path)
    assert (code, out) == (1, "")
    assert errors.startswith("a fault of iiae: ZeroDivisionError: deep inside; please report it")
    assert len(errors.splitlines()) == 1
