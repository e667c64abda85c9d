"""A policy that does not compute what transformers computes is refused, and told why."""

import pytest
import torch
from torch import nn

from openrlhf_core.models.fidelity import check_fidelity
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.logit_transform import LogitTransform
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.spec.exit_codes import ConfigurationError

OPT = {"word_embed_proj_dim": 64, "ffn_dim": 96}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MAMBA = {
    "head_dim": 32,
    "mamba_d_ssm": 64,
    "mamba_n_heads": 2,
    "mamba_d_head": 32,
    "mamba_d_state": 16,
}


def make_policy(directory, dtype="Float32"):
    return PolicyModel(load_causal_lm(directory, dtype, "Auto", "CPU", False))


def refusal(policy, packing):
    with pytest.raises(ConfigurationError) as caught:
        check_fidelity(policy, packing)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["Float32", "BFloat16"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("gpt2", {}),
        ("gemma2", {"head_dim": 32}),
        ("qwen3_moe", {**EXPERTS, "head_dim": 32}),
        ("phi", {}),
    ],
)
def test_models_that_keep_packed_samples_apart_pass(make_kind, kind, settings, dtype):
    check_fidelity(make_policy(make_kind(kind, **settings), dtype), packing=True)


@pytest.mark.parametrize("dtype", ["Float32", "BFloat16"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("opt", OPT),
        ("biogpt", {}),
        ("minimax", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("bloom", {}),
        ("falcon_h1", MAMBA),
        ("mamba", {"state_size": 8}),
    ],
)
def test_models_whose_packed_samples_see_each_other_are_refused_for_packing_alone(
    make_kind, kind, settings, dtype
):
    policy = make_policy(make_kind(kind, **settings), dtype)
    check_fidelity(policy, packing=False)
    message = refusal(policy, packing=True)
    assert "data.packing: true changes the log-probs of" in message
    assert message.endswith("set data.packing: false")


def test_dropout_that_nothing_switched_off_is_named(make_kind):
    policy = make_policy(make_kind("llama"))

    def drop(module, args, output):
        return nn.functional.dropout(output, 0.1, module.training)

    policy.model.model.layers[0].mlp.register_forward_hook(drop)
    assert "has dropout or noise that no field of its config.json" in refusal(policy, False)


@pytest.mark.parametrize("dtype", ["Float32", "BFloat16"])
def test_logits_that_the_head_does_not_follow_are_refused(make_kind, dtype):
    policy = make_policy(make_kind("llama"), dtype)
    policy.model.get_output_embeddings().transform = LogitTransform(factor=0.5)
    assert "from those of transformers' own forward pass" in refusal(policy, False)


def test_an_error_in_the_models_own_code_is_an_error_of_the_configuration(make_kind):
    policy = make_policy(make_kind("llama"))

    def fail(module, args):
        raise ImportError("mamba_ssm is not installed")

    policy.model.model.register_forward_pre_hook(fail)
    assert "failed: ImportError: mamba_ssm is not installed" in refusal(policy, False)


def test_the_check_leaves_no_trace(make_kind):
    policy = make_policy(make_kind("llama")).eval()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_fidelity(policy, packing=True)
    torch.testing.assert_close(torch.rand(2), expected)
    assert not policy.training
    assert all(weight.grad is None for weight in policy.parameters())
