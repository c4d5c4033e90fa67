import importlib.util
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import nn

from vidpop_pipelines.pipelines.smtpd.layers import StepLinear, build_mlp
from vidpop_pipelines.pipelines.smtpd.loss import popularity_loss
from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdNetwork
from vidpop_pipelines.pipelines.smtpd.parameters import MODALITIES, LossOptions

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SMALL = {
    "visual_size": 12,
    "text_size": 10,
    "n_numerical": 6,
    "n_languages": 4,
    "n_steps": 5,
    "visual_hidden_sizes": [9, 8],
    "text_hidden_sizes": [8],
    "numerical_hidden_sizes": [8],
    "categorical_hidden_sizes": [8],
    "branch_size": 6,
    "embedding_size": 7,
    "state_hidden_sizes": [9],
    "step_hidden_sizes": [11],
    "head_hidden_sizes": [8, 4],
    "hidden_size": 6,
    "direct_hidden_sizes": [8, 8],
}


def reference():
    spec = importlib.util.spec_from_file_location("per_step_network", BENCHMARKS / "per_step_network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(**changes):
    torch.manual_seed(0)
    return SmtpdNetwork(SmtpdConfig(**(SMALL | changes)))


def batch(size=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {
        "visual": torch.randn(size, 12, generator=generator),
        "text": torch.randn(size, 5, 10, generator=generator),
        "numerical": torch.randn(size, 6, generator=generator),
        "category": torch.randint(16, (size,), generator=generator),
        "language": torch.randint(4, (size,), generator=generator),
    }


def labels(size=16, seed=2):
    curves = 8 + torch.randn(size, 5, generator=torch.Generator().manual_seed(seed))
    curves[0, 1] = curves[3, 4] = torch.nan
    return curves


def test_default_is_the_published_network():
    with_early_popularity = SmtpdNetwork(SmtpdConfig())
    without = SmtpdNetwork(SmtpdConfig(n_steps=30, n_numerical=5))
    counts = [
        sum(p.numel() for p in net.parameters() if p.requires_grad)
        for net in (with_early_popularity, without)
    ]
    # By hand, per step: input MLP 492,416, cell 132,096, head 41,217; all else 3,694,470 (128 less with
    # five numbers).
    per_step = (
        (512 * 768 + 768 + 768 * 128 + 128) + 4 * 128 * (128 + 128 + 2) + (256 * 128 + 128 * 64 + 64 + 193)
    )
    assert counts == [29 * per_step + 3_694_470, 30 * per_step + 3_694_470 - 128]
    assert counts == [23_000_611, 23_666_212]
    assert counts == pytest.approx([23.3e6, 23.3e6], rel=0.02)


@pytest.mark.parametrize("normalization", ["batch", "layer", "none"])
def test_stacked_steps_equal_a_module_per_step(normalization):
    per_step = reference()
    stacked = network(normalization=normalization, loss={"name": "l1"})
    separate = per_step.per_step_copy(stacked)
    outputs = [net(**batch(), labels=labels()) for net in (stacked, separate)]
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, rtol=1e-5, atol=1e-5)
    for output in outputs:
        output.loss.backward()
    for step in range(5):
        gradients = [
            per_step.step_parameters(net.decoder, step, gradient=True) for net in (stacked, separate)
        ]
        for mine, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(stacked.encoder.parameters(), separate.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    # In evaluation mode the running statistics count, which that one batch has moved in both.
    logits = [net.eval()(**batch(seed=5)).logits for net in (stacked, separate)]
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-5)


def test_steps_start_as_separate_linear_layers_would():
    torch.manual_seed(0)
    stacked, single = StepLinear(50, 30, 40), nn.Linear(30, 2000)
    for mine, theirs in ((stacked.weight, single.weight), (stacked.bias, single.bias)):
        assert mine.abs().max() <= 30**-0.5
        assert mine.std().item() == pytest.approx(theirs.std().item(), rel=0.02)


def test_weights_start_as_published_and_not_as_transformers_would():
    net = SmtpdNetwork(SmtpdConfig())
    assert net.encoder.text_mixer.weight.shape == (1, 5, 1)
    assert net.encoder.text_mixer.weight.flatten().tolist() == pytest.approx([0.2] * 5, abs=0.05)
    assert net.encoder.category_embedding.weight.std().item() == pytest.approx(1, abs=0.1)
    first = net.encoder.visual[0].weight
    assert first.std().item() == pytest.approx(2048**-0.5 / 3**0.5, rel=0.01)


def test_batch_normalization_has_no_parameters_and_the_last_layer_is_bare():
    layers = build_mlp([4, 3, 2], SmtpdConfig())
    assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]
    assert not list(layers[1].parameters())


ABLATIONS = [chosen for size in (1, 2, 3, 4) for chosen in combinations(MODALITIES, size)]


