import shutil
import tempfile
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import iiae
from helpers import write_images
from iiae.errors import DataError, RunError, SettingsError
from iiae.inference.embed import embed_files
from iiae.run.arguments import override_texts
from iiae.run.samples import samples_of
from iiae.run_folder import METRICS, load_metrics
from iiae.settings import make_settings

SMALL = {
    "model.shared": 4,
    "model.exclusive": 2,
    "model.width": 16,
    "training.epochs": 2,
    "training.batch": 20,
}


def arrays(rows=120):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(rows, 3))
    x = np.hstack([shared, rng.normal(size=(rows, 2))])
    return x, np.hstack([shared, rng.normal(size=(rows, 4))])


def test_translation_takes_the_names_of_domains():
    named = {**SMALL, "data.names": ["sketch", "photo"], "training.epochs": 1}
    run = iiae.fit(*arrays(60), settings=named, progress=False)
    x, y = arrays(5)
    assert (run.translate(x, to="photo") == run.translate(x, to="y")).all()
    assert run.translate(y, to="sketch").shape == x.shape
    with pytest.raises(SettingsError, match=r"to fotos: must be x \(sketch\) or y \(photo\)"):
        run.translate(x, to="fotos")


@pytest.fixture(scope="module")
def run():
    return iiae.fit(*arrays(), settings=SMALL, progress=False)


def test_arrays_in_memory_are_fitted_evaluated_and_kept(run, tmp_path):
    z = run.embed(x=arrays()[0][:7])
    assert z.shared.shape == (7, 4)
    assert z.exclusive.shape == (7, 2)
    results = run.evaluate()
    assert results.pairs == len(run.data.test)
    assert load_metrics(run.folder)["test"]["pairs"] == results.pairs
    again = iiae.load(run.save(tmp_path / "kept"))
    np.testing.assert_array_equal(again.embed(x=arrays()[0][:7]).shared, z.shared)
    assert again.evaluate(x=arrays()[0], y=arrays()[1]).pairs == 120
    with pytest.raises(RunError, match="holds a run already"):
        run.save(tmp_path / "kept")
    with pytest.raises(RunError, match="is the run's own folder"):
        again.save(tmp_path / "kept" / ".." / "kept", overwrite=True)


def test_results_that_cannot_be_kept_are_given_all_the_same(run, tmp_path, monkeypatch, caplog):
    kept = iiae.load(run.save(tmp_path / "kept"))

    def full(*_args):
        raise RunError("metrics.json: cannot be written to: No space left on device")

    monkeypatch.setattr("iiae.run.measured.save_metrics", full)
    kept.data = run.data
    found = kept.evaluate()
    assert found.nats == run.evaluate().nats
    assert "No space left on device; so the results are not kept" in caplog.text
    if find_spec("jinja2") and find_spec("matplotlib"):
        page = kept.report(tmp_path / "page.html").read_text(encoding="utf-8")
        assert "finds partners" in page


def test_sizes_pictures_and_settings_given_twice_are_refused_where_they_mean_nothing(run):
    x, y = arrays()
    with pytest.raises(SettingsError, match=r"size: objective\.y\.size is none"):
        run.translate(x[:2], size=3)
    with pytest.raises(SettingsError, match="pictures: a folder of images is for runs on features"):
        run.report(images="pictures")
    with pytest.raises(SettingsError, match="give one file or folder each; pairs of files"):
        iiae.fit(["a.png", "b.png"], ["c.png", "d.png"])
    with pytest.raises(SettingsError, match=r"data: takes iiae.data.Splits beside settings"):
        iiae.fit(x, y, data=run.data)
    with pytest.raises(SettingsError, match=r"covariates are given by name, \{'batch': array\}"):
        run.translate(x[:2], as_if="v")
    with pytest.raises(SettingsError, match="epochs is given twice"):
        iiae.fit(x, y, epochs=2, settings={"training": {"epochs": 1}})


