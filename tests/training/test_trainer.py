import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from safetensors.torch import load_file
from torch import nn

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.training.batches import BatchDataset
from vidpop_pipelines.training.options import TrainingOptions
from vidpop_pipelines.training.trainer import train

N_TRAIN, N_VALIDATION = 65, 21
INPUTS = np.random.default_rng(0).normal(size=(N_TRAIN + N_VALIDATION, 3)).astype(np.float32)
LABELS = (INPUTS @ np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]], np.float32)).astype(np.float32)


class Network(nn.Module):
    def __init__(self, bias=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
        )
        self.register_buffer("training_progress", torch.tensor(-1.0), persistent=False)
        self.seen_progress = []

    def forward(self, inputs, labels=None):
        if self.training:
            self.seen_progress.append(self.training_progress.item())
        logits = self.layers(inputs)
        return {"loss": (logits - labels).abs().mean(), "logits": logits}


class Reader:
    """Reads batches, and does something else at the given call."""

    def __init__(self, at=None, action=None):
        self.batches, self.at, self.action = [], at, action

    def __call__(self, rows):
        self.batches.append(rows)
        if len(self.batches) == self.at:
            self.action()
        return {"inputs": INPUTS[rows], "labels": LABELS[rows]}


class Recorder:
    def __init__(self):
        self.logged = []

    def log_metrics(self, metrics, step):
        self.logged.append((step, metrics))


def mae(predictions, labels):
    return {"mae": np.abs(predictions - labels).mean()}


def network():
    torch.manual_seed(0)
    return Network()


def run(model=None, *, reader=None, compute_metrics=mae, arguments=None, **options):
    """Trains a small network; returns (model, result)."""
    model = model or network()
    reader = reader or Reader()
    result = train(
        model,
        BatchDataset(np.arange(N_TRAIN), reader),
        BatchDataset(np.arange(N_TRAIN, N_TRAIN + N_VALIDATION), reader),
        TrainingOptions(
            **(
                {"epochs": 3, "batch_size": 16, "learning_rate": 0.02, "precision": "fp32", "n_threads": 1}
                | options
            )
        ),
        **(
            {"seed": 1, "compute_metrics": compute_metrics, "monitor": "mae", "fingerprint": "a"}
            | (arguments or {})
        ),
    )
    return model, result


def forecast(model):
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(INPUTS[N_TRAIN:]), torch.from_numpy(LABELS[N_TRAIN:]))["logits"].numpy()


def scripted(values):
    """Metrics that come out as written, one value per epoch."""
    left = iter(values)
    return lambda predictions, labels: {"mae": next(left)}


def test_training_learns_and_the_model_holds_the_weights_of_its_best_epoch():
    model, result = run(epochs=25)
    history = result.history
    assert list(history.columns) == ["train_loss", "learning_rate", "validation_mae"]
    assert history.index.tolist() == list(range(1, 26)) and history.index.name == "epoch"
    assert history["validation_mae"].min() < history["validation_mae"].iloc[0] / 3
    assert result.best_epoch == history["validation_mae"].idxmin() != 25
    assert np.abs(forecast(model) - LABELS[N_TRAIN:]).mean() == pytest.approx(history["validation_mae"].min())


def test_metrics_are_computed_once_over_all_validation_rows_in_order():
    seen = []

    def compute_metrics(predictions, labels):
        seen.append(labels)
        return {"mae": float(np.median(np.abs(predictions - labels)))}

    model, result = run(compute_metrics=compute_metrics)
    assert [labels.tolist() for labels in seen] == [LABELS[N_TRAIN:].tolist()] * 3
    # The median over all rows is no average of medians over batches.
    best = float(np.median(np.abs(forecast(model) - LABELS[N_TRAIN:])))
    assert best == pytest.approx(result.history["validation_mae"].min())


def test_every_row_is_trained_on_and_a_single_last_row_is_no_batch():
    reader = Reader()
    run(reader=reader, epochs=2)
    trained = [rows for rows in reader.batches if rows.max() < N_TRAIN]
    assert [len(rows) for rows in trained] == [16, 16, 16, 17] * 2
    first, second = np.concatenate(trained[:4]), np.concatenate(trained[4:])
    assert sorted(first) == sorted(second) == list(range(N_TRAIN))
    assert first.tolist() != second.tolist()


