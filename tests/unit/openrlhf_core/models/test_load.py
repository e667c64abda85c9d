"""Opening a model directory: what loads, and what each broken one is answered with."""

import json
import shutil

import pytest
import torch

from openrlhf_core.models.load import attention_implementation, load_causal_lm
from openrlhf_core.spec.exit_codes import ConfigurationError


def load(directory, **options):
    defaults = {
        "dtype": "Float32",
        "attention": "Auto",
        "device_kind": "CPU",
        "trust_remote_code": False,
    }
    return load_causal_lm(directory, **{**defaults, **options})


@pytest.fixture
def directory(make_model_directory, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(make_model_directory(), tmp_path / "model")


def edit_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(directory, **options):
    with pytest.raises(ConfigurationError) as caught:
        load(directory, **options)
    return str(caught.value)


@pytest.mark.parametrize("layout", ["Qwen2", "Llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_both_layouts_load_tied_and_untied(make_model_directory, layout, tied):
    model = load(make_model_directory(layout, tied))
    is_shared = model.lm_head.weight is model.model.embed_tokens.weight
    assert is_shared == tied
    assert model.dtype == torch.float32
    assert model.config._attn_implementation == "sdpa"


def test_dtype_is_the_one_asked_for(make_model_directory):
    assert load(make_model_directory(), dtype="BFloat16").dtype == torch.bfloat16


def test_missing_directory_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere").startswith(f"model directory {tmp_path / 'nowhere'} does")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_each_missing_file_is_named_with_the_directory(directory, missing, words):
    (directory / missing).unlink()
    message = refusal(directory)
    assert words in message
    assert str(directory) in message


def test_pickled_weights_are_refused(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    assert "pytorch_model.bin, a pickle, which can run code" in refusal(directory)


def test_broken_configuration_is_an_error_of_the_users(directory):
    (directory / "config.json").write_text("{")
    assert "cannot be read" in refusal(directory)
    (directory / "config.json").write_text("[]")
    assert "no `model_type`" in refusal(directory)


def test_unknown_architecture_is_named(directory):
    edit_config(directory, model_type="t5")
    assert "model_type 't5'" in refusal(directory)


def test_code_in_the_directory_does_not_run_unasked(directory):
    (directory / "evil.py").write_text("raise SystemExit('it ran')")
    edit_config(directory, auto_map={"AutoModelForCausalLM": "evil.Model"})
    assert "set trustRemoteCode: true" in refusal(directory)


def test_truncated_weights_are_an_error_of_the_users(directory):
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(directory) in refusal(directory)


def test_weights_of_another_model_are_refused_not_made_up(directory):
    edit_config(directory, num_hidden_layers=3, layer_types=["full_attention"] * 3)
    assert "layers.2." in refusal(directory)


def test_configuration_at_odds_with_itself_is_an_error_of_the_users(directory):
    edit_config(directory, num_hidden_layers=3)
    assert "config.json is refused by transformers" in refusal(directory)


def test_attention_kernels_have_the_names_of_transformers():
    assert attention_implementation("SDPA", "CPU") == "sdpa"
    assert attention_implementation("Eager", "CPU") == "eager"
    assert attention_implementation("Auto", "CPU") is None


def test_flash_attention_on_cpu_is_refused_with_what_to_set():
    with pytest.raises(ConfigurationError, match="set attention: Auto"):
        attention_implementation("FlashAttention2", "CPU")


def test_a_model_without_pytorchs_attention_kernel_loads_with_its_own(make_kind):
    model = load(make_kind("gptj", rotary_dim=16))
    assert model.config._attn_implementation == "eager"
