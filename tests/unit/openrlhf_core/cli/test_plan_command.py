"""`rlhf plan`."""

import json

import pytest

RUNTIME = """
---
apiVersion: openrlhf.io/v1alpha1
kind: ClusterRLHFRuntime
metadata: {name: cpu}
spec:
  image: trainer:1
  rayVersion: 2.60.0
  device: {kind: CUDA, memory: 40Gi}
"""
SEVEN_BILLION = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}


@pytest.fixture
def model_config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SEVEN_BILLION))
    return path


def test_the_table_says_who_runs_where_with_the_preset_filled_in(rlhf, base_manifest):
    ended = rlhf("plan", base_manifest)
    assert ended.code == 0
    for text in (
        "Plan of demo",
        "16 prompts x 8 completions a step",
        "64 samples an optimizer step",
        "Reference (frozen): rl.kl.coefficient is 0.01",
        "2 Policy ranks",
        "2 engines",
        "GroupNorm",
        "KL 0.01 (K3 in the Loss)",
        "learn",
        "generate",
        "peak of train",
        "The memory of a device is not known",
    ):
        assert text in ended.out


def test_json_holds_the_plan(rlhf, base_manifest):
    data = json.loads(rlhf("plan", base_manifest, "-o", "json").out)
    assert data["devices"] == 6
    assert [len(ranks) for ranks in data["plan"]["ranks"].values()] == [2, 2]
    assert len(data["plan"]["engines"]) == 2
    assert data["resolved"]["rl"]["kl"]["coefficient"] == 0.01
    assert data["memory"]["groups"][0]["roles"]["Policy"]["parameters"] > 0


def test_json_names_are_those_of_manifests(rlhf, base_manifest):
    data = json.loads(rlhf("plan", base_manifest, "-o", "json").out)
    assert data["resolved"]["rl"]["policyLoss"]["clipLow"] == 0.2
    assert data["plan"]["groups"][0]["devicesPerNode"] == 2
    assert [key for key in keys_of(data) if "_" in key] == []


def keys_of(data):
    """Every key in nested data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(key, str):
            yield key
        if isinstance(value, dict | list):
            yield from keys_of(value)


def test_a_role_that_is_listed_in_vain_is_named_with_its_reason(rlhf, base_manifest, tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(base_manifest.read_text().replace("coefficient: 0.01", "coefficient: 0"))
    out = rlhf("plan", plain).out
    assert "Reference in group learn is not started: rl.kl.coefficient is 0" in out


def test_what_does_not_fit_is_said_with_a_change_that_mends_it(rlhf, base_manifest, model_config):
    ended = rlhf("plan", base_manifest, "--device-memory", "80Gi", "--model-config", model_config)
    assert ended.code == 0
    assert "does not fit: group learn: train needs" in ended.out
    assert "The smallest change that makes it fit" in ended.out


def test_the_runtime_beside_the_job_says_the_memory(rlhf, base_manifest, tmp_path):
    both = tmp_path / "both.yaml"
    both.write_text(base_manifest.read_text() + RUNTIME)
    data = json.loads(rlhf("plan", both, "-o", "json").out)
    assert data["memory"]["deviceBytes"] == 40 * 2**30
    flag = json.loads(rlhf("plan", both, "--device-memory", "1Gi", "-o", "json").out)
    assert flag["memory"]["deviceBytes"] == 2**30


def test_a_model_that_is_not_here_leaves_the_memory_open(rlhf, base_manifest, tmp_path):
    away = tmp_path / "away.yaml"
    away.write_text(base_manifest.read_text().replace("builtin://tiny", "pvc://models/seven"))
    ended = rlhf("plan", away, "--device-memory", "80Gi")
    assert ended.code == 0
    assert "pvc://models/seven is not on this machine" in ended.out
    assert "Memory of each device" not in ended.out


def test_a_common_model_is_judged_on_a_laptop(rlhf, base_manifest, tmp_path):
    llama = tmp_path / "llama.yaml"
    text = base_manifest.read_text()
    llama.write_text(text.replace("builtin://tiny", "hf://meta-llama/Llama-3.1-8B-Instruct"))
    ended = rlhf("plan", llama, "--device-memory", "80Gi")
    assert ended.code == 0
    assert "rlhf's table of common models" in ended.out
    assert "15.0 GiB" in ended.out  # 8.03 billion parameters of 2 bytes


def test_a_bare_path_is_relative_to_the_manifest(rlhf, base_manifest, tmp_path, model_config):
    here = tmp_path / "here.yaml"
    here.write_text(base_manifest.read_text().replace("builtin://tiny", "."))
    assert json.loads(rlhf("plan", here, "-o", "json").out)["modelShape"] == str(model_config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device-memory", "lots"], "--device-memory: 'lots' is not a quantity"),
        (["--model-config", "none.json"], "cannot be read as a model's config"),
    ],
)
def test_wrong_options_are_exit_code_2(rlhf, base_manifest, arguments, message):
    ended = rlhf("plan", base_manifest, *arguments)
    assert (ended.code, message in ended.err) == (2, True)


def test_a_bad_manifest_is_not_planned(rlhf, base_manifest, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(base_manifest.read_text().replace("keep: 3", "keep: 0"))
    ended = rlhf("plan", bad)
    assert (ended.code, ended.out) == (2, "")
    assert "spec.training.checkpoint.keep" in ended.err


def test_an_unknown_builtin_model_is_answered_with_those_there_are(rlhf, base_manifest, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(base_manifest.read_text().replace("builtin://tiny", "builtin://huge"))
    ended = rlhf("plan", bad)
    assert ended.code == 2
    assert "there is no builtin://huge; use one of builtin://tiny" in ended.err
