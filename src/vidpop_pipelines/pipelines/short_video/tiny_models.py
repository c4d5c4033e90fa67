"""Small backbones with random weights, laid out as `save_pretrained` lays out the real ones; for runs without network.

They know nothing: all they learn, they learn in the adapters. They are there so that everything runs, through the
code that runs the real ones.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.video import FrameOptions

_PATCHES_PER_SIDE = 8
_WIDTH = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
# SmolVLM2 joins squares of patches into one token; here four.
_SCALE_FACTOR = 2
_SPECIAL_TOKENS = {
    "pad_token": "<|endoftext|>",
    "bos_token": "<|im_start|>",
    "eos_token": "<end_of_utterance>",
    "fake_image_token": "<fake_token_around_image>",
    "image_token": "<image>",
    "global_image_token": "<global-img>",
    "video_token": "<video>",
}
_USUAL_TOKENS = ("pad_token", "bos_token", "eos_token")
# What the tokenizer's merges are learnt from: the words around every video.
_WORDS = [
    "You are provided the following series of four eight sixteen frames from a 0:00:00 [H:MM:SS] video.",
    "Frame from 00:01: 00:02: User: Assistant: Is this video popular? Answer yes or no.",
]


def build_tiny_model(architecture: str, frames: FrameOptions, seed: int, folder: Path) -> Path:
    """Builds a backbone with its processor, unless it is there.

    Args:
        architecture: `timesformer` or `smolvlm2`.
        frames: Number and size of frames.
        seed: Of the weights.
        folder: Holds one folder for each different backbone, which appears when it is complete; several processes
            may build the same one.

    Returns:
        The folder of the backbone.

    Raises:
        InputError: If the frames cannot be cut into patches.
    """
    if frames.size % _PATCHES_PER_SIDE:
        raise InputError(
            f"{architecture}.frames.size is {frames.size}.",
            f"a multiple of {_PATCHES_PER_SIDE} with the tiny backbone",
        )
    from vidpop_pipelines.pipelines.short_video.model import without_remarks

    build = {"timesformer": _timesformer, "smolvlm2": _smolvlm2}[architecture]
    complete = folder / f"{architecture}_{frames.n_frames}x{frames.size}_seed_{seed}"
    staging = folder / f".{complete.name}.{os.getpid()}"
    if not complete.is_dir():
        with _seeded(seed), without_remarks():
            for part in build(frames):
                part.save_pretrained(staging)
        try:
            os.replace(staging, complete)
        except OSError:  # another process was faster
            shutil.rmtree(staging)
    return complete


def _timesformer(frames: FrameOptions) -> list[Any]:
    from transformers import TimesformerConfig, TimesformerForVideoClassification, TimesformerVideoProcessor

    config = TimesformerConfig(
        image_size=frames.size,
        patch_size=frames.size // _PATCHES_PER_SIDE,
        num_frames=frames.n_frames,
        num_labels=10,  # classes of the pretraining, as Kinetics has 400
        **_WIDTH,
    )
    processor = TimesformerVideoProcessor(
        size={"shortest_edge": frames.size}, crop_size={"height": frames.size, "width": frames.size}
    )
    return [TimesformerForVideoClassification(config), processor]


def _smolvlm2(frames: FrameOptions) -> list[Any]:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = _tokenizer()
    largest = {"longest_edge": frames.size}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size=largest, max_image_size=largest, do_image_splitting=False),
        tokenizer,
        SmolVLMVideoProcessor(
            size=largest,
            max_image_size=largest,
            video_sampling={"fps": 1, "max_frames": frames.n_frames, "video_size": largest},
        ),
        image_seq_len=(_PATCHES_PER_SIDE // _SCALE_FACTOR) ** 2,
    )
    tokens = {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in _USUAL_TOKENS}
    config = SmolVLMConfig(
        vision_config={"image_size": frames.size, "patch_size": frames.size // _PATCHES_PER_SIDE, **_WIDTH},
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 2,
            "max_position_embeddings": 8192,
            **tokens,
            **_WIDTH,
        },
        scale_factor=_SCALE_FACTOR,
        image_token_id=tokenizer.convert_tokens_to_ids(tokenizer.image_token),
        pad_token_id=tokenizer.pad_token_id,
    )
    return [SmolVLMForConditionalGeneration(config), processor]


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(_SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_WORDS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        extra_special_tokens={
            name: token for name, token in _SPECIAL_TOKENS.items() if name not in _USUAL_TOKENS
        },
        **{name: _SPECIAL_TOKENS[name] for name in _USUAL_TOKENS},
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds torch while the block runs, and leaves the state of its generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
