"""Where a plan finds the numbers of a model."""

import json

import pytest

from openrlhf_core.cli.model_shape import find_shape
from openrlhf_core.spec.exit_codes import ConfigurationError

CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "intermediate_size": 16,
    "num_attention_heads": 4,
    "vocab_size": 32,
}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def test_a_shipped_model_is_known(tmp_path):
    shape, note = find_shape("builtin://tiny", tmp_path, None)
    assert shape is not None and shape.hidden_size == 128
    assert note.endswith("config.json")


def test_paths_and_file_sources_are_read(model, tmp_path):
    for source in ("model", str(model), f"file://{model}"):
        shape, _ = find_shape(source, tmp_path, None)
        assert shape is not None and shape.num_layers == 2


def test_a_named_config_wins(model, tmp_path):
    shape, note = find_shape("pvc://elsewhere/model", tmp_path, model / "config.json")
    assert shape is not None
    assert note == str(model / "config.json")


def test_a_model_with_vision_is_planned_by_its_decoder(model, tmp_path):
    (model / "config.json").write_text(json.dumps({"text_config": CONFIG, "vision_config": {}}))
    shape, _ = find_shape("model", tmp_path, None)
    assert shape is not None and shape.vocab_size == 32


@pytest.mark.parametrize("source", ["missing", "pvc://claim/model", "hf://no-such-org/no-model"])
def test_a_model_that_is_not_here_is_no_error(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    shape, note = find_shape(source, tmp_path, None)
    assert shape is None
    assert "--model-config" in note


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"hidden_size": "x"}', "5", '"a"'])
def test_a_config_that_is_none_is_said(text, model, tmp_path):
    (model / "config.json").write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be read as a model's config"):
        find_shape("model", tmp_path, None)


def test_a_common_model_is_known_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    shape, note = find_shape("hf://meta-llama/Llama-3.1-8B-Instruct@main", tmp_path, None)
    assert shape is not None and shape.num_layers == 32
    assert note == (
        "meta-llama/Llama-3.1-8B-Instruct in rlhf's table of common models; nothing was downloaded"
    )


def test_a_path_that_is_named_like_a_common_model_is_not_looked_up(tmp_path):
    assert find_shape("Qwen/Qwen2.5-7B", tmp_path, None)[0] is None
