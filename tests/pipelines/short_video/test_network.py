"""The networks: pooling, masks, quantisation, adapters."""

import bitsandbytes
import numpy as np
import pytest
import torch
from short_video_inputs import ARCHITECTURES, backbone_options, frame_options, make_frames

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.short_video.inputs import load_inputs
from vidpop_pipelines.pipelines.short_video.model import (
    add_adapters,
    last_token,
    load_adapters,
    load_backbone,
    save_adapters,
)
from vidpop_pipelines.pipelines.short_video.tiny_models import build_tiny_model


@pytest.fixture
def build(tiny_backbones):
    """Returns a function that loads a tiny backbone, with adapters, and its inputs."""

    def load(architecture, precision="fp32", **changes):
        options = backbone_options(architecture, **changes)
        torch.manual_seed(0)
        backbone = load_backbone(architecture, str(tiny_backbones[architecture]), options, precision)
        inputs = load_inputs(architecture, tiny_backbones[architecture], options)
        return add_adapters(backbone, options), inputs

    return load


def score(model, batch):
    model.eval()
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(values) for name, values in batch.items()})["logits"].numpy()


def test_last_token_by_hand():
    hidden = torch.arange(12.0).reshape(3, 4, 1)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    assert last_token(hidden, mask).flatten().tolist() == [1.0, 7.0, 11.0]
    with pytest.raises(ValueError, match="no real token"):
        last_token(hidden, torch.zeros(3, 4, dtype=torch.long))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_equals_none(build, side):
    """Videos of different numbers of frames in a batch score as they score alone, without any padding."""
    model, inputs = build("smolvlm2", quantization="none")
    inputs.processor.tokenizer.padding_side = side
    frames = make_frames(np.array([1, 0, 1]), counts=np.array([4, 2, 3]))
    batch = inputs(frames, np.arange(3))
    padded = batch["attention_mask"] == 0
    assert padded[1].any() and padded[1, 0 if side == "left" else -1] and not padded[0].any()
    alone = [inputs(frames, np.array([row])) for row in range(3)]
    assert all(one["attention_mask"].all() for one in alone)
    np.testing.assert_allclose(
        score(model, batch), np.concatenate([score(model, one) for one in alone]), atol=1e-5
    )


def test_padded_frames_are_zeros_that_the_vision_encoder_never_sees(build):
    model, inputs = build("smolvlm2", quantization="none")
    frames = make_frames(np.array([1, 0]), counts=np.array([4, 2]))
    batch = inputs(frames, np.arange(2))
    assert (batch["pixel_values"][1, 2:] == 0).all() and (batch["pixel_values"][1, :2] != 0).any()
    seen = []
    vision = model.base_model.model.model.vision_model
    vision.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["pixel_values"].shape[0]), with_kwargs=True
    )
    score(model, batch)
    assert seen == [4 + 2]


def test_prompt_names_each_video_s_own_frames_and_times(build):
    _, inputs = build("smolvlm2")
    frames = make_frames(np.array([1, 0]), counts=np.array([4, 3]))
    batch = inputs(frames, np.arange(2))
    tokenizer = inputs.processor.tokenizer
    first, second = (
        tokenizer.decode(ids[mask == 1])
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    )
    assert "series of four frames" in first and "series of three frames" in second
    # Frames at 0, 0.5 and 1 s.
    assert second.count("Frame from 00:00:") == 2 and second.count("Frame from 00:01:") == 1
    assert first.endswith("Is this popular?<end_of_utterance>\nAssistant:")


def test_short_videos_repeat_frames_evenly_for_timesformer(build):
    _, inputs = build("timesformer")
    frames = make_frames(np.array([1]), counts=np.array([2]))
    values = inputs(frames, np.array([0]))["pixel_values"][0]
    assert values.shape == (4, 3, 32, 32)
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[2], values[3])
    assert (values[1] != values[2]).any()
    # Standardised as the processor's file says, not in 0..255 or 0..1.
    assert -3 < values.mean() < 3 and values.std() > 0.3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
def test_all_quantizations_score_and_give_gradients_to_adapters_and_head_alone(
    build, architecture, quantization
):
    model, inputs = build(architecture, quantization=quantization)
    kind = {"nf4": bitsandbytes.nn.Linear4bit, "int8": bitsandbytes.nn.Linear8bitLt, "none": torch.nn.Linear}
    quantised = [module for module in model.modules() if isinstance(module, kind[quantization])]
    assert len(quantised) > 10
    if quantization == "nf4":
        state = quantised[0].weight.quant_state
        assert state.quant_type == "nf4" and state.nested
    batch = inputs(make_frames(np.array([1, 0])), np.arange(2)) | {"labels": np.array([1, 0])}
    model.train()
    model(**{name: torch.from_numpy(values) for name, values in batch.items()})["loss"].backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or ".modules_to_save." in name for name in trained)
    head = {"timesformer": "classifier", "smolvlm2": "score"}[architecture]
    assert any(f"{head}.modules_to_save" in name for name in trained)
    gradients = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert gradients == trained
    assert all(
        parameter.dtype == torch.float32 for parameter in model.parameters() if parameter.requires_grad
    )


