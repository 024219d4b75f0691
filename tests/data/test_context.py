"""Covariates and library sizes from the data into a run, and out of it again."""

import logging

import numpy as np
import pytest
import torch

import iiae
from iiae.data.arrays import ArrayPairs, load_arrays
from iiae.data.base import Splits
from iiae.data.context import ContextPairs, learn_context
from iiae.data.missing import PartialPairs, Sides
from iiae.data.suggest import suggest_settings_of
from iiae.errors import DataError, SettingsError
from iiae.networks.covariates import learn_covariates
from iiae.settings import DataSettings, ObjectiveSettings
from iiae.types import Draw

SETTINGS = {
    "model.shared": 3,
    "model.exclusive": 2,
    "model.width": 16,
    "training.epochs": 2,
    "training.batch": 20,
    "data.test": 24,
}
COUNTED = {f"objective.{side}.kind": "negative-binomial" for side in "xy"}
ROWS = 120


def counts(seed=0):
    rng = np.random.default_rng(seed)
    rate = np.exp(rng.normal(size=(ROWS, 2)) @ rng.normal(size=(2, 11)))
    drawn = rng.poisson(3 * rate) + 1
    return drawn[:, :6], drawn[:, 6:]


BATCH = np.array(["one", "two", "three"] * (ROWS // 3))
AGE = np.linspace(20, 80, ROWS)


@pytest.fixture(scope="module")
def run():
    return iiae.fit(
        *counts(),
        covariates={"batch": BATCH, "age": AGE},
        settings={**SETTINGS, **COUNTED},
        progress=False,
    )


def test_a_run_with_covariates_is_kept_and_takes_them_by_name(run, tmp_path):
    known = {"batch": BATCH[:5], "age": AGE[:5]}
    z = run.embed(x=counts()[0][:5], covariates=known)
    again = iiae.load(run.save(tmp_path / "kept"))
    assert again.model.covariates.names == ("batch", "age")
    np.testing.assert_array_equal(again.embed(x=counts()[0][:5], covariates=known).shared, z.shared)
    other = run.embed(x=counts()[0][:5], covariates={**known, "batch": "two"})
    assert not np.allclose(other.shared, z.shared)
    with pytest.raises(DataError, match="the model takes batch, age"):
        run.embed(x=counts()[0][:5])
    with pytest.raises(DataError, match="batch: four occurs in no training pair"):
        run.embed(x=counts()[0][:5], covariates={**known, "batch": "four"})


def test_translations_are_as_if_measured_elsewhere(run):
    x, known = counts()[0][:5], {"batch": BATCH[:5], "age": AGE[:5]}
    here = run.translate(x, covariates=known)
    assert here.shape == (5, 5)
    assert (here > 0).all()
    same = run.translate(x, covariates=known, as_if={"batch": BATCH[:5]})
    np.testing.assert_array_equal(same, here)
    assert not np.allclose(run.translate(x, covariates=known, as_if={"batch": "two"}), here)
    drawn = run.translate(x, covariates=known, samples=2)
    assert drawn.shape == (2, 5, 5)
    assert run.translate(x, covariates=known, like=counts()[1][:1]).shape == (5, 5)


def test_evaluation_and_evidence_read_covariates_as_factors_of_no_latent(run):
    read = run.evaluate().readability
    assert {"batch", "age"} <= next(iter(read.probes.values())).cells.keys()
    matrix = next(iter(run.evidence().probes.values()))
    assert matrix.home["age"] == "none"
    assert matrix.sides("age")[0] == {}


def test_shuffled_pairs_keep_what_is_known_of_each_side(run):
    assert len(run.evidence(null=1, epochs=1).null.shuffled) == 1


def test_the_decoder_reads_the_library_size_where_it_is_given(run):
    x, y = counts()
    sized = iiae.fit(
        x,
        y,
        sizes={"y": 2 * y.sum(1)},
        settings={**SETTINGS, **COUNTED, "objective.y.size": "given"},
        progress=False,
    )
    twice = sized.translate(x[:4], size=2 * np.median(2 * y.sum(1)))
    once = sized.translate(x[:4], size=np.median(2 * y.sum(1)))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4)
    with pytest.raises(DataError, match="column size_y of the data; it has none"):
        iiae.fit(
            x, y, settings={**SETTINGS, **COUNTED, "objective.y.size": "given"}, progress=False
        )


def test_a_size_that_the_other_domain_predicts_is_warned_of(caplog):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, (400, 1))
    x = rng.poisson(np.where(kind, 20, 4), (400, 8))
    y = rng.poisson(np.where(kind, 9, 1), (400, 5))
    observed = {**SETTINGS, **COUNTED, "objective.x.size": "observed"}
    with caplog.at_level(logging.WARNING, "iiae"):
        iiae.fit(x + 1, y, settings=observed, progress=False)
    assert "objective.x.size: y predicts" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "iiae"):
        iiae.fit(x + 1, rng.permutation(y), settings=observed, progress=False)
    assert "predicts" not in caplog.text


