import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pydantic import ValidationError
from torchvision import models

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.images import (
    DescriptorImageEncoder,
    ImageEncoderOptions,
    ResNetImageEncoder,
    create_image_encoder,
    decode_image,
)


def picture(seed: int, size: tuple[int, int] = (320, 180)) -> Image.Image:
    """A smooth random picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


class TestDescriptor:
    def test_a_plain_red_picture(self):
        encoder = DescriptorImageEncoder()
        vector = encoder.encode([Image.new("RGB", (50, 40), (255, 0, 0))])[0]
        assert vector.shape == (147,)
        assert vector.dtype == np.float32
        hue, saturation, value = vector[:12], vector[12:20], vector[20:28]
        means, deviations, saturations, red_green, yellow_blue = vector[28:108].reshape(5, 16)
        np.testing.assert_allclose(hue, np.eye(12)[0])
        np.testing.assert_allclose(saturation, np.eye(8)[7])
        np.testing.assert_allclose(value, np.eye(8)[7])
        np.testing.assert_allclose(means, 0.299, atol=1e-6)
        np.testing.assert_allclose(deviations, 0, atol=1e-6)
        np.testing.assert_allclose(saturations, 1)
        np.testing.assert_allclose(red_green, 1)
        np.testing.assert_allclose(yellow_blue, 0.5)
        np.testing.assert_allclose(vector[108:146], 0, atol=1e-6)  # no edges, no entropy, no edge pixels
        assert vector[146] == pytest.approx(0.3 * np.hypot(1, 0.5))

    def test_hues_fall_into_their_bins(self):
        colours = [(255, 255, 0), (0, 255, 0), (0, 0, 255)]  # 60, 120 and 240 degrees, 30 per bin
        vectors = DescriptorImageEncoder().encode([Image.new("RGB", (9, 9), colour) for colour in colours])
        assert vectors[:, :12].argmax(1).tolist() == [2, 4, 8]

    def test_an_upright_edge_in_the_left_half(self):
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[:, 24:] = 255
        vector = DescriptorImageEncoder().encode([Image.fromarray(pixels)])[0]
        orientations, strengths = vector[108:140].reshape(4, 8), vector[140:144]
        np.testing.assert_allclose(orientations[[0, 2]], np.eye(8)[[0, 0]], atol=1e-5)
        np.testing.assert_allclose(orientations[[1, 3]], 0, atol=1e-5)
        # The central difference is 1/2 on the two columns beside the edge, of 48 columns in a cell.
        np.testing.assert_allclose(strengths, [1 / 48, 0, 1 / 48, 0], atol=1e-6)
        assert vector[145] == pytest.approx(2 / 96)  # share of edge pixels
        # A quarter black, the rest white: entropy in units of log 32.
        expected = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(32)
        assert vector[144] == pytest.approx(expected, abs=1e-5)

    @settings(max_examples=20)
    @given(arrays(np.uint8, (96, 96, 3), elements=st.integers(0, 255), fill=st.integers(0, 255)))
    def test_every_picture_gives_numbers_of_like_size(self, pixels):
        vector = DescriptorImageEncoder().encode([pixels])
        assert np.isfinite(vector).all()
        assert np.abs(vector).max() <= 1.5

    def test_a_picture_does_not_depend_on_its_batch(self):
        encoder = DescriptorImageEncoder()
        pictures = [picture(seed) for seed in range(3)]
        together = encoder.encode([encoder.prepare(item) for item in pictures])
        for item, vector in zip(pictures, together, strict=True):
            np.testing.assert_allclose(encoder.encode([item])[0], vector, atol=1e-6)


def reference(weights, images: list[Image.Image]) -> np.ndarray:
    """The slow way: torchvision's own preprocessing, one picture at a time, float32."""
    from safetensors.torch import load_file

    network = models.resnet18(weights=None)
    network.load_state_dict(load_file(weights))
    network.fc = torch.nn.Identity()
    transforms = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    with torch.no_grad():
        return torch.cat([network.eval()(transforms(image)[None]) for image in images]).numpy()


