"""How to train: the options that every torch family shares."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from vidpop_pipelines.parameters import Parameters


class TrainingOptions(Parameters):
    """Options of `vidpop_pipelines.training.trainer.train`.

    Defaults are those of the SMTPD paper where it has the option; each family sets its own in its parameters file.

    Attributes:
        epochs: Epochs at most.
        batch_size: Rows of a batch; of each process where several train together.
        gradient_accumulation_steps: Batches per optimizer step; more than 1 where a batch of the wanted size does not
            fit in memory.
        learning_rate: Learning rate, after warming up.
        optimizer: `adam` adds weight_decay to the gradient (coupled L2), `adamw` shrinks the weights directly. Both act
            on every trainable parameter. `paged_adamw_8bit` is adamw with a state of 8 bits that moves to the
            processor's memory where the GPU's is short (bitsandbytes); on a CPU it is adamw.
        weight_decay: See optimizer.
        scheduler: `plateau` multiplies the learning rate by plateau_factor after more than plateau_patience epochs in
            which the monitored metric did not improve; `cosine` falls to 0 at the last step.
        plateau_patience: See scheduler.
        plateau_factor: See scheduler.
        warmup_fraction: Part of the steps in which the learning rate rises from 0 (cosine and constant only).
        max_gradient_norm: Clipping; the default is high enough to stop only explosions. null switches it off.
        patience: Epochs without improvement after which training stops; null trains all epochs, as published.
        precision: `auto` is bf16 where the hardware computes it natively (GPUs from Ampere on, CPUs with AVX512-BF16 or
            AMX: 1.4 times faster than fp32 on the full SMTPD network), fp16 on older GPUs, else fp32. Small networks
            gain nothing from it: their families set fp32, which also gives the same numbers on every CPU.
        compile: Whether torch compiles the network. That of SMTPD takes minutes on a CPU and saves nothing per step
            there.
        n_threads: Processor threads per step; null for torch's choice, all cores. One for small networks: threads that
            meet after every tiny layer bring nothing, and stall for seconds where other programs share the cores.
        keep_epochs: Weights of which epochs stay on disk (90 MB each for the full SMTPD network).
        n_data_workers: Processes that read batches; reading a memory map is too cheap to pay for any, decoding video is
            not.
    """

    epochs: PositiveInt = 20
    batch_size: PositiveInt = 64
    gradient_accumulation_steps: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-3
    optimizer: Literal["adam", "adamw", "paged_adamw_8bit"] = "adam"
    weight_decay: NonNegativeFloat = 1e-3
    scheduler: Literal["plateau", "cosine", "constant"] = "plateau"
    plateau_patience: NonNegativeInt = 1
    plateau_factor: float = Field(0.2, gt=0, lt=1)
    warmup_fraction: float = Field(0.0, ge=0, lt=1)
    max_gradient_norm: PositiveFloat | None = 10.0
    patience: PositiveInt | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    n_threads: PositiveInt | None = None
    keep_epochs: Literal["best_and_last", "all", "none"] = "best_and_last"
    n_data_workers: NonNegativeInt = 0
