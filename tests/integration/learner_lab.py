"""Runs one case of the real DeepSpeed learner as one rank and saves what it measured.

    python tests/integration/learner_lab.py CASE RANK WORLD_SIZE PORT WORKDIR

test_learner.py starts it: a process joins one group in its life and pays DeepSpeed's import once.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepspeed.utils import safe_get_full_grad
from pair_objective import Pair, PairObjective
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from openrlhf_core.algorithms.aggregate import LossAggregation
from openrlhf_core.data.balance import BatchLimits, plan_updates
from openrlhf_core.engines.deepspeed.learner import DeepSpeedLearner
from openrlhf_core.engines.learner_settings import (
    Hardware,
    ModelSettings,
    Rank,
    TrainingSettings,
)
from openrlhf_core.engines.protocols import WeightInfo
from openrlhf_core.engines.scoring_model import ScoringModel
from openrlhf_core.objectives.metrics import merge_updates
from openrlhf_core.objectives.objective import Objective
from openrlhf_core.objectives.outputs import TokenLogprobs
from openrlhf_core.objectives.policy import PolicyObjective, PolicySample
from openrlhf_core.samples import OptimizerBatch
from openrlhf_core.spec.exit_codes import ConfigurationError, NonFiniteError, WorkAbandoned
from openrlhf_core.spec.kinds.formats import DType
from openrlhf_core.spec.kinds.learner import OptimizerSpec
from openrlhf_core.spec.planning.presets import KLSettings, PolicyLossSettings

HARDWARE = Hardware("CPU", threads=1)
STAGES = (0, 1, 2, 3)
DTYPES: tuple[DType, ...] = ("Float32", "BFloat16")
LAYOUTS = {
    "qwen2-tied": (Qwen2Config, Qwen2ForCausalLM, True),
    "qwen2-untied": (Qwen2Config, Qwen2ForCausalLM, False),
    "llama-tied": (LlamaConfig, LlamaForCausalLM, True),
    "llama-untied": (LlamaConfig, LlamaForCausalLM, False),
}
EXPORTED: tuple[tuple[str, int, DType], ...] = (
    *((layout, 2, "Float32") for layout in LAYOUTS),
    ("llama-untied", 3, "Float32"),
    ("qwen2-tied", 0, "BFloat16"),
    ("qwen2-tied", 1, "BFloat16"),
    ("qwen2-tied", 2, "BFloat16"),
    ("qwen2-tied", 3, "BFloat16"),
)
OBJECTIVE = PolicyObjective(
    PolicyLossSettings(0.2, 0.2, None, "TokenMean"),
    KLSettings(0.1, "Loss", "K3"),
    entropy_coefficient=0.01,
    output=TokenLogprobs(temperature=0.9),
)


def write_models(directory: Path) -> None:
    """Every layout of about 0.1M parameters, once, before ranks start."""
    for name, (config_class, model_class, is_tied) in LAYOUTS.items():
        torch.manual_seed(0)
        config = config_class(
            vocab_size=96,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            tie_word_embeddings=is_tied,
        )
        model_class(config).save_pretrained(directory / name)
        (directory / name / "tokenizer.json").write_text("{}")


def make_samples(step: int) -> list[PolicySample]:
    """Four samples of unequal lengths with the weights of a token mean; the same for the same
    step."""
    generator = np.random.default_rng(step)
    samples = []
    for length in (11, 5, 8, 14):
        mask = np.arange(length) >= 3
        samples.append(
            PolicySample(
                token_ids=generator.integers(0, 96, length).astype(np.int32),
                action_mask=mask,
                advantages=np.where(mask, generator.normal(), 0).astype(np.float32),
                rollout_logprobs=np.where(mask, -4.5, 0).astype(np.float32),
                ref_logprobs=np.where(mask, -4.6, 0).astype(np.float32),
            )
        )
    num_targets = sum(sample.num_targets for sample in samples)
    return [sample.with_loss_weight(1 / num_targets) for sample in samples]


def make_batch(micro_batches: Sequence[Sequence[PolicySample]]) -> OptimizerBatch[PolicySample]:
    """One rank's share of a step."""
    return OptimizerBatch(tuple(tuple(one) for one in micro_batches))