def test_rows_without_a_partner_keep_what_is_known_of_them():
    x, y = (side.astype(np.float32) for side in counts())
    sides = np.array([Sides.BOTH, Sides.X, Sides.Y, Sides.BOTH] * (ROWS // 4))
    columns = {"age": AGE, "size_x": x.sum(1), "size_y": y.sum(1)}
    part = PartialPairs(ArrayPairs(x, y, columns=columns), sides)
    objective = ObjectiveSettings.model_validate(
        {side: {"kind": "poisson", "size": "given"} for side in "xy"}
    )
    data, learned = learn_context(
        Splits(part, part, part), DataSettings(name="arrays", covariates=("age",)), objective
    )
    batch = data.train[Draw(torch.arange(8))]
    assert torch.equal(batch.context_x.size, batch.x.sum(1))
    assert torch.equal(batch.context_y.size, batch.y.sum(1))
    age = learned.encode({"age": AGE[[0, 3, 4, 7, 1, 5]]}, 6)
    torch.testing.assert_close(batch.context_x.covariates, age)


def test_an_npz_and_a_table_hold_columns_by_name(tmp_path):
    x, y = counts()
    np.savez(tmp_path / "pairs.npz", x=x, y=y, batch=BATCH)
    of_npz = iiae.fit(
        tmp_path / "pairs.npz",
        settings={**SETTINGS, **COUNTED, "data.covariates": ["batch"]},
        progress=False,
    )
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    rows = "\n".join(["batch,lane", *(f"{b},{i % 2}" for i, b in enumerate(BATCH))])
    (tmp_path / "columns.csv").write_text(rows + "\n")
    table = {"data.columns": str(tmp_path / "columns.csv"), "data.covariates": ["batch", "lane"]}
    of_table = iiae.fit(
        tmp_path / "x.npy",
        tmp_path / "y.npy",
        settings={**SETTINGS, **COUNTED, **table},
        progress=False,
    )
    assert of_npz.model.covariates.names == ("batch",)
    assert of_table.model.covariates.each[1].levels == ("0", "1")
    assert of_table.evaluate().pairs == of_npz.evaluate().pairs


def write_rows(path, names, heading, columns, first=""):
    """A table whose first column names its rows, those of `names` in their order."""
    rows = [",".join([first, *heading])]
    rows += [",".join([name, *map(str, columns[int(name[1:])])]) for name in names]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_columns_of_a_table_are_matched_by_names_of_rows(tmp_path):
    x, y = counts()
    names = [f"s{i}" for i in range(ROWS)]
    settings = {
        "name": "arrays",
        "x": write_rows(tmp_path / "x.csv", names, ["g0", "g1"], x[:, :2]),
        "y": write_rows(tmp_path / "y.csv", names[5:][::-1], ["p0", "p1"], y[:, :2]),
        "covariates": ["batch"],
    }
    turned = names[3:] + names[:3]
    named = write_rows(tmp_path / "c.csv", turned, ["batch"], BATCH[:, None], "sample")
    parts = load_arrays(DataSettings(**settings, columns=named))
    held = zip(parts, (part.annotations["batch"] for part in parts), strict=True)
    seen = [
        (*row, b) for part, batch in held for row, b in zip(part_rows(part), batch, strict=True)
    ]
    assert sorted(seen) == sorted((*map(float, x[i, :2]), BATCH[i]) for i in range(5, ROWS))
    few = write_rows(tmp_path / "few.csv", turned[:-8], ["batch"], BATCH[:, None])
    with pytest.raises(DataError, match=r"few\.csv: no row of s"):
        load_arrays(DataSettings(**settings, columns=few))
    (tmp_path / "plain.csv").write_text("\n".join(["batch", *BATCH]) + "\n")
    with pytest.raises(DataError, match=r"plain\.csv: .*so their columns need names of rows too"):
        load_arrays(DataSettings(**settings, columns=str(tmp_path / "plain.csv")))


def test_rows_without_a_covariate_are_those_of_the_data():
    x, y = counts()
    age = AGE.copy()
    age[7] = np.nan
    settings = {**SETTINGS, "data.test": 12, "data.validation": 12}
    for seed in range(3):  # whether it is trained on or held out
        with pytest.raises(DataError, match="age: no value in row 7; leave"):
            iiae.fit(x, y, covariates={"age": age}, settings=settings | {"data.seed": seed})


def part_rows(part):
    return next(part.batches(len(part))).x.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: np.log1p(x), "is no count; negative-binomial is of whole numbers.*the layer"),
        (lambda x: x - 5, "is no count"),
        (lambda x: np.where(x > 3, np.nan, x), "NaN"),
        (lambda x: x * (np.arange(ROWS) > 2)[:, None], "no count at all in row"),
    ],
)
def test_what_is_no_count_is_refused(change, message):
    x, y = counts()
    with pytest.raises(DataError, match=message):
        iiae.fit(
            change(x.astype(float)),
            y,
            settings={**SETTINGS, **COUNTED, "objective.x.size": "observed"},
            progress=False,
        )


