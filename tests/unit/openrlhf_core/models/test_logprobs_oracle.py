"""Log-probs and entropies of the chunked head agree with expected values that are not ours."""

import oracle_cases
import pytest
import torch

from openrlhf_core.models.logprobs import chunked_logprobs


@pytest.mark.parametrize(
    "case", oracle_cases.chosen("policy_loss", ["entropy", "entropy-with-temperature"])
)
def test_logprobs_and_entropies_agree_with_the_oracle(case):
    logits = torch.tensor(case.inputs["logits"], requires_grad=True)
    targets = torch.tensor(case.inputs["targets"])
    # With the identity as the output embedding, the hidden states are the logits.
    identity = torch.eye(logits.shape[1])
    logprobs, entropies = chunked_logprobs(logits, identity, targets, case.settings["temperature"])
    (logprobs.sum() + 0.5 * entropies.sum()).backward()
    case.assert_agrees(logprobs.detach(), case.expected["logprobs"])
    case.assert_agrees(entropies.detach(), case.expected["entropies"])
    case.assert_agrees(logits.grad, case.gradients["logits"])
