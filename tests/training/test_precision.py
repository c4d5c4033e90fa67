import pytest
import torch

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.training.precision import choose_precision


def pretend(monkeypatch, *, gpu_bf16=None, cpu=(), mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_bf16 is not None)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or gpu_bf16
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(cpu, True))


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ({"gpu_bf16": True}, "bf16"),
        ({"gpu_bf16": False}, "fp16"),
        ({"gpu_bf16": False, "cpu": ["avx512_bf16"]}, "fp16"),
        ({"cpu": ["avx512_bf16"]}, "bf16"),
        ({"cpu": ["amx_bf16"]}, "bf16"),
        ({"cpu": ["avx2"]}, "fp32"),
        ({"mps": True, "cpu": ["bf16"]}, "fp32"),
    ],
)
def test_auto_takes_what_the_hardware_multiplies_natively(monkeypatch, machine, expected):
    pretend(monkeypatch, **machine)
    assert choose_precision("auto") == expected


def test_requests_are_honoured_or_refused(monkeypatch):
    pretend(monkeypatch, cpu=["avx2"])
    assert choose_precision("fp32") == "fp32"
    assert choose_precision("bf16") == "bf16"
    with pytest.raises(InputError, match="needs a CUDA GPU"):
        choose_precision("fp16")
    pretend(monkeypatch, gpu_bf16=False)
    assert choose_precision("fp16") == "fp16"
    with pytest.raises(InputError, match="Tesla T4 does not compute in bf16"):
        choose_precision("bf16")
