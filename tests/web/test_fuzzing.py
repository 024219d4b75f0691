"""Requests made up from the server's own description: none may end with a 500."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
pytest.importorskip("fastapi", reason="the extra 'web' is not installed")

from helpers import needs, save_run, small_settings, write_images
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.web.app import create_app

schemathesis = needs("schemathesis")
checks = needs("schemathesis.specs.openapi.checks")
pytestmark = pytest.mark.slow
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    run = save_run(folder / "run")
    write_images(folder / "c", [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)])
    (folder / "m.csv").write_text("path,year\nc/cat/1.png,1999\n")
    index_files(run, folder / "g", [folder / "c"], "y", metadata=folder / "m.csv", progress=False)
    return described(run, folder / "g", (folder / "c" / "cat" / "1.png").read_bytes())


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    run = save_run(folder / "run", small_settings())
    np.save(folder / "y.npy", np.eye(run.shapes[1][0])[:6])
    index_files(run, folder / "g", [folder / "y.npy"], "y", distance="cosine", progress=False)
    return described(run, folder / "g", str([0.5] * run.shapes[1][0]).encode())


def described(run, where, good):
    """The description of a server, a file that it can read, and an item of its gallery."""
    gallery = Gallery.open(where)
    api = schemathesis.openapi.from_asgi("/openapi.json", create_app(run, gallery))
    return api, good, gallery.rows("true")[0]["id"]


def mend(case, good, item):
    """Leaves a request as it was made up, but with files that can be read and an item there is."""
    if isinstance(case.body, dict):
        case.body |= {k: good for k in ("like", "like2") if k in case.body} | {"source": good}
        case.body |= {k: item for k in ("like_item", "like2_item") if k in case.body}
    elif isinstance(case.body, bytes):
        case.body = good
    elif isinstance(case.body, list):
        case.body = json.loads(good)
    for parameters in (case.query, case.path_parameters):
        for name in ("item", "like_item"):
            if parameters and name in parameters:
                parameters[name] = item


@pytest.mark.parametrize("kind", ["images", "features"])
def test_no_request_ends_in_an_error_of_the_server(kind, request):
    api, good, item = request.getfixturevalue(kind)
    seen = Counter()
    for operation in api.get_all_operations():

        @EXAMPLES
        @given(case=operation.ok().as_strategy())
        def check(case):
            if seen.total() % 2:
                mend(case, good, item)
            answer = case.call()
            seen[case.operation.label, answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        check()
    done = {name for name, status in seen if status == 200}
    assert done >= {"POST /embed", "POST /search", "GET /search", "POST /translate", "GET /about"}
    assert max(status for _, status in seen) < 500
