"""Which floating-point precision a training computes in."""

from typing import Literal

from vidpop_pipelines.errors import InputError

Precision = Literal["fp32", "bf16", "fp16"]


def choose_precision(requested: Literal["auto", "fp32", "bf16", "fp16"]) -> Precision:
    """Returns the precision to train in on this machine.

    `auto` takes bf16 where the hardware multiplies it natively, fp16 on GPUs that do not, fp32 elsewhere.

    Args:
        requested: Value of the option.

    Raises:
        InputError: If the hardware cannot do what is requested.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    if requested == "auto":
        return _native_bf16(on_gpu) or ("fp16" if on_gpu else "fp32")
    if requested == "fp16" and not on_gpu:
        raise InputError(
            "Training in fp16 needs a CUDA GPU, and this machine has none.",
            "precision auto, fp32 or bf16 on a CPU",
            "set precision: auto in the training parameters.",
        )
    if requested == "bf16" and on_gpu and not _native_bf16(on_gpu):
        raise InputError(
            f"{torch.cuda.get_device_name()} does not compute in bf16.",
            "precision auto, fp32 or fp16 on this GPU",
            "set precision: auto in the training parameters.",
        )
    return requested


def _native_bf16(on_gpu: bool) -> Literal["bf16"] | None:
    import torch

    if on_gpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if torch.backends.mps.is_available():
        return None
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else None
