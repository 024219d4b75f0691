import json
import logging

import pytest
import torch

from iiae import hardware

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Seconds of a kernel by type of numbers, as the test sets them, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seconds: dict[torch.dtype, float] = {}
    asked = []

    def timed(kernel):
        asked.append(kernel().dtype)
        return seconds[asked[-1]]

    monkeypatch.setattr(hardware, "_seconds", timed)
    hardware._gain.cache_clear()
    yield seconds, asked
    hardware._gain.cache_clear()


@pytest.mark.parametrize(("bfloat16", "pays"), [(0.4, True), (0.9, False), (1.6, False)])
@pytest.mark.parametrize("images", [True, False])
def test_bf16_pays_if_it_is_measured_to_be_faster(measured, bfloat16, pays, images):
    measured[0].update({torch.float32: 1.0, torch.bfloat16: bfloat16})
    assert hardware.bf16_pays(CPU, images, 8) is pays


def test_a_measurement_is_kept_per_machine_and_batch(measured, tmp_path, caplog):
    seconds, asked = measured
    seconds.update({torch.float32: 1.0, torch.bfloat16: 0.4})
    with caplog.at_level(logging.INFO, "iiae"):
        assert hardware.bf16_pays(CPU, False, 8)
    assert "bfloat16; a product in bfloat16 runs at 2.5 times its rate in float32" in caplog.text
    seconds[torch.bfloat16] = 2.0
    hardware._gain.cache_clear()  # as a new process
    assert hardware.bf16_pays(CPU, False, 8) and len(asked) == 2
    assert not hardware.bf16_pays(CPU, False, 16) and len(asked) == 4
    assert len(json.loads((tmp_path / "iiae" / "precision.json").read_text())) == 2


@pytest.mark.parametrize("text", ["", "[1]", '{"a": '])
def test_a_damaged_file_of_measurements_is_made_again(measured, tmp_path, text):
    measured[0].update({torch.float32: 1.0, torch.bfloat16: 0.4})
    (tmp_path / "iiae").mkdir()
    (tmp_path / "iiae" / "precision.json").write_text(text)
    assert hardware.bf16_pays(CPU, False, 8)
    assert len(json.loads((tmp_path / "iiae" / "precision.json").read_text())) == 1


def test_without_a_place_to_write_the_machine_is_measured_all_the_same(measured, tmp_path):
    measured[0].update({torch.float32: 1.0, torch.bfloat16: 0.4})
    (tmp_path / "iiae").write_text("a file where the folder should be")
    assert hardware.bf16_pays(CPU, False, 8)


def test_a_kernel_is_timed_on_one_thread_and_threads_are_put_back():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        assert hardware._seconds(lambda: seen.append(torch.get_num_threads())) >= 0
        assert set(seen) == {1} and len(seen) == 6
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_another_device_stays_in_float32():
    assert not hardware.bf16_pays(torch.device("meta"), True, 8)


def test_a_gpu_is_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    assert hardware.bf16_pays(torch.device("cuda"), True, 8)
    assert hardware.free_memory(torch.device("cuda")) == 5


@pytest.mark.parametrize(("device", "known"), [("cpu", True), ("meta", False)])
def test_free_memory_is_zero_where_it_cannot_be_known(device, known):
    assert (hardware.free_memory(torch.device(device)) > 0) is known


def test_memory_is_kept_only_where_the_c_library_can(monkeypatch):
    hardware.keep_freed_memory()
    monkeypatch.setattr(hardware.ctypes, "CDLL", lambda name: object())
    hardware.keep_freed_memory()
