"""The one way a torch model is trained: transformers.Trainer, checkpointed every epoch, resumed bit for bit.

Imports torch and transformers at the top, so import this module inside functions only.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.training.batches import ShuffledBatches, to_tensors
from vidpop_pipelines.training.callbacks import EndEpochs, LogEpochs, SetTrainingProgress, ShowProgress
from vidpop_pipelines.training.checkpoints import EpochWeights, ResumeFolder
from vidpop_pipelines.training.history import VALIDATION, Monitor, epoch_history
from vidpop_pipelines.training.memory import reused_buffers
from vidpop_pipelines.training.metric_logger import MetricLogger, NoMetricLogger, log_history
from vidpop_pipelines.training.options import TrainingOptions
from vidpop_pipelines.training.precision import Precision, choose_precision

log = logging.getLogger(__name__)

ComputeMetrics = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class TrainingResult:
    """What `train` returns beside the trained model.

    Attributes:
        best_epoch: The epoch, counted from 1, whose weights the model now has.
        history: One row per epoch (index `epoch`, from 1): `train_loss`, `learning_rate` and every
            validation metric as `validation_<name>`.
        precision: What the computation ran in.
    """

    best_epoch: int
    history: pd.DataFrame
    precision: Precision


def train(
    model: nn.Module,
    train_batches: Dataset,
    validation_batches: Dataset,
    options: TrainingOptions,
    *,
    seed: int,
    compute_metrics: ComputeMetrics,
    monitor: str,
    fingerprint: str,
    greater_is_better: bool = False,
    resume_folder: Path | None = None,
    epochs_folder: Path | None = None,
    logger: MetricLogger | None = None,
    description: str = "Training",
) -> TrainingResult:
    """Trains a model and leaves it with the weights of its best epoch.

    After every epoch the whole validation set is forecast, its last short batch included, and the metrics
    are computed once over all of it. A killed training that is started again with the same arguments goes
    on after its last epoch and ends with the same weights and history, bit for bit; one that had ended, but
    whose caller was killed later, returns at once.

    Args:
        model: Its forward takes the entries of a batch by name and returns a mapping with `loss` and
            `logits`: a `PreTrainedModel`, a PEFT model or a plain module. Seed before building it
            (`transformers.set_seed`), or a rerun will not start from the same weights. If it has a tensor
            `training_progress`, that is set to the part of all steps that is done before each step.
        train_batches: Dataset whose `__getitems__` returns a batch as a dictionary of arrays, `labels`
            among them, such as a `BatchDataset`.
        validation_batches: The same for the validation rows.
        options: How to train.
        seed: Of shuffling and dropout.
        compute_metrics: From predictions and labels of the validation set, each (n, ...), to named metrics.
        monitor: The metric that chooses the best epoch, drives the plateau scheduler and early stopping.
        fingerprint: Digest of everything the training depends on: data, split, parameters, seed, code.
        greater_is_better: Whether the monitored metric is a score rather than an error.
        resume_folder: Where the state to resume from lives; the caller deletes it when its pipeline ends.
            None trains in a temporary folder and cannot be resumed. Under torchrun all processes share it.
        epochs_folder: Where `epoch_<NN>.safetensors` are written, as `options.keep_epochs` says.
        logger: Receives the metrics of every epoch; of a resumed training those of the earlier epochs too,
            which went to another run of the tracker.
        description: Label of the progress bar.

    Returns:
        Best epoch, history and precision.

    Raises:
        InputError: If there are fewer than two training rows or no validation row, if the hardware lacks
            the precision, or if no epoch gave a finite value of the monitored metric.
    """
    _check_sizes(len(train_batches), len(validation_batches), description)
    judge = Monitor(VALIDATION + monitor, greater_is_better, options.patience)
    precision = choose_precision(options.precision)
    logger = logger or NoMetricLogger()
    with _folder(resume_folder) as folder:
        arguments = _training_arguments(options, precision, seed, folder, judge)
        with arguments.main_process_first(local=False):  # under torchrun all processes share the folders
            resume = ResumeFolder(folder, fingerprint)
            hidden = epochs_folder is None or options.keep_epochs == "none"
            weights = EpochWeights(
                folder / "epochs" if hidden else epochs_folder, options.keep_epochs == "all"
            )
            end_epochs = EndEpochs(resume, weights, judge)
            checkpoint = resume.latest_checkpoint()
            if checkpoint is None:
                finished, history = False, None
                for earlier in {weights.folder, epochs_folder} - {None}:
                    EpochWeights(earlier, keep_all=False).clear()
            else:
                finished, history = _read_checkpoint(checkpoint, judge)
                log.info("%s: resumed after epoch %d.", description, len(history))
                end_epochs.settle(checkpoint, history)  # a kill may have come before the end of this
        if finished and arguments.process_index == 0:
            log_history(history, logger)
        if not finished:
            trainer = _EpochTrainer(
                model,
                arguments,
                train_dataset=train_batches,
                eval_dataset=validation_batches,
                data_collator=to_tensors,
                compute_metrics=_named_metrics(compute_metrics, monitor),
                callbacks=[SetTrainingProgress(), end_epochs, LogEpochs(logger)],
                optimizers=(_create_optimizer(model, options), None),
            )
            with _threads(options.n_threads):
                _run(trainer, checkpoint, options.compile, ShowProgress(description))
            history = epoch_history(trainer.state.log_history)
        best_epoch = _best_epoch(judge, history, description)
        weights.load(best_epoch, model)
    return TrainingResult(best_epoch, history, precision)


class _EpochTrainer(Trainer):
    """The Trainer, with whole-batch reading and without what this project does itself."""

    def get_train_dataloader(self) -> DataLoader:
        batches = ShuffledBatches(len(self.train_dataset), self._train_batch_size, self.args.seed)
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def floating_point_ops(self, inputs: dict) -> int:
        # The Trainer walks through all modules at every step to count them.
        return 0

    def _determine_best_metric(self, metrics: dict[str, float], trial: None) -> bool:
        # The history tells the best epoch; the Trainer would note a checkpoint that is soon deleted.
        return False


@contextmanager
def _folder(resume_folder: Path | None) -> Iterator[Path]:
    if resume_folder is not None:
        yield resume_folder
        return
    with TemporaryDirectory(prefix="vidpop_training_") as folder:
        yield Path(folder)


def _check_sizes(n_train: int, n_validation: int, description: str) -> None:
    if n_train < 2 or n_validation < 1:
        raise InputError(
            f"{description}: {n_train} training and {n_validation} validation rows.",
            "at least 2 training rows and 1 validation row",
            "give more data, or a split that leaves rows on both sides.",
        )


def _best_epoch(judge: Monitor, history: pd.DataFrame, description: str) -> int:
    best_epoch = judge.best_epoch(history)
    if best_epoch == 0:
        raise InputError(
            f"{description}: {judge.metric} was never a number in {len(history)} epochs.",
            "a training that does not diverge, on finite inputs",
            "lower learning_rate, or look at the inputs.",
        )
    return best_epoch


def _read_checkpoint(checkpoint: Path, judge: Monitor) -> tuple[bool, pd.DataFrame]:
    """Returns whether the training has ended, and its history."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    history = epoch_history(state.log_history)
    return state.global_step >= state.max_steps or judge.is_exhausted(history), history


