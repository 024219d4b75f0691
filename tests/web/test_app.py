import asyncio
import base64
import io
import json
import logging
import math
import re
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
pytest.importorskip("httpx2", reason="httpx2 is not installed")

from starlette.testclient import TestClient

from helpers import save_run, small_settings, write_images
from iiae.data import load
from iiae.errors import GalleryError, SettingsError
from iiae.files.bands import encode_bands
from iiae.model.latents import embed
from iiae.run_folder.examples import save_examples
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.search.query import search_files
from iiae.web.app import create_app
from iiae.web.guard import Guard, Limits
from iiae.web.pages import FILES, PAGES
from iiae.web.pictures import ink_extent, pen_and_paper
from iiae.web.serving import serve

NAMES = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run and a gallery of four images, whose metadata is hostile."""
    folder = tmp_path_factory.mktemp("web")
    run = save_run(folder / "run")
    write_images(folder / "c", NAMES)
    (folder / "m.csv").write_text("path,year,note\nc/cat/1.png,1999,<script>alert(1)</script>\n")
    index_files(
        run, folder / "g", [folder / "c"], "y", metadata=folder / "m.csv", progress=False
    )  # fmt: skip
    return folder, run, Gallery.open(folder / "g")


@pytest.fixture
def client(place):
    with TestClient(create_app(*place[1:])) as client:
        yield client


def png(place, name="cat/1.png"):
    return (place[0] / "c" / name).read_bytes()


def test_search_answers_as_the_command_does(client, place):
    folder, run, _ = place
    expected = search_files(run, folder / "g", [folder / "c" / NAMES[0]], 4)[1].hits[0]
    answer = client.post("/search?top=4", content=png(place))
    assert answer.status_code == 200
    body = answer.json()
    assert body["method"] == "exact"
    assert [hit["path"] for hit in body["hits"]] == [hit.path for hit in expected]
    assert [h["distance"] for h in body["hits"]] == pytest.approx([h.distance for h in expected])


def test_filters_keep_what_they_say_and_take_text_as_text(client, place):
    def names(**parameters):
        answer = client.post("/search", params={"domain": "y", **parameters}, content=png(place))
        assert answer.status_code == 200, answer.text
        return {hit["name"] for hit in answer.json()["hits"]}

    assert names(label="dog") == {"3.png", "4.png"}
    assert names(filter="year=1999") == {"1.png"}
    assert names(label="' OR 'a'='a") == set()
    assert client.post("/search?filter=nope=1", content=png(place)).status_code == 400


def test_more_like_this_leaves_the_item_itself_out(client, place):
    first = client.post("/search?domain=y&top=1", content=png(place)).json()["hits"][0]
    assert (first["name"], first["metadata"]["note"]) == ("1.png", "<script>alert(1)</script>")
    for by in ("shared", "exclusive"):
        hits = client.get("/search", params={"item": first["id"], "by": by}).json()["hits"]
        assert len(hits) == 3
        assert first["id"] not in {hit["id"] for hit in hits}
    image = client.get(f"/items/{first['id']}/image")
    assert Image.open(io.BytesIO(image.content)).size == (20, 20)
    assert client.get("/items/../../etc/passwd/image").status_code == 404
    assert client.get("/search?item=none").status_code == 400


def test_copies_are_kept_and_only_the_item_asked_for_is_left_out(place, tmp_path):
    run = place[1]
    write_images(tmp_path / "c", NAMES)
    for name in ("copy1.png", "copy2.png", "copy#1.png"):
        (tmp_path / "c" / "cat" / name).write_bytes((tmp_path / "c" / NAMES[0]).read_bytes())
    index_files(run, tmp_path / "g", [tmp_path / "c"], "y", progress=False)
    gallery = Gallery.open(tmp_path / "g")
    rows = {row["path"]: row["id"] for row in gallery.rows("true")}
    with TestClient(create_app(run, gallery)) as client:
        for path, id_ in rows.items():
            for item in (path, id_):
                hits = client.get("/search", params={"item": item, "top": 5}).json()["hits"]
                assert len(hits) == 5
                assert path not in {hit["path"] for hit in hits}
            assert client.get(f"/items/{id_}/image").status_code == 200
        first = next(path for path in rows if path.endswith("copy1.png"))
        hits = client.get("/search", params={"item": first, "top": 3}).json()["hits"]
        assert {hit["distance"] for hit in hits} == {0}
        (tmp_path / "c" / NAMES[0]).unlink()
        gone = next(id_ for path, id_ in rows.items() if path.endswith(NAMES[0]))
        kept = client.get(f"/items/{gone}/image")  # the thumbnail
        assert Image.open(io.BytesIO(kept.content)).size == (16, 16)
        assert client.get(f"/items/{rows[first]}/image").status_code == 200


def test_embed_and_translate(client, place):
    z = client.post("/embed?domain=x", content=png(place)).json()
    assert {name: len(values) for name, values in z.items()} == {"shared": 32, "exclusive": 8}
    source = {"source": png(place)}
    for fields, files, count in (
        ({}, {}, 1),
        ({"draws": 3}, {}, 3),
        ({}, {"like": png(place)}, 1),
        ({"steps": 5}, {"like": png(place), "like2": png(place, "dog/3.png")}, 5),
    ):
        answer = client.post("/translate", data={"to": "y", **fields}, files={**source, **files})
        assert answer.status_code == 200, answer.text
        images = answer.json()["images"]
        assert len(images) == count
        assert images[0].startswith("data:image/png;base64,")


def test_items_of_the_gallery_are_references_by_their_stored_latent(client, place):
    source = ("source", png(place))
    ids = {row["path"].rsplit("/", 1)[1]: row["id"] for row in place[2].rows("true")}

    def images(data, *files):
        answer = client.post("/translate", data={"to": "y", **data}, files=[source, *files])
        return answer.json().get("images", answer.text)

    by_file = images({}, ("like", png(place, "dog/3.png")))
    assert images({"like_item": ids["3.png"]}) == by_file
    two = {"like_item": ids["3.png"], "like2_item": ids["4.png"], "steps": 3}
    assert len(images(two)) == 3 and images(two)[0] == by_file[0]
    assert "no such item" in images({"like_item": "none"})
    assert "items of the gallery are of domain y, not x" in images({**two, "to": "x"})


def test_pen_and_paper_are_those_of_what_stands_out():
    images = torch.full((3, 1, 8, 8), 0.9)
    images[1, :, 2:6, 3:5] = -0.9
    assert pen_and_paper(images) == ("#0d0d0d", "#f2f2f2")
    assert pen_and_paper(torch.full((3, 3, 8, 8), 0.1)) == ("#000000", "#ffffff")
    images = torch.zeros(2, 3, 8, 8)
    images[0, 0] = 1.0
    images[0, :, 4, 4] = -1.0
    assert pen_and_paper(images)[1] == "#ff8080"
    assert pen_and_paper(torch.cat([images, images], 1))[1] == "#ff8080"  # of more bands, three


def test_what_to_draw_with_is_said_for_both_domains(client):
    for drawing in client.get("/about").json()["drawing"].values():
        assert all(re.fullmatch("#[0-9a-f]{6}", drawing[name]) for name in ("pen", "paper"))


def test_ink_lies_where_most_images_have_it_and_photos_have_none():
    images = torch.full((4, 1, 20, 20), -1.0)
    images[:, :, 2:18, 6:12] = 1.0
    assert ink_extent(images)[:4] == pytest.approx((0.8, 0.3, 0.45, 0.5))
    assert ink_extent(images).stroke * 20 == pytest.approx(2 * 96 / (44 * math.pi / 4))
    assert ink_extent(torch.full((3, 3, 8, 8), 0.1)) is None
    torch.manual_seed(0)
    assert ink_extent(torch.rand(4, 3, 16, 16) * 2 - 1) is None


def test_content_and_look_are_searched_together(client, place):
    ids = {row["path"].rsplit("/", 1)[1]: row["id"] for row in place[2].rows("true")}
    both = {"item": ids["1.png"], "by": "shared=1,exclusive=0.001"}
    hits = client.get("/search", params=both).json()["hits"]
    shared = client.get("/search", params={"item": ids["1.png"]}).json()["hits"]
    assert [hit["id"] for hit in hits] == [hit["id"] for hit in shared]
    drawn = client.post("/search", params={"by": "shared=1,exclusive=1"}, content=png(place))
    assert "name one of its items as like_item" in drawn.json()["detail"]
    look = {"by": "shared=0.001,exclusive=1", "like_item": ids["3.png"]}
    hits = client.post("/search", params=look, content=png(place)).json()["hits"]
    alone = client.get("/search", params={"item": ids["3.png"], "by": "exclusive"}).json()["hits"]
    assert [hit["id"] for hit in hits] == [hit["id"] for hit in alone]
    assert client.get("/search", params={"item": ids["1.png"], "by": "look"}).status_code == 400


def test_looks_lead_a_translation_and_items_are_sources(client, place):
    source = {"source": png(place)}
    answer = client.post("/translate", data={"to": "y", "looks": 3}, files=source).json()
    assert len(answer["images"]) == len({look["id"] for look in answer["looks"]}) == 3
    likes = [{"to": "y", "like_item": look["id"]} for look in answer["looks"]]
    singly = [client.post("/translate", data=like, files=source).json() for like in likes]
    assert answer["images"] == [one["images"][0] for one in singly]
    item = {"source_item": place[2].rows("true")[0]["id"]}
    assert len(client.post("/translate", data={"to": "x", **item}).json()["images"]) == 1
    assert "no examples" in client.post("/translate", data={"to": "x", "looks": 2, **item}).text
    assert "are of domain y" in client.post("/translate", data={"to": "y", **item}).text
    assert "send a file" in client.post("/translate", data={"to": "y"}).text


def test_examples_of_the_run_are_shown_and_set_the_scale(place, tmp_path):
    run = save_run(tmp_path / "run")
    pairs = load(run.settings.data).validation
    index = pairs.sample(40, 0)
    save_examples(run.folder, pairs, index, embed(run.model, pairs.batches(40, index)))
    index_files(run, tmp_path / "g", [place[0] / "c"], "y", progress=False)
    with TestClient(create_app(run, Gallery.open(tmp_path / "g"))) as client:
        images = client.get("/examples?domain=x").json()["images"]
        assert len(images) == 12
        about = client.get("/about").json()
        assert about["names"] == {"x": "x", "y": "y"} and "two kinds: x and y" in about["about"]
        scale = about["scale"]["other"]
        assert all(sorted(levels) == levels for levels in scale.values())
        body = base64.b64decode(images[0].split(",")[1])
        assert client.post("/search", content=body).status_code == 200
    with TestClient(create_app(run)) as client:  # looks of examples, without a gallery
        answer = client.post("/translate", data={"to": "y", "looks": 2}, files={"source": body})
        assert [look["example"] is None for look in answer.json()["looks"]] == [False, False]


def test_a_gallery_that_is_moved_with_its_files_still_has_them(place, tmp_path):
    write_images(tmp_path / "a" / "c", NAMES)
    index_files(place[1], tmp_path / "a" / "g", [tmp_path / "a" / "c"], "y", progress=False)
    (tmp_path / "a").rename(tmp_path / "b")
    gallery = Gallery.open(tmp_path / "b" / "g")
    assert {row["path"] for row in gallery.rows("true")} == {
        str(tmp_path / "b" / "c" / name) for name in NAMES
    }
    with TestClient(create_app(place[1], gallery)) as client:
        assert client.get("/about").json()["gallery"]["gone"] == 0
    (tmp_path / "b" / "c").rename(tmp_path / "elsewhere")
    with TestClient(create_app(place[1], gallery)) as client:
        assert client.get("/about").json()["gallery"]["gone"] == 4
    moved = Gallery.open(tmp_path / "b" / "g", root=tmp_path / "elsewhere")
    assert moved.item(str(tmp_path / "elsewhere" / NAMES[0]))["label"] == "cat"


def test_rows_of_an_array_are_where_their_file_is(place, tmp_path):
    shape = place[1].shapes[1]
    np.save(tmp_path / "y.npy", np.zeros((3, *shape), np.float32))
    index_files(place[1], tmp_path / "g", [tmp_path / "y.npy"], "y", progress=False)
    for expected in (0, 3):
        with TestClient(create_app(place[1], Gallery.open(tmp_path / "g"))) as client:
            gallery = client.get("/about").json()["gallery"]
            assert (gallery["gone"], gallery["looked_for"]) == (expected, 3)
        (tmp_path / "y.npy").unlink(missing_ok=True)


def test_items_lie_on_a_plane(client):
    body = client.get("/map?by=exclusive").json()
    assert len(body["points"]) == len(body["items"]) == 4
    assert body["explained"][0] >= body["explained"][1] > 0


def test_what_the_page_shows_follows_a_gallery_that_changes(place, tmp_path):
    write_images(tmp_path / "c", NAMES)
    index = lambda: index_files(place[1], tmp_path / "g", [tmp_path / "c"], "y", progress=False)  # noqa: E731
    index()
    with TestClient(create_app(place[1], Gallery.open(tmp_path / "g"))) as client:
        write_images(tmp_path / "c", ["owl/5.png"])
        index()  # another process would do the same
        about = client.get("/about").json()
        assert about["gallery"]["labels"] == ["cat", "dog", "owl"]
        assert len(client.get("/map").json()["points"]) == 5
        Gallery.open(tmp_path / "g").delete([str(tmp_path / "c" / one) for one in ("cat", "dog")])
        form = {"data": {"to": "y", "looks": 9}, "files": {"source": png(place)}}
        looks = client.post("/translate", **form).json()["looks"]
        assert [look["name"] for look in looks] == ["5.png"]
        assert client.get("/about").json()["scale"] != about["scale"]


def bomb():
    """A PNG of a few hundred bytes that says it is 20,000 x 20,000."""
    head = b"\x00\x00N \x00\x00N \x08\x02\x00\x00\x00"
    chunk = lambda k, d: len(d).to_bytes(4) + k + d + zlib.crc32(k + d).to_bytes(4)  # noqa: E731
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body: not an image"),
        (b"<svg onload=alert(1)>", "the body: not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "the body: not an image"),
        (bomb(), "the body: "),
    ],
)
def test_what_is_no_good_image_is_refused_by_its_content(client, body, message):
    answer = client.post("/search", content=body, headers={"content-type": "image/png"})
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert answer.json()["detail"].startswith(message)


def test_a_form_where_the_file_itself_is_needed_is_named(client, place):
    for route in ("/search", "/embed?domain=x"):
        answer = client.post(route, files={"file": png(place)})
        assert (answer.status_code, answer.json()["detail"]) == (
            400,
            "the body is a form; the body must be the file itself: curl --data-binary @FILE",
        )
        typed = {"content-type": "application/x-www-form-urlencoded"}  # as curl calls all data
        assert client.post(route, content=png(place), headers=typed).status_code == 200
        answer = client.post(route, content=png(place).replace(b"\n", b""), headers=typed)
        assert answer.status_code == 400 and "curl --data-binary @FILE" in answer.text


def test_head_is_answered_as_get_is_without_the_body(client):
    for path in ("/", "/docs", "/health", "/about", "/metrics"):
        asked, full = client.head(path), client.get(path)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["content-type"] == full.headers["content-type"]
    assert client.head("/nowhere").status_code == 404
    assert client.head("/embed").status_code == 405
    assert 'method="HEAD",route="/health",status="200"} 1' in client.get("/metrics").text


def test_a_damaged_image_and_too_many_pixels_are_refused(place):
    app = create_app(*place[1:], limits=Limits(bytes=5000, pixels=399))
    with TestClient(app) as client:
        assert "20 x 20 pixels; at most 399" in client.post("/search", content=png(place)).text
        answer = client.post("/search", content=png(place)[:200])
        assert answer.status_code == 400
        answer = client.post("/search", content=b"x" * 5001)
        assert (answer.status_code, answer.json()) == (413, {"detail": "more than 5,000 bytes"})
        parts = iter([b"x" * 3000, b"x" * 3000])  # no content-length
        assert client.post("/search", content=parts).status_code == 413
        assert client.post("/search?top=1000", content=png(place)).status_code == 400


def test_a_slow_upload_is_ended_and_a_cut_off_one_forgotten():
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope)

    async def slow():
        await asyncio.sleep(5)

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    from iiae.web.counting import Counts

    guard = Guard(app, None, Limits(seconds=0.05), Counts())
    scope = {"type": "http", "method": "POST", "path": "/search", "headers": []}
    asyncio.run(guard(scope, slow, send))
    assert sent[0]["status"] == 408
    asyncio.run(guard(scope, gone, send))
    assert reached == [] and len(sent) == 2


def test_a_token_is_needed_where_one_is_set(place):
    with TestClient(create_app(*place[1:], token="s3cret")) as client:
        for path in ("/about", "/metrics", "/openapi.json", "/search?item=a"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert client.get(path, headers={"authorization": "Bearer s3cre"}).status_code == 401
        right = {"authorization": "Bearer s3cret"}
        assert client.get("/about", headers=right).json()["gallery"]["items"] == 4
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/").status_code == 200
        assert client.get("/nowhere").status_code == 401
        big = b"x" * (Limits().bytes + 1)
        assert client.post("/translate", content=big).status_code == 401


def test_openapi_declares_the_token_where_one_is_needed(client, place):
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]
    right = {"authorization": "Bearer s3cret"}
    api = create_app(*place[1:], token="s3cret")
    with TestClient(api, headers=right) as closed:
        body = closed.get("/openapi.json").json()
    assert body["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    paths = body["paths"].items()
    free = [path for path, ways in paths for way in ways.values() if "security" not in way]
    assert free == ["/health"]


def test_other_origins_and_other_hosts_are_kept_out(client):
    answer = client.options(
        "/search", headers={"origin": "http://a.example", "access-control-request-method": "POST"}
    )
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/health", headers={"host": "a.example"}).status_code == 400


def test_the_page_loads_nothing_from_elsewhere_and_runs_its_own_script_only(client):
    for path in (*PAGES, *FILES):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script>" not in answer.text and "innerHTML" not in answer.text
        assert "https://" not in answer.text
        assert "http://" not in answer.text.replace("http://127.0.0.1:8000", "")
    assert client.get("/openapi.json").json()["paths"].keys() >= {"/embed", "/search", "/translate"}


def test_a_bug_is_logged_and_not_shown(place, monkeypatch, caplog):
    app = create_app(*place[1:])
    with TestClient(app, raise_server_exceptions=False) as client, caplog.at_level(logging.ERROR):
        monkeypatch.setattr(Gallery, "search", lambda *_: 1 / 0)
        answer = client.post("/search", content=png(place))
        assert 'route="/search",status="500"} 1.0' in client.get("/metrics").text
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert "ZeroDivisionError" in caplog.text


def test_metrics_count_routes_not_addresses(client, place):
    client.post("/search", content=png(place))
    client.get("/items/abc/image")
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    assert 'iiae_requests_total{method="POST",route="/search",status="200"} 1.0' in text
    assert 'iiae_requests_total{method="GET",route="/items/{item}/image",status="404"} 1.0' in text
    assert 'method="GET",route="other",status="404"} 1.0' in text
    assert 'iiae_request_seconds_bucket{le="+Inf",route="/search"} 1.0' in text
    assert "iiae_batched_jobs_total 1.0\n" in text
    for name in ("iiae_batches_total", "iiae_waiting"):
        assert f"# HELP {name} " in text


def test_two_servers_in_one_process_count_apart(client, place):
    client.get("/health")
    with TestClient(create_app(*place[1:])) as other:
        assert 'route="/health"' not in other.get("/metrics").text


def test_features_are_taken_as_json(tmp_path):
    run = save_run(tmp_path / "run", small_settings())
    np.save(tmp_path / "y.npy", np.eye(run.shapes[1][0])[:5])
    index_files(run, tmp_path / "g", [tmp_path / "y.npy"], "y", progress=False)
    with TestClient(create_app(run, Gallery.open(tmp_path / "g"))) as client:
        row = [1.0] + [0.0] * (run.shapes[1][0] - 1)
        hits = client.post("/search?domain=y", json=row).json()["hits"]
        assert hits[0]["name"] == "y.npy#0"
        size = len(row)
        for body, message in {
            "[1]": f"1 numbers given; {size} are needed",
            "{}": "not a JSON list",
            "nan": "not a JSON list",
            "[[1, 2]]": "not a JSON list",
            "[" * 5000: "not a JSON list",
            json.dumps([True] * size): "not a JSON list",
            json.dumps([None] * size): "not a JSON list",
            json.dumps([1e39] * size): "number 1 is NaN or too large (at most 3.4e+38)",
            json.dumps([10**400] * size): "number 1 is NaN or too large",
            json.dumps([float("nan")] * size): "number 1 is NaN",
            "[" + ",".join(["1e400"] * size) + "]": "number 1 is NaN or too large",
        }.items():
            for route in ("/search?domain=y", "/embed?domain=y"):
                answer = client.post(route, content=body)
                assert (answer.status_code, message in answer.json()["detail"]) == (400, True)

        answer = client.post("/translate", data={"to": "x"}, files={"source": str(row)})
        assert len(answer.json()["features"][0]) == run.shapes[0][0]


def test_covariates_are_sent_with_the_features(run_of_batches, tmp_path):
    done, x, batch = run_of_batches
    columns = tmp_path / "columns.csv"
    columns.write_text("\n".join(["batch", *batch]) + "\n")
    file = done.folder.parent / "x.npy"
    index_files(done, tmp_path / "g", [file], "x", columns=columns, progress=False)
    with TestClient(create_app(done, Gallery.open(tmp_path / "g"))) as client:
        about = client.get("/about").json()
        assert about["features"] == {"x": None, "y": None}
        assert [(one["name"], one["levels"]) for one in about["covariates"]] == [
            ("batch", ["one", "two"])
        ]
        for level in ("one", "two"):
            body = {"features": x[7].tolist(), "covariates": {"batch": level}}
            z = client.post("/embed?domain=x", json=body).json()
            expected = done.embed(x=x[7], covariates={"batch": level})
            np.testing.assert_allclose(z["shared"], expected.shared[0], atol=1e-5)
            sent = {"source": json.dumps(body)}
            made = client.post("/translate", data={"to": "y"}, files=sent).json()["features"]
            expected = done.translate(x[7], "y", covariates={"batch": level})
            np.testing.assert_allclose(made, expected, atol=1e-5)
        hits = client.post("/search?domain=x", json=body).json()["hits"]
        assert hits[0]["name"] == "x.npy#7"  # row 7 is of batch two
        for wrong, message in {
            json.dumps(x[7].tolist()): 'covariates of this model: {"features": ["..."], "cov',
            json.dumps(body | {"covariates": {"donor": "a"}}): "covariates of this model",
            json.dumps(body | {"covariates": ["two"]}): "covariates of this model",
            json.dumps(body | {"covariates": {"batch": "three"}}): "three occurs in no training",
            json.dumps(body | {"covariates": {"batch": ["one", "two"]}}): "2 values for 1 samples",
            json.dumps(body | {"features": 3}): "not a JSON list of 6 numbers",
        }.items():
            answer = client.post("/embed?domain=x", content=wrong)
            assert answer.status_code == 400
            assert message in answer.json()["detail"]
        looks = client.post("/translate", data={"to": "y", "looks": 3}, files=sent)
        assert len(looks.json()["features"]) == 3
        examples = client.get("/examples?domain=x").json()
        of_row = {tuple(row): level for row, level in zip(x.tolist(), batch, strict=True)}
        known = [{"batch": of_row[tuple(row)]} for row in examples["features"]]
        assert examples["covariates"] == known
        assert len(known) > 3


def test_results_that_are_not_finite_are_refused_in_one_line(tmp_path):
    run = save_run(tmp_path / "run", small_settings())
    np.save(tmp_path / "y.npy", np.eye(run.shapes[1][0])[:5])
    index_files(run, tmp_path / "g", [tmp_path / "y.npy"], "y", progress=False)
    with TestClient(create_app(run, Gallery.open(tmp_path / "g"))) as client:
        for size, value in ((run.shapes[1][0], 3.4e38), (run.shapes[1][0], -3.4e38)):
            row = [value] * size
            for route in ("/search?domain=y", "/embed?domain=y"):
                answer = client.post(route, json=row)
                assert (answer.status_code, list(answer.json())) == (400, ["detail"])
                assert "not finite" in answer.json()["detail"]
            answer = client.post("/translate", data={"to": "x"}, files={"source": str(row)})
            assert (answer.status_code, "not finite" in answer.text) == (400, True)
        large = client.post("/search?domain=y", json=[1e33] * run.shapes[1][0])
        assert (large.status_code, "too large" in large.json()["detail"]) == (400, True)


def test_without_a_gallery_search_says_so(place):
    with TestClient(create_app(place[1])) as client:
        assert "the server has no gallery" in client.post("/search", content=png(place)).text
        assert client.get("/about").json()["gallery"] is None


def test_a_gallery_of_another_model_is_refused(place, tmp_path):
    torch.manual_seed(1)
    with pytest.raises(GalleryError, match="the run is model"):
        create_app(save_run(tmp_path / "other"), place[2])


def test_an_address_that_others_reach_needs_a_token(place):
    with pytest.raises(SettingsError, match="give it a --token"):
        serve(place[1], host="0.0.0.0")


def test_images_of_many_bands_are_searched_translated_and_shown(banded_run, tmp_path):
    run, folder = banded_run
    index_files(run, tmp_path / "g", [folder / "y"], "y", progress=False)
    with TestClient(create_app(run, Gallery.open(tmp_path / "g"))) as client:
        file = folder / "x" / "3.npy"
        z = client.post("/embed?domain=x", content=file.read_bytes()).json()
        np.testing.assert_allclose(z["shared"], run.embed(x=file).shared[0], atol=1e-5)
        examples = client.get("/examples?domain=x").json()
        assert examples["images"][0].startswith("data:image/png")
        own = base64.b64decode(examples["files"][0].partition(",")[2])
        assert np.load(io.BytesIO(own)).shape == (16, 16, 5)
        found = client.post("/search?domain=x", content=own).json()["hits"]
        shown = client.get(f"/items/{found[0]['id']}/image")
        assert shown.headers["content-type"] == "image/png"
        item = {"to": "x", "source_item": found[0]["id"], "draws": 2}
        made = client.post("/translate", data=item).json()
        assert len(made["images"]) == 2
        assert np.load(io.BytesIO(base64.b64decode(made["files"][0].partition(",")[2]))).ndim == 3
        tiff, rgb = encode_bands(torch.zeros(5, 16, 16), ".tif"), io.BytesIO()
        Image.new("RGB", (16, 16)).save(rgb, "PNG")
        assert client.post("/embed?domain=x", content=tiff).status_code == 200
        for wrong, message in {
            rgb.getvalue(): "has 3 bands; 5 are wanted",
            encode_bands(torch.zeros(6, 16, 16), ".tif"): "6 x 16 x 16 pixels; at most 5 pages",
            b"\x93NUMPY": "damaged or cut off",
            b"nothing": "not an image",
        }.items():
            answer = client.post("/embed?domain=x", content=wrong)
            assert (answer.status_code, message in answer.text) == (400, True), answer.text
