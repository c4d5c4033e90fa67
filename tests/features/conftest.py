"""Small encoders in local folders, and one that only counts."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network


class CountingEncoder:
    """Derives a vector from the bytes of its input and keeps the batches it was given."""

    def __init__(self, name: str = "counting", hidden_size: int = 4):
        self.hidden_size = hidden_size
        self.description = {"encoder": name}
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.batches: list[list] = []

    @property
    def inputs(self) -> list:
        return [item for batch in self.batches for item in batch]

    def lengths(self, texts) -> np.ndarray:
        return np.array([len(text) for text in texts], dtype=np.int64)

    def prepare(self, image) -> np.ndarray:
        return np.asarray(image.resize((2, 2)))

    def encode(self, inputs) -> np.ndarray:
        self.batches.append(list(inputs))
        return np.stack([self.vector(item) for item in inputs])

    def vector(self, item) -> np.ndarray:
        content = item.encode() if isinstance(item, str) else item.tobytes()
        digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        return digest[: self.hidden_size].astype(np.float32)


@pytest.fixture(scope="session")
def counting_encoder():
    return CountingEncoder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """A folder with a BERT of two layers and its tokenizer, as `save_pretrained` writes them."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny_bert")
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
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = resnet18(weights=None)
    with torch.no_grad():
        network.train()(torch.rand(8, 3, 64, 64))
    path = tmp_path_factory.mktemp("resnet18") / "resnet18.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path
