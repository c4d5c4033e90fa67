import json
import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.utils import murmurhash3_32

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.text import (
    HashingTextEncoder,
    PretrainedTextEncoder,
    TextEncoderOptions,
    create_text_encoder,
)

TEXTS = ["cake", "how to bake a cake in five minutes", "вечер", "新動画", "goals of the season " * 20, "a"]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


class TestHashing:
    def test_equals_a_vector_computed_by_hand(self):
        # "a" is padded to " a ": two spaces, "a", " a", "a ", " a "
        expected = np.zeros(1024)
        for gram, count in {" ": 2, "a": 1, " a": 1, "a ": 1, " a ": 1}.items():
            hashed = murmurhash3_32(gram, seed=0)
            expected[abs(hashed) % 1024] += count if hashed >= 0 else -count
        expected = np.sign(expected) * np.log1p(np.abs(expected))
        expected /= np.linalg.norm(expected)
        vector = HashingTextEncoder().encode(["a"])
        assert vector.shape == (1, 1024)
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector[0], expected, atol=1e-6)

    def test_case_width_and_composition_do_not_matter(self):
        vectors = HashingTextEncoder().encode(["Straße Café", "STRASSE CAFE\u0301", "ｓｔｒａｓｓｅ café"])
        np.testing.assert_array_equal(vectors[0], vectors[1])
        np.testing.assert_array_equal(vectors[0], vectors[2])

    def test_like_texts_have_like_vectors(self):
        german, variant, other = HashingTextEncoder().encode(["Kuchen backen", "Kuchen gebacken", "足球比赛"])
        assert cosine(german, variant) > 0.6
        assert abs(cosine(german, other)) < 0.2

    def test_vectors_have_length_one(self):
        vectors = HashingTextEncoder(64).encode([*TEXTS, "\u200b"])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1)[:-1], 1, atol=1e-6)
        assert np.isfinite(vectors).all()

    def test_fingerprint_depends_on_the_width(self):
        assert HashingTextEncoder(64).fingerprint == HashingTextEncoder(64).fingerprint
        assert HashingTextEncoder(64).fingerprint != HashingTextEncoder(128).fingerprint


