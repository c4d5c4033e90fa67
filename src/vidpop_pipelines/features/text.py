"""Texts to vectors: hashed character n-grams (no download) or a pretrained language model."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field, PositiveInt, model_validator

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import TextEncoder
from vidpop_pipelines.fingerprint import combine

Pooling = Literal["pooler", "mean", "cls"]

# Large enough that writing a batch costs little beside computing it; a kill loses at most one batch.
_BATCH_SIZES = {"hashing": 2048, "pretrained": 64}


class TextEncoderOptions(BaseModel, extra="forbid"):
    """Which text encoder, and how it works.

    One flat table on purpose: environments override single keys of it, so keys of the other encoder may
    be present and are then without effect.

    Args:
        encoder: "hashing" needs no download; "pretrained" is any encoder of the Hugging Face hub or folder.
        hidden_size: Width of the hashed vector (hashing only).
        model: Name on the hub or local folder (pretrained only); mBERT as in the SMTPD paper, section 4.1.
        max_length: Tokens read of each text (pretrained only); 64 as published.
        pooling: How token vectors become one (pretrained only), see `PretrainedTextEncoder`.
        precision: "auto" or "float32" (pretrained only), see `features.frozen.FrozenNetwork`.
        batch_size: Texts per call; by default 2048 for hashing and 64 (as published) for pretrained.
    """

    encoder: Literal["hashing", "pretrained"] = "hashing"
    hidden_size: PositiveInt = 1024
    model: str = "google-bert/bert-base-multilingual-cased"
    max_length: int = Field(64, ge=3)  # [CLS], one token, [SEP]
    pooling: Pooling = "pooler"
    precision: Literal["auto", "float32"] = "auto"
    batch_size: PositiveInt | None = None

    @model_validator(mode="after")
    def _fill_batch_size(self) -> "TextEncoderOptions":
        if self.batch_size is None:
            self.batch_size = _BATCH_SIZES[self.encoder]
        return self


def create_text_encoder(options: TextEncoderOptions) -> TextEncoder:
    """Builds the encoder that the options name.

    Raises:
        InputError: If a pretrained model cannot be loaded or lacks weights.
    """
    if options.encoder == "hashing":
        return HashingTextEncoder(options.hidden_size)
    return PretrainedTextEncoder(
        options.model, max_length=options.max_length, pooling=options.pooling, precision=options.precision
    )


class HashingTextEncoder:
    """Hashed counts of the 1- to 4-character pieces of each word, for any language and without training.

    Counts are damped by a logarithm, so that a repeated word does not drown the others, and the vector
    has length 1, so that long and short texts compare.

    Args:
        hidden_size: Width of the vector. 1024 keeps collisions of frequent pieces rare; an SVD fitted on
            the training split shortens it further.
    """

    version = 1

    def __init__(self, hidden_size: int = 1024):
        from sklearn.feature_extraction.text import HashingVectorizer

        self.hidden_size = hidden_size
        self.description: Mapping[str, Any] = {
            "encoder": "hashing",
            "version": self.version,
            "hidden_size": hidden_size,
            "ngram_range": [1, 4],
        }
        self.fingerprint = combine(self.description)
        self._vectorizer = HashingVectorizer(
            analyzer="char_wb",  # pieces within words: what spans a word boundary is mostly chance
            ngram_range=(1, 4),
            n_features=hidden_size,
            preprocessor=_normalize,
            norm=None,
            dtype=np.float32,
        )

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Returns (n,) int64 zeros: no batch of hashed texts is padded."""
        return np.zeros(len(texts), dtype=np.int64)

    def encode(self, inputs: Sequence[str]) -> np.ndarray:
        """Returns (n, hidden_size) float32 of length 1, or 0 where a text has no visible character."""
        from sklearn.preprocessing import normalize

        counts = self._vectorizer.transform(inputs)
        counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
        return normalize(counts).toarray()


