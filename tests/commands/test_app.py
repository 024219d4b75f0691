import resource
import shlex
import subprocess
import sys

import pytest
import typer.main

from helpers import save_run, small_settings
from iiae.commands.app import app

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_of_each_command_is_one_that_it_takes(name):
    command = COMMANDS[name]
    what, _, example = command.help.partition("\n\nExample: ")
    assert what and "\n" not in example
    program, given, *words = shlex.split(example)
    assert (program, given) == ("iiae", name)
    command.make_context(name, words)


def test_help_is_quick_and_imports_neither_torch_nor_lightning():
    code = (
        "import sys\nfrom iiae.commands.app import main\nsys.argv = ['iiae', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'lightning', 'numpy') if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "HEAVY []" in done.stdout
    assert "translate" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # seconds of the processor, whatever else the machine does: 0.3 on a quiet one
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "SettingsError: give a settings file"),
        (["train", "none.toml"], "SettingsError: none.toml: cannot be read"),
        (["train", "--resume"], "SettingsError: --resume needs --out"),
        (["train", "--x", "none.npy", "--y", "n.npy"], "DataError: none.npy: no such file"),
        (["train", "training.epochs=2"], "SettingsError: training.epochs=2 is not a file; did you"),
        (["train", "--x", ".", "--y", "no/"], "DataError: no/: no such folder; give two folders"),
        (["evaluate", "nowhere"], "RunError: nowhere: not a run folder"),
        (["push", "nowhere", "there"], "RunError: nowhere: not a run folder"),
        (["pull", "hf://ada", "there"], "RunError: hf://ada: write hf://owner/name"),
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
    command = [sys.executable, "-m", "iiae", "train", "none.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "e.toml", "--out", ""),
        ("train", "--x", "", "--y", "a"),
        ("translate", "run", "a.png", "--to", "y", "--out="),
        ("translate", "run", "a.png", "--to", "y", "--out", "out", "--grid", " "),
        ("features", "a", "--backbone", "b", "--out", ""),
        ("head", "a.npz", "-o", ""),
        ("finetune", "a", "--backbone", "b", "--unseen", "c", "--out", ""),
        ("report", "run", "--out", ""),
        ("sweep", "e.toml", "--out", ""),
        ("data", "digits-cdcb", "--export", ""),
        ("embed", "run", "a", "--domain", "x", "--out", ""),
        ("export", "run", ""),
        ("pull", "a", ""),
        ("index", "run", "", "a.png", "--domain", "x"),
        ("index", "run", "g", "a.png", "--domain", "x", "--metadata", ""),
        ("search", "run", "", "a.png"),
        ("search", "run", "g", "a.png", "--like", ""),
        ("search", "run", "g", "a.png", "--root", ""),
        ("gallery", ""),
        ("gallery", "g", "--delete", ""),
        ("serve", "run", "--gallery", ""),
        ("translate", "run", "a.png", "--to", "y", "--like", ""),
        ("report", "run", "--images", ""),
    ],
)
def test_an_empty_path_is_never_the_current_folder(iiae, words):
    code, out, err = iiae(*words)
    assert (code, out) == (2, "")
    assert "is empty, as an unset shell variable is; give a path" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "digits-cdcb", "--size", 16), "--count and --size need --export"),
        (("data", "--root", "a"), "--root and --export need the name of a data set"),
        (("data", "digits-cdcb", "--export", "a", "--size", 7), "data.size = 7: input should be"),
        (("data", "synthetic", "--export", "a", "--size", 16), "data.size = 16: has no effect on"),
        (("disentangle", "run", "--factors", "f.csv"), "--factors and --seed are for --latents"),
        (("disentangle", "run", "--seed", 3), "--factors and --seed are for --latents"),
        (("disentangle", "--latents", "a.npz", "--set", "data.seed=1"), "--set is for a run"),
        (
            ("embed", "run", "a", "--domain", "x", "--out", "a.npz", "--workers", 3),
            "--workers 3: only --engine ray has workers",
        ),
        (("train", "e.toml", "--y", "a"), "--y a: needs --x"),
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
        "finetune": ("a", "--backbone", "b", "--unseen", "c"),
        "disentangle": ("--latents", "a.npz"),
    }
    code, _, err = iiae(command, *given[command], "--seed", seed)
    assert code == 2
    assert "--seed" in err