class TestResNet:
    def test_equals_the_slow_reference(self, resnet18_weights):
        encoder = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18", precision="float32")
        images = [picture(0), picture(1, (100, 300)), picture(2, (224, 224))]
        vectors = encoder.encode(images)
        assert vectors.shape == (3, encoder.hidden_size) == (3, 512)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, reference(resnet18_weights, images), rtol=1e-3, atol=1e-4)

    def test_reduced_precision_stays_within_its_rounding(self, resnet18_weights):
        images = [picture(seed) for seed in range(4)]
        expected = reference(resnet18_weights, images)
        vectors = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18").encode(images)
        cosines = (
            (vectors * expected).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(expected, axis=1)
        )
        assert cosines.min() > 0.999

    def test_pictures_are_normalised(self, resnet18_weights, monkeypatch):
        encoder = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18")
        seen = []
        monkeypatch.setattr(encoder, "_network", SpyNetwork(seen, encoder._network.device))
        image = picture(3)
        encoder.encode([Image.new("RGB", (300, 300), (255, 128, 0)), image])
        expected = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225]
        np.testing.assert_allclose(seen[0][0, :, 5, 7].cpu(), expected, rtol=1e-5)
        torchvision_itself = models.ResNet18_Weights.IMAGENET1K_V1.transforms()(image)
        assert torch.equal(seen[0][1].cpu(), torchvision_itself)
        assert seen[0].is_contiguous(memory_format=torch.channels_last)

    def test_batch_normalisation_keeps_its_statistics(self, resnet18_weights):
        encoder = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18")
        state = encoder._network.network.state_dict
        before = {name: tensor.clone() for name, tensor in state().items() if "running" in name}
        encoder.encode([picture(seed) for seed in range(3)])
        assert before
        assert all(torch.equal(tensor, state()[name]) for name, tensor in before.items())

    def test_files_of_equal_content_have_equal_fingerprints(self, resnet18_weights, tmp_path):
        from safetensors.torch import load_file

        state = load_file(resnet18_weights)
        torch.save({name: state[name] for name in reversed(state)}, tmp_path / "same.pth")
        state["conv1.weight"][0, 0, 0, 0] += 1e-3
        torch.save(state, tmp_path / "changed.pth")
        base, same, changed, exact = (
            ResNetImageEncoder(str(path), architecture="resnet18", precision=precision).fingerprint
            for path, precision in (
                (resnet18_weights, "auto"),
                (tmp_path / "same.pth", "auto"),
                (tmp_path / "changed.pth", "auto"),
                (resnet18_weights, "float32"),
            )
        )
        assert base == same
        assert len({base, changed, exact}) == 3

    def test_named_weights_bring_their_preprocessing(self, resnet18_weights, monkeypatch):
        from safetensors.torch import load_file

        monkeypatch.setattr(
            models.ResNet18_Weights, "get_state_dict", lambda self, **options: load_file(resnet18_weights)
        )
        named = ResNetImageEncoder("IMAGENET1K_V1", architecture="resnet18")
        assert (
            named.fingerprint
            == ResNetImageEncoder(str(resnet18_weights), architecture="resnet18").fingerprint
        )
        assert named.prepare(picture(0)).shape == (224, 224, 3)

    def test_an_impossible_download_says_what_to_do(self, monkeypatch):
        from urllib.error import URLError

        def fail(self, **options):
            raise URLError("no network")

        monkeypatch.setattr(models.ResNet101_Weights, "get_state_dict", fail)
        with pytest.raises(
            InputError, match=r"(?s)cannot be downloaded.*https://\S+\.pth.*encoder: descriptor"
        ):
            ResNetImageEncoder()

    @pytest.mark.parametrize("name", ["IMAGENET1K_V9", "random", ""])
    def test_unknown_names_are_refused(self, name):
        with pytest.raises(
            InputError, match=r"(?s)no name of resnet101 weights.*IMAGENET1K_V1, IMAGENET1K_V2"
        ):
            ResNetImageEncoder(name)

    def test_bad_files_are_refused(self, resnet18_weights, tmp_path):
        with pytest.raises(InputError, match="absent.pth: cannot be read as weights"):
            ResNetImageEncoder(str(tmp_path / "absent.pth"))
        for name in ("text.pth", "text.safetensors"):
            (tmp_path / name).write_text("no weights")
            with pytest.raises(InputError, match=f"{name}: cannot be read as weights"):
                ResNetImageEncoder(str(tmp_path / name))
        torch.save(DescriptorImageEncoder(), tmp_path / "object.pth")
        with pytest.raises(InputError, match="object.pth: cannot be read as weights"):
            ResNetImageEncoder(str(tmp_path / "object.pth"))
        with pytest.raises(InputError, match=r"(?s)does not fit resnet34.*correct `architecture`"):
            ResNetImageEncoder(str(resnet18_weights), architecture="resnet34")


class SpyNetwork:
    """Keeps what it is called with."""

    def __init__(self, seen: list, device: torch.device):
        self.seen, self.device = seen, device

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append(inputs)
        return torch.zeros(len(inputs), 512)


class TestDecoding:
    @pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1"])
    def test_every_colour_mode_becomes_rgb(self, mode):
        file = io.BytesIO()
        picture(0).convert(mode).save(file, "TIFF")
        assert decode_image(file).mode == "RGB"

    def test_nonsense_is_refused(self):
        with pytest.raises(InputError, match="not a known picture format"):
            decode_image(io.BytesIO(b"<html>404</html>"))

    @pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "GIF"])
    def test_half_a_picture_is_refused(self, suffix):
        file = io.BytesIO()
        picture(0).save(file, suffix)
        half = file.getvalue()[: len(file.getvalue()) // 2]
        with pytest.raises(InputError, match="cannot be decoded"):
            decode_image(io.BytesIO(half))


class TestOptions:
    def test_batch_size_follows_the_encoder(self):
        assert ImageEncoderOptions().batch_size == 256
        assert ImageEncoderOptions(encoder="resnet").batch_size == 32
        assert ImageEncoderOptions(encoder="resnet", batch_size=8).batch_size == 8

    def test_unknown_keys_and_values_are_refused(self):
        for options in ({"weight": "DEFAULT"}, {"architecture": "vgg16"}, {"batch_size": 0}):
            with pytest.raises(ValidationError):
                ImageEncoderOptions(**options)

    def test_options_reach_the_encoder(self, resnet18_weights):
        assert isinstance(create_image_encoder(ImageEncoderOptions()), DescriptorImageEncoder)
        options = ImageEncoderOptions(
            encoder="resnet", architecture="resnet18", weights=str(resnet18_weights), precision="float32"
        )
        expected = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18", precision="float32")
        assert create_image_encoder(options).fingerprint == expected.fingerprint
