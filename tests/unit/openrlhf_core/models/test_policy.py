"""The policy's log-probs equal the plain model's, padded as packed, tied as untied."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from openrlhf_core.engines.collate import collate_token_ids, ragged
from openrlhf_core.models.load import load_causal_lm
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.objectives.outputs import TokenLogprobs

LENGTHS = (9, 4, 6)


def make_policy(directory, attention="Auto", temperature=1.0):
    model = load_causal_lm(directory, "Float32", attention, "CPU", False)
    return PolicyModel(model, TokenLogprobs(temperature))


def make_token_ids():
    generator = np.random.default_rng(0)
    return [generator.integers(0, 96, length).astype(np.int32) for length in LENGTHS]


def forward(policy, token_ids, packing):
    batch = collate_token_ids(token_ids, 0, packing)
    outputs = policy(batch.token_ids, batch.packed_position_ids, batch.selected)
    return [ragged(output.detach(), batch) for output in outputs]


def plain_logprobs(directory, ids, temperature):
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokens = torch.from_numpy(ids).long()
    with torch.no_grad():
        log_p = torch.log_softmax(model(tokens[None]).logits[0] / temperature, dim=-1)
    return torch.cat([torch.zeros(1), log_p[:-1].gather(1, tokens[1:, None]).squeeze(1)]).numpy()


@pytest.mark.parametrize("layout", ["Qwen2", "Llama"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("packing", [True, False])
def test_logprobs_equal_those_of_the_plain_model_one_by_one(
    make_model_directory, layout, tied, packing
):
    directory = make_model_directory(layout, tied)
    logprobs, _ = forward(make_policy(directory, temperature=0.8), make_token_ids(), packing)
    for ids, ours in zip(make_token_ids(), logprobs, strict=True):
        np.testing.assert_allclose(ours, plain_logprobs(directory, ids, 0.8), atol=1e-5)


@pytest.mark.parametrize("attention", ["SDPA", "Eager"])
def test_packed_samples_do_not_see_each_other(make_model_directory, attention):
    policy = make_policy(make_model_directory(), attention)
    first, *others = make_token_ids()
    alone = forward(policy, [others[0]], True)
    for neighbour in (first, first[::-1].copy()):
        together = forward(policy, [neighbour, others[0]], True)
        np.testing.assert_allclose(together[0][1], alone[0][0], atol=1e-5)
        np.testing.assert_allclose(together[1][1], alone[1][0], atol=1e-5)


def test_gradients_of_padded_and_packed_batches_agree(make_model_directory):
    gradients = []
    for packing in (False, True):
        policy = make_policy(make_model_directory())
        batch = collate_token_ids(make_token_ids(), 0, packing)
        logprobs, entropies = policy(batch.token_ids, batch.packed_position_ids, batch.selected)
        (logprobs.sum() + 0.1 * entropies.sum()).backward()
        gradients.append([parameter.grad for parameter in policy.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_through_plain_logits(make_model_directory):
    directory = make_model_directory()
    policy, plain = make_policy(directory), AutoModelForCausalLM.from_pretrained(directory)
    batch = collate_token_ids(make_token_ids()[:1], 0, False)
    policy(batch.token_ids, None, batch.selected)[0].sum().backward()
    log_p = torch.log_softmax(plain(batch.token_ids).logits[0, :-1], dim=-1)
    log_p.gather(1, batch.token_ids[0, 1:, None]).sum().backward()
    for (name, ours), (_, theirs) in zip(
        policy.named_parameters(), plain.named_parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=2e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_keep_the_names_that_transformers_gives_them(make_model_directory, tied):
    directory = make_model_directory("Llama", tied)
    plain = AutoModelForCausalLM.from_pretrained(directory)
    ours = [name for name, _ in make_policy(directory).model.named_parameters()]
    assert ours == [name for name, _ in plain.named_parameters()]
    assert ("lm_head.weight" in ours) == (not tied)


def test_gradient_checkpointing_changes_no_gradient(make_model_directory):
    gradients = []
    for is_checkpointed in (False, True):
        policy = make_policy(make_model_directory()).train()
        if is_checkpointed:
            policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        batch = collate_token_ids(make_token_ids(), 0, False)
        policy(batch.token_ids, None, batch.selected)[0].sum().backward()
        gradients.append([parameter.grad for parameter in policy.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])
