"""Memory and speed of fine-tuning full-size TimeSformer-base and SmolVLM2-500M, with and without QLoRA.

Architectures from their configurations, with random weights: time and memory do not depend on what the weights are.
Batches of random frames at the published sizes: 8 videos of 8 frames of 224 x 224 for TimeSformer, 4 of 8 frames of
512 x 512 for SmolVLM2. Four ways to train:

- full: all weights in bf16, their gradients and the state of AdamW likewise, without gradient checkpointing;
- full, checkpointing: the same with it;
- LoRA: frozen bf16 weights, adapters and head trained, gradient checkpointing;
- QLoRA: the same on NF4 weights with double quantisation, and with paged 8-bit AdamW: what `--env=paper` does.

Measuring needs a CUDA GPU that has bf16. Without one the script says so, prints what can be computed (weights,
gradients and optimiser state from their types; activations by counting what the forward pass of one video keeps for the
backward pass, on the CPU with a few layers, from which all layers follow: each keeps the same) and ends well.

    python benchmarks/qlora_memory.py [--steps 10]
"""

import argparse
import gc
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import yaml
from transformers import SmolVLMConfig, TimesformerConfig

from vidpop_pipelines.pipelines.short_video.model import (
    SmolVlmClassifier,
    TimesformerClassifier,
    add_adapters,
    device,
    load_backbone,
)
from vidpop_pipelines.pipelines.short_video.parameters import BackboneOptions

ROOT = Path(__file__).parents[1]
GIB = 2**30
BATCH = {"timesformer": 8, "smolvlm2": 4}
# Layers of each stack: TimeSformer's one; SmolVLM2's vision encoder and language model.
N_LAYERS = {"timesformer": (12,), "smolvlm2": (12, 32)}
N_FRAMES = 8
WAYS = ("full", "full, checkpointing", "LoRA", "QLoRA")
# Bytes per parameter: bf16 weight, gradient and two moments; frozen bf16; trained in fp32 with two moments in 32 bits,
# or in 8 bits; NF4 with one 8-bit scale per 64 weights and one 32-bit scale per 256 of those.
FULL, FROZEN, TRAINED, TRAINED_8BIT, NF4 = 8.0, 2.0, 16.0, 10.0, 0.5 + 1 / 64 + 4 / (64 * 256)


def build(architecture: str, n_layers: tuple[int, ...] | None = None) -> Any:
    """Returns the classifier in bf16, with random weights; full-size but for the layers of its stacks, if given."""
    torch.set_default_dtype(torch.bfloat16)
    n_layers = n_layers or N_LAYERS[architecture]
    try:
        if architecture == "timesformer":  # the defaults are TimeSformer-base
            return TimesformerClassifier(TimesformerConfig(num_labels=2, num_hidden_layers=n_layers[0]))
        return SmolVlmClassifier(_smolvlm2_500m(*n_layers))
    finally:
        torch.set_default_dtype(torch.float32)


def _smolvlm2_500m(n_vision_layers: int, n_text_layers: int) -> SmolVLMConfig:
    """HuggingFaceTB/SmolVLM2-500M-Video-Instruct: SigLIP-base at 512 pixels, and SmolLM2-360M."""
    vision = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    text = {
        "model_type": "llama",
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": n_text_layers,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
        "vocab_size": 49280,
        "max_position_embeddings": 8192,
        "pad_token_id": 2,
    }
    return SmolVLMConfig(
        vision_config=vision | {"num_hidden_layers": n_vision_layers, "image_size": 512, "patch_size": 16},
        text_config=text,
        scale_factor=4,
        image_token_id=49190,
        pad_token_id=2,
    )


