import pytest
import torch

from iiae import hardware


def test_bf16_pays_where_the_processor_has_units_for_it(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(
            torch.cpu, "get_capabilities", lambda has=has: {"amx_bf16": has}, raising=False
        )
        assert hardware.bf16_pays(torch.device("cpu")) is has


def test_an_older_torch_or_another_device_stays_in_float32(monkeypatch):
    assert not hardware.bf16_pays(torch.device("meta"))
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not hardware.bf16_pays(torch.device("cpu"))


def test_a_gpu_is_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    assert hardware.bf16_pays(torch.device("cuda"))
    assert hardware.free_memory(torch.device("cuda")) == 5


@pytest.mark.parametrize(("device", "known"), [("cpu", True), ("meta", False)])
def test_free_memory_is_zero_where_it_cannot_be_known(device, known):
    assert (hardware.free_memory(torch.device(device)) > 0) is known
