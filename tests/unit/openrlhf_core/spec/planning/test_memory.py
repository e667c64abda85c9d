"""Memory estimates against numbers worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openrlhf_core.builtin import catalogue
from openrlhf_core.spec.planning.memory import LearnerLoad, ModelShape, engine_bytes, learner_bytes

# hidden 8, 2 layers, MLP 16, 4 heads of 2, 2 kv heads, vocabulary 32:
# attention 2*8*(8+4) = 192, MLP 3*8*16 = 384, norms 2*8 = 16 -> 592 a layer, 1184 both;
# embeddings 32*8 = 256 tied (512 untied), last norm 8 -> 1448 tied, 1704 untied.
TINY = ModelShape(8, 2, 16, 4, 2, 2, 32, True)
LOAD = LearnerLoad(2, 0, "BFloat16", 10, False)


def test_parameters_are_counted():
    assert TINY.num_parameters == 1448
    assert replace(TINY, has_tied_embeddings=False).num_parameters == 1704


def test_llama_2_7b_has_the_published_number_of_parameters():
    shape = ModelShape(4096, 32, 11008, 32, 32, 128, 32000, False)
    assert shape.num_parameters == 6_738_415_616


def test_the_shipped_model_has_the_parameters_that_its_config_says():
    config = json.loads((catalogue.builtin_path("tiny", "model") / "config.json").read_text())
    shape = ModelShape.from_config(config)
    # attention 2*128*(128+64) = 49152, MLP 3*128*256 = 98304, norms 256 -> 147712 a layer;
    # embeddings 128*128 = 16384 tied, last norm 128.
    assert shape.num_parameters == 2 * 147_712 + 16_384 + 128


def test_learner_states_are_split_stage_by_stage():
    # 1448 parameters in bfloat16: 2896 bytes of weights and of gradients, 12*1448 = 17376 of Adam.
    def states(stage):
        found = learner_bytes(TINY, replace(LOAD, zero_stage=stage))
        return (found.parameters, found.gradients, found.optimizer)

    assert states(0) == (2896, 2896, 17376)
    assert states(1) == (2896, 2896, 8688)
    assert states(2) == (2896, 2896, 8688)  # gradients: 4 bytes of half the parameters
    assert states(3) == (1448, 2896, 8688)


def test_float32_needs_no_copy_of_the_weights():
    found = learner_bytes(TINY, replace(LOAD, dtype="Float32"))
    assert (found.parameters, found.gradients, found.optimizer) == (5792, 5792, 11584)


def test_activations_follow_the_formula():
    # a layer: 4*8 + 2*8 + 2*4 + 4*16 = 120 elements a token; 2 layers, 10 tokens, 2 bytes.
    assert learner_bytes(TINY, LOAD).activations == 2 * 10 * 240
    # checkpointing: 2 layer inputs of 8, and one layer: 136 elements.
    assert learner_bytes(TINY, replace(LOAD, has_checkpointing=True)).activations == 2 * 10 * 136


def test_logits_never_exist_whole():
    wide = replace(TINY, vocab_size=150_000)
    whole = 4 * 16_384 * 150_000
    assert learner_bytes(wide, replace(LOAD, micro_batch_tokens=16_384)).logits < whole / 50
    assert learner_bytes(TINY, LOAD).logits == 3 * 4 * 10 * 32


def test_an_engine_holds_its_share_and_a_cache():
    # kv: 2 * 2 layers * 4 * 2 bytes = 32 bytes a token
    found = engine_bytes(TINY, "BFloat16", 2, longest=100, kv_budget=None)
    assert (found.parameters, found.kv_cache, found.kv_cache_wanted) == (1448, 1600, 1600)
    assert engine_bytes(TINY, "BFloat16", 1, longest=10, kv_budget=999).peak == 2896 + 999


def test_a_config_without_numbers_is_named():
    with pytest.raises(ValueError, match="hidden_size"):
        ModelShape.from_config({"vocab_size": 5})
    with pytest.raises(ValueError, match="describes no decoder"):
        ModelShape.from_config({"hidden_size": 8, "num_attention_heads": 0})


def test_a_config_may_leave_out_what_follows():
    config = {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16}
    shape = ModelShape.from_config(config | {"num_attention_heads": 4, "vocab_size": 32})
    assert (shape.num_kv_heads, shape.head_dim, shape.has_tied_embeddings) == (4, 2, False)


@given(st.integers(0, 3), st.integers(1, 64), st.integers(1, 10_000), st.booleans())
def test_more_ranks_and_higher_stages_never_need_more(stage, ranks, tokens, has_checkpointing):
    load = LearnerLoad(ranks, stage, "Float32", tokens, has_checkpointing)
    here = learner_bytes(TINY, load).peak
    assert learner_bytes(TINY, replace(load, num_ranks=ranks + 1)).peak <= here
    assert learner_bytes(TINY, replace(load, zero_stage=min(stage + 1, 3))).peak <= here
    assert learner_bytes(TINY, replace(load, has_checkpointing=True)).activations <= here


def test_the_package_ships_the_config_that_plan_reads():
    assert Path(catalogue.builtin_path("tiny", "model"), "config.json").is_file()
