"""Pictures to vectors: a small hand-made descriptor (no download) or a pretrained ResNet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, PositiveInt, model_validator

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import ImageEncoder
from vidpop_pipelines.fingerprint import combine

Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

# Large enough that writing a batch costs little beside computing it; a kill loses at most one batch.
# For ResNet-101, batches beyond 32 pictures bring nothing on a CPU (measured) and little on a GPU.
_BATCH_SIZES = {"descriptor": 256, "resnet": 32}


class ImageEncoderOptions(BaseModel, extra="forbid"):
    """Which image encoder, and how it works.

    One flat table on purpose: environments override single keys of it, so keys of the other encoder may
    be present and are then without effect.

    Args:
        encoder: "descriptor" needs no download; "resnet" is a network trained on ImageNet.
        architecture: Which ResNet (resnet only); ResNet-101 as in the SMTPD paper, section 4.1.
        weights: Name of torchvision weights or local file (resnet only), see `ResNetImageEncoder`.
        precision: "auto" or "float32" (resnet only), see `features.frozen.FrozenNetwork`.
        batch_size: Pictures per call; by default 256 for the descriptor and 32 for a ResNet.
    """

    encoder: Literal["descriptor", "resnet"] = "descriptor"
    architecture: Architecture = "resnet101"
    weights: str = "IMAGENET1K_V1"
    precision: Literal["auto", "float32"] = "auto"
    batch_size: PositiveInt | None = None

    @model_validator(mode="after")
    def _fill_batch_size(self) -> "ImageEncoderOptions":
        if self.batch_size is None:
            self.batch_size = _BATCH_SIZES[self.encoder]
        return self


def create_image_encoder(options: ImageEncoderOptions) -> ImageEncoder:
    """Builds the encoder that the options name.

    Raises:
        InputError: If the weights of a ResNet cannot be loaded or do not fit.
    """
    if options.encoder == "descriptor":
        return DescriptorImageEncoder()
    return ResNetImageEncoder(options.weights, architecture=options.architecture, precision=options.precision)


def decode_image(file: BinaryIO) -> Image.Image:
    """Decodes a whole picture.

    Returns:
        The picture in RGB.

    Raises:
        InputError: If there is no picture, or not all of it.
    """
    with open_image(file) as image:
        try:
            return image.convert("RGB")
        except Exception as error:  # whatever broken bytes make Pillow raise; passed on as the reason
            raise InputError(f"cannot be decoded: {error}") from error


def open_image(file: BinaryIO) -> Image.Image:
    """Reads the header of a picture; the pixels are decoded when used.

    Raises:
        InputError: If there is no header that Pillow knows.
    """
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        raise InputError("cannot be decoded: not a known picture format") from None
    except Exception as error:  # whatever broken bytes make Pillow raise; passed on as the reason
        raise InputError(f"cannot be decoded: {error}") from error


class DescriptorImageEncoder:
    """Colour, light and texture of a picture in 147 numbers of like size, roughly between -1 and 1.

    Histograms of hue (weighted by saturation), saturation and value; mean and contrast of lightness, mean
    saturation and two opponent colours on a grid of 4 x 4; orientation and strength of edges on a grid of
    2 x 2; entropy of lightness, share of edge pixels, colourfulness (Hasler and Suesstrunk 2003).
    """

    version = 1
    hidden_size = 12 + 8 + 8 + 5 * 4**2 + 9 * 2**2 + 3

    def __init__(self):
        self._side = 96  # pixels; the statistics are coarse, so more detail would not change them
        self.description: Mapping[str, Any] = {
            "encoder": "descriptor",
            "version": self.version,
            "side": self._side,
        }
        self.fingerprint = combine(self.description)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Returns (96, 96, 3) uint8, the whole picture squeezed into a square."""
        return np.asarray(image.resize((self._side, self._side), Image.Resampling.BOX))

    def encode(self, inputs: Sequence[Image.Image | np.ndarray]) -> np.ndarray:
        """Returns (n, 147) float32 of RGB pictures, or of what `prepare` made of them."""
        red, green, blue = np.moveaxis(_stack(inputs, self).astype(np.float32) / 255, -1, 0)
        value = np.maximum(np.maximum(red, green), blue)
        chroma = value - np.minimum(np.minimum(red, green), blue)
        saturation = chroma / np.maximum(value, 1e-6)
        hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1
        lightness = 0.299 * red + 0.587 * green + 0.114 * blue
        red_green, yellow_blue = red - green, (red + green) / 2 - blue
        edge_strength, edges = _edges(lightness)
        parts = [
            _histogram(hue, 12, weights=chroma),
            _histogram(saturation, 8),
            _histogram(value, 8),
            _cell_means(lightness, 4),
            _cell_deviations(lightness, 4),
            _cell_means(saturation, 4),
            _cell_means(red_green, 4),
            _cell_means(yellow_blue, 4),
            edges,
            _entropy(lightness),
            (edge_strength > 0.1).mean((1, 2))[:, None],
            _colourfulness(red_green, yellow_blue),
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)


