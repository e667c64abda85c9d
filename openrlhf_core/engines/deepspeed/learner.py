"""Trains one model on one rank, with DeepSpeed's ZeRO stages 0 to 3."""

import json
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from openrlhf_core.engines.build_model import build_model
from openrlhf_core.engines.collate import collate
from openrlhf_core.engines.deepspeed.abandonment import Abandonment
from openrlhf_core.engines.deepspeed.config import deepspeed_config
from openrlhf_core.engines.deepspeed.extensions import skip_unused_extensions
from openrlhf_core.engines.deepspeed.random_state import (
    load_random_state,
    random_state_kept_on,
    save_random_state,
    seed_everything,
)
from openrlhf_core.engines.deepspeed.schedule import learning_rate
from openrlhf_core.engines.deepspeed.sleep import move_to_device, move_to_host
from openrlhf_core.engines.export import export_model, rehearse_export
from openrlhf_core.engines.forward import forward_scores
from openrlhf_core.engines.learner_settings import (
    Hardware,
    ModelSettings,
    Rank,
    TrainingSettings,
)
from openrlhf_core.engines.process_group import (
    join_process_group,
    open_control_group,
    take_device,
)
from openrlhf_core.engines.protocols import WeightInfo
from openrlhf_core.engines.step_totals import StepTotals
from openrlhf_core.models.fidelity import check_fidelity
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.models.weight_names import FileLayout, stored_weights
from openrlhf_core.objectives.metrics import Measurement
from openrlhf_core.objectives.objective import Objective, S
from openrlhf_core.samples import OptimizerBatch
from openrlhf_core.spec.exit_codes import ConfigurationError, NonFiniteError, WorkAbandoned
from openrlhf_core.spec.kinds.learner import OptimizerSpec

logger = logging.getLogger(__name__)

CHECKPOINT_TAG = "deepspeed"
MOST_SKIPPED_IN_A_ROW = 3


