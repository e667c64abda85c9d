"""No kind of dropout or noise is left in a model that is trained."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import OPTConfig, Qwen2Config

from openrlhf_core.models.determinism import remove_dropout, without_randomness
from openrlhf_core.models.load import load_causal_lm

RANDOM_KINDS: dict[str, dict[str, Any]] = {
    "opt": {"word_embed_proj_dim": 64, "ffn_dim": 96, "dropout": 0.5, "layerdrop": 0.5},
    "starcoder2": {"residual_dropout": 0.5, "embedding_dropout": 0.5, "attention_dropout": 0.5},
    "gpt2": {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5},
    "falcon": {"hidden_dropout": 0.5, "attention_dropout": 0.5},
    "biogpt": {"hidden_dropout_prob": 0.5, "activation_dropout": 0.5, "layerdrop": 0.5},
    "phimoe": {"num_local_experts": 4, "router_jitter_noise": 0.3, "input_jitter_noise": 0.3},
    "xglm": {"dropout": 0.5, "layerdrop": 0.5, "attention_dropout": 0.5},
    "gpt_neox": {"hidden_dropout": 0.5, "attention_dropout": 0.5},
}


@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_training_mode_computes_what_evaluation_mode_does(make_kind, kind):
    model = load_causal_lm(make_kind(kind, **RANDOM_KINDS[kind]), "Float32", "Auto", "CPU", False)
    tokens = torch.arange(24).view(2, 12)
    with torch.no_grad():
        expected = model.eval()(tokens).logits
        model.train()
        for seed in (1, 2):
            torch.manual_seed(seed)
            torch.testing.assert_close(model(tokens).logits, expected, atol=0, rtol=0)


def test_only_numbers_of_random_settings_are_changed():
    config = Qwen2Config(attention_dropout=0.3, rms_norm_eps=1e-5, num_hidden_layers=3)
    before = {k: v for k, v in config.to_dict().items() if k != "attention_dropout"}
    without_randomness(config)
    after = config.to_dict()
    assert after.pop("attention_dropout") == 0.0
    assert after == before


def test_a_configuration_inside_another_is_changed_too():
    outer, inner = OPTConfig(), OPTConfig(dropout=0.4)
    outer.decoder = inner
    without_randomness(outer)
    assert inner.dropout == 0.0


def test_dropout_modules_of_every_kind_are_switched_off():
    dropouts = [nn.Dropout(0.3), nn.Dropout1d(0.3), nn.AlphaDropout(0.3)]
    layer = nn.Linear(2, 2)
    vars(layer)["drop_path_rate"] = 0.2
    remove_dropout(nn.Sequential(*dropouts, layer))
    assert [module.p for module in dropouts] == [0.0, 0.0, 0.0]
    assert layer.drop_path_rate == 0.0