def test_model_knows_how_far_the_training_is():
    model, _ = run(epochs=3)
    assert model.seen_progress == pytest.approx([step / 12 for step in range(12)])


def test_scores_are_maximised_if_greater_is_better():
    _, result = run(compute_metrics=scripted([0.3, 0.9, 0.5]), arguments={"greater_is_better": True})
    assert result.best_epoch == 2
    _, result = run(compute_metrics=scripted([0.3, 0.9, 0.2, 0.5]), epochs=4)
    assert result.best_epoch == 3


def test_paged_adamw_is_adamw_where_there_is_no_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    paged, plain = (run(optimizer=name, weight_decay=0.1)[0] for name in ("paged_adamw_8bit", "adamw"))
    assert all(torch.equal(*pair) for pair in zip(paged.parameters(), plain.parameters(), strict=True))


def test_plateau_lowers_the_learning_rate_after_patience():
    options = {"scheduler": "plateau", "plateau_patience": 1, "plateau_factor": 0.1, "learning_rate": 0.01}
    _, result = run(compute_metrics=scripted([5, 4, 6, 7, 3, 2]), epochs=6, **options)
    assert result.history["learning_rate"].tolist() == pytest.approx([0.01] * 4 + [0.001] * 2)
    _, result = run(
        compute_metrics=scripted([5, 4, 6, 7, 3, 2]),
        epochs=6,
        arguments={"greater_is_better": True},
        **options,
    )
    assert result.history["learning_rate"].tolist() == pytest.approx([0.01] * 3 + [0.01, 0.01, 0.01])


def test_cosine_and_constant_schedules():
    _, cosine = run(scheduler="cosine", learning_rate=0.01, epochs=4)
    assert cosine.history["learning_rate"].is_monotonic_decreasing
    assert cosine.history["learning_rate"].iloc[-1] < 1e-3
    _, constant = run(scheduler="constant", learning_rate=0.01, epochs=4)
    assert constant.history["learning_rate"].tolist() == [0.01] * 4


def test_patience_stops_early_and_the_best_epoch_counts():
    _, result = run(compute_metrics=scripted([5, 3, 4, 4, 1]), epochs=5, patience=2)
    assert len(result.history) == 4
    assert result.best_epoch == 2


def test_adam_shrinks_through_the_gradient_and_adamw_directly():
    # Without a gradient of its own, weight decay in the gradient makes Adam step by the learning rate,
    # whatever its size; decoupled it shrinks by learning rate x decay.
    def bias_after(optimizer):
        model = network()
        model.unused = nn.Parameter(torch.tensor([4.0]))
        original = model.forward
        model.forward = lambda inputs, labels=None: {
            **original(inputs, labels),
            "loss": original(inputs, labels)["loss"] + 0 * model.unused.sum(),
        }
        run(model, optimizer=optimizer, weight_decay=0.1, learning_rate=0.01, epochs=1, scheduler="constant")
        return model.unused.item()

    assert bias_after("adam") == pytest.approx(4 - 4 * 0.01, abs=1e-3)
    assert bias_after("adamw") == pytest.approx(4 * (1 - 0.01 * 0.1) ** 4, abs=1e-4)


@pytest.mark.parametrize(
    ("keep_epochs", "expected"),
    [("best_and_last", [2, 4]), ("all", [1, 2, 3, 4]), ("none", [])],
)
def test_kept_epochs_are_weights_only(tmp_path, monkeypatch, keep_epochs, expected):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    epochs = tmp_path / "epochs"
    epochs.mkdir()
    (epochs / "epoch_09.safetensors").touch()  # of an earlier training
    model, _ = run(
        epochs=4,
        compute_metrics=scripted([3, 1, 2, 2]),
        keep_epochs=keep_epochs,
        arguments={"epochs_folder": epochs, "resume_folder": tmp_path / "resume"},
    )
    assert sorted(path.name for path in epochs.iterdir()) == [f"epoch_{n:02d}.safetensors" for n in expected]
    if 2 in expected:
        best = load_file(epochs / "epoch_02.safetensors")
        assert best.keys() == model.state_dict().keys()
        assert all(torch.equal(best[name], value) for name, value in model.state_dict().items())
    assert not list((tmp_path / "elsewhere").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "epochs", "resume"}