def make_batch(architecture: str, n_videos: int, on: torch.device) -> dict[str, torch.Tensor]:
    """Returns random frames and, for SmolVLM2, a prompt of its length: 64 tokens per frame and 25 around it."""
    generator = torch.Generator().manual_seed(0)
    size = 224 if architecture == "timesformer" else 512
    pixels = torch.randn(n_videos, N_FRAMES, 3, size, size, generator=generator)
    batch = {"pixel_values": pixels, "labels": torch.arange(n_videos) % 2}
    if architecture == "smolvlm2":
        words = torch.randint(100, 49000, (n_videos, N_FRAMES, 25), generator=generator)
        images = torch.full((n_videos, N_FRAMES, 64), 49190)
        batch["input_ids"] = torch.cat([words, images], dim=2).flatten(1)
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    return {name: values.to(on) for name, values in batch.items()}


def prepare(architecture: str, way: str, options: BackboneOptions, folder: Path) -> tuple[Any, Callable]:
    """Returns a model as it is trained in one way, and a function that makes its optimiser."""
    if way.startswith("full"):
        model = build(architecture).to(device())
        getattr(model, model.head).float()
        if "checkpointing" in way:
            model.activation_checkpointing_enable({"use_reentrant": False})
        return model, lambda trained: torch.optim.AdamW(trained, lr=1e-5, fused=True)
    quantization = "nf4" if way == "QLoRA" else "none"
    options = options.model_copy(update={"quantization": quantization})
    if not (folder / "config.json").exists():
        build(architecture).save_pretrained(folder)
    model = add_adapters(load_backbone(architecture, str(folder), options, "bf16"), options)
    if way == "LoRA":
        return model, lambda trained: torch.optim.AdamW(trained, lr=1e-4, fused=True)

    def paged(trained: list) -> Any:
        from bitsandbytes.optim import PagedAdamW8bit

        return PagedAdamW8bit(trained, lr=1e-4)

    return model, paged


def measure(model: Any, make_optimizer: Callable, batch: dict[str, torch.Tensor], n_steps: int) -> dict:
    """Trains some steps on the GPU; returns memory and speed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(trained)
    model.train()

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(**batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    before = torch.cuda.memory_allocated()
    step()
    state = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / n_steps
    peak = torch.cuda.max_memory_allocated()
    return {
        "peak_gib": peak / GIB,
        "weights_gib": before / GIB,
        "optimizer_gib": (state - before) / GIB,
        "gradients_and_activations_gib": (peak - state) / GIB,
        "steps_per_second": 1 / seconds,
    }


@contextmanager
def _kept(excluded: set[int]) -> Iterator[dict[int, int]]:
    """Counts the bytes that autograd keeps while the block runs, by storage; not those of the parameters."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in excluded:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def compute(architecture: str, way: str, options: BackboneOptions) -> dict:
    """Computes the memory of one way from the types of its parts, and from one video's activations on the CPU."""

    def unquantised(n_layers: tuple[int, ...] | None = None) -> Any:
        model = build(architecture, n_layers)
        getattr(model, model.head).float()
        if not way.startswith("full"):
            return add_adapters(model, options)
        if "checkpointing" in way:
            model.activation_checkpointing_enable({"use_reentrant": False})
        return model

    with torch.device("meta"):  # only the sizes count
        model = unquantised()
    parameters = [p for name, p in model.named_parameters() if ".original_module." not in name]
    n_trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    n_frozen = sum(parameter.numel() for parameter in parameters) - n_trained
    linear = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    state = FULL * n_trained if way.startswith("full") else FROZEN * n_frozen + TRAINED * n_trained

    batch, few = make_batch(architecture, 1, torch.device("cpu")), (1,) * len(N_LAYERS[architecture])
    of_few = activations = _activations(unquantised(few), batch)
    for stack, n_layers in enumerate(N_LAYERS[architecture]):
        one_more = tuple(n + (position == stack) for position, n in enumerate(few))
        of_a_layer = _activations(unquantised(one_more), batch) - of_few
        activations += of_a_layer * (n_layers - few[stack])
    activations *= BATCH[architecture]
    return {
        "trained": n_trained,
        "frozen": n_frozen,
        "frozen_in_linear_layers": sum(weight.numel() for weight in linear if not weight.requires_grad),
        "weights_gradients_optimizer_gib": state / GIB,
        "activations_gib": activations / GIB,
        "total_gib": (state + activations) / GIB,
    }