class ResNetImageEncoder:
    """A ResNet without its classifier: the pooled features of the last block.

    Pictures are resized, cropped and normalised as the weights were trained
    (`torchvision.models.ResNet101_Weights.IMAGENET1K_V1.transforms()`). The published code squeezed them
    to 224 x 224 and left the normalisation out.

    Args:
        weights: Name of torchvision weights, downloaded once, or a local ``.safetensors``, ``.pth`` or
            ``.pt`` file of them. "IMAGENET1K_V1" is what ``pretrained=True`` of the published code meant;
            the later "IMAGENET1K_V2" classifies better but was not what the paper used. A local file is
            given the preprocessing of "IMAGENET1K_V1".
        architecture: Which ResNet.
        precision: See `features.frozen.FrozenNetwork`.

    Raises:
        InputError: If the weights cannot be loaded or do not fit the architecture.
    """

    version = 1

    def __init__(
        self,
        weights: str = "IMAGENET1K_V1",
        *,
        architecture: Architecture = "resnet101",
        precision: Literal["auto", "float32"] = "auto",
    ):
        import torch
        from torchvision.models import get_model

        from vidpop_pipelines.features.frozen import FrozenNetwork, hash_weights

        self._arguments = (weights,), (("architecture", architecture), ("precision", precision))
        state, self._preset = _load_weights(weights, architecture)
        network = get_model(architecture, weights=None)
        self.hidden_size = network.fc.in_features
        network.fc = torch.nn.Identity()
        _fill(network, state, weights, architecture)
        self.description: Mapping[str, Any] = {
            "encoder": "resnet",
            "version": self.version,
            "architecture": architecture,
            "weights": hash_weights(network.state_dict()),
            "resize_size": self._preset.resize_size,
            "crop_size": self._preset.crop_size,
            "mean": self._preset.mean,
            "std": self._preset.std,
            "interpolation": self._preset.interpolation.value,
            "precision": precision,
        }
        self.fingerprint = combine(self.description)
        self._network = FrozenNetwork(network.to(memory_format=torch.channels_last), precision)

    def __reduce__(self) -> tuple:
        from vidpop_pipelines.features.frozen import restore_encoder

        return restore_encoder, (type(self), *self._arguments, self.fingerprint)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Returns (224, 224, 3) uint8, resized and cropped; normalised later, a quarter of the memory."""
        from torchvision.transforms import functional

        resized = functional.resize(
            image, self._preset.resize_size, self._preset.interpolation, antialias=self._preset.antialias
        )
        return np.asarray(functional.center_crop(resized, self._preset.crop_size))

    def encode(self, inputs: Sequence[Image.Image | np.ndarray]) -> np.ndarray:
        """Returns (n, hidden_size) float32 of RGB pictures, or of what `prepare` made of them."""
        import torch
        from torchvision.transforms import functional

        # Stacked as height, width, colour: seen through permute this is channels-last already.
        pixels = torch.from_numpy(_stack(inputs, self)).permute(0, 3, 1, 2).to(self._network.device)
        normalized = functional.normalize(
            functional.convert_image_dtype(pixels, torch.float32), self._preset.mean, self._preset.std
        )
        return self._network(normalized).float().cpu().numpy()


def _stack(inputs: Sequence[Image.Image | np.ndarray], encoder: ImageEncoder) -> np.ndarray:
    """Returns (n, height, width, 3) uint8."""
    return np.stack([encoder.prepare(item) if isinstance(item, Image.Image) else item for item in inputs])


def _load_weights(weights: str, architecture: Architecture) -> tuple[dict[str, Any], Any]:
    """Returns the state and the preprocessing that goes with it."""
    from torchvision.models import get_model_weights

    known = get_model_weights(architecture)
    path = Path(weights)
    if path.suffix in {".safetensors", ".pth", ".pt"}:
        return _read_weights(path), known["IMAGENET1K_V1"].transforms()
    if weights not in known.__members__:
        raise InputError(
            f"{weights!r} is no file of weights and no name of {architecture} weights.",
            f"one of {', '.join(known.__members__)}, or a .safetensors, .pth or .pt file",
            "correct `weights`.",
        )
    try:
        state = known[weights].get_state_dict(progress=True, check_hash=True, weights_only=True)
    except OSError as error:
        raise InputError(
            f"The {architecture} weights {weights!r} cannot be downloaded: {error}",
            "a connection, or the file where torch keeps downloads",
            f"download {known[weights].url} where there is a connection and give the file as `weights`, or "
            "use `encoder: descriptor`, which needs no download.",
        ) from error
    return state, known[weights].transforms()


def _read_weights(path: Path) -> dict[str, Any]:
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)  # refuses anything but tensors
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: cannot be read as weights: {error}",
            "the weights of a torchvision ResNet",
            "check the path and the file.",
        ) from error


def _fill(network: Any, state: dict[str, Any], weights: str, architecture: str) -> None:
    features = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    try:
        network.load_state_dict(features)
    except RuntimeError as error:
        raise InputError(
            f"{weights}: does not fit {architecture}: {error}",
            f"all weights of torchvision's {architecture}",
            "correct `architecture` or `weights`.",
        ) from error


def _histogram(values: np.ndarray, bins: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns (n, bins): the share of the pixels, or of their weights, per bin of 0..1."""
    n = len(values)
    pixels_bin = np.minimum((values.reshape(n, -1) * bins).astype(np.int64), bins - 1)
    flat = (np.arange(n)[:, None] * bins + pixels_bin).ravel()
    flat_weights = None if weights is None else weights.ravel()
    counts = np.bincount(flat, flat_weights, minlength=n * bins).reshape(n, bins)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1e-6)