class DeepSpeedLearner(Generic[S]):
    """Implements `protocols.Learner`: a model, an objective and an optimizer.

    The objective says which rows the model reads for a sample and computes the loss from the
    model's tensors; this class does the rest, the same for every objective.
    """

    def __init__(
        self,
        rank: Rank,
        hardware: Hardware,
        *,
        directory: Path,
        model: ModelSettings,
        training: TrainingSettings,
        objective: Objective[S, Any],
    ) -> None:
        self._rank = rank
        self._directory = directory
        self._settings = model
        self._training = training
        self._objective = objective
        self._step = 0
        self._skipped_in_a_row = 0
        self._is_asleep = False
        seed_everything(training.seed + rank.index)
        self._device = take_device(hardware, rank.local_index)
        join_process_group(rank, self._device)
        self._abandonment = Abandonment(open_control_group(self._device))
        self._model = build_model(directory, model, hardware, objective.output)
        if rank.index == 0:
            check_fidelity(self._model, model.packing)
            rehearse_export(self._model.model, directory)
        self._file_layout = FileLayout(self._model.model, directory)
        if training.gradient_checkpointing:
            self._model.model.gradient_checkpointing_enable({"use_reentrant": False})
        self._adamw = _build_adamw(self._model, training.optimizer)
        self._engine = self._start_deepspeed(hardware)

    def score(self, micro_batches: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Returns a float32 score of each token id, shapes as given, as `ScoringModel.score`."""
        self._engine.eval()
        return [self._forward(token_ids) for token_ids in micro_batches]

    def update(
        self, batch: OptimizerBatch[S], *, may_abandon: bool = False
    ) -> dict[str, Measurement]:
        """Does one optimizer step and returns its metrics over all ranks.

        A step whose loss or gradients are not finite changes no weight and counts in
        `skipped_updates`; three in a row raise NonFiniteError. After WorkAbandoned only `save`,
        `export` and `weights` may follow; they see the state before the step.
        """
        self._engine.train()
        rate = self._set_learning_rate()
        with random_state_kept_on(WorkAbandoned):
            totals = self._accumulate(batch, self._abandonment.check if may_abandon else None)
        norm, was_applied = self._apply()
        self._count_skips(was_applied)
        area = self._training.area
        metrics = totals.reduce_over_ranks().measurements(f"{self._objective.area}/loss")
        metrics[f"{area}/grad_norm"] = Measurement(norm)
        metrics[f"{area}/learning_rate"] = Measurement(rate)
        metrics[f"{area}/skipped_updates"] = Measurement(float(not was_applied))
        return {name: one for name, one in metrics.items() if math.isfinite(one.value)}

    def abandon(self) -> None:
        """Makes `score`, and an `update` that may be abandoned, raise WorkAbandoned within two
        micro-batches. Called from another thread; it cannot be undone."""
        self._abandonment.ask()

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yields every weight whole, with name and shape as in the model's files, a tied one once.

        A tensor is valid until the next one is taken: ZeRO 3 gathers them one by one.
        """
        return self._file_layout.translate(self._whole_weights())

    def _whole_weights(self) -> Iterator[tuple[str, Tensor]]:
        for name, weight in stored_weights(self._model.model):
            gathered = [weight] if isinstance(weight, torch.nn.Parameter) else []
            with deepspeed.zero.GatheredParameters(gathered, enabled=self._is_partitioned):
                yield name, weight.data

    def describe(self) -> list[WeightInfo]:
        """Returns what `weights` will yield, in its order; gathers no weight."""
        whole = (
            (name, torch.empty(_whole_shape(weight), dtype=weight.dtype, device="meta"))
            for name, weight in stored_weights(self._model.model)
        )
        return [
            WeightInfo(name, str(weight.dtype).removeprefix("torch."), tuple(weight.shape))
            for name, weight in self._file_layout.translate(whole)
        ]

    def save(self, directory: Path) -> list[Path]:
        """Writes all that `load` needs to continue exactly; returns the files of this rank."""
        directory.mkdir(parents=True, exist_ok=True)
        self._engine.save_checkpoint(str(directory), tag=CHECKPOINT_TAG, save_latest=False)
        save_random_state(directory / f"random-{self._rank.index}.pt")
        if self._rank.index == 0:
            path = directory / "learner.json"
            path.write_text(json.dumps({**self._layout(), **self._counters()}), encoding="utf-8")
        dist.barrier()
        return files_of_rank(directory, self._rank.index)

    def load(self, directory: Path) -> None:
        """Continues from what `save` wrote, also in another process of the same world size."""
        saved = json.loads((directory / "learner.json").read_text(encoding="utf-8"))
        for name, value in self._layout().items():
            if saved[name] != value:
                raise ConfigurationError(
                    f"the checkpoint in {directory} was written with {name} {saved[name]} and this "
                    f"run has {value}; run with {saved[name]}, or start from the exported model"
                )
        self._engine.load_checkpoint(str(directory), tag=CHECKPOINT_TAG)
        load_random_state(directory / f"random-{self._rank.index}.pt")
        self._step = saved["step"]
        self._skipped_in_a_row = saved["skipped_in_a_row"]

    def export(self, directory: Path) -> list[Path]:
        """Writes the model in Hugging Face layout (safetensors, config, tokenizer).

        Rank 0 writes and returns the files; the other ranks take part in gathering the weights.
        """
        weights = {}
        for name, tensor in self.weights():
            if self._rank.index == 0:
                weights[name] = tensor.detach().to("cpu", copy=True)
        if self._rank.index == 0:
            export_model(self._model.model, weights, self._directory, directory)
        dist.barrier()
        return files_of_rank(directory, self._rank.index)

    def sleep(self) -> None:
        """Moves weights and optimizer states to host memory; `wake` comes before any other call."""
        if not self._is_asleep:
            move_to_host(self._engine, self._adamw, self._training.zero_stage)
        self._is_asleep = True

    def wake(self) -> None:
        """Moves weights and optimizer states back to the device."""
        if self._is_asleep:
            move_to_device(self._engine, self._adamw, self._training.zero_stage, self._device)
        self._is_asleep = False

    @property
    def _is_partitioned(self) -> bool:
        return self._training.zero_stage == 3

    def _start_deepspeed(self, hardware: Hardware) -> Any:
        skip_unused_extensions()
        # ZeRO 3 calls collectives that torch 2.13 renamed, several times a step.
        warnings.filterwarnings("ignore", "`torch.distributed", FutureWarning)
        deepspeed.init_distributed(verbose=False)
        config = deepspeed_config(
            self._training.zero_stage,
            self._settings.dtype,
            self._training.optimizer.gradient_clip,
            self._rank.world_size,
            hardware.device_kind,
        )
        engine = deepspeed.initialize(model=self._model, optimizer=self._adamw, config=config)[0]
        if self._training.zero_stage == 0:
            # In bfloat16 DeepSpeed takes a step with zero gradients to make Adam's states, which
            # would count as the first one (runtime/fp16/unfused_optimizer.py).
            self._adamw.state.clear()
        return engine

    def _forward(self, token_ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        self._abandonment.check()
        return forward_scores(
            self._engine,
            token_ids,
            pad_id=self._settings.pad_id,
            packing=self._settings.packing,
            device=self._device,
        )

    def _set_learning_rate(self) -> float:
        optimizer = self._training.optimizer
        rate = learning_rate(
            self._step,
            self._training.total_steps,
            highest=optimizer.learning_rate,
            schedule=optimizer.schedule,
            warmup_ratio=optimizer.warmup_ratio,
            minimum_ratio=optimizer.minimum_ratio,
        )
        for group in self._adamw.param_groups:
            group["lr"] = rate
        return rate

    def _accumulate(
        self, batch: OptimizerBatch[S], check: Callable[[], None] | None = None
    ) -> StepTotals:
        """Adds up the gradients of all micro-batches; the last one reduces them over the ranks.

        `check` runs before each micro-batch.
        """
        totals: StepTotals | None = None
        for index, samples in enumerate(batch.micro_batches):
            if check is not None:
                check()
            is_last = index == len(batch.micro_batches) - 1
            self._engine.set_gradient_accumulation_boundary(is_last)
            share = self._backward(samples)
            totals = share if totals is None else totals.plus(share)
        if totals is None:
            raise ValueError("an optimizer step needs at least one micro-batch, an empty one too")
        return totals

    def _backward(self, samples: Sequence[S]) -> StepTotals:
        settings = self._settings
        batch = collate(samples, self._objective.rows, settings.pad_id, settings.packing)
        batch = batch.to(self._device)
        outputs = self._engine(batch.token_ids, batch.packed_position_ids, batch.selected)
        loss = self._objective.loss(outputs, batch)
        # DeepSpeed averages gradients over the ranks, but the shares of the loss add up. Where the
        # loss is not finite, the factor makes all gradients NaN, and every ZeRO stage skips the
        # step.
        total = loss.total
        world_size = total.new_tensor(float(self._rank.world_size))
        factor = torch.where(torch.isfinite(total.detach()), world_size, math.nan)
        self._engine.backward(total * factor, scale_wrt_gas=False)
        return StepTotals.of(loss)

    def _apply(self) -> tuple[float, bool]:
        """Returns the gradient norm before clipping, and whether the weights were changed."""
        if self._training.zero_stage == 0 and self._settings.dtype == "Float32":
            return self._apply_unwrapped()
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return float(norm), bool(self._engine.was_step_applied())

    def _apply_unwrapped(self) -> tuple[float, bool]:
        """Does the same where DeepSpeed does not wrap the optimizer: no norm, no check for NaN."""
        parameters = list(self._model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._training.optimizer.gradient_clip)
        is_finite = bool(torch.isfinite(norm))
        if is_finite:
            self._engine.step()
        else:
            self._engine.zero_grad()
        return float(norm), is_finite

    def _count_skips(self, was_applied: bool) -> None:
        self._step += 1
        self._skipped_in_a_row = 0 if was_applied else self._skipped_in_a_row + 1
        if not was_applied:
            logger.warning(
                "optimizer step skipped, loss or gradients not finite step=%d", self._step
            )
        if self._skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            raise NonFiniteError(
                f"loss or gradients were not finite in {MOST_SKIPPED_IN_A_ROW} optimizer steps in "
                f"a row, the last one number {self._step}; lower optimizer.learningRate or start "
                "from an earlier checkpoint"
            )

    def _layout(self) -> dict[str, Any]:
        return {
            "world_size": self._rank.world_size,
            "zero_stage": self._training.zero_stage,
            "dtype": self._settings.dtype,
        }

    def _counters(self) -> dict[str, int]:
        return {"step": self._step, "skipped_in_a_row": self._skipped_in_a_row}


def files_of_rank(directory: Path, rank: int) -> list[Path]:
    """Returns the files below `directory` that `rank` wrote; rank 0 wrote those without a rank."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return [path.relative_to(directory) for path in files if _writer_of(path.name) == rank]


def _writer_of(name: str) -> int:
    """Returns the rank in the name of a ZeRO partition or of a random state, else 0."""
    found = re.search(r"zero_pp_rank_(\d+)_|^random-(\d+)\.pt$", name)
    return 0 if found is None else int(found[1] or found[2])


def _whole_shape(weight: Tensor) -> torch.Size:
    """Returns the shape of a weight before ZeRO 3 partitioned it."""
    shape: torch.Size = getattr(weight, "ds_shape", weight.shape)
    return shape


def _build_adamw(model: PolicyModel, optimizer: OptimizerSpec) -> torch.optim.AdamW:
    """Returns AdamW without weight decay for vectors, which are biases and the weights of norms."""
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    first, second = optimizer.betas
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": optimizer.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=0.0,  # each update sets its own
        betas=(first, second),
        fused=True,
    )
