"""A run folder that the tests of this room share."""

import pytest
import torch

from helpers import small_settings
from iiae.training import fit


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    fit(small_settings(), path, progress=False)
    return path
