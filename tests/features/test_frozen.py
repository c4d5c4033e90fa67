import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.frozen import FrozenNetwork, hash_weights


def test_runs_in_evaluation_mode_without_gradients():
    network = FrozenNetwork(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    before = {name: tensor.clone() for name, tensor in network.network.state_dict().items()}
    inputs = torch.randn(8, 3, device=network.device)
    first, second = network(inputs), network(inputs)
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in network.network.state_dict().items())


def test_full_precision_leaves_weights_and_results_alone():
    layer = nn.Linear(3, 2)
    inputs = torch.randn(4, 3)
    expected = layer(inputs).detach()
    network = FrozenNetwork(layer, "float32")
    output = network(inputs.to(network.device))
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.cpu(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"bf16": True}, torch.bfloat16), ({}, torch.float32)],
)
def test_reduced_precision_only_where_the_processor_has_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    layer = nn.Linear(3, 2)
    network = FrozenNetwork(layer)
    assert network.dtype == layer.weight.dtype == expected
    assert network(torch.randn(4, 3)).dtype == expected


def test_weights_of_equal_content_have_equal_hashes():
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(5)}
    digest = hash_weights(state)
    assert digest == hash_weights({"b": torch.tensor(5), "a": torch.arange(6.0).reshape(2, 3)})
    changed = [
        {**state, "b": torch.tensor(6)},
        {**state, "b": torch.tensor(5.0)},
        {**state, "a": torch.arange(6.0).reshape(3, 2)},
        {"c": state["a"], "b": state["b"]},
    ]
    assert len({digest, *map(hash_weights, changed)}) == 5


def test_encoders_travel_without_their_weights_and_are_built_once(tiny_bert, resnet18_weights):
    from vidpop_pipelines.features.images import ResNetImageEncoder
    from vidpop_pipelines.features.text import PretrainedTextEncoder

    for encoder in (
        PretrainedTextEncoder(str(tiny_bert), max_length=16, pooling="mean", precision="float32"),
        ResNetImageEncoder(str(resnet18_weights), architecture="resnet18", precision="float32"),
    ):
        pickled = pickle.dumps(encoder)
        assert len(pickled) < 1000
        first, second = pickle.loads(pickled), pickle.loads(pickled)
        assert first is second is not encoder
        assert first.description == encoder.description


def test_an_encoder_of_other_weights_is_refused_where_it_is_built(resnet18_weights, tmp_path):
    from vidpop_pipelines.features.images import ResNetImageEncoder

    path = tmp_path / "weights.safetensors"
    shutil.copy(resnet18_weights, path)
    pickled = pickle.dumps(ResNetImageEncoder(str(path), architecture="resnet18"))
    state = load_file(path)
    state["conv1.weight"][0, 0, 0, 0] += 1
    save_file(state, path)
    with pytest.raises(InputError, match="weights.safetensors.*other weights"):
        pickle.loads(pickled)


def test_files_that_were_replaced_are_read_again(resnet18_weights, tmp_path):
    from vidpop_pipelines.features.images import ResNetImageEncoder

    path = tmp_path / "weights.safetensors"
    shutil.copy(resnet18_weights, path)
    first = pickle.loads(pickle.dumps(ResNetImageEncoder(str(path), architecture="resnet18")))
    state = load_file(path)
    state["conv1.weight"][0, 0, 0, 0] += 1
    save_file(state, path)
    changed = ResNetImageEncoder(str(path), architecture="resnet18")
    second = pickle.loads(pickle.dumps(changed))
    assert first.fingerprint != second.fingerprint == changed.fingerprint