def test_covariates_may_be_a_data_frame():
    pandas = pytest.importorskip("pandas")
    x, y = arrays(60)
    lane = np.arange(60) % 2
    once = {"settings": {**SMALL, "training.epochs": 1}, "progress": False}
    run = iiae.fit(x, y, covariates=pandas.DataFrame({"lane": lane}), **once)
    alone = iiae.fit(x, y, covariates=pandas.Series(lane, name="lane"), **once)
    named = {"lane": lane}
    for one in (pandas.DataFrame(named), pandas.Series(lane, name="lane")):
        expected = run.embed(x=x, covariates=named).shared
        np.testing.assert_array_equal(run.embed(x=x, covariates=one).shared, expected)
        np.testing.assert_array_equal(alone.embed(x=x, covariates=one).shared, expected)
        moved = run.translate(x, covariates=one, as_if=pandas.DataFrame({"lane": 1 - lane}))
        changed = run.translate(x, covariates=named, as_if={"lane": 1 - lane})
        np.testing.assert_array_equal(moved, changed)
        assert (
            run.evaluate(x=x, y=y, covariates=one).nats
            == run.evaluate(x=x, y=y, covariates=named).nats
        )


def test_arrays_that_cannot_be_written_to_are_no_reason_for_a_warning(run, recwarn):
    x = arrays()[0].astype(np.float32)
    x.flags.writeable = False
    run.embed(x=x)
    assert not [one for one in recwarn if "writable" in str(one.message)]


def test_the_verdict_says_what_was_measured_by_the_names_of_domains():
    named = {**SMALL, "data.names": ["sketch", "photo"], "training.epochs": 1}
    run = iiae.fit(*arrays(60), settings=named, progress=False)
    assert run.verdict().count("UNKNOWN") == 4
    run.evaluate()
    first, second, *_ = run.verdict().splitlines()
    assert "finds partners: sketch to photo the partner comes first in" in first
    assert second.startswith(("UNKNOWN nothing exclusive in z_s", " " * 8 + "what usually mends"))


def test_arrays_in_memory_are_no_gallery(run):
    with pytest.raises(DataError, match=r"files, folders or URLs are wanted; given ndarray"):
        run.index(arrays()[0], "x")
    with pytest.raises(DataError, match=r"^x: no samples"):
        run.embed(x=arrays()[0][:0])


@pytest.mark.parametrize("channels", [1, 3])
def test_one_image_of_bytes_is_one_sample(channels):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 12, 20, channels)).astype(np.uint8)
    y = rng.integers(0, 256, (40, 16, 14, channels)).astype(np.uint8)
    if channels == 1:
        x = x[..., 0]
    small = {"model.shared": 2, "model.width": 4, "training.batch": 10}
    run = iiae.fit(x, y, epochs=1, settings=small, progress=False)
    alone, first = run.embed(x=x[0]).shared, run.embed(x=x[:1]).shared
    np.testing.assert_array_equal(alone, first)
    assert first.shape == (1, 32)
    assert run.translate(x[:3], to="y", like=y[:1]).shape == (3, channels, 16, 14)


def test_columns_of_a_data_frame_are_taken_by_name():
    pandas = pytest.importorskip("pandas")
    x, y = (pandas.DataFrame(side).add_prefix("gene") for side in arrays(60))
    run = iiae.fit(x, y, settings={**SMALL, "training.epochs": 1}, progress=False)
    turned = x[[*x.columns[::-1]]].assign(more=1.0)
    np.testing.assert_array_equal(run.embed(x=turned).shared, run.embed(x=x).shared)
    np.testing.assert_array_equal(run.translate(turned), run.translate(x))
    assert run.evaluate(x=turned, y=y).nats == run.evaluate(x=x, y=y).nats
    with pytest.raises(DataError, match="x: lacks 1 of the 5 columns that the model takes: gene0"):
        run.embed(x=x.drop(columns="gene0"))


def test_data_frames_are_matched_by_their_index_if_it_is_text():
    pandas = pytest.importorskip("pandas")
    names = [f"s{i}" for i in range(60)]
    x, y = (pandas.DataFrame(side, names) for side in arrays(60))
    once = {**SMALL, "training.epochs": 1}
    settings = {"settings": once, "progress": False, "covariates": {"lane": np.arange(60) % 2}}
    assert iiae.fit(x, y, **settings).data.train.annotations  # of one order: by row
    with pytest.raises(DataError, match="matched by name, so their columns need names"):
        iiae.fit(x, y[::-1], **settings)
    train = iiae.fit(x, y[::-1], settings=once, progress=False).data.train
    pair = next(train.batches(len(train)))
    np.testing.assert_array_equal(pair.x[:, :3], pair.y[:, :3])
    with pytest.raises(DataError, match=r"x: 1 names of rows occur more than once \(s1\)"):
        iiae.fit(x.set_axis(["s1", *names[1:]]), y, settings=once, progress=False)