class PretrainedTextEncoder:
    """A pretrained language model, one vector per text.

    Args:
        model: Name on the Hugging Face hub, or a folder with the files of `save_pretrained`.
        max_length: Tokens read of each text.
        pooling: "pooler" is the model's own output layer over the first token, which the published SMTPD
            code uses (``outputs[1]`` of mBERT) and hence the default; "cls" is the first token before that
            layer; "mean" averages the tokens, for models without a trained pooler.
        precision: See `features.frozen.FrozenNetwork`.

    Raises:
        InputError: If the model cannot be loaded, lacks weights, or reads fewer tokens than `max_length`.
    """

    version = 1

    def __init__(
        self,
        model: str = "google-bert/bert-base-multilingual-cased",
        *,
        max_length: int = 64,
        pooling: Pooling = "pooler",
        precision: Literal["auto", "float32"] = "auto",
    ):
        from vidpop_pipelines.features.frozen import FrozenNetwork, hash_weights

        self._tokenizer, network, missing = _load_pretrained(model)
        _check_pretrained(model, network.config, missing, max_length, pooling)
        self._model, self._max_length, self._pooling = model, max_length, pooling
        options = {"max_length": max_length, "pooling": pooling, "precision": precision}
        self._arguments = (model,), tuple(options.items())
        self.hidden_size = network.config.hidden_size
        loaded = {name: tensor for name, tensor in network.state_dict().items() if name not in missing}
        self.description: Mapping[str, Any] = {
            "encoder": "pretrained",
            "version": self.version,
            "model_type": network.config.model_type,
            "weights": hash_weights(loaded),
            "config": _hash_config(network.config),
            "tokenizer": _hash_tokenizer(self._tokenizer),
            "max_length": max_length,
            "pooling": pooling,
            "precision": precision,
        }
        self.fingerprint = combine(self.description)
        self._network = FrozenNetwork(network, precision)

    def __reduce__(self) -> tuple:
        from vidpop_pipelines.features.frozen import restore_encoder

        return restore_encoder, (type(self), *self._arguments, self.fingerprint)

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Returns (n,) int64, the number of tokens of each text, at most `max_length`."""
        lengths: list[int] = []
        for start in range(0, len(texts), 10_000):  # bounded memory: only the counts are kept
            tokens = self._tokenize(texts[start : start + 10_000])
            lengths.extend(len(ids) for ids in tokens["input_ids"])
        return np.array(lengths, dtype=np.int64)

    def encode(self, inputs: Sequence[str]) -> np.ndarray:
        """Returns (n, hidden_size) float32; pads to the longest text of the batch.

        Raises:
            InputError: If the model has no pooler although `pooling` asks for it.
        """
        batch = self._tokenize(inputs, padding="longest", return_tensors="pt").to(self._network.device)
        output = self._network(**batch)
        if self._pooling == "pooler":
            if output.get("pooler_output") is None:
                raise _no_pooler(self._model)
            vectors = output["pooler_output"]
        elif self._pooling == "cls":
            vectors = output["last_hidden_state"][:, 0]
        else:
            mask = batch["attention_mask"][:, :, None].float()
            vectors = (output["last_hidden_state"].float() * mask).sum(1) / mask.sum(1)
        return vectors.float().cpu().numpy()

    def _tokenize(self, texts: Sequence[str], **options: Any) -> Any:
        return self._tokenizer(list(texts), truncation=True, max_length=self._max_length, **options)


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _load_pretrained(model: str) -> tuple[Any, Any, set[str]]:
    """Returns tokenizer, network in float32 and the names of weights that the files lack."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network, report = AutoModel.from_pretrained(model, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The text model {model!r} cannot be loaded: {error}",
            "a folder written by save_pretrained (config.json, weights, tokenizer files), or the "
            "name of a model on the Hugging Face hub and a connection to it",
            "download the model where there is a connection and give its folder as `model`, or use "
            "`encoder: hashing`, which needs no download.",
        ) from error
    return tokenizer, network, set(report["missing_keys"])


def _check_pretrained(model: str, config: Any, missing: set[str], max_length: int, pooling: Pooling) -> None:
    in_pooler = {name for name in missing if "pooler." in name}
    if pooling == "pooler" and in_pooler:
        raise _no_pooler(model)
    if missing - in_pooler:  # transformers would fill them with random numbers
        raise InputError(
            f"The text model {model!r} lacks weights: {', '.join(sorted(missing - in_pooler)[:5])} ...",
            "a complete encoder",
            "check that the files belong to the config.json beside them.",
        )
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and max_length > longest:
        raise InputError(
            f"max_length is {max_length}, but the text model {model!r} reads {longest} tokens.",
            f"at most {longest}",
            "lower max_length.",
        )


def _no_pooler(model: str) -> InputError:
    return InputError(
        f"The text model {model!r} has no trained pooler.",
        "a model with one, such as mBERT, when pooling is 'pooler'",
        "use `pooling: mean`.",
    )


def _hash_config(config: Any) -> str:
    about_the_file = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}
    return combine({key: value for key, value in config.to_diff_dict().items() if key not in about_the_file})


def _hash_tokenizer(tokenizer: Any) -> str:
    """Returns a digest of vocabulary, normalisation and splitting rules."""
    import json

    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    return combine({key: value for key, value in rules.items() if key not in {"truncation", "padding"}})