def outcome(trained):
    model, result = trained
    return {name: value.tolist() for name, value in model.state_dict().items()}, result.history.to_dict()


def test_interrupted_training_is_resumed(tmp_path):
    arguments = {"resume_folder": tmp_path / "resume", "epochs_folder": tmp_path / "epochs"}
    uninterrupted = outcome(run(epochs=4))

    def press_control_c():
        raise KeyboardInterrupt

    model = network()
    with pytest.raises(KeyboardInterrupt):
        # The 20th batch is in the third epoch: an epoch reads 4 + 2 batches.
        run(model, reader=Reader(15, press_control_c), epochs=4, arguments=arguments)
    reader, recorder = Reader(), Recorder()
    resumed = run(reader=reader, epochs=4, arguments=arguments | {"logger": recorder})
    assert outcome(resumed) == uninterrupted
    assert len(reader.batches) == 2 * (4 + 2)
    # The tracker run of the resumed training has all epochs.
    assert [step for step, _ in recorder.logged] == [1, 2, 3, 4]
    assert recorder.logged[0][1] == pytest.approx(resumed[1].history.loc[1].to_dict())


@pytest.mark.parametrize("patience", [None, 1])
def test_finished_training_returns_at_once(tmp_path, patience):
    arguments = {"resume_folder": tmp_path / "resume", "logger": Recorder()}
    first = run(epochs=4, patience=patience, learning_rate=0.5, arguments=arguments)
    reader, recorder = Reader(), Recorder()
    again = run(
        reader=reader,
        epochs=4,
        patience=patience,
        learning_rate=0.5,
        arguments=arguments | {"logger": recorder},
    )
    assert outcome(again) == outcome(first)
    assert again[1].best_epoch == first[1].best_epoch
    assert reader.batches == []
    assert recorder.logged == arguments["logger"].logged


def test_other_fingerprint_starts_afresh(tmp_path):
    arguments = {"resume_folder": tmp_path / "resume"}
    run(epochs=2, arguments=arguments)
    reader = Reader()
    run(reader=reader, epochs=2, arguments=arguments | {"fingerprint": "b"})
    assert len(reader.batches) == 2 * (4 + 2)


def test_without_a_resume_folder_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run()
    assert not list(tmp_path.iterdir())