def test_covariates_of_data_frames_are_matched_by_names_of_rows():
    pandas = pytest.importorskip("pandas")
    names = [f"s{i}" for i in range(60)]
    x, y = (pandas.DataFrame(side, names) for side in arrays(60))
    lane = pandas.DataFrame({"lane": np.arange(60) % 2, "number": np.arange(60)}, names)
    once = {"settings": {**SMALL, "training.epochs": 1}, "progress": False}
    turned = iiae.fit(x, y[10:][::-1], covariates=lane[["lane"]][::-1], **once)
    train = turned.data.train
    numbers = [float(v) for v in next(train.batches(len(train))).x[:, 0]]
    of_value = dict(zip(np.float32(x[0]).tolist(), lane["lane"], strict=True))
    assert [of_value[value] for value in numbers] == list(train.annotations["lane"])
    # of samples too, by each column's own index
    given = turned.embed(x=x, covariates={"lane": lane["lane"][::-1]}).shared
    np.testing.assert_array_equal(given, turned.embed(x=x, covariates=lane[["lane"]]).shared)
    with pytest.raises(DataError, match=r"lane has no row of s0, s1, of the samples"):
        turned.embed(x=x, covariates=lane[["lane"]][2:])
    with pytest.raises(DataError, match="no row of s58, s59"):
        iiae.fit(x, y[::-1], covariates=lane[["lane"]][:58], **once)
    twice = pandas.concat([lane, lane])[["lane"]]
    with pytest.raises(DataError, match="lane: names of rows occur more than once"):
        turned.embed(x=x, covariates=twice)
    with pytest.raises(DataError, match="names of rows occur more than once"):
        iiae.fit(x, y[::-1], covariates=twice, **once)


def test_the_order_of_rows_with_names_does_not_choose_the_pairs_held_out():
    pandas = pytest.importorskip("pandas")
    names = [f"s{i}" for i in range(60)]
    x, y = (pandas.DataFrame(side, names) for side in arrays(60))
    once = {"settings": {**SMALL, "training.epochs": 1}, "progress": False}
    same, turned = (iiae.fit(x, other, **once).data.test for other in (y, y[::-1]))
    assert sorted(same.keys) == sorted(turned.keys)


def test_what_goes_with_samples_is_taken_by_name(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("lancedb")
    names = [f"s{i}" for i in range(60)]
    x, y = (pandas.DataFrame(side, names).add_prefix("g") for side in arrays(60))
    lane = pandas.DataFrame({"lane": np.arange(60) % 2}, names)
    settings = {**SMALL, "training.epochs": 1}
    run = iiae.fit(x, y, covariates=lane, settings=settings, progress=False)
    moved = run.translate(x, covariates=lane, as_if=1 - lane)
    np.testing.assert_array_equal(moved, run.translate(x, covariates=lane, as_if=(1 - lane)[::-1]))
    assert np.abs(moved - run.translate(x, covariates=lane)).max() > 0
    assert run.evaluate(x=x, y=y, covariates={"lane": 1}).pairs == 60
    y.to_csv(tmp_path / "y.csv")
    lane.to_csv(tmp_path / "lane.csv")
    gallery = run.index(tmp_path / "y.csv", "y", tmp_path / "g", columns=tmp_path / "lane.csv")
    hits = gallery.search(x, top=1, covariates=lane[::-1])
    expected = gallery.search(x.to_numpy(), top=1, columns=tmp_path / "lane.csv")
    found, wanted = ([one[0].path for one in each.results.hits] for each in (hits, expected))
    assert found == wanted
    with pytest.raises(DataError, match="covariates given: none"):
        gallery.search(x, top=1)


def test_covariates_of_samples_without_a_partner_are_those_of_their_row():
    x, y = (side.copy() for side in arrays(60))
    y[40:] = np.nan
    lane = np.arange(60) % 2
    settings = {**SMALL, "training.epochs": 1}
    run = iiae.fit(x, y, covariates={"lane": lane}, settings=settings, progress=False)
    rows = run.data.train.rows
    of_value = dict(zip(np.float32(x[:, 0]).tolist(), lane, strict=True))
    values = next(rows.batches(len(rows))).x[:, 0].tolist()
    assert [of_value[value] for value in values] == list(rows.annotations["lane"])


def test_data_frames_taken_by_position_though_their_indexes_differ_are_named(caplog):
    pandas = pytest.importorskip("pandas")
    x, y = (pandas.DataFrame(side) for side in arrays(60))
    given = {"settings": {**SMALL, "training.epochs": 1}, "progress": False}
    said = "the indexes of x and y differ"
    iiae.fit(x, y, **given)
    iiae.fit(x[::-1], y[::-1], **given)
    assert said not in caplog.text
    run = iiae.fit(x, y[::-1], **given)
    assert said in caplog.text
    caplog.clear()
    run.evaluate(x=x, y=y[::-1])
    assert said in caplog.text
    lane = pandas.DataFrame({"lane": np.arange(60) % 2})
    run = iiae.fit(x, y, covariates=lane, **given)
    run.embed(x=x, covariates=lane)
    assert "and covariates differ" not in caplog.text
    iiae.fit(x, y, covariates=lane[::-1], **given)
    run.embed(x=x, covariates={"lane": lane["lane"][::-1]})
    assert "the indexes of x and covariates differ" in caplog.text
    assert "the indexes of the samples and covariates differ" in caplog.text


def test_images_from_0_to_1_are_warned_of_where_black_is_minus_1(caplog):
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)
    small = {"model.shared": 2, "model.width": 4, "training.batch": 10}
    run = iiae.fit(images, images, epochs=1, settings=small, progress=False)
    scaled = (images / 255).astype(np.float32).transpose(0, 3, 1, 2)
    run.embed(x=2 * scaled - 1)
    run.embed(x=images)
    assert "where black is -1" not in caplog.text
    run.embed(x=scaled)
    assert "x: images from 0 to 1, where black is -1 and white 1" in caplog.text


