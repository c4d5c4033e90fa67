"""What happens around the steps and epochs of the Trainer."""

import logging
from pathlib import Path

import pandas as pd
from tqdm import tqdm
from transformers import TrainerCallback

from vidpop_pipelines.training.checkpoints import EpochWeights, ResumeFolder
from vidpop_pipelines.training.history import Monitor, epoch_history
from vidpop_pipelines.training.metric_logger import MetricLogger, log_history

_log = logging.getLogger(__name__)


class SetTrainingProgress(TrainerCallback):
    """Tells a model that has a tensor `training_progress` which part of all steps is done, for its loss."""

    def on_step_begin(self, args, state, control, model=None, **kwargs):  # noqa: D102
        progress = getattr(model, "training_progress", None)
        if progress is not None:
            progress.fill_(state.global_step / state.max_steps)


class EndEpochs(TrainerCallback):
    """Keeps what an epoch leaves on disk, and stops a training that no longer improves."""

    def __init__(self, resume: ResumeFolder, weights: EpochWeights, monitor: Monitor):
        self._resume = resume
        self._weights = weights
        self._monitor = monitor

    def on_save(self, args, state, control, **kwargs):  # noqa: D102
        history = epoch_history(state.log_history)
        if self._monitor.is_exhausted(history):
            control.should_training_stop = True
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            # Before the checkpoint counts as complete: a kill in between costs the epoch, never its weights.
            self._weights.add(len(history), checkpoint)
            self.settle(checkpoint, history)

    def settle(self, checkpoint: Path, history: pd.DataFrame) -> None:
        """Makes this the checkpoint to resume from, and deletes what is no longer needed."""
        self._resume.keep_only(checkpoint)
        self._weights.drop_all_but({len(history), self._monitor.best_epoch(history)})


class LogEpochs(TrainerCallback):
    """Passes the metrics of every epoch on; of a resumed training, those of its earlier epochs first."""

    def __init__(self, logger: MetricLogger):
        self._logger = logger

    def on_train_begin(self, args, state, control, **kwargs):  # noqa: D102
        if state.is_world_process_zero:
            log_history(epoch_history(state.log_history), self._logger)

    def on_evaluate(self, args, state, control, **kwargs):  # noqa: D102
        if state.is_world_process_zero:
            log_history(epoch_history(state.log_history).tail(1), self._logger)


class ShowProgress(TrainerCallback):
    """A progress bar on terminals, and one line per epoch in the log."""

    def __init__(self, description: str):
        self._description = description
        self._bar: tqdm | None = None

    def on_train_begin(self, args, state, control, **kwargs):  # noqa: D102
        self._bar = tqdm(
            desc=self._description,
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            disable=None if state.is_world_process_zero else True,
        )

    def on_step_end(self, args, state, control, **kwargs):  # noqa: D102
        self._bar.update()

    def on_evaluate(self, args, state, control, **kwargs):  # noqa: D102
        metrics = epoch_history(state.log_history).iloc[-1]
        shown = {name: f"{value:.4g}" for name, value in metrics.items()}
        self._bar.set_postfix(shown)
        if state.is_world_process_zero:
            values = ", ".join(f"{name} {value}" for name, value in shown.items())
            _log.info(
                "%s, epoch %d of %d: %s", self._description, metrics.name, state.num_train_epochs, values
            )

    def close(self) -> None:
        """Leaves the terminal in order, also after an error."""
        if self._bar is not None:
            self._bar.close()
