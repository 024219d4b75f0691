"""The server as a process of its own."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")

from helpers import save_run, write_images
from iiae.errors import RunError, SettingsError
from iiae.run_folder import load_run
from iiae.search.index import index_files
from iiae.web.serving import serve


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    run = save_run(folder / "run")
    write_images(folder / "c", [f"{i}.png" for i in range(4)])
    index_files(run, folder / "g", [folder / "c"], "y", progress=False)
    return folder


def test_damaged_examples_are_refused_in_one_line(tmp_path):
    run = load_run(save_run(tmp_path / "run").folder)
    (tmp_path / "run" / "examples.npz").write_bytes(b"no zip")
    with pytest.raises(RunError, match=r"examples.npz: damaged"):
        serve(run, port=free_port())


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(place, port):
    words = ["serve", place / "run", "--gallery", place / "g", "--port", port]
    command = [sys.executable, "-m", "iiae", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait(port):
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


def begin(port, body, path):
    """A request whose second half has not been sent yet."""
    connection = socket.create_connection(("127.0.0.1", port), 30)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[: len(body) // 2])
    return connection


def finish(connection, body):
    connection.sendall(body[len(body) // 2 :])
    with connection, connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = next(int(line[15:]) for line in file if line.lower().startswith(b"content-length"))
        while file.readline() != b"\r\n":
            pass
        return status, json.loads(file.read(length))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_finishes_what_is_under_way_and_takes_no_more(place, number):
    port = free_port()
    server = start(place, port)
    wait(port)
    body = (place / "c" / "0.png").read_bytes()
    paths = ["/search?domain=y&top=4", "/embed?domain=x"] * 4
    slow = [begin(port, body, path) for path in paths]
    time.sleep(0.2)
    server.send_signal(number)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            time.sleep(0.05)
        except OSError:
            break
    else:
        raise AssertionError("new requests are taken still")
    time.sleep(0.5)
    assert server.poll() is None
    for path, connection in zip(paths, slow, strict=True):
        status, values = finish(connection, body)
        assert status == 200
        expected = ("hits", 4) if "search" in path else ("exclusive", 8)
        assert len(values[expected[0]]) == expected[1]
    assert server.wait(30) == 0
    lines = server.stderr.read().splitlines()
    server.stderr.close()
    assert len(lines) == 1 and lines[0].startswith("serving ")


def test_a_port_that_is_taken_is_said_in_one_line(place):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"--port {port}: cannot listen there: Address"):
            serve(load_run(place / "run"), port=port)
