"""RMSNorm in closed form: values, gradients, and which modules it takes the place of."""

import pytest
import torch
from torch import nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.rms_norm import RMSNorm, replace_rms_norms, rms_norm

FAMILIES = {
    "Llama": (LlamaConfig, LlamaForCausalLM),
    "Mistral": (MistralConfig, MistralForCausalLM),
    "Qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "Qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def make_model(config_class, model_class):
    torch.manual_seed(0)
    config = config_class(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def loss_and_gradients(model, ids):
    model.zero_grad()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def test_a_row_is_divided_by_its_root_mean_square():
    # Mean of squares of (3, 4, 0, 5) is 12.5; with epsilon 3.5 the divisor is 4.
    row = torch.tensor([[3.0, 4.0, 0.0, 5.0]])
    weight = torch.tensor([4.0, 1.0, 7.0, -4.0])
    assert torch.equal(rms_norm(row, weight, 3.5), torch.tensor([[3.0, 1.0, 0.0, -5.0]]))


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 6), (2, 3, 4, 6)])
def test_its_gradients_are_those_of_the_formula(shape):
    torch.manual_seed(1)
    hidden = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h, w: rms_norm(h, w, 1e-3), (hidden, weight))


def test_rows_with_gaps_in_memory_are_normalized_too():
    hidden = torch.randn(2, 4, 3, 6, dtype=torch.float64).transpose(1, 2).requires_grad_()
    weight = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h, w: rms_norm(h, w, 1e-3), (hidden, weight))


def test_float32_is_as_near_to_float64_as_pytorchs_own():
    torch.manual_seed(2)
    hidden, weight = 30 * torch.randn(64, 256), torch.randn(256)
    exact = nn.functional.rms_norm(hidden.double(), (256,), weight.double(), 1e-6)
    assert (rms_norm(hidden, weight, 1e-6) - exact).abs().max() < 2e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_computes_the_same_with_it(family):
    model = make_model(*FAMILIES[family])
    ids = torch.randint(0, 32, (2, 9))
    names = [name for name, _ in model.named_parameters()]
    loss, gradients = loss_and_gradients(model, ids)
    norms = 9 if family == "Qwen3" else 5
    assert replace_rms_norms(model) == norms
    assert [name for name, _ in model.named_parameters()] == names
    new_loss, new_gradients = loss_and_gradients(model, ids)
    assert torch.allclose(loss, new_loss, atol=1e-6)
    for name in names:
        assert torch.allclose(gradients[name], new_gradients[name], atol=1e-6), name


def test_a_norm_of_another_kind_stays():
    assert replace_rms_norms(make_model(GemmaConfig, GemmaForCausalLM)) == 0


@pytest.mark.parametrize(
    ("device_kind", "dtype", "is_replaced"),
    [("CPU", "Float32", True), ("CPU", "BFloat16", False), ("CUDA", "Float32", False)],
)
def test_it_serves_float32_on_cpu(make_model_directory, device_kind, dtype, is_replaced):
    model = load_causal_lm(make_model_directory(), dtype, "SDPA", device_kind, False)
    assert any(isinstance(module, RMSNorm) for module in model.modules()) == is_replaced