def reference(folder, text: str, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """The slow way: one text, float32, padded to full length. Returns pooler output and token vectors."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(
        text, padding="max_length", truncation=True, max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder).eval().float()(**tokens)
    n_tokens = int(tokens["attention_mask"].sum())
    return output.pooler_output[0].numpy(), output.last_hidden_state[0, :n_tokens].numpy()


class TestPretrained:
    def test_equals_the_slow_reference(self, tiny_bert):
        encoder = PretrainedTextEncoder(str(tiny_bert), max_length=16, precision="float32")
        vectors = encoder.encode(TEXTS)
        expected = np.stack([reference(tiny_bert, text, 16)[0] for text in TEXTS])
        assert encoder.hidden_size == 32
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected, atol=1e-5)

    def test_other_poolings(self, tiny_bert):
        tokens = [reference(tiny_bert, text, 16)[1] for text in TEXTS]
        for pooling, expected in (
            ("mean", np.stack([item.mean(0) for item in tokens])),
            ("cls", np.stack([item[0] for item in tokens])),
        ):
            encoder = PretrainedTextEncoder(
                str(tiny_bert), max_length=16, pooling=pooling, precision="float32"
            )
            np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)

    def test_reduced_precision_stays_within_its_rounding(self, tiny_bert):
        exact = PretrainedTextEncoder(str(tiny_bert), max_length=16, precision="float32").encode(TEXTS)
        fast = PretrainedTextEncoder(str(tiny_bert), max_length=16).encode(TEXTS)
        assert cosine(exact, fast).min() > 0.999
        np.testing.assert_allclose(fast, exact, atol=2**-6)

    def test_lengths_are_token_counts(self, tiny_bert):
        encoder = PretrainedTextEncoder(str(tiny_bert), max_length=16)
        expected = [len(reference(tiny_bert, text, 16)[1]) for text in TEXTS]
        assert encoder.lengths(TEXTS).tolist() == expected
        assert max(expected) == 16

    def test_dropout_is_off(self, tiny_bert):
        encoder = PretrainedTextEncoder(str(tiny_bert), max_length=16)
        np.testing.assert_array_equal(encoder.encode(TEXTS), encoder.encode(TEXTS))

    def test_fingerprint_is_that_of_the_content(self, tiny_bert, tmp_path):
        base = PretrainedTextEncoder(str(tiny_bert), max_length=16).fingerprint
        copied = shutil.copytree(tiny_bert, tmp_path / "copy")
        assert PretrainedTextEncoder(str(copied), max_length=16).fingerprint == base

        others = [
            PretrainedTextEncoder(str(tiny_bert), max_length=17).fingerprint,
            PretrainedTextEncoder(str(tiny_bert), max_length=16, pooling="mean").fingerprint,
            PretrainedTextEncoder(str(tiny_bert), max_length=16, precision="float32").fingerprint,
        ]
        for file, change in (
            ("config.json", lambda content: content | {"layer_norm_eps": 1e-3}),
            ("tokenizer.json", lambda content: content | {"normalizer": {"type": "Lowercase"}}),
        ):
            changed = shutil.copytree(tiny_bert, tmp_path / file.removesuffix(".json"))
            content = json.loads((changed / file).read_text())
            (changed / file).write_text(json.dumps(change(content)))
            others.append(PretrainedTextEncoder(str(changed), max_length=16).fingerprint)
        others.append(self._with_one_changed_weight(tiny_bert, tmp_path / "weight"))
        assert len({base, *others}) == 7

    @staticmethod
    def _with_one_changed_weight(tiny_bert, folder):
        from transformers import AutoModel

        shutil.copytree(tiny_bert, folder)
        model = AutoModel.from_pretrained(folder)
        model.encoder.layer[0].output.dense.weight.data[0, 0] += 1e-3
        model.save_pretrained(folder)
        return PretrainedTextEncoder(str(folder), max_length=16).fingerprint

    def test_an_untrained_pooler_is_refused(self, tiny_bert, tmp_path):
        from transformers import BertConfig, BertModel

        folder = shutil.copytree(tiny_bert, tmp_path / "no_pooler")
        BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False).save_pretrained(folder)
        with pytest.raises(InputError, match="(?s)no trained pooler.*pooling: mean"):
            PretrainedTextEncoder(str(folder), max_length=16)
        first, second = (PretrainedTextEncoder(str(folder), max_length=16, pooling="mean") for _ in range(2))
        assert first.fingerprint == second.fingerprint  # the pooler that differs between them is not used
        np.testing.assert_array_equal(first.encode(TEXTS), second.encode(TEXTS))

    def test_missing_weights_are_refused(self, tiny_bert, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = shutil.copytree(tiny_bert, tmp_path / "incomplete")
        state = load_file(folder / "model.safetensors")
        del state["encoder.layer.1.attention.self.query.weight"]
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match="lacks weights: encoder.layer.1.attention.self.query.weight"):
            PretrainedTextEncoder(str(folder), max_length=16)

    def test_a_missing_model_is_named(self, tmp_path):
        with pytest.raises(InputError, match="(?s)absent.*cannot be loaded.*encoder: hashing"):
            PretrainedTextEncoder(str(tmp_path / "absent"))

    def test_more_tokens_than_the_model_reads_are_refused(self, tiny_bert):
        with pytest.raises(InputError, match="max_length is 33.*reads 32 tokens"):
            PretrainedTextEncoder(str(tiny_bert), max_length=33)


class TestOptions:
    def test_batch_size_follows_the_encoder(self):
        assert TextEncoderOptions().batch_size == 2048
        assert TextEncoderOptions(encoder="pretrained").batch_size == 64
        assert TextEncoderOptions(encoder="pretrained", batch_size=8).batch_size == 8

    def test_unknown_keys_and_values_are_refused(self):
        for options in ({"poling": "mean"}, {"pooling": "max"}, {"max_length": 0}, {"batch_size": 0}):
            with pytest.raises(ValidationError):
                TextEncoderOptions(**options)

    def test_options_reach_the_encoder(self, tiny_bert):
        hashing = create_text_encoder(TextEncoderOptions(hidden_size=64))
        assert isinstance(hashing, HashingTextEncoder)
        assert hashing.hidden_size == 64
        options = TextEncoderOptions(
            encoder="pretrained", model=str(tiny_bert), max_length=16, pooling="mean", precision="float32"
        )
        expected = PretrainedTextEncoder(str(tiny_bert), max_length=16, pooling="mean", precision="float32")
        assert create_text_encoder(options).fingerprint == expected.fingerprint
