"""The networks: a pretrained backbone, frozen and quantised, with trained adapters and a trained head of two classes.

Imports torch and transformers at the top, so import this module inside functions only.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    BitsAndBytesConfig,
    PreTrainedModel,
    SmolVLMModel,
    SmolVLMPreTrainedModel,
    TimesformerConfig,
    TimesformerForVideoClassification,
)
from transformers.utils import logging as transformers_logging

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.short_video.parameters import BackboneOptions
from vidpop_pipelines.training.precision import Precision

N_CLASSES = 2

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _Classifier:
    """What both classifiers add to their backbone: class weights in the loss."""

    def weigh_classes(self, weights: torch.Tensor) -> None:
        """Sets the weights of the classes in the loss, (2,); not part of the saved model."""
        device = next(self.parameters()).device
        self.register_buffer("class_weights", weights.to(device, torch.float32), persistent=False)

    def _answer(self, logits: torch.Tensor, labels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        logits = logits.float()
        if labels is None:
            return {"logits": logits}
        weights = getattr(self, "class_weights", None)
        return {"loss": nn.functional.cross_entropy(logits, labels, weight=weights), "logits": logits}


class TimesformerClassifier(_Classifier, TimesformerForVideoClassification):
    """TimeSformer (arXiv 2102.05095) with a linear classifier on the hidden state of its [CLS] token."""

    head = "classifier"

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Scores videos.

        Args:
            pixel_values: (B, T, 3, H, W) normalised frames.
            labels: (B,) int64, 1 for popular.

        Returns:
            `logits` (B, 2) and, with labels, `loss`.
        """
        hidden = self.timesformer(pixel_values.to(self.dtype)).last_hidden_state
        return self._answer(self.classifier(hidden[:, 0].float()), labels)


class SmolVlmClassifier(_Classifier, SmolVLMPreTrainedModel):
    """SmolVLM2 (arXiv 2504.05299) with a linear score head on its last token, without its language head.

    The names of its weights are those of `SmolVLMForConditionalGeneration`, so that its checkpoints load.
    """

    head = "score"

    def __init__(self, config: Any):
        super().__init__(config)
        self.model = SmolVLMModel(config)
        self.score = nn.Linear(config.text_config.hidden_size, N_CLASSES, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Scores videos.

        Args:
            input_ids: (B, L) prompt with the placeholders of the frames, padded on either side.
            attention_mask: (B, L), 0 for padding.
            pixel_values: (B, T, 3, H, W) normalised frames; a frame of nothing but zeros is padding, and skipped.
            labels: (B,) int64, 1 for popular.

        Returns:
            `logits` (B, 2) and, with labels, `loss`.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            pixel_values=pixel_values,
            use_cache=False,
        )
        last = last_token(outputs.last_hidden_state, attention_mask)
        return self._answer(self.score(last.float()), labels)


