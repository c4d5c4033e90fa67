import pytest
import torch
from transformers import set_seed

from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdEnsemble, SmtpdNetwork, build_network
from vidpop_pipelines.pipelines.smtpd.parameters import NetworkOptions


def config(**changes) -> SmtpdConfig:
    small = {"modalities": ["numerical"], "n_numerical": 3, "n_steps": 4, "encoder": "concatenation"}
    small |= {"decoder": "direct", "direct_hidden_sizes": [8], "normalization": "none", "n_networks": 3}
    return SmtpdConfig(**small | {"loss": {"name": "l1"}} | changes)


def with_random_outputs(network):
    """Fills the zero-initialised last layers, whose networks would all forecast the same."""
    for member in network.networks:
        torch.nn.init.normal_(member.decoder.head[-1].weight)
    return network.eval()


BATCH = {"numerical": torch.randn(5, 3, generator=torch.Generator().manual_seed(0))}
LABELS = torch.ones(5, 4)


def test_one_network_is_no_ensemble():
    assert isinstance(build_network(config(n_networks=1)), SmtpdNetwork)
    assert isinstance(build_network(config()), SmtpdEnsemble)


def test_forecast_is_the_mean_and_each_network_has_its_own_loss():
    ensemble = with_random_outputs(build_network(config()))
    outputs = [network(**BATCH, labels=LABELS) for network in ensemble.networks]
    result = ensemble(**BATCH, labels=LABELS)
    torch.testing.assert_close(result.logits, sum(output.logits for output in outputs) / 3)
    assert result.loss.item() == pytest.approx(sum(output.loss.item() for output in outputs) / 3)
    # The loss of the mean would be smaller: errors of the networks cancel.
    assert result.loss.item() > (result.logits - LABELS).abs().mean().item()


def test_networks_start_different_and_as_single_ones_do():
    set_seed(3)
    ensemble = build_network(config())
    set_seed(3)
    single = SmtpdNetwork(config())
    first, second = (network.decoder.head[0].weight for network in ensemble.networks[:2])
    torch.testing.assert_close(first, single.decoder.head[0].weight)
    assert not torch.equal(first, second)
    assert not ensemble.networks[2].decoder.head[-1].weight.any()


def test_training_progress_reaches_every_network():
    ensemble = build_network(config())
    ensemble.training_progress.fill_(0.5)
    ensemble(**BATCH)
    assert [network.training_progress.item() for network in ensemble.networks] == [0.5] * 3


def test_default_network_options_are_the_published_network():
    published = SmtpdConfig()
    for name, value in NetworkOptions().model_dump().items():
        assert getattr(published, name) == value, name
