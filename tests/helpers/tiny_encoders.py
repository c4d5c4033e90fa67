"""Fixtures: tiny encoders saved to local folders, loaded by the code that loads the real ones."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """A folder with a BERT of two layers and its tokenizer, as `save_pretrained` writes them."""
    return save_tiny_bert(tmp_path_factory.mktemp("tiny_bert"))


def save_tiny_bert(folder: Path) -> Path:
    """Writes a BERT of two layers and its tokenizer into a folder; returns it."""
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = _tiny_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tiny_tokenizer():
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    titles = ["how to bake a cake in five minutes", "the best goals of the season", "вечер", "新 動画"]
    tokenizer = BertWordPieceTokenizer(lowercase=False)
    tokenizer.train_from_iterator(titles, vocab_size=200, show_progress=False)
    special = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer,
        **{f"{name}_token": token for name, token in special.items()},
    )


@pytest.fixture(scope="session")
def resnet18_weights(tmp_path_factory) -> Path:
    """A .safetensors file of a ResNet-18 with random weights and BatchNorm statistics of random pictures."""
    return save_resnet18(tmp_path_factory.mktemp("resnet18") / "resnet18.safetensors")


def save_resnet18(path: Path) -> Path:
    """Writes the weights of a small ResNet to a .safetensors file; returns its path."""
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = resnet18(weights=None)
    with torch.no_grad():
        network.train()(torch.rand(8, 3, 64, 64))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path
