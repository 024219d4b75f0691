"""A run on small images, trained by the command."""

import pytest


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, iiae):
    folder = tmp_path_factory.mktemp("commands")
    (folder / "digits.toml").write_text(
        'title = "digits"\n[data]\nname = "digits-cdcb"\nsize = 16\nlimit = 100\n'
        "[model]\nwidth = 4\nshared = 2\nexclusive = 2\n[training]\nepochs = 1\nbatch = 32\n"
    )
    code, _, err = iiae("train", folder / "digits.toml", "--out", folder / "run")
    assert code == 0, err
    assert "next: iiae evaluate" in err
    return folder / "run"


@pytest.fixture
def digits(tmp_path, iiae):
    """A folder with three digit pairs, in x/ and y/."""
    code, _, err = iiae("data", "digits-cdcb", "--export", tmp_path, "--count", 3, "--size", 16)
    assert code == 0, err
    return tmp_path
