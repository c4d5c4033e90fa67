"""Small MoFA folders and inputs."""

from pathlib import Path

import numpy as np

from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters

WIDTHS = {"audio": 3, "image": 6, "text": 5}


def make_arrays(n_rows: int = 80, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns features of three modalities with some NaN, and counts that depend on two of them."""
    rng = np.random.default_rng(seed)
    arrays = {
        f"{name}_features": rng.normal(size=(n_rows, width)).astype(np.float32)
        for name, width in WIDTHS.items()
    }
    signal = arrays["image_features"][:, 0] + arrays["text_features"][:, 0]
    noise = rng.normal(0, 0.3, (n_rows, 3))
    arrays["popularity_counts"] = (8 + signal[:, None] * [1.0, 0.8, 0.5] + noise).astype(np.float32)
    arrays["image_features"][3] = np.nan
    arrays["text_features"][5, 1] = np.nan
    return arrays


def write_folder(folder: Path, arrays: dict[str, np.ndarray], ids: list[str] | None = None) -> Path:
    """Writes the arrays, and ids where given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=array.dtype.hasobject)
    if ids is not None:
        (folder / "video_id.txt").write_text("".join(f"{video_id}\n" for video_id in ids))
    return folder


def make_inputs(n_rows: int = 80, seed: int = 0) -> MofaInputs:
    """Returns the same in memory."""
    arrays = make_arrays(n_rows, seed)
    return MofaInputs(
        video_ids=np.array([f"v{row}" for row in range(n_rows)], dtype=object),
        modalities={name: arrays[f"{name}_features"] for name in WIDTHS},
        rows=np.arange(n_rows),
        targets=arrays["popularity_counts"],
    )


def small_parameters(**changes) -> MofaLiteParameters:
    """Returns parameters of a small and fast family."""
    network = {"hidden_size": 8, "attention_size": 4, "fusion_sizes": [8], "fusion_dropouts": [0.1]}
    against_overfitting = {"modality_dropout": 0.1, "mixup_alpha": 0.4}
    training = {"epochs": 3, "batch_size": 16, "optimizer": "adamw", "learning_rate": 0.01}
    return MofaLiteParameters(
        **{
            "n_folds": 3,
            "preprocessing": {"default": ["rank_gauss", "l2", "standardise"]},
            "network": network | {"head_sizes": [8], "bins": 4, "binned_width": 4} | against_overfitting,
            "training": training | {"precision": "fp32", "n_threads": 1, "keep_epochs": "none"},
        }
        | changes
    )