def test_a_run_that_was_resumed_and_stopped_says_so(tmp_path, caplog):
    run = iiae.fit(*arrays(60), tmp_path / "run", settings=SMALL, progress=False)
    iiae.load(tmp_path / "run")
    assert "has not finished" not in caplog.text
    lines = (run.folder / "history.csv").read_text().splitlines()
    (run.folder / "history.csv").write_text("\n".join([*lines, lines[-1], lines[-1]]) + "\n")
    iiae.load(tmp_path / "run")
    assert (
        "the weights are those of 2 epochs, history.csv has 4; iiae train --resume" in caplog.text
    )


def test_other_pairs_to_evaluate_have_the_forms_of_samples(run):
    x, y = arrays()
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(x)
    assert run.evaluate(x=sparse, y=y).pairs == 120
    with pytest.raises(DataError, match="x has 4 values, the model takes 5"):
        run.evaluate(x=x[:, :4], y=y)
    with pytest.raises(SettingsError, match="or neither"):
        run.evaluate(x=x)


def test_translations_take_references_and_samples(run):
    x, y = arrays()
    assert run.translate(x[:5]).shape == (5, 7)
    assert run.translate(y[:5], to="x").shape == (5, 5)
    with pytest.raises(DataError, match="model takes 7; these look like samples of x"):
        run.translate(x[:5], to="x")
    assert run.translate(x[:5], samples=3).shape == (3, 5, 7)
    of_one = run.translate(x[:5], like=y[:1])
    np.testing.assert_allclose(of_one[0], run.translate(x[0], like=y[:1])[0], rtol=1e-5)
    with pytest.raises(SettingsError, match="not both"):
        run.translate(x, like=y, samples=2)


@pytest.mark.parametrize("side", ["x", "y"])
def test_a_side_that_never_changes_is_refused(side):
    x, y = arrays()
    sides = {"x": x, "y": y, side: np.ones((120, 3))}
    with pytest.raises(DataError, match=f"{side}: every row is the same"):
        iiae.fit(**sides, progress=False)


def test_unpaired_samples_are_trained_on_and_a_domain_may_have_one_column():
    x, y = arrays()
    x[40:80], y = np.nan, y[:, :1]
    y[80:] = np.nan
    run = iiae.fit(x, y, epochs=1, progress=False)
    assert len(run.data.train) < 40 == (run.data.train.sides == 1).sum()
    assert np.isfinite(run.translate(x[:9])).all()