def test_adapters_are_on_the_published_layers(build):
    model, _ = build("timesformer")
    adapted = {
        name.split(".lora_A")[0].rsplit(".", 1)[-1]
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    assert adapted == {"qkv", "dense", "temporal_dense"}
    model, _ = build("smolvlm2")
    adapted = {
        name.split(".lora_A")[0].rsplit(".", 1)[-1]
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    projections = {f"{letter}_proj" for letter in "qkvo"} | {"out_proj", "gate_proj", "up_proj", "down_proj"}
    assert adapted == projections


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_adapters_and_head_round_trip_onto_a_fresh_backbone(build, architecture, tmp_path):
    model, inputs = build(architecture)
    batch = inputs(make_frames(np.array([1, 0, 1])), np.arange(3))
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    expected = score(model, batch)
    save_adapters(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    fresh, _ = build(architecture)
    assert np.abs(score(fresh, batch) - expected).max() > 0.01
    load_adapters(fresh, tmp_path)
    np.testing.assert_allclose(score(fresh, batch), expected, atol=1e-6)


def test_adapters_of_another_backbone_are_refused(build, tmp_path):
    model, _ = build("timesformer")
    save_adapters(model, tmp_path)
    other, _ = build("smolvlm2")
    with pytest.raises(InputError, match="does not fit the backbone"):
        load_adapters(other, tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_evaluation_changes_neither_scores_nor_gradients_of_later_training(build, architecture):
    """As in training, where every epoch ends with an evaluation; bitsandbytes packs weights there on some CPUs."""
    model, inputs = build(architecture)
    batch = inputs(make_frames(np.array([1, 0])), np.arange(2)) | {"labels": np.array([1, 0])}
    tensors = {name: torch.from_numpy(values) for name, values in batch.items()}

    def gradients():
        model.train().zero_grad()
        answer = model(**tensors)
        answer["loss"].backward()
        trained = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        return answer["logits"].detach(), trained

    logits, before = gradients()
    batch.pop("labels")
    np.testing.assert_allclose(score(model, batch), logits.numpy(), atol=1e-6)
    _, after = gradients()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_class_weights_weigh_the_loss(tiny_backbones, build):
    options = backbone_options("timesformer")
    torch.manual_seed(0)
    backbone = load_backbone("timesformer", str(tiny_backbones["timesformer"]), options, "fp32")
    backbone.weigh_classes(torch.tensor([1.0, 3.0]))
    model = add_adapters(backbone, options).eval()
    _, inputs = build("timesformer")
    batch = inputs(make_frames(np.array([0, 1])), np.arange(2)) | {"labels": np.array([0, 1])}
    answer = model(**{name: torch.from_numpy(values) for name, values in batch.items()})
    log_probability = torch.log_softmax(answer["logits"], dim=1)
    expected = -(log_probability[0, 0] + 3 * log_probability[1, 1]) / 4
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_wrong_backbones_are_named(tiny_backbones, tmp_path):
    options = backbone_options("timesformer")
    with pytest.raises(InputError, match=r"is a smolvlm model.*\n.*a timesformer model"):
        load_backbone("timesformer", str(tiny_backbones["smolvlm2"]), options, "fp32")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_backbone("timesformer", str(tmp_path), options, "fp32")
    wrong = backbone_options("timesformer", lora={"rank": 4, "alpha": 8, "target_modules": ["q_proj"]})
    backbone = load_backbone("timesformer", str(tiny_backbones["timesformer"]), wrong, "fp32")
    with pytest.raises(InputError, match="no linear layer q_proj"):
        add_adapters(backbone, wrong)


def test_tiny_backbones_are_built_once_and_the_same_everywhere(tiny_backbones, tmp_path):
    first = tiny_backbones["timesformer"]
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    assert build_tiny_model("timesformer", frame_options("timesformer"), 0, first.parent) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp
    state = torch.random.get_rng_state()
    again = build_tiny_model("timesformer", frame_options("timesformer"), 0, tmp_path)
    assert (again / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    assert torch.equal(state, torch.random.get_rng_state())
    assert [path.name for path in tmp_path.iterdir()] == [again.name]
    odd = frame_options("timesformer").model_copy(update={"size": 30})
    with pytest.raises(InputError, match="multiple of 8"):
        build_tiny_model("timesformer", odd, 0, tmp_path)