class Lab:
    """One rank: makes learners, and batches that are this rank's share."""

    def __init__(self, rank: Rank, work: Path) -> None:
        self.rank = rank
        self.work = work

    def learner(
        self,
        stage: int,
        layout: str = "qwen2-tied",
        dtype: DType = "Float32",
        objective: Objective[Any, Any] = OBJECTIVE,
        **options: Any,
    ) -> DeepSpeedLearner[Any]:
        model = ModelSettings(dtype, pad_id=0)
        optimizer = OptimizerSpec(learning_rate=1e-2, gradient_clip=1e6, weight_decay=0.01)
        training = TrainingSettings(
            "policy", optimizer, 10, stage, gradient_checkpointing=False, seed=5
        )
        model_options = {k: v for k, v in options.items() if hasattr(model, k)}
        training_options = {k: v for k, v in options.items() if hasattr(training, k)}
        return DeepSpeedLearner(
            self.rank,
            HARDWARE,
            directory=self.work / layout,
            model=replace(model, **model_options),
            training=replace(training, **training_options),
            objective=objective,
        )

    def batch(self, step: int) -> OptimizerBatch[PolicySample]:
        """One sample a micro-batch; with two ranks 3 + 1 samples, so that one rank runs empty."""
        samples = make_samples(step)
        if self.rank.world_size == 1:
            return make_batch([[sample] for sample in samples])
        shares = [[samples[0], samples[1], samples[2]], [samples[3]]]
        mine = [[sample] for sample in shares[self.rank.index]]
        return make_batch(mine + [[]] * (3 - len(mine)))

    def stages(self) -> dict[int, Any]:
        """Gradients of the first step and weights after the second, for every ZeRO stage."""
        results = {}
        for stage in STAGES:
            learner = self.learner(stage)
            metrics = [update(learner, self.batch(0)), update(learner, self.batch(1))]
            results[stage] = {
                "metrics": metrics,
                "weights": whole_weights(learner),
                "gradients": gradients(self.learner(stage), stage, self.batch(0)),
            }
        return results

    def layouts(self) -> dict[str, Any]:
        """The same samples as micro-batches of every kind, first step."""
        samples = make_samples(0)
        ordered = sorted(samples, key=lambda sample: len(sample.token_ids))
        kinds = {
            "one padded": ([samples], False),
            "one packed": ([samples], True),
            "four": ([[sample] for sample in samples], False),
            "sorted pairs": ([ordered[:2], ordered[2:]], False),
            "packed pairs": ([ordered[:2], ordered[2:]], True),
        }
        results = {}
        for name, (micro_batches, packing) in kinds.items():
            batch = make_batch(micro_batches)
            results[name] = {
                "metrics": [update(self.learner(2, packing=packing), batch)],
                "gradients": gradients(self.learner(2, packing=packing), 2, batch),
            }
        results["recomputed activations"] = {
            "metrics": [update(self.learner(3, gradient_checkpointing=True), self.batch(0))],
            "gradients": gradients(self.learner(3, gradient_checkpointing=True), 3, self.batch(0)),
        }
        return results

    def pairs(self) -> dict[int, Any]:
        """Two steps of another objective, planned as a recipe does: one pair a micro-batch."""
        generator = np.random.default_rng(3)
        lengths = ((5, 9), (7, 4), (12, 3))
        samples = [
            Pair((generator.integers(0, 96, a), generator.integers(0, 96, b))) for a, b in lengths
        ]
        plan = plan_updates(
            samples,
            train_batch_size=3,
            num_ranks=self.rank.world_size,
            epochs=2,
            key=(1,),
            limits=BatchLimits(micro_batch_size=1),
            aggregation=LossAggregation("TokenMean"),
        )
        results = {}
        for stage in STAGES:
            learner = self.learner(stage, objective=PairObjective())
            metrics = [update(learner, step[self.rank.index]) for step in plan]
            learner = self.learner(stage, objective=PairObjective())
            found = gradients(learner, stage, plan[0][self.rank.index])
            results[stage] = {"metrics": metrics, "gradients": found}
        return results

    def models(self) -> dict[str, Any]:
        """Every model layout trains, exports and comes back the same, stage 3 and bfloat16 too."""
        results = {}
        for name, stage, dtype in EXPORTED:
            learner = self.learner(stage, name, dtype)
            samples = make_samples(0)
            ids = [[sample.token_ids for sample in samples]]
            before = learner.score(ids)[0]
            metrics = [update(learner, self.batch(0)) for _ in range(4)]
            out = self.work / "exports" / f"{name}-{stage}-{dtype}"
            learner.export(out)
            weights = whole_weights(learner)
            reopened = AutoModelForCausalLM.from_pretrained(out)
            results[f"{name}-{stage}-{dtype}"] = {
                "metrics": metrics,
                "export_equals": all(
                    torch.equal(weight.detach(), weights[key])
                    for key, weight in reopened.named_parameters()
                ),
                "description_equals": learner.describe() == infos(learner),
                "names": sorted(weights) == sorted(k for k, _ in reopened.named_parameters()),
                "gain": sum(
                    float(sample.advantages @ (after - start))
                    for sample, after, start in zip(
                        samples, learner.score(ids)[0], before, strict=True
                    )
                ),
                "start_equals_reference": float(
                    np.abs(self.reference(name, dtype, ids[0])[0] - before[0]).max()
                ),
            }
        return results

    def reference(self, layout: str, dtype: DType, ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        settings = ModelSettings(dtype, pad_id=0)
        model = ScoringModel(self.work / layout, settings, HARDWARE, OBJECTIVE.output)
        return model.score([ids])[0]

    def guards(self) -> dict[str, Any]:
        """A step with one advantage that is not a number, on the last rank only."""
        results = {}
        for stage, dtype in [(s, d) for s in STAGES for d in DTYPES]:
            learner = self.learner(stage, dtype=dtype)
            learner.update(self.batch(0))
            before = whole_weights(learner)
            skipped = update(learner, self.poisoned(1))
            is_unchanged = all(
                torch.equal(weight, before[name]) for name, weight in whole_weights(learner).items()
            )
            recovered = update(learner, self.batch(2))
            error = ""
            try:
                for step in (3, 4, 5):
                    learner.update(self.poisoned(step))
            except NonFiniteError as caught:
                error = str(caught)
            results[f"{stage}-{dtype}"] = {
                "skipped": skipped,
                "is_unchanged": is_unchanged,
                "recovered": recovered,
                "error": error,
            }
        return results

    def poisoned(self, step: int) -> OptimizerBatch[PolicySample]:
        batch = self.batch(step)
        if self.rank.index != self.rank.world_size - 1:
            return batch
        (sample, *others), *rest = batch.micro_batches
        broken = replace(sample, advantages=sample.advantages * np.float32(np.nan))
        return replace(batch, micro_batches=((broken, *others), *rest))

    def saves(self) -> dict[str, Any]:
        """Saves after two steps and goes on for two: what a resumed run must repeat."""
        return {name: self.save_and_go_on(name, *how) for name, how in CHECKPOINTS.items()}

    def save_and_go_on(self, name: str, stage: int, dtype: DType) -> dict[str, Any]:
        learner = self.learner(stage, dtype=dtype)
        for step in range(2):
            learner.update(self.batch(step))
        learner.save(self.work / "checkpoints" / name)
        return self.go_on(learner)

    def abandons(self) -> dict[str, str]:
        """Two steps, and a third that rank 0 alone is asked to leave; then a checkpoint."""
        return {name: self.abandon_and_save(name, *how) for name, how in CHECKPOINTS.items()}

    def abandon_and_save(self, name: str, stage: int, dtype: DType) -> str:
        learner = self.learner(stage, dtype=dtype)
        for step in range(2):
            learner.update(self.batch(step), may_abandon=True)
        if self.rank.index == 0:
            learner.abandon()
        try:
            learner.update(self.batch(7), may_abandon=True)
        except WorkAbandoned as left:
            learner.save(self.work / "abandoned" / name)
            return str(left)
        return "not abandoned"

    def resumes(self, directory: str) -> dict[str, Any]:
        """What `saves` did after saving, done in this process from the checkpoints."""
        results = {}
        for name, (stage, dtype) in CHECKPOINTS.items():
            learner = self.learner(stage, dtype=dtype)
            learner.load(self.work / directory / name)
            results[name] = self.go_on(learner)
        return results

    def go_on(self, learner: DeepSpeedLearner[Any]) -> dict[str, Any]:
        drawn = torch.rand(3)
        metrics = [update(learner, self.batch(step)) for step in (2, 3)]
        return {"drawn": drawn, "metrics": metrics, "weights": whole_weights(learner)}

    def sleeps(self) -> dict[str, Any]:
        """Two steps with a sleep between them and two without, for every stage and format."""
        results = {}
        for stage, dtype in [(s, d) for s in STAGES for d in DTYPES]:
            pair = []
            for naps in (True, False):
                learner = self.learner(stage, dtype=dtype)
                learner.update(self.batch(0))
                if naps:
                    learner.sleep()
                    learner.wake()
                learner.update(self.batch(1))
                pair.append(whole_weights(learner))
            results[f"{stage}-{dtype}"] = {
                name: torch.equal(weight, pair[1][name]) for name, weight in pair[0].items()
            }
        return results

    def refusals(self) -> dict[str, Any]:
        """Loading what two ranks saved, in one."""
        try:
            self.learner(2).load(self.work / "checkpoints" / "zero-2")
        except ConfigurationError as caught:
            return {"world size": str(caught)}
        return {}

    def two(self) -> dict[str, Any]:
        return {
            "stages": self.stages(),
            "pairs": self.pairs(),
            "saves": self.saves(),
            "abandons": self.abandons(),
            "guards": self.guards(),
            "sleeps": self.sleeps(),
        }

    def resumed(self) -> dict[str, Any]:
        return {how: self.resumes(how) for how in ("checkpoints", "abandoned")}

    def one(self) -> dict[str, Any]:
        return {
            "stages": self.stages(),
            "pairs": self.pairs(),
            "layouts": self.layouts(),
            "models": self.models(),
            "refusals": self.refusals(),
        }


CHECKPOINTS: dict[str, tuple[int, DType]] = {
    **{f"zero-{stage}": (stage, "Float32") for stage in STAGES},
    **{f"zero-{stage}-bfloat16": (stage, "BFloat16") for stage in STAGES},
}


def gradients(
    learner: DeepSpeedLearner[Any], stage: int, batch: OptimizerBatch[Any]
) -> dict[str, torch.Tensor]:
    """The gradients of a step, reduced over the ranks, as the optimizer would get them."""
    learner._engine.train()
    learner._accumulate(batch)
    found = {}
    for name, weight in learner._model.named_parameters():
        gradient = weight.grad if stage == 0 else safe_get_full_grad(weight)
        assert gradient is not None, name
        found[name] = gradient.detach().clone()
    return found


def update(learner: DeepSpeedLearner[Any], batch: OptimizerBatch[Any]) -> dict[str, float]:
    """The metrics of one optimizer step."""
    return merge_updates([learner.update(batch)])


def infos(learner: DeepSpeedLearner[Any]) -> list[WeightInfo]:
    """What `weights` yields, described after gathering it."""
    return [
        WeightInfo(name, str(weight.dtype).removeprefix("torch."), tuple(weight.shape))
        for name, weight in learner.weights()
    ]


def whole_weights(learner: DeepSpeedLearner[Any]) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in learner.weights()}


def main() -> None:
    case, rank, world_size, port, work = sys.argv[1:]
    lab = Lab(Rank(int(rank), int(world_size), "127.0.0.1", int(port), 0, 120.0), Path(work))
    cases = {"two": lab.two, "resumed": lab.resumed, "one": lab.one}
    torch.save(cases[case](), Path(work) / f"{case}-{rank}.pt")


if __name__ == "__main__":
    main()
