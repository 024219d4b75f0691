import numpy as np
import pytest
import torch
from PIL import Image

from helpers import save_run
from iiae.data import load
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError
from iiae.files.pictures import framed
from iiae.model.build import build_model
from iiae.report.hits import first_hits, nearest_partners, picture_reader
from iiae.settings import make_settings
from iiae.types import Draw


def make():
    generator = np.random.default_rng(0)
    sides = []
    for count in (3, 5):
        labels = np.repeat(["a", "b", "c", "d"], count)
        values = generator.standard_normal((len(labels), 6)).astype(np.float32)
        paths = np.array([f"{name}/{i}.png" for i, name in enumerate(labels)])
        sides.append(Labelled(torch.from_numpy(values), labels, paths))
    torch.manual_seed(0)
    settings = make_settings({"data": {"name": "classes"}, "model": {"family": "features"}})
    model = build_model(settings.model, settings.objective, ((6,), (6,))).eval()
    return model, ClassPairs(*sides, "test")


def test_hits_are_the_nearest_and_marked_by_their_class():
    model, pairs = make()
    chosen = first_hits(model, pairs, 100, seed=0, top=4)
    assert [len(part) for part in chosen] == [6, 3, 3]
    with torch.inference_mode():
        x = torch.nn.functional.normalize(model.encode_x(pairs.x.values).shared.mean)
        y = torch.nn.functional.normalize(model.encode_y(pairs.y.values).shared.mean)
    for one in chosen.random:
        assert one.items == (x[one.query] @ y.T).topk(4).indices.tolist()
        assert one.right == [bool(pairs.y.labels[i] == one.label) for i in one.items]
    assert chosen == first_hits(model, pairs, 100, seed=0, top=4)


def test_partners_are_the_nearest_items_by_z_s(tmp_path):
    run = save_run(tmp_path)
    pairs = load(run.settings.data).test
    partners = nearest_partners(run, pairs, count=4, top=3)
    assert partners.items == len(pairs) and len(partners.hits) == 4
    index = torch.arange(len(pairs))
    with torch.inference_mode():
        all_pairs = pairs.pairs(Draw(index))
        x = run.model.encode_x(all_pairs.x).shared.mean
        y = run.model.encode_y(all_pairs.y).shared.mean
    for one in partners.hits:
        nearest = torch.cdist(x[[int(one.query)]], y)[0].argsort()[:3]
        assert one.items.tolist() == nearest.tolist()
        assert one.right == [int(item) == int(one.query) for item in one.items]


def test_pictures_are_read_where_they_are(tmp_path):
    _, pairs = make()
    assert picture_reader(pairs.x, None) is None
    with pytest.raises(DataError, match="no such picture; give the folder that features are of"):
        picture_reader(pairs.x, tmp_path)
    for path in pairs.x.paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (255, 0, 0)).save(tmp_path / path)
    read = picture_reader(pairs.x, tmp_path)
    assert read([0, 5]).shape == (2, 3, 64, 64)
    content = pairs.x._replace(values=torch.full((12, 3, 8, 8), 255, dtype=torch.uint8))
    assert picture_reader(content, None)([1]).min() == 1


def test_frames_tell_right_from_wrong_without_colour_too():
    images = torch.zeros(2, 3, 40, 40)
    frames = framed(images, [True, False])
    changed = (frames != 0).any(1)
    assert changed[0].sum() > changed[1].sum() > 0
    assert not changed[:, 10:30, 10:30].any()
    assert torch.equal(images, torch.zeros(2, 3, 40, 40))