def _named_metrics(
    compute_metrics: ComputeMetrics, monitor: str
) -> Callable[[EvalPrediction], dict[str, float]]:
    def compute(evaluated: EvalPrediction) -> dict[str, float]:
        metrics = compute_metrics(evaluated.predictions, evaluated.label_ids)
        if monitor not in metrics:
            raise ValueError(f"compute_metrics returned {sorted(metrics)}, not the monitored {monitor!r}")
        return {VALIDATION + name: float(value) for name, value in metrics.items()}

    return compute


def _create_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    # Given ready-made: the Trainer's own would spare biases from weight decay, which the papers do not.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = {"lr": options.learning_rate, "weight_decay": options.weight_decay}
    if options.optimizer == "paged_adamw_8bit" and trained[0].is_cuda:
        from bitsandbytes.optim import PagedAdamW8bit

        return PagedAdamW8bit(trained, **settings)
    optimizer_class = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    # One pass over memory: a step of the full SMTPD network takes a fifth less.
    return optimizer_class(trained, **settings, fused=True)


def _training_arguments(
    options: TrainingOptions, precision: Precision, seed: int, folder: Path, judge: Monitor
) -> TrainingArguments:
    scheduler, scheduler_options = {
        "plateau": (
            "reduce_lr_on_plateau",
            {
                "mode": "max" if judge.greater_is_better else "min",
                "factor": options.plateau_factor,
                "patience": options.plateau_patience,
            },
        ),
        "cosine": ("cosine", {}),
        "constant": ("constant_with_warmup", {}),
    }[options.scheduler]
    arguments = TrainingArguments(
        output_dir=str(folder),
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        learning_rate=options.learning_rate,
        lr_scheduler_type=scheduler,
        lr_scheduler_kwargs=scheduler_options,
        warmup_steps=options.warmup_fraction,
        max_grad_norm=options.max_gradient_norm or 0.0,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.accelerator.is_available(),  # where it is not told, the Trainer refuses bf16
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        logging_nan_inf_filter=False,  # a diverging loss is to be seen, and looking waits for the GPU
        metric_for_best_model=judge.metric,  # drives the plateau scheduler
        greater_is_better=judge.greater_is_better,
        remove_unused_columns=False,
        dataloader_num_workers=options.n_data_workers,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # With several GPUs in one process the Trainer would multiply the batch size; torchrun uses them all.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _run(trainer: Trainer, checkpoint: Path | None, compile_model: bool, progress: ShowProgress) -> None:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress)
    bars_were_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # one per checkpoint, for writing it
    if compile_model:
        trainer.model.compile()
    try:
        with reused_buffers(), _own_forward(trainer.model):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    finally:
        progress.close()
        if bars_were_shown:
            transformers_logging.enable_progress_bar()
    trainer.accelerator.wait_for_everyone()  # until the weights of the best epoch are on disk


@contextmanager
def _threads(n_threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _own_forward(model: nn.Module) -> Iterator[None]:
    """Takes off the autocast that accelerate wraps around `forward`, and would leave there."""
    before = model.__dict__.get("forward")
    try:
        yield
    finally:
        for name in ("forward", "_original_forward"):
            model.__dict__.pop(name, None)
        if before is not None:
            model.forward = before