def test_same_seed_same_result():
    first, second, other = (outcome(run(arguments={"seed": seed})) for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precision_is_the_trainings_and_not_the_models(precision):
    types = []

    class Network16(Network):
        def forward(self, inputs, labels=None):
            types.append(self.layers[0](inputs).dtype)
            return super().forward(inputs, labels)

    torch.manual_seed(0)
    model, result = run(Network16(), precision=precision)
    assert result.precision == precision
    assert set(types) == {torch.bfloat16 if precision == "bf16" else torch.float32}
    types.clear()
    assert forecast(model).dtype == np.float32
    assert types == [torch.float32]
    assert "forward" not in model.__dict__


def test_gradients_are_clipped():
    def largest_step(limit):
        model = network()
        run(model, epochs=1, weight_decay=0, max_gradient_norm=limit)
        start = dict(network().named_parameters())
        return max((value - start[name]).abs().max().item() for name, value in model.named_parameters())

    # Adam divides a gradient by its size plus 1e-8: one of 1e-12 hardly moves a weight.
    assert largest_step(1e-12) < 1e-4
    assert largest_step(None) > 1e-2


def test_gradients_of_several_batches_are_accumulated():
    model, _ = run(epochs=1, gradient_accumulation_steps=2)
    assert model.seen_progress == pytest.approx([0, 0, 0.5, 0.5])


def test_threads_are_limited_while_training_only():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    run(reader=Reader(3, lambda: seen.append(torch.get_num_threads())), epochs=1, n_threads=1)
    assert seen == [1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="1 training and 21 validation rows"):
        train(
            network(),
            BatchDataset(np.arange(1), Reader()),
            BatchDataset(np.arange(21), Reader()),
            TrainingOptions(),
            seed=0,
            compute_metrics=mae,
            monitor="mae",
            fingerprint="",
        )


def test_diverged_training_is_reported():
    with pytest.raises(InputError, match="validation_mae was never a number in 3 epochs"):
        run(compute_metrics=scripted([np.nan] * 3), scheduler="constant")


def test_monitored_metric_has_to_be_computed():
    with pytest.raises(ValueError, match="not the monitored 'amae'"):
        run(arguments={"monitor": "amae"})


def test_frozen_parameters_stay():
    model = network()
    model.layers[0].requires_grad_(False)
    before = model.layers[0].weight.clone()
    run(model)
    assert torch.equal(model.layers[0].weight, before)


def small_network():
    from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdNetwork

    torch.manual_seed(0)
    config = SmtpdConfig(
        modalities=["numerical"],
        n_numerical=3,
        n_steps=2,
        encoder="concatenation",
        decoder="direct",
        direct_hidden_sizes=[8],
        normalization="none",
        loss={"name": "l1"},
    )
    return SmtpdNetwork(config)


def adapter_model():
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        small_network(), LoraConfig(r=2, target_modules=["head.0"], modules_to_save=["head.4"])
    )


def test_adapters_are_trained_saved_and_resumed_alone(tmp_path):
    class NumericalReader(Reader):
        def __call__(self, rows):
            batch = super().__call__(rows)
            return {"numerical": batch["inputs"], "labels": batch["labels"]}

    def press_control_c():
        raise KeyboardInterrupt

    arguments = {"resume_folder": tmp_path / "resume", "epochs_folder": tmp_path / "epochs"}
    uninterrupted = run(adapter_model(), reader=NumericalReader(), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run(adapter_model(), reader=NumericalReader(15, press_control_c), epochs=3, arguments=arguments)
    resumed = run(adapter_model(), reader=NumericalReader(), epochs=3, arguments=arguments)
    assert outcome(resumed) == outcome(uninterrupted)
    assert resumed[1].history["validation_mae"].iloc[-1] < resumed[1].history["validation_mae"].iloc[0]
    names = set(load_file(tmp_path / "epochs" / "epoch_03.safetensors"))
    assert {name.split(".")[-2] for name in names} == {"lora_A", "lora_B", "4"}
    # Progress reaches the model inside the adapter.
    assert resumed[0].training_progress.item() == pytest.approx(11 / 12)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_training_gives_the_same_up_to_rounding():
    class NumericalReader(Reader):
        def __call__(self, rows):
            batch = super().__call__(rows)
            return {"numerical": batch["inputs"], "labels": batch["labels"]}

    histories = [
        run(small_network(), reader=NumericalReader(), compile=compiled)[1].history
        for compiled in (True, False)
    ]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)


@pytest.mark.slow
def test_training_in_worker_processes_gives_the_same():
    inputs, labels = INPUTS, LABELS

    # Functions inside a function travel by value: workers cannot import this file.
    def fetch(rows):
        return {"numerical": inputs[rows], "labels": labels[rows]}

    def compute_metrics(predictions, truth):
        return {"mae": float(abs(predictions - truth).mean())}

    def task(seed):
        return delayed(train)(
            small_network(),
            BatchDataset(np.arange(N_TRAIN), fetch),
            BatchDataset(np.arange(N_TRAIN, N_TRAIN + N_VALIDATION), fetch),
            TrainingOptions(epochs=2, precision="fp32"),
            seed=seed,
            compute_metrics=compute_metrics,
            monitor="mae",
            fingerprint="",
        )

    seeds = (1, 2)
    here = [result.history for result in Parallel(n_jobs=1)(map(task, seeds))]
    there = [result.history for result in Parallel(n_jobs=2, backend="loky")(map(task, seeds))]
    for mine, theirs in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)
    assert not here[0].equals(here[1])