def in_own_process(function: Callable, *arguments: Any) -> Any:
    """Calls a function in a process of its own: what one leaves in memory would add up over all."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def in_four_bits(lora: dict) -> dict:
    """Returns what `compute` found for LoRA with linear layers in NF4 and optimiser state in 8 bits.

    The activations are the same: a frozen layer keeps nothing, whatever its weights are stored in.
    """
    n_linear = lora["frozen_in_linear_layers"]
    state = NF4 * n_linear + FROZEN * (lora["frozen"] - n_linear) + TRAINED_8BIT * lora["trained"]
    total = state / GIB + lora["activations_gib"]
    return lora | {"weights_gradients_optimizer_gib": state / GIB, "total_gib": total}


def _activations(model: Any, batch: dict[str, torch.Tensor]) -> int:
    """Returns the bytes that a training step keeps of a batch; with checkpointing, those of one layer at a time."""
    gc.collect()  # of the model before, whose parts refer to each other
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    model.train()
    with _kept(weights) as kept, torch.autocast("cpu", torch.bfloat16):
        answer = model(**batch)
    total = sum(kept.values())
    del answer
    checkpointed = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    return total + (_largest_layer(model, batch, weights) if checkpointed else 0)


def _largest_layer(model: Any, batch: dict[str, torch.Tensor], weights: set[int]) -> int:
    """Returns the bytes that the layer with most activations keeps for one video when it is computed again."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    sizes = []

    def measured(layer: Any) -> None:
        forward = layer.forward

        def count(*args: Any, **kwargs: Any) -> Any:
            with torch.enable_grad(), _kept(weights) as kept:
                forward(args[0].detach().requires_grad_(), *args[1:], **kwargs)
            sizes.append(sum(kept.values()))
            with torch.no_grad():
                return forward(*args, **kwargs)

        layer.forward = count

    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.gradient_checkpointing = False
            measured(layer)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(**batch)
    return max(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if on_gpu else None
    print(f"Measured on one {name}." if on_gpu else "There is no CUDA GPU here: computed, NOT measured.")
    tree = yaml.safe_load((ROOT / "conf/paper/parameters/short_video.yml").read_text())
    base = yaml.safe_load((ROOT / "conf/base/parameters/short_video.yml").read_text())
    results: dict = {"measured": on_gpu, "gpu": name, "batch": BATCH, "n_frames": N_FRAMES}
    for architecture in BATCH:
        lora = base[architecture]["backbone"]["lora"] | tree[architecture]["backbone"]["lora"]
        options = BackboneOptions(model="unused", lora=lora)
        found = results[architecture] = {}
        with TemporaryDirectory() as folder:
            for way in WAYS:
                if on_gpu:
                    model, make_optimizer = prepare(architecture, way, options, Path(folder))
                    batch = make_batch(architecture, BATCH[architecture], device())
                    found[way] = measure(model, make_optimizer, batch, arguments.steps)
                    del model, make_optimizer, batch
                    gc.collect()
                    torch.cuda.empty_cache()
                elif way == "QLoRA":
                    found[way] = in_four_bits(found["LoRA"])
                else:
                    found[way] = in_own_process(compute, architecture, way, options)
                values = ", ".join(f"{key} {value:,.3g}" for key, value in found[way].items())
                print(f"{architecture}, batch {BATCH[architecture]}, {way}: {values}", flush=True)
        total = "peak_gib" if on_gpu else "total_gib"
        found["full_to_qlora"] = found["full"][total] / found["QLoRA"][total]
        print(f"{architecture}: full needs {found['full_to_qlora']:.1f} times the memory of QLoRA")
    path = ROOT / "benchmarks" / "results" / "qlora_memory.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