def test_every_command_says_what_comes_next_and_keeps_its_output_clean(
    digits_run, digits, tmp_path, iiae
):
    given = {
        "evaluate": (digits_run,), "report": (digits_run,), "settings": (), "data": (),
        "translate": (digits_run, digits / "x", "--to", "y", "--out", tmp_path / "t.png"),
        "push": (digits_run, tmp_path / "shared"),
        "pull": (tmp_path / "shared", tmp_path / "mine"),
    }  # fmt: skip
    for command, words in given.items():
        code, out, err = iiae(command, *words)
        assert code == 0, err
        assert "next: " in err and "next: " not in out, command
    assert "next: " not in iiae("evaluate", digits_run, "--json")[2]


def test_a_terminal_says_loading_at_once(digits_run):
    code = (
        "import io, sys\n"
        "class Terminal(io.StringIO):\n    def isatty(self): return True\n"
        "sys.stderr = Terminal()\n"
        "from iiae.commands.app import main\n"
        "shown = sys.stderr\nsys.argv = ['iiae', 'evaluate', 'nowhere']\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(repr(shown.getvalue()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("'loading ...\\r\\x1b[K"), done.stderr


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


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
        MemoryError("Unable to allocate 728. TiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_too_little_memory_is_no_fault_of_the_program(iiae, monkeypatch, tmp_path, error):
    def broken(*_):
        raise error

    monkeypatch.setattr("iiae.run_folder.load_run", broken)
    code, _, errors = iiae("evaluate", tmp_path)
    assert code == 2
    assert errors.startswith(f"not enough memory: {error}; less of training.batch")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("train", "--on-error", "z"), "--on-error"),
        (("embed", "run", "a", "--out", "b", "--on-error", "z"), "--on-error"),
        (("index", "run", "g", "a", "--domain", "y", "--on-error", "z"), "--on-error"),
        (("search", "run", "g", "a", "--on-error", "z"), "--on-error"),
        (("evaluate", "run", "--split", "z"), "--split"),
        (("disentangle", "run", "--split", "z"), "--split"),
        (("translate", "run", "a.png", "--to", "y", "--on-error", "z"), "--on-error"),
        (("embed", "run", "a", "--out", "b", "--engine", "z"), "--engine"),
        (("embed", "run", "a", "--out", "b", "--block", "z"), "--block"),
        (("features", "a", "--backbone", "b", "--on-error", "z"), "--on-error"),
        (("index", "run", "g", "a", "--domain", "y", "--distance", "z"), "--distance"),
        (("search", "run", "g", "a", "--by", "z"), "--by"),
        (("score", "--query", "a", "--gallery", "b", "--distance", "z"), "--distance"),
        (("export", "run", "out", "--format", "z"), "--format"),
    ],
)
def test_a_value_that_is_no_choice_is_named_with_those_that_are(iiae, words, option):
    code, out, errors = iiae(*words)
    assert (code, out) == (2, "")
    assert f"Invalid value for '{option}'" in errors
    assert f"'{option}': 'z' is not one of" in " ".join(errors.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("translate", "run", "a.png", "--to", "fotos"), "--to"),
        (("embed", "run", "a", "--out", "b", "--domain", "fotos"), "--domain"),
        (("index", "run", "g", "a", "--domain", "fotos"), "--domain"),
        (("search", "run", "g", "a", "--from", "fotos"), "--from"),
    ],
)
def test_a_domain_that_is_none_is_answered_with_both_spellings(
    iiae, tmp_path, monkeypatch, words, option
):
    save_run(tmp_path / "run", small_settings('data.names=["sketch", "photo"]'))
    monkeypatch.chdir(tmp_path)
    code, out, errors = iiae(*words)
    assert (code, out) == (2, "")
    assert f"{option} fotos: must be x (sketch) or y (photo)" in errors
