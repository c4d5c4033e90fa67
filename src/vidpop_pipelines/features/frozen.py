"""Pretrained networks that are only ever run, never trained.

Imports torch at the top, so import this module inside functions only.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import nn

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.fingerprint import combine, hash_arrays

Precision = Literal["auto", "float32"]


class FrozenNetwork:
    """A network in evaluation mode, without gradients, in the fastest precision that the device computes in.

    Evaluation mode matters: in training mode BatchNorm normalises by the batch and drifts, and dropout
    makes every run differ.

    Args:
        network: Its weights are converted in place.
        precision: "auto" computes matrix products and convolutions in bfloat16 (float16 on GPUs without
            it) where the hardware does, in float32 elsewhere; the results agree within the rounding of
            bfloat16. "float32" never rounds.
    """

    def __init__(self, network: nn.Module, precision: Precision = "auto"):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = _fast_dtype(self.device) if precision == "auto" else torch.float32
        self.network = network.eval().requires_grad_(False).to(self.device)
        if self.dtype != torch.float32:
            # Autocast would convert these weights anew in every call, which costs short batches most.
            for module in self.network.modules():
                if isinstance(module, nn.Linear | nn.Conv2d):
                    module.to(self.dtype)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the network."""
        reduced = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, enabled=reduced):
            return self.network(*args, **kwargs)


def restore_encoder(
    kind: type, arguments: tuple, keywords: tuple[tuple[str, Any], ...], fingerprint: str
) -> Any:
    """Builds an encoder in another process, once for all batches that it gets.

    Pickled encoders come to this: their weights don't travel with every batch, each process loads them.

    Raises:
        InputError: If it would give other vectors than the encoder that it stands for.
    """
    encoder = _build(kind, arguments, keywords, fingerprint)
    if encoder.fingerprint != fingerprint:
        raise InputError(
            f"{kind.__name__} {arguments[0]!r}: other weights than in the process that runs Kedro.",
            "the same files on all machines",
            "give the model as a folder or file on storage that is mounted everywhere.",
        )
    return encoder


@lru_cache(maxsize=2)
def _build(kind: type, arguments: tuple, keywords: tuple[tuple[str, Any], ...], _fingerprint: str) -> Any:
    # The fingerprint is in the cache's key alone: files that were replaced since are read again.
    return kind(*arguments, **dict(keywords))


def hash_weights(state: Mapping[str, torch.Tensor]) -> str:
    """Returns a digest of names, types, shapes and values, whatever kind of file they came from."""
    names = sorted(state)
    return combine(names, hash_arrays(state[name].detach().cpu().numpy() for name in names))


def _fast_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    capabilities = torch.cpu.get_capabilities()
    # Processors without these instructions emulate bfloat16, which is slower than float32.
    native = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32
