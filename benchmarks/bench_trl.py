"""TRL's side, in a process of its own: GRPOTrainer on the same inputs, one row a step.

Run by grpo_vs_trl.py with PYTHONPATH at TRL. Its rows have the form of our metrics.jsonl.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from importlib import util
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from bench_cases import CASES, GROUP_SIZE, SAMPLES, Case
from bench_inputs import SEED


class TimedTrainer(GRPOTrainer):  # type: ignore[misc]
    """Adds up the wall and CPU seconds of generation."""

    seconds: dict[str, float] = defaultdict(float)  # noqa: RUF012 - one trainer a process

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        started, cpu_started = time.monotonic(), time.process_time()
        result = super()._generate_single_turn(*args, **kwargs)
        self.seconds["time/rollout"] += time.monotonic() - started
        self.seconds["cpu/rollout"] += time.process_time() - cpu_started
        return result


class RowWriter(TrainerCallback):
    """Writes a row when a step is over and its weights are changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "completions/mean_length" not in (logs or {}):
            return
        now = time.monotonic()
        metrics = {
            "rollout/num_tokens": round(logs["completions/mean_length"] * SAMPLES),
            "reward/mean": logs["reward"],
            "time/step_seconds": now - self._started,
            **TimedTrainer.seconds,
        }
        self._started = now
        TimedTrainer.seconds.clear()
        row = {"step": state.global_step, "time": time.time(), "metrics": metrics}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def settings(case: Case, output: Path, steps: int) -> GRPOConfig:
    """The settings of our manifest in TRL's words, and no work that ours does not do."""
    forced = {"min_new_tokens": case.max_tokens} if case.is_forced else None
    return GRPOConfig(
        output_dir=str(output),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=case.trl_micro_batch,
        gradient_accumulation_steps=SAMPLES // case.trl_micro_batch,
        num_generations=GROUP_SIZE,
        max_completion_length=case.max_tokens,
        generation_kwargs=forced,
        temperature=1.0,
        beta=0.0,
        epsilon=0.2,
        loss_type="dapo",
        scale_rewards="group",
        learning_rate=case.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_steps=steps,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        seed=SEED,
    )


def make_reward(directory: Path) -> Any:
    """The scoring of our reward.py behind TRL's signature."""
    spec = util.spec_from_file_location("bench_reward", directory / "reward.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def reward(prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        module.note_lengths([len(ids) for ids in completion_ids])
        return [module.digit_share(text) for text in completions]

    return reward


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args(arguments)
    case = CASES[options.case]
    torch.set_num_threads(1)
    model_directory = options.inputs / "model"
    trainer = TimedTrainer(
        model=AutoModelForCausalLM.from_pretrained(model_directory, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(model_directory),
        reward_funcs=make_reward(options.directory),
        args=settings(case, options.directory / "trainer", options.steps),
        train_dataset=Dataset.from_json(str(options.inputs / "prompts.jsonl")),
        callbacks=[RowWriter(options.directory / "metrics.jsonl")],
    )
    trainer.train()


if __name__ == "__main__":
    main(sys.argv[1:])