@pytest.mark.parametrize("modalities", ABLATIONS, ids="+".join)
def test_network_has_only_the_branches_of_its_modalities(modalities):
    net = network(modalities=list(modalities)).eval()
    assert net.encoder.output_size == 6 * len(modalities)
    branches = {name for name, _ in net.encoder.named_children()}
    expected = set()
    for name in modalities:
        expected |= {
            "text": {"text", "text_mixer"},
            "categorical": {
                "categorical",
                "category",
                "language",
                "category_embedding",
                "language_embedding",
            },
        }.get(name, {name})
    assert branches == expected
    arguments = {"categorical": ("category", "language")}
    used = {argument for name in modalities for argument in arguments.get(name, (name,))}
    inputs, other = batch(), batch(seed=9)
    mixed = {name: inputs[name] if name in used else other[name] for name in inputs}
    only_used = {name: inputs[name] for name in used}
    torch.testing.assert_close(net(**inputs).logits, net(**mixed).logits)
    torch.testing.assert_close(net(**inputs).logits, net(**only_used).logits)
    for name in used:
        assert not torch.allclose(net(**inputs).logits, net(**(inputs | {name: other[name]})).logits)


def test_concatenation_feeds_all_inputs_side_by_side():
    net = network(encoder="concatenation", decoder="direct", normalization="none")
    assert net.encoder.output_size == 12 + 5 * 10 + 6 + 2 * 7
    assert net.decoder.head[0].in_features == 82
    inputs = batch()
    fused = net.encoder(**inputs)
    assert torch.equal(fused[:, :12], inputs["visual"])
    assert torch.equal(fused[:, 62:68], inputs["numerical"])


@pytest.mark.parametrize("encoder", ["branches", "concatenation"])
def test_direct_decoder_starts_at_the_offset(encoder):
    net = network(encoder=encoder, decoder="direct", target_mean=[9.0] * 5, target_scale=[2.0] * 5)
    offset = labels(seed=4).nan_to_num()
    assert torch.equal(net(**batch(), offset=offset).logits, offset)
    assert torch.equal(net(**batch()).logits, torch.full((16, 5), 9.0))
    net(**batch(), offset=offset, labels=labels()).loss.backward()
    assert net.decoder.head[-1].weight.grad.abs().sum() > 0


def test_output_is_base_plus_scale_times_raw():
    plain = network().eval()
    scaled = network(target_mean=[1.0, 2.0, 3.0, 4.0, 5.0], target_scale=[2.0] * 5).eval()
    scaled.load_state_dict(plain.state_dict())
    raw = plain(**batch()).logits
    torch.testing.assert_close(scaled(**batch()).logits, torch.arange(1.0, 6.0) + 2 * raw)
    offset = torch.randn(16, 5)
    torch.testing.assert_close(scaled(**batch(), offset=offset).logits, offset + 2 * raw)
    torch.testing.assert_close(plain(**batch(), offset=offset).logits, offset + raw)


def test_loss_is_in_units_of_the_labels_and_follows_the_training_progress():
    net = network(target_mean=[8.0] * 5, target_scale=[3.0] * 5).eval()
    for progress in (0.0, 0.7):
        net.training_progress.fill_(progress)
        output = net(**batch(), labels=labels())
        expected = popularity_loss(output.logits, labels(), LossOptions(), progress)
        assert output.loss.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("decoder", ["lstm", "direct"])
def test_saved_network_forecasts_the_same(tmp_path, decoder):
    net = network(decoder=decoder, target_mean=[8.0] * 5, target_scale=[3.0] * 5, loss={"name": "l1"})
    net(**batch())  # moves the running statistics
    if decoder == "direct":
        nn.init.normal_(net.decoder.head[-1].weight)
    net.save_pretrained(tmp_path)
    loaded = SmtpdNetwork.from_pretrained(tmp_path)
    assert torch.equal(net.eval()(**batch()).logits, loaded.eval()(**batch()).logits)
    assert loaded.config.loss == {"name": "l1"}
    assert loaded.training_progress.item() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_a_video_is_forecast_alone_as_in_a_batch():
    net = network()
    net(**batch())
    net.eval()
    together = net(**batch()).logits
    alone = net(**{name: values[3:4] for name, values in batch().items()}).logits
    torch.testing.assert_close(alone, together[3:4])


def test_forecasts_are_not_rounded_under_autocast():
    net = network().eval()
    nn.init.constant_(net.decoder.heads[-1].bias, 12.0)
    exact = net(**batch()).logits
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(**batch()).logits
    assert rounded.dtype == torch.float32
    # bfloat16 has steps of 1/16 between 8 and 16.
    assert (rounded * 16 != (rounded * 16).round()).any()
    assert (rounded - exact).abs().max() < 0.03


def test_dropout_only_while_training():
    net = network(dropout=0.5, normalization="none")
    assert not torch.equal(net(**batch()).logits, net(**batch()).logits)
    net.eval()
    assert torch.equal(net(**batch()).logits, net(**batch()).logits)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"modalities": ["visual", "sound"]}, "sound"),
        ({"modalities": []}, "modalities"),
        ({"encoder": "transformer"}, "encoder"),
        ({"decoder": "gru"}, "decoder"),
        ({"normalization": "group"}, "normalization"),
        ({"target_mean": [0.0, 0.0]}, "target_mean has 2 numbers for 5"),
    ],
)
def test_impossible_configurations_are_refused(wrong, message):
    with pytest.raises(Exception, match=message):
        SmtpdConfig(**(SMALL | wrong))
