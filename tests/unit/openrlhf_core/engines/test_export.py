"""The directory that an export writes, and what of it is tried before training."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from openrlhf_core.engines import export as module
from openrlhf_core.engines.export import export_model, rehearse_export
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.weight_names import FileLayout, stored_weights
from openrlhf_core.spec.exit_codes import ConfigurationError


def load(directory, dtype="Float32"):
    return load_causal_lm(directory, dtype, "Auto", "CPU", False)


def whole_weights(model, directory, shift=0):
    named = ((name, weight.data + shift) for name, weight in stored_weights(model))
    return dict(FileLayout(model, directory).translate(named))


@pytest.fixture
def directory(make_model_directory, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(make_model_directory(), tmp_path / "source")


@pytest.mark.parametrize("tied", [True, False])
def test_transformers_opens_the_directory_with_the_new_weights(
    make_model_directory, tmp_path, tied
):
    source = make_model_directory("Qwen2", tied)
    model = load(source, "BFloat16")
    weights = whole_weights(model, source, shift=1)
    export_model(model, weights, source, tmp_path / "out")
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert reopened.dtype == torch.bfloat16
    for name, weight in reopened.named_parameters():
        torch.testing.assert_close(weight.data, weights[name], atol=0, rtol=0)
    assert ("lm_head.weight" in load_file(tmp_path / "out" / "model.safetensors")) == (not tied)


def test_a_model_in_several_files_has_an_index(make_model_directory, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_FILE", "50KB")
    source = make_model_directory()
    model = load(source)
    weights = whole_weights(model, source, shift=1)
    export_model(model, weights, source, tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path)
    for name, weight in reopened.named_parameters():
        torch.testing.assert_close(weight.data, weights[name], atol=0, rtol=0)


def test_what_lies_beside_the_weights_is_copied(directory, tmp_path):
    (directory / "merges.txt").write_text("a b")
    (directory / "qwen.tiktoken").write_text("YQ== 0")
    (directory / "chat_template.jinja").write_text("{{ messages }}")
    (directory / "evil.py").write_text("raise SystemExit")
    (directory / "pytorch_model.bin").write_bytes(b"pickle")
    (directory / "model.safetensors.index.json").write_text("{}")
    model = load(directory)
    export_model(model, whole_weights(model, directory), directory, tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"merges.txt", "qwen.tiktoken", "chat_template.jinja", "tokenizer.json"} <= written
    assert not {"evil.py", "pytorch_model.bin", "model.safetensors.index.json"} & written
    modes = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert len(modes) == 1, "all files are as readable as each other"


def test_the_configuration_is_the_sources_but_for_the_number_format(directory, tmp_path):
    source = json.loads((directory / "config.json").read_text()) | {"attention_dropout": 0.5}
    (directory / "config.json").write_text(json.dumps(source | {"a field of ours": 1}))
    model = load(directory, "BFloat16")
    export_model(model, whole_weights(model, directory), directory, tmp_path / "out")
    exported = json.loads((tmp_path / "out" / "config.json").read_text())
    assert exported == source | {"a field of ours": 1, "dtype": "bfloat16"}


def test_code_that_the_configuration_names_is_copied(directory, tmp_path):
    config = json.loads((directory / "config.json").read_text())
    model = load(directory)
    (directory / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "x.C"}}))
    (directory / "x.py").write_text("class C: ...")
    export_model(model, {}, directory, tmp_path / "out")
    assert (tmp_path / "out" / "x.py").read_text() == "class C: ..."


@pytest.mark.parametrize(
    "generation",
    [
        {"do_sample": False, "temperature": 0.9, "top_p": 0.6},
        {"temperature": 0.7, "top_p": 0.8, "top_k": 20},
        {"typical_p": 0.9},
        {"early_stopping": True},
        {"num_beams": 1, "length_penalty": 2.0},
    ],
)
def test_generation_settings_that_transformers_refuses_to_save_are_copied(
    directory, tmp_path, generation
):
    text = json.dumps({"eos_token_id": 1, **generation})
    (directory / "generation_config.json").write_text(text)
    model = load(directory)
    rehearse_export(model, directory)
    export_model(model, whole_weights(model, directory), directory, tmp_path / "out")
    assert (tmp_path / "out" / "generation_config.json").read_text() == text


def test_a_generation_setting_in_the_configuration_of_the_model_is_copied(directory, tmp_path):
    config = json.loads((directory / "config.json").read_text()) | {"temperature": 0.7}
    (directory / "config.json").write_text(json.dumps(config))
    model = load(directory)
    export_model(model, whole_weights(model, directory), directory, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["temperature"] == 0.7


def test_the_rehearsal_names_a_file_that_cannot_be_copied(directory):
    model = load(directory)
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "tool.jinja").symlink_to(directory / "nowhere")
    with pytest.raises(ConfigurationError, match=r"could be trained but not saved.*tool\.jinja"):
        rehearse_export(model, directory)


def test_fused_experts_are_written_as_the_source_has_them(make_kind, tmp_path):
    source = make_kind("qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32)
    model = load(source)
    export_model(model, whole_weights(model, source), source, tmp_path)
    before, after = (load_file(path / "model.safetensors") for path in (source, tmp_path))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