def test_tables_in_memory_are_read_by_the_names_of_their_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    x, y = (pandas.DataFrame(side).add_prefix("c") for side in arrays(60))
    settings = {**SMALL, "training.epochs": 1}
    run = iiae.fit(x, y, settings=settings, progress=False)
    turned, wider = x[x.columns[::-1]], y.assign(more=0.0)[["more", *y.columns[::-1]]]
    expected = run.embed(x=x.to_numpy()).shared
    np.testing.assert_allclose(run.embed(x=turned).shared, expected, atol=1e-5)
    made = run.translate(turned, like=wider)
    np.testing.assert_allclose(made, run.translate(x, like=y), atol=1e-5)
    nats = [run.evaluate(x=one, y=two).nats for one, two in ((turned, wider), (x, y))]
    np.testing.assert_allclose(*nats, atol=1e-3)
    with pytest.raises(DataError, match="x: lacks 1 of the 5 columns that the model takes: c0"):
        run.embed(x=x.rename(columns={"c0": "other"}))
    run.save(tmp_path)
    iiae.fit(*arrays(60), settings=settings, progress=False).save(tmp_path, overwrite=True)
    assert iiae.load(tmp_path).embed(x=turned).shared.shape == (60, 4)  # of a run without names


def test_what_is_no_count_is_refused_in_every_form(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    counts = np.random.default_rng(0).poisson(4.0, (60, 5)).astype(float)
    settings = {**SMALL, "training.epochs": 1, "objective.x.kind": "poisson"}
    run = iiae.fit(counts, arrays(60)[1], settings=settings, progress=False)
    logs = np.log1p(counts)
    np.save(tmp_path / "x.npy", logs)
    with pytest.raises(DataError, match="is no count"):
        run.embed(x=sparse.csr_matrix(logs))
    with pytest.raises(DataError, match="is no count"):
        embed_files(run.folder, tmp_path / "x.npy", tmp_path / "z.npz", "x")
    if find_spec("anndata"):
        import anndata

        with pytest.raises(DataError, match="is no count"):
            run.write(anndata.AnnData(logs), domain="x")
    if find_spec("lancedb"):
        with pytest.raises(DataError, match="is no count"):
            run.index(tmp_path / "x.npy", "x", tmp_path / "g")


def test_folders_of_images_are_fitted_embedded_and_searched(tmp_path):
    pytest.importorskip("lancedb")
    names = [f"{i}.png" for i in range(30)]
    write_images(tmp_path / "left", names, 0)
    write_images(tmp_path / "right", names, 1)
    small = {"data.size": 16, "model.shared": 2, "model.width": 4, "training.batch": 10}
    run = iiae.fit(
        tmp_path / "left", tmp_path / "right", tmp_path / "run", epochs=1, progress=False,
        settings=small,
    )  # fmt: skip
    assert run.folder == tmp_path / "run"
    assert run.embed(x=tmp_path / "left").shared.shape == (30, 32)
    assert run.embed(y=[tmp_path / "right" / "3.png"]).shared.shape == (1, 32)
    found = run.index(tmp_path / "right", "y").search(tmp_path / "left" / "3.png", top=4)
    assert [len(hits) for hits in found.results.hits] == [4]
    index = run.index(tmp_path / "right", "y", tmp_path / "g")
    (hits,) = index.search(tmp_path / "left" / "3.png", where="path LIKE '%17.png'").results.hits
    assert [hit.path.rpartition("/")[2] for hit in hits] == ["17.png"]
    picture = tmp_path / "left" / "3.png"
    found = index.search(picture).results.hits
    values = samples_of(run, picture, "x")
    in_memory = index.search(values)
    assert in_memory.names == ["query 0"]
    assert [hit.path for hit in in_memory.results.hits[0]] == [hit.path for hit in found[0]]
    latents = index.search(run.embed(x=values).shared, vectors=True)
    assert [hit.path for hit in latents.results.hits[0]] == [hit.path for hit in found[0]]


def test_what_cannot_be_fitted_or_asked_is_one_line(run):
    x, y = arrays()
    with pytest.raises(SettingsError, match=r"kind is the name of several settings: objective.x"):
        iiae.fit(x, y, kind="normal")
    with pytest.raises(SettingsError, match="settings: expected a dictionary, given 'fast'"):
        override_texts("fast")
    with pytest.raises(SettingsError, match="epoks is not a setting"):
        iiae.fit(x, y, epoks=3)
    with pytest.raises(SettingsError, match="give x and y"):
        iiae.fit(x)
    with pytest.raises(SettingsError, match=r"embed takes x=... or y=..."):
        run.embed()
    with pytest.raises(SettingsError, match=r"evaluate takes x=... and y=..., or neither"):
        run.evaluate(x=x)
    with pytest.raises(SettingsError, match="samples = -1: must be a whole number, 0 or more"):
        run.translate(x, samples=-1)
    with pytest.raises(SettingsError, match="samples = True: must be a whole number"):
        run.translate(x, samples=True)
    with pytest.raises(SettingsError, match="resume=True continues the run in out"):
        iiae.fit(x, y, resume=True, overwrite=True)
    with pytest.raises(DataError, match="x has samples of 7, the model takes 5"):
        run.embed(x=y)
    with pytest.raises(DataError, match="holds <U1, not numbers"):
        run.embed(x=np.array([["a"]]))


def test_every_public_name_is_there_and_completes():
    assert set(iiae.__all__) <= set(dir(iiae))
    for name in iiae.__all__:
        assert getattr(iiae, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        iiae.nothing  # noqa: B018


def test_one_sample_and_more_columns_are_taken_by_name_and_names_given_twice_refused():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x = pandas.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"))
    y = rng.normal(size=(60, 3))
    run = iiae.fit(x, y, epochs=1, progress=False)
    whole = run.embed(x=x).shared
    np.testing.assert_allclose(run.embed(x=x.iloc[3][::-1]).shared[0], whole[3], atol=1e-6)
    assert np.array_equal(run.embed(x=x.assign(note="text")).shared, whole)
    twice = x.set_axis(list("aabc"), axis=1)
    run = iiae.fit(twice, y, epochs=1, progress=False)
    assert run.embed(x=twice).shared.shape == (60, 32)
    with pytest.raises(DataError, match="several columns are named a"):
        run.embed(x=twice[["b", "a", "c"]])


def test_pairs_to_evaluate_are_matched_by_names_of_rows_as_in_training():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    x = pandas.DataFrame(rng.normal(size=(60, 4)), index=[f"r{i}" for i in range(60)])
    y = pandas.DataFrame(rng.normal(size=(60, 3)), index=x.index)
    run = iiae.fit(x.set_axis(list("abcd"), axis=1), y, epochs=1, progress=False)
    assert run.evaluate(x=x, y=y) == run.evaluate(x=x, y=y[::-1])
    with pytest.raises(DataError, match="y has no row of r0, of x"):
        run.evaluate(x=x, y=y[1:])


def test_a_model_that_was_trained_further_is_kept_as_it_is(tmp_path, caplog):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), rng.normal(size=(200, 3))
    run = iiae.fit(x, y, tmp_path / "run", epochs=1, progress=False)
    run.evaluate()
    before = (run.folder / METRICS).read_bytes()
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.mul_(1.1)
    changed = run.evaluate()
    assert "has other weights than its file" in caplog.text
    assert (run.folder / METRICS).read_bytes() == before
    if find_spec("lancedb"):
        np.save(tmp_path / "x.npy", x)
        with pytest.raises(RunError, match="other weights than its file"):
            run.index(tmp_path / "x.npy", "x")
    again = iiae.load(run.save(tmp_path / "copy"), x, y)
    assert again.evaluate() == changed
    run.model.train()
    assert np.array_equal(run.embed(x=x).shared, again.embed(x=x).shared)
    shutil.rmtree(run.folder)
    with pytest.raises(RunError, match="its files are gone"):
        run.save(tmp_path / "copy", overwrite=True)
    assert iiae.load(tmp_path / "copy", x, y).evaluate() == changed


def test_settings_of_a_run_are_taken_for_other_data():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    first = iiae.fit(x, y, epochs=1, batch=7, progress=False, covariates={"b": [*"ab"] * 30})
    second = iiae.fit(y, x, settings=first.settings, progress=False)
    assert (second.settings.training.batch, second.settings.training.epochs) == (7, 1)
    assert second.settings.data.covariates == ()


def test_a_fit_that_fails_leaves_no_folder_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    x = np.random.default_rng(0).normal(size=(60, 4))
    with pytest.raises(RunError, match="nothing to resume"):
        iiae.fit(x, x, resume=True, progress=False)
    assert [*tmp_path.iterdir()] == []


def test_a_family_of_your_own_goes_with_suggested_settings():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 4))
    given = {"model.family": "iiae.networks.mlp:FEATURES", "model.shared": 4, "model.exclusive": 2}
    run = iiae.fit(x, y, settings=given, epochs=1, progress=False)
    assert run.embed(x=x[:2]).shared.shape == (2, 4)
    (size,) = (one for one in override_texts({"model.family": "image-flat"}))
    before = {"family": "small", "size": "medium", "shared": 4}
    settings = make_settings({"data": {"name": "digits-cdcb"}, "model": before}, [size])
    assert (settings.model.family, settings.model.size) == ("image-flat", "auto")