def last_token(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Takes the hidden state of the last real token, whatever the padding side.

    Args:
        hidden: (B, L, D).
        attention_mask: (B, L), 0 for padding.

    Returns:
        (B, D).

    Raises:
        ValueError: If a row is nothing but padding.
    """
    if not attention_mask.bool().any(dim=1).all():
        raise ValueError("a row has no real token")
    positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    last = (attention_mask.bool() * (positions + 1)).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


_CLASSIFIERS: dict[str, type[PreTrainedModel]] = {
    "timesformer": TimesformerClassifier,
    "smolvlm2": SmolVlmClassifier,
}


def load_backbone(
    architecture: str, source: str, options: BackboneOptions, precision: Precision
) -> PreTrainedModel:
    """Loads a pretrained network, quantised as asked, with a new head of two classes.

    Args:
        architecture: `timesformer` or `smolvlm2`.
        source: Id on the hub, or a folder.
        options: Revision, quantisation.
        precision: What is computed in; weights that are not quantised have it too.

    Returns:
        The classifier on the GPU of this process, or on the CPU.

    Raises:
        InputError: If there is no such model, or it is of another architecture.
    """
    with without_remarks(), _explained(architecture, source):
        config = AutoConfig.from_pretrained(source, revision=options.revision)
        expected = _CLASSIFIERS[architecture].config_class
        if not isinstance(config, expected):
            raise InputError(
                f"{source} is a {config.model_type} model.",
                f"a {expected.model_type} model",
                f"change {architecture}.backbone.model.",
            )
        if isinstance(config, TimesformerConfig):
            config.num_labels = N_CLASSES
        network = _CLASSIFIERS[architecture].from_pretrained(
            source,
            config=config,
            revision=options.revision,
            dtype=_DTYPES[precision],
            quantization_config=_quantization(architecture, options, precision),
            device_map={"": device()},
            ignore_mismatched_sizes=True,  # of the head, which has its own classes in the checkpoint
        )
    getattr(network, network.head).float()  # what is trained is trained in full precision
    for module in network.modules():
        # On a CPU with bf16, bitsandbytes packs the weights of a Linear4bit anew when it is first evaluated, with less
        # exact scales, and then no gradient flows through it any more (0.50): later epochs would train a part only.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return network


def device() -> torch.device:
    """Returns the GPU of this process (`torchrun` gives each its own), or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def add_adapters(backbone: PreTrainedModel, options: BackboneOptions) -> Any:
    """Freezes a backbone and adds what is trained: LoRA adapters, and the head as a whole.

    Returns:
        The PEFT model.

    Raises:
        InputError: If no layer has one of the names.
    """
    from peft import LoraConfig, get_peft_model

    lora = options.lora
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        modules_to_save=[backbone.head],
    )
    linear = {
        name.rsplit(".", 1)[-1] for name, module in backbone.named_modules() if isinstance(module, nn.Linear)
    }
    unknown = sorted(set(lora.target_modules) - linear)
    if unknown:
        raise InputError(
            f"{type(backbone).__name__} has no linear layer {', '.join(unknown)}.",
            f"some of {', '.join(sorted(linear - {backbone.head}))}",
            "change lora.target_modules.",
        )
    model = get_peft_model(backbone, config)
    if options.gradient_checkpointing:
        # Reentrant checkpoints would need inputs with gradients, which frozen embeddings do not give.
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def save_adapters(model: Any, folder: Path) -> None:
    """Writes adapters and head, as `adapter_config.json` and `adapter_model.safetensors` of PEFT."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        folder / "adapter_model.safetensors",
    )
    model.peft_config["default"].save_pretrained(folder)


def load_adapters(model: Any, folder: Path) -> None:
    """Puts the adapters and the head that `save_adapters` wrote into a model with new ones.

    Raises:
        InputError: If they belong to another backbone.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    path = folder / "adapter_model.safetensors"
    state, expected = load_file(path), get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    differing = sorted(set(shapes.items()) ^ {(name, tensor.shape) for name, tensor in expected.items()})
    if differing:
        raise InputError(
            f"{path} does not fit the backbone, for example in {differing[0][0]}.",
            "the backbone that it was trained on",
        )
    set_peft_model_state_dict(model, state)


def _quantization(
    architecture: str, options: BackboneOptions, precision: Precision
) -> BitsAndBytesConfig | None:
    head = [_CLASSIFIERS[architecture].head]
    if options.quantization == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=_DTYPES[precision],
            llm_int8_skip_modules=head,
        )
    if options.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=head)
    return None


@contextlib.contextmanager
def _explained(architecture: str, source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError where a folder holds something else
        raise InputError(
            f"{source}: cannot be loaded ({str(error).splitlines()[0]})",
            "the id of a model on the Hugging Face hub, or a folder with one",
            f"check {architecture}.backbone.model, or the network.",
        ) from None


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Keeps back transformers' remark that the head is new, which is as it should be, and its progress bars."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
