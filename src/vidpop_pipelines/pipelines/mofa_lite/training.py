"""Training of one fold's network; each fold in a process of its own, single-threaded."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.multi_target import nmse
from vidpop_pipelines.features.reduction import nonzero
from vidpop_pipelines.fingerprint import combine, hash_arrays, hash_code
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters, NetworkOptions
from vidpop_pipelines.pipelines.mofa_lite.preprocessing import Preprocessing

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class FoldNetwork:
    """What training one fold brings.

    Attributes:
        preprocessing: What was fitted on the fold's training rows.
        config: Of the network.
        weights: File with the weights of its best epoch.
        best_epoch: That epoch, from 1.
        history: One row per epoch.
    """

    preprocessing: Preprocessing
    config: dict[str, Any]
    weights: Path
    best_epoch: int
    history: pd.DataFrame

    @cached_property
    def network(self) -> "PreTrainedModel":
        """The network, whose weights are mapped from the file: those of all folds would fill the memory."""
        from safetensors.torch import load_file

        from vidpop_pipelines.pipelines.mofa_lite.model import MofaConfig, MofaNetwork

        network = MofaNetwork(MofaConfig.from_dict(self.config))
        network.load_state_dict(load_file(self.weights), assign=True)
        return network.eval()


def train_network(
    inputs: MofaInputs,
    rows: dict[str, np.ndarray],
    parameters: MofaLiteParameters,
    fold: int,
    resume_folder: Path,
    epochs_folder: Path,
    data_fingerprint: str,
) -> FoldNetwork:
    """Trains the network of one fold; runs in a worker process. Its best epoch has the lowest Score.

    Args:
        inputs: All videos.
        rows: Row numbers of `train` and `validation`.
        parameters: Everything else.
        fold: Number of the fold; part of the seed, so that the networks of an ensemble start different.
        resume_folder: Where a killed training left its state, and where the weights of the best epoch go.
        epochs_folder: Where the weights of kept epochs go.
        data_fingerprint: `inputs.fingerprint()`, computed once for all folds.
    """
    from safetensors.torch import save_file
    from transformers import set_seed

    from vidpop_pipelines.pipelines.mofa_lite.model import MofaConfig, MofaNetwork
    from vidpop_pipelines.training.batches import BatchDataset
    from vidpop_pipelines.training.trainer import train

    resume_folder.mkdir(parents=True, exist_ok=True)
    for abandoned in resume_folder.glob("features_*"):  # by a run that was killed
        shutil.rmtree(abandoned)
    # Beside the resume state, and not in the system's temporary folder, which may be in memory.
    with TemporaryDirectory(dir=resume_folder, prefix="features_") as scratch:
        prepared = prepare_fold(inputs, rows, parameters, Path(scratch) / "features.npy")
        seed = parameters.seed + fold
        set_seed(seed)
        network = MofaNetwork(_config(MofaConfig, inputs, inputs.targets[rows["train"]], parameters.network))
        n_train = len(rows["train"])
        result = train(
            network,
            BatchDataset(np.arange(n_train), prepared.read_batch),
            BatchDataset(np.arange(n_train, n_train + len(rows["validation"])), prepared.read_batch),
            parameters.training,
            seed=seed,
            compute_metrics=_score,
            monitor="score",
            fingerprint=_fingerprint(data_fingerprint, rows, network.config, parameters, seed),
            resume_folder=resume_folder / "training",
            epochs_folder=epochs_folder,
            description=f"Training fold {fold}",
        )
    weights = resume_folder / "network.safetensors"
    save_file(network.state_dict(), weights)
    return FoldNetwork(
        prepared.preprocessing,
        network.config.to_diff_dict(),
        weights,
        result.best_epoch,
        result.history.reset_index(),
    )


@dataclass(frozen=True)
class PreparedFold:
    """A fold's rows as its network reads them, training rows first.

    Attributes:
        preprocessing: What was fitted on the training rows.
        features: (n, all widths) memory-mapped.
        labels: (n, T).
    """

    preprocessing: Preprocessing
    features: np.ndarray
    labels: np.ndarray

    def read_batch(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a batch by its positions among the rows."""
        return {"features": self.features[positions], "labels": self.labels[positions]}


def prepare_fold(
    inputs: MofaInputs, rows: dict[str, np.ndarray], parameters: MofaLiteParameters, file: Path
) -> PreparedFold:
    """Fits the preprocessing on the training rows, and writes the transformed rows to a file, to be mapped."""
    together = np.concatenate([rows["train"], rows["validation"]])
    preprocessing, features = Preprocessing.fit(
        inputs, together, len(rows["train"]), parameters.preprocessing, file
    )
    return PreparedFold(preprocessing, features, inputs.targets[together])


def _config(config_class: Any, inputs: MofaInputs, targets: np.ndarray, options: NetworkOptions) -> Any:
    return config_class(
        modality_sizes=list(inputs.widths.values()),
        n_targets=targets.shape[1],
        target_mean=targets.mean(axis=0, dtype=np.float64).tolist(),
        target_scale=nonzero(targets.std(axis=0, dtype=np.float64)).tolist(),
        **options.model_dump(),
    )


def _score(forecast: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {"score": float(np.mean(nmse(truth, forecast)))}


def _fingerprint(
    data: str, rows: dict[str, np.ndarray], config: Any, parameters: MofaLiteParameters, seed: int
) -> str:
    """Returns a digest of all that a training depends on: a killed one is resumed only if nothing changed."""
    return combine(
        data,
        hash_arrays([rows["train"], rows["validation"]]),
        config.to_dict(),
        parameters.model_dump(exclude={"lightgbm", "kernel", "blend", "analysis"}),
        seed,
        hash_code(),
        version("torch"),
    )


def blend_weights(truth: np.ndarray, members: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the shares of the members whose blend has the lowest Score; none negative, 1 in all.

    Args:
        truth: (N, T) targets.
        members: (N, T) out-of-fold forecasts by name.
    """
    from scipy.optimize import nnls

    scale = nonzero(truth.std(axis=0))
    errors = np.column_stack([((values - truth) / scale).ravel() for values in members.values()])
    # With shares that add up to 1 the error of the blend is the blend of the errors; a heavy row adds them up.
    heavy = 1e3 * np.sqrt(np.square(errors).sum())
    system = np.vstack([errors, np.full((1, errors.shape[1]), heavy)])
    shares, _ = nnls(system, np.append(np.zeros(len(errors)), heavy))
    return dict(zip(members, (shares / shares.sum()).tolist(), strict=True))
