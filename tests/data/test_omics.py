import logging

import numpy as np
import pytest
import torch

from cells_made import CELLS, GENE_NAMES, PROTEIN_NAMES, make_anndata, make_mudata, write_cells
from helpers import needs
from iiae.data import load
from iiae.data.missing import PartialPairs
from iiae.data.omics import read_omics
from iiae.errors import DataError, SettingsError
from iiae.settings import data_settings
from iiae.types import Draw

needs("anndata")
needs("mudata")


def settings(root=None, x="rna", y="protein", **others):
    return data_settings(name="omics", root=None if root is None else str(root), x=x, y=y, **others)


def test_two_assays_of_a_file_are_pairs_with_names_of_features(tmp_path):
    path = write_cells(make_mudata(), tmp_path / "a.h5mu")
    parts = load(settings(path, "rna:counts", validation=9, test=11))
    assert [len(part) for part in parts] == [CELLS - 20, 9, 11]
    assert parts.train.shapes == ((len(GENE_NAMES),), (len(PROTEIN_NAMES),))
    assert parts.test.features == (GENE_NAMES, PROTEIN_NAMES)
    assert np.array_equal(parts.test.pairs(Draw(torch.arange(11))).x % 1, np.zeros((11, 12)))


def test_a_panel_in_obsm_is_a_domain(tmp_path):
    path = write_cells(make_anndata(), tmp_path / "a.h5ad")
    parts = load(settings(path, "X", "obsm:protein"))
    assert parts.train.features == (GENE_NAMES, PROTEIN_NAMES)
    assert set(parts.test.factors()) == {"mt"}


def test_cells_of_one_modality_train_without_their_partner(tmp_path):
    path = write_cells(make_mudata(proteins=60, drop=5), tmp_path / "a.h5mu")
    train = load(settings(path)).train
    assert isinstance(train, PartialPairs)
    assert np.bincount(train.sides)[1:].tolist() == [20, 5]


def test_columns_of_obs_are_factors_where_they_belong(caplog):
    cells = make_mudata(proteins=60, drop=5)
    cells.obs["constant"], cells.obs["barcode"] = 1.0, list(cells.obs_names)
    with caplog.at_level(logging.INFO, "iiae"):
        pairs = read_omics(cells, settings())
    factors = pairs.factors()
    assert {name: (f.kind, f.block) for name, f in factors.items()} == {
        "mt": ("continuous", "x"),
        "type": ("categorical", "shared"),
    }
    assert "not read as factors" in caplog.text
    assert "barcode, constant" in caplog.text
    numbers = [int(name.removeprefix("cell")) for name in cells.obs_names]
    assert len(factors["type"].values) == len(numbers)
    part = pairs.at(np.array([3, 7])).factors()["type"].values
    assert np.array_equal(part, factors["type"].values[[3, 7]])


def test_factors_follow_the_order_of_the_pairs():
    pairs = read_omics(make_mudata(), settings(x="rna:counts"))
    whole = {name: i for i, name in enumerate(pairs.x.rows)}
    rows = [whole[pairs.x.rows[i]] for i in pairs.index[:, 0]]
    assert np.allclose(pairs.factors()["mt"].values, np.linspace(0, 1, CELLS)[rows])


def test_factors_that_are_asked_for_have_the_block_that_is_said():
    pairs = read_omics(make_mudata(), settings(factors=("type:y", "mt")))
    assert {name: f.block for name, f in pairs.factors().items()} == {"type": "y", "mt": "x"}
    for wrong in ("typo", "type:z"):
        with pytest.raises(DataError, match=r"obs has no such column, only .*type"):
            read_omics(make_mudata(), settings(factors=(wrong,)))


def test_factors_are_read_by_cells_alone():
    with pytest.raises(SettingsError, match="has no effect on arrays"):
        load(data_settings(name="arrays", x="a.npy", y="b.npy", factors=("type",)))


@pytest.mark.data
def test_the_published_cells_are_read_as_they_are(real_data):
    root = real_data / "omics"
    parts = load(settings(root / "pbmc10k_cite/pbmc10k_cite.h5mu"))
    assert sum(map(len, parts)) == 6855
    assert parts.train.shapes == ((4000,), (14,))
    assert parts.test.factors()["cell_type"].block == "shared"
    two = root / "pbmc_5k10k/pbmc_10k_protein_v3.h5ad"
    assert load(settings(two, "X", "obsm:protein_expression")).train.shapes[1] == (14,)
    batches = root / "bmmc_cite_starter"
    parts = load(
        data_settings(
            name="arrays",
            x=f"{batches / 'output_rna.h5ad'}:counts",
            y=f"{batches / 'output_mod2.h5ad'}:counts",
        )
    )
    assert sum(map(len, parts)) == 600
    tumours = root / "breast_tcga"
    parts = load(
        data_settings(
            name="arrays",
            x=str(tumours / "mrna.csv.gz"),
            y=str(tumours / "protein.csv.gz"),
        )
    )
    assert sum(map(len, parts)) == 150
    assert parts.train.features[0][0] == "RTN2"
