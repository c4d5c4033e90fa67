import pytest
import torch
from transformers import set_seed

from vidpop_pipelines.pipelines.mofa_lite.model import MofaConfig, MofaNetwork, _Bins, _mix
from vidpop_pipelines.pipelines.mofa_lite.parameters import NetworkOptions


def network(**changes):
    set_seed(0)
    small = {"modality_sizes": [3, 6, 5], "hidden_size": 8, "attention_size": 4, "fusion_sizes": [8]}
    small |= {"fusion_dropouts": [0.1], "head_sizes": [8]}
    return MofaNetwork(MofaConfig(**small | changes))


def features(n_rows=7):
    return torch.randn(n_rows, 14, generator=torch.Generator().manual_seed(0))


def test_published_network_has_the_published_layers():
    published = MofaNetwork(MofaConfig())
    shapes = {name: tuple(value.shape) for name, value in published.named_parameters() if value.ndim == 2}
    assert list(shapes.values()) == [
        (512, 1024),
        (512, 1024),
        (512, 768),
        (128, 512),
        (1, 128),
        (512, 1536),
        (256, 512),
        (256, 256),
        (128, 256),
        (3, 128),
    ]
    dropouts = [module.p for module in published.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts == [0.2, 0.2, 0.2, 0.25, 0.2, 0.2, 0.2]


def test_default_options_are_the_published_network():
    published = MofaConfig()
    for name, value in NetworkOptions().model_dump().items():
        assert getattr(published, name) == value, name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("modality_dropout", [0.0, 0.5, 0.95])
def test_attention_weights_add_up_to_one(training, modality_dropout):
    model = network(modality_dropout=modality_dropout).train(training)
    output = model(features(500), output_attention=True)
    assert output.attention.shape == (500, 3)
    torch.testing.assert_close(output.attention.sum(dim=1), torch.ones(500))
    left_out = (output.attention == 0).float().mean().item()
    # One of three always stays.
    expected = {0.0: 0, 0.5: 0.46, 0.95: 0.66}[modality_dropout] if training else 0
    assert left_out == pytest.approx(expected, abs=0.06)
    assert not output.logits.isnan().any()


def test_a_modality_without_weight_has_no_influence():
    model = network().eval()
    model._left_out = lambda scores: torch.tensor([[False, True, False]]).expand_as(scores)
    model.training, model.config.modality_dropout = True, 0.5  # dropout layers stay in evaluation mode
    first = features()
    second = first.clone()
    second[:, 3:9] = 100.0
    torch.testing.assert_close(model(first).logits, model(second).logits)


def test_one_scorer_is_shared_by_all_modalities():
    model = network(modality_sizes=[4, 4, 4]).eval()
    for encoder in model.encoders[1:]:
        encoder.load_state_dict(model.encoders[0].state_dict())
    same = features()[:, :4].repeat(1, 3)
    attention = model(same, output_attention=True).attention
    torch.testing.assert_close(attention, torch.full((7, 3), 1 / 3))


def test_permuting_the_modalities_permutes_the_attention_and_nothing_else():
    model, order = network().eval(), [2, 0, 1]
    other = network(modality_sizes=[5, 3, 6]).eval()
    weights = model.state_dict()
    for new, old in enumerate(order):
        other.encoders[new].load_state_dict(model.encoders[old].state_dict())
    rest = {name: value for name, value in weights.items() if not name.startswith("encoders")}
    blocks = rest["fusion.0.0.weight"].split(8, dim=1)
    rest["fusion.0.0.weight"] = torch.cat([blocks[old] for old in order], dim=1)
    other.load_state_dict(rest, strict=False)
    batch = features()
    parts = batch.split([3, 6, 5], dim=1)
    first = model(batch, output_attention=True)
    second = other(torch.cat([parts[old] for old in order], dim=1), output_attention=True)
    torch.testing.assert_close(first.logits, second.logits)
    torch.testing.assert_close(first.attention[:, order], second.attention)


def test_loss_is_the_squared_error_in_standard_deviations():
    model = network(target_mean=[1.0, 2.0, 3.0], target_scale=[1.0, 2.0, 4.0]).eval()
    with torch.no_grad():
        model.head[-1].weight.zero_()
        model.head[-1].bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    output = model(features(2), labels=torch.tensor([[1.0, 4.0, 7.0], [3.0, 4.0, 3.0]]))
    torch.testing.assert_close(output.logits, torch.tensor([[1.0, 4.0, 3.0]] * 2))
    # Errors of 4 and 2 are one and two standard deviations: (1 + 4) / 6.
    assert output.loss.item() == pytest.approx(5 / 6)


def test_narrow_modalities_are_binned_and_others_left_alone():
    model = network(bins=4, binned_width=3)
    assert [encoder[0].in_features for encoder in model.encoders] == [12, 6, 5]
    assert torch.equal(model.binning[1](features()), features())
    # The quartiles of the normal distribution are its bins: half way through the third at 0.337.
    bins = _Bins(4)
    torch.testing.assert_close(bins.edges[1:4], torch.tensor([-0.6745, 0.0, 0.6745]), atol=1e-4, rtol=0)
    passed = bins(torch.tensor([[0.3372, -9.0]])) * bins.scale.repeat(2) + bins.mean.repeat(2)
    torch.testing.assert_close(passed, torch.tensor([[1, 1, 0.5, 0, 0, 0, 0, 0]]), atol=1e-3, rtol=0)
    many = _Bins(32)(torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(many.mean(dim=0), torch.zeros(32), atol=0.1, rtol=0)
    torch.testing.assert_close(many.std(dim=0), torch.ones(32), atol=0.25, rtol=0)


def test_binned_network_survives_saving(tmp_path):
    model = network(bins=4, binned_width=3, target_mean=[1.0, 2.0, 3.0]).eval()
    model.save_pretrained(tmp_path)
    again = MofaNetwork.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(features()).logits, model(features()).logits, rtol=0, atol=0)


def test_mixup_mixes_features_and_labels_alike_and_only_in_training():
    set_seed(0)
    rows = torch.arange(6.0)[:, None]
    mixed, labels = _mix(0.4, rows, rows * 10)
    torch.testing.assert_close(mixed * 10, labels)
    assert not torch.equal(mixed, rows)
    model = network(mixup_alpha=0.4).eval()
    batch, truth = features(), torch.zeros(7, 3)
    torch.testing.assert_close(model(batch, labels=truth).loss, model(batch).logits.square().mean())