def test_counts_given_to_embed_are_checked_too(run):
    with pytest.raises(DataError, match="give raw counts"):
        run.embed(x=np.log1p(counts()[0]), covariates={"batch": "one", "age": 30})


def test_a_weight_of_counts_and_a_size_of_others_are_refused():
    for change in (
        {"objective.x.weight": 5.0},
        {"objective.x.kind": "normal", "objective.x.size": "given"},
    ):
        with pytest.raises(SettingsError, match="has no effect"):
            iiae.fit(*counts(), settings={**SETTINGS, **COUNTED, **change}, progress=False)


def test_networks_of_images_take_no_covariates():
    settings = {
        "data": {"name": "arrays", "covariates": ["batch"]},
        "model": {"family": "small", "width": 4, "shared": 2},
    }
    images = np.zeros((8, 16, 16), np.uint8)
    pairs = ArrayPairs(images, images, columns={"batch": np.arange(8) % 2})
    with pytest.raises(SettingsError, match="those of 'features' do"):
        iiae.fit(iiae.make_settings(settings), data=Splits(pairs, pairs, pairs), progress=False)


def test_a_level_that_only_held_out_pairs_have_is_refused_by_name():
    x, y = (side.astype(np.float32) for side in counts())
    learned = learn_covariates(["batch"], {"batch": BATCH[:60]})
    held = ArrayPairs(x, y, columns={"batch": np.array(["four", *BATCH[1:]])})
    with pytest.raises(DataError, match="batch: four occurs in no training pair"):
        ContextPairs(held, learned, (False, False))


def test_whole_numbers_of_many_levels_are_named_as_what_may_be_counts(caplog):
    x, _ = counts()
    with caplog.at_level(logging.INFO, "iiae"):
        chosen = suggest_settings_of(ArrayPairs(np.arange(240).reshape(120, 2), x[:, :2] % 2))
    assert "x holds whole numbers" in caplog.text
    assert "y holds whole numbers" not in caplog.text
    assert chosen["objective"]["x"]["kind"] == "normal"
    assert chosen["objective"]["y"]["kind"] == "bernoulli"
