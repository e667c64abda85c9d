"""Checks that a policy computes what transformers computes for the same model.

Learners run a model in training mode, several samples padded or packed together, with a head of
our own. A model that this changes would train on noise, or on samples that see each other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from openrlhf_core.models.load import runnable_on_cpu
from openrlhf_core.models.logprobs import predictable_tokens
from openrlhf_core.models.policy import PolicyModel
from openrlhf_core.spec.exit_codes import ConfigurationError

LENGTHS = (13, 7, 21)
"""Tokens of the samples that are compared."""
SEEDS = (1, 2)
"""Seeds of two forward passes in training mode, which must agree."""

BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest mean difference of a token's log-prob, in nats, that rounding explains.

In bfloat16 other shapes take other kernels, which differ by 0.01 to 0.03; dropout or a neighbour
that is seen changes log-probs by tenths.
"""


def check_fidelity(policy: PolicyModel, packing: bool) -> None:
    """Compares a policy on the CPU with the plain model; ConfigurationError when they differ.

    The plain model runs each sample alone in evaluation mode, the policy all of them at once in
    training mode: padded, and packed where `packing` is set. Leaves the policy's mode as it was.
    """
    name, was_training = type(policy.model).__name__, policy.training
    try:
        with torch.random.fork_rng(devices=[]), runnable_on_cpu(policy.model):
            _check_padded(policy, name)
            if packing:
                _check_packed(policy, name)
    except ConfigurationError:
        raise
    except Exception as error:  # a model's own code raises errors of every kind
        raise ConfigurationError(
            f"a forward pass of {name} failed: {type(error).__name__}: {error}; "
            "such a model cannot be trained here: take another one"
        ) from error
    finally:
        policy.train(was_training)


def _check_padded(policy: PolicyModel, name: str) -> None:
    samples, bound = _samples(policy), _bound(policy)
    plain = _plain_logprobs(policy, samples)
    first, second = (_padded_logprobs(policy, samples, seed) for seed in SEEDS)
    if (difference := _mean_difference(first, second)) > 0.1 * bound:
        raise ConfigurationError(
            f"two forward passes of {name} in training mode differ by {difference:.2g} nats a "
            "token: it has dropout or noise that no field of its config.json switches off, and "
            "log-probs with noise cannot be trained on; take another model"
        )
    if (difference := _mean_difference(first, plain)) > bound:
        raise ConfigurationError(
            f"log-probs of {name} in training mode differ by {difference:.2g} nats a token from "
            "those of transformers' own forward pass; such a model cannot be trained here: take "
            "another one"
        )


def _check_packed(policy: PolicyModel, name: str) -> None:
    samples = _samples(policy)
    packed, neighbours = _packed_logprobs(policy, samples)
    difference = _mean_difference(packed, _plain_logprobs(policy, samples))
    if difference > _bound(policy) or neighbours > 0:
        raise ConfigurationError(
            f"data.packing: true changes the log-probs of {name} (by {difference:.2g} nats a token "
            "in a test of three short samples): it does not keep packed samples apart; set "
            "data.packing: false"
        )


def _samples(policy: PolicyModel) -> list[Tensor]:
    vocabulary = policy.model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, vocabulary, (length,), generator=generator) for length in LENGTHS]


def _bound(policy: PolicyModel) -> float:
    return BOUNDS[policy.model.dtype]


@torch.no_grad()
def _plain_logprobs(policy: PolicyModel, samples: Sequence[Tensor]) -> Tensor:
    """Log-probs of all tokens but the first of each sample, from the model's own forward pass."""
    policy.eval()
    found = []
    for sample in samples:
        logits = policy.model(input_ids=sample[None], use_cache=False).logits[0, :-1].float()
        logits = logits / policy.output.temperature
        found.append(torch.log_softmax(logits, dim=-1).gather(1, sample[1:, None])[:, 0])
    return torch.cat(found)


@torch.no_grad()
def _padded_logprobs(policy: PolicyModel, samples: Sequence[Tensor], seed: int) -> Tensor:
    policy.train()
    torch.manual_seed(seed)
    rows = pad_sequence(list(samples), batch_first=True)
    sample_ids = pad_sequence(_owners(samples), batch_first=True, padding_value=-1)
    selected = predictable_tokens(sample_ids)
    logprobs: Tensor = policy(rows, None, selected).logprobs
    return logprobs[selected]


def _packed_logprobs(policy: PolicyModel, samples: Sequence[Tensor]) -> tuple[Tensor, float]:
    """Log-probs of packed samples, and the gradient of the later ones by the first one's tokens.

    The gradient is exactly 0 unless a sample sees its neighbour, in every number format.
    """
    policy.train()
    embedded: list[Tensor] = []
    embedding = policy.model.get_input_embeddings()
    hook = embedding.register_forward_hook(lambda module, args, output: embedded.append(output))
    positions = torch.cat([torch.arange(len(sample)) for sample in samples])[None]
    sample_ids = torch.cat(_owners(samples))[None]
    selected = predictable_tokens(sample_ids)
    try:
        logprobs: Tensor = policy(torch.cat(list(samples))[None], positions, selected).logprobs
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logprobs[sample_ids > 0].sum(), embedded[0])
    first = gradient.reshape(-1, gradient.shape[-1])[: len(samples[0])]
    return logprobs.detach()[selected], float(first.abs().nan_to_num(torch.inf).max())


def _owners(samples: Sequence[Tensor]) -> list[Tensor]:
    """The index of its sample for each token."""
    return [torch.full(sample.shape, index) for index, sample in enumerate(samples)]


def _mean_difference(first: Tensor, second: Tensor) -> float:
    """Mean absolute difference; infinite where either holds a NaN."""
    return float((first - second).abs().nan_to_num(torch.inf).mean())
