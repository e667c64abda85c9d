"""Other people's models, several engines and ranks, a reference, packing: the same loop."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import run_lab
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

TINY = Path(str(files("openrlhf_core.builtin"))) / "models" / "tiny"
STEPS = ("rl.rolloutBatchSize=4", "rl.groupSize=4", "maxSteps=3", "checkpoint.everySteps=0")
SHAPE: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
}


def make_model(directory: Path, layout: str, is_tied: bool) -> None:
    """A model directory as transformers writes it, with the tiny model's tokenizer."""
    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    ends: dict[str, Any] = {
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if layout == "Qwen2":
        qwen2 = Qwen2Config(**SHAPE, **ends, tie_word_embeddings=is_tied)
        Qwen2ForCausalLM(qwen2).save_pretrained(directory)
    else:
        llama = LlamaConfig(**SHAPE, **ends, bos_token_id=None, tie_word_embeddings=is_tied)
        LlamaForCausalLM(llama).save_pretrained(directory)
    tokenizer.save_pretrained(directory)


SPLIT = """
apiVersion: openrlhf.io/v1alpha1
kind: RLHFJob
metadata: {name: split}
spec:
  training:
    recipe: RL
    model: {policy: {source: MODEL}}
    reward: {functions: [{source: "builtin://digits"}]}
    data: {train: [{source: "builtin://digits"}], packing: true}
    rl:
      algorithm: GRPO
      groupSize: 4
      rolloutBatchSize: 4
      kl: {coefficient: 0.01}
    rollout: {sampling: {maxTokens: 6}, kvCacheBytes: 268435456}
    learner: {dtype: Float32, zeroStage: 3, trainBatchSize: 8}
    optimizer: {learningRate: 0.001}
    placement:
      groups:
        - {name: train, roles: [Policy, Reference], devicesPerNode: 2}
        - {name: generate, roles: [Rollout], nodes: 2, devicesPerNode: 1}
    checkpoint: {everySteps: 0}
    maxSteps: 3
"""


def check(output: Path, finished: run_lab.Finished) -> list[dict[str, float]]:
    """Every step was done, with the learner's weights in every engine."""
    assert finished.exit_code == 0, finished.text
    curve = run_lab.curve(output)
    assert len(curve) == 3
    assert max(row["rollout/logprob_gap_max"] for row in curve) < 1e-4
    return curve


def test_an_untied_qwen2_on_two_engines_two_learner_ranks_and_two_references(
    tmp_path: Path,
) -> None:
    make_model(tmp_path / "model", "Qwen2", is_tied=False)
    manifest = tmp_path / "split.yaml"
    manifest.write_text(SPLIT.replace("MODEL", str(tmp_path / "model")))
    finished = run_lab.run(tmp_path / "out", manifest=manifest)
    curve = check(tmp_path / "out", finished)
    assert 0.0 < curve[0]["kl/mean"] < 0.1, "the second update of a step has left the reference"
    assert all("policy/clip_ratio" in row for row in curve)
    assert "4 devices" in finished.text


def test_a_tied_llama_with_kl_in_the_reward_and_whitened_returns(tmp_path: Path) -> None:
    make_model(tmp_path / "model", "Llama", is_tied=True)
    model = f"model.policy.source={tmp_path / 'model'}"
    finished = run_lab.run(tmp_path / "out", *STEPS, "rl.algorithm=ReinforcePlusPlus", model)
    curve = check(tmp_path / "out", finished)
    assert "kl/mean" in curve[0]


def test_an_engine_over_two_devices_of_a_worker_group(tmp_path: Path) -> None:
    make_model(tmp_path / "model", "Qwen2", is_tied=True)
    groups = (
        "placement.groups=[{name: train, roles: [Policy], devicesPerNode: 1}, "
        "{name: generate, roles: [Rollout], devicesPerNode: 2}]"
    )
    model = f"model.policy.source={tmp_path / 'model'}"
    two = "rollout.tensorParallelSize=2"
    check(tmp_path / "out", run_lab.run(tmp_path / "out", *STEPS, model, two, groups))


def test_the_manifest_wins_over_a_variable_of_the_shell(tmp_path: Path, monkeypatch) -> None:
    # A shell's 100 TiB would end the run: no machine has them.
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "102400")
    check(tmp_path / "out", run_lab.run(tmp_path / "out", *STEPS))
