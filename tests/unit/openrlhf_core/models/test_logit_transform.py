"""Factors and soft caps behind the output embedding: measured, and followed by the policy."""

import pytest
import torch

from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.logit_transform import LogitTransform, measure_logit_transform
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.spec.exit_codes import ConfigurationError

MAMBA = {
    "head_dim": 32,
    "mamba_d_ssm": 64,
    "mamba_n_heads": 2,
    "mamba_d_head": 32,
    "mamba_d_state": 16,
}
RESCALED = {
    "granite": ({"logits_scaling": 8.0}, LogitTransform(0.125)),
    "cohere": ({"logit_scale": 0.0625}, LogitTransform(0.0625)),
    "falcon_h1": ({**MAMBA, "lm_head_multiplier": 0.05}, LogitTransform(0.05)),
    "gemma2": ({"head_dim": 32, "final_logit_softcapping": 5.0}, LogitTransform(1.0, 5.0)),
    "nanochat": ({"final_logit_softcapping": 15.0}, LogitTransform(1.0, 15.0)),
    "llama": ({}, LogitTransform()),
}


def load(directory, dtype="Float32"):
    return load_causal_lm(directory, dtype, "Auto", "CPU", False)


@pytest.mark.parametrize("dtype", ["Float32", "BFloat16"])
@pytest.mark.parametrize("kind", RESCALED)
def test_the_transform_is_measured(make_kind, kind, dtype):
    settings, expected = RESCALED[kind]
    measured = measure_logit_transform(load(make_kind(kind, **settings), dtype))
    assert measured.factor == pytest.approx(expected.factor, rel=1e-6)
    assert measured.cap == (None if expected.cap is None else pytest.approx(expected.cap, rel=1e-6))


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_model_that_needs_none_has_exactly_none(make_kind, kind):
    settings = {"head_dim": 32, "final_logit_softcapping": None} if kind == "gemma2" else {}
    assert measure_logit_transform(load(make_kind(kind, **settings))) == LogitTransform()


@pytest.mark.parametrize("kind", RESCALED)
def test_logprobs_and_gradients_are_those_through_the_models_own_logits(make_kind, kind):
    directory = make_kind(kind, **RESCALED[kind][0])
    plain, policy = load(directory), PolicyModel(load(directory))
    tokens = torch.arange(20)[None]
    log_p = torch.log_softmax(plain(tokens).logits[0, :-1], dim=-1)
    expected = log_p.gather(1, tokens[0, 1:, None])[:, 0]
    logprobs = policy(tokens, None, torch.arange(20)[None] > 0).logprobs[0, 1:]
    torch.testing.assert_close(logprobs, expected, atol=1e-5, rtol=1e-5)
    expected.sum().backward()
    logprobs.sum().backward()
    for (name, ours), theirs in zip(
        policy.model.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-3, msg=name)


def test_a_wrapped_model_still_computes_its_own_logits(make_kind):
    directory = make_kind("gemma2", **RESCALED["gemma2"][0])
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        expected = load(directory)(tokens).logits
        logits = PolicyModel(load(directory)).model(tokens).logits
    torch.testing.assert_close(logits, expected)


def test_a_factor_before_the_output_embedding_is_part_of_the_transform(make_kind):
    model = load(make_kind("llama"))
    model.lm_head.register_forward_pre_hook(lambda module, args: (args[0] * 0.25,))
    assert measure_logit_transform(model).factor == pytest.approx(0.25)


@pytest.mark.parametrize("change", [torch.sin, lambda logits: logits + 1, torch.relu])
def test_logits_of_another_form_are_refused(make_kind, change):
    model = load(make_kind("llama"))

    def distort(module, args, output):
        output.logits = change(output.logits)
        return output

    model.register_forward_hook(distort)
    with pytest.raises(ConfigurationError, match="LlamaForCausalLM are neither"):
        measure_logit_transform(model)


def test_layers_before_the_output_embedding_are_refused(make_kind):
    model = load(make_kind("llama"))
    model.lm_head.register_forward_pre_hook(lambda module, args: (args[0].roll(1, dims=-1),))
    with pytest.raises(ConfigurationError, match="take another one"):
        measure_logit_transform(model)


def test_an_error_in_the_models_own_code_is_an_error_of_the_configuration(make_kind):
    model = load(make_kind("llama"))

    def fail(module, args):
        raise AssertionError("world size 8")

    model.register_forward_pre_hook(fail)
    with pytest.raises(ConfigurationError, match="AssertionError: world size 8"):
        measure_logit_transform(model)