def _cells(values: np.ndarray, grid: int) -> np.ndarray:
    """Returns (n, grid * grid, pixels) of (n, side, side)."""
    n, side, _ = values.shape
    step = side // grid
    blocks = values.reshape(n, grid, step, grid, step).swapaxes(2, 3)
    return blocks.reshape(n, grid * grid, step * step)


def _cell_means(values: np.ndarray, grid: int) -> np.ndarray:
    return _cells(values, grid).mean(2)


def _cell_deviations(values: np.ndarray, grid: int) -> np.ndarray:
    return _cells(values, grid).std(2)


def _edges(lightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns edge strength per pixel, and (n, 36): 8 orientations and the mean strength of 2 x 2 cells."""
    down, right = np.gradient(lightness, axis=(1, 2))
    strength = np.hypot(down, right)
    orientation = np.arctan2(down, right) / np.pi % 1  # a light-dark edge equals a dark-light one
    histograms = [
        _histogram(orientation_cell, 8, weights=strength_cell)
        for orientation_cell, strength_cell in zip(
            np.moveaxis(_cells(orientation, 2), 1, 0), np.moveaxis(_cells(strength, 2), 1, 0), strict=True
        )
    ]
    return strength, np.concatenate([*histograms, _cell_means(strength, 2)], axis=1)


def _entropy(lightness: np.ndarray) -> np.ndarray:
    """Returns (n, 1): entropy of 32 levels of lightness, 0 for a plain picture, 1 for an even spread."""
    shares = _histogram(lightness, 32)
    return -(shares * np.log(np.maximum(shares, 1e-12))).sum(1, keepdims=True) / np.log(32)


def _colourfulness(red_green: np.ndarray, yellow_blue: np.ndarray) -> np.ndarray:
    spread = np.hypot(red_green.std((1, 2)), yellow_blue.std((1, 2)))
    offset = np.hypot(red_green.mean((1, 2)), yellow_blue.mean((1, 2)))
    return (spread + 0.3 * offset)[:, None]
