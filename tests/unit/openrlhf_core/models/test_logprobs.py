"""Chunked log-probs against log_softmax in float64, their gradients, and the memory they save."""

import multiprocessing
import resource

import pytest
import torch
from torch import nn

from openrlhf_core.models import logprobs as module
from openrlhf_core.models.logit_transform import LogitTransform
from openrlhf_core.models.logprobs import (
    PLAIN,
    ChunkedHead,
    chunked_logprobs,
    predictable_tokens,
    token_logprobs,
)


@pytest.fixture(autouse=True)
def _many_small_chunks(monkeypatch):
    """Slices of four columns, so that the running sums are really run."""
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 20)
    monkeypatch.setattr(module, "SMALLEST_CHUNK", 4)


def make_inputs(
    tokens=5, vocab=11, hidden=3, dtype=torch.float64, scale=1.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(tokens, hidden, generator=generator, dtype=torch.float64) * scale
    weight = torch.randn(vocab, hidden, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, vocab, (tokens,), generator=generator)
    return states.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


def grad_of(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


def naive(hidden, weight, targets, temperature, transform=PLAIN):
    log_p = torch.log_softmax(transform(hidden @ weight.T) / temperature, dim=-1)
    return log_p.gather(1, targets[:, None]).squeeze(1), -(log_p.exp() * log_p).sum(dim=-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_logprobs_and_entropies_equal_log_softmax(temperature):
    hidden, weight, targets = make_inputs()
    logprobs, entropies = chunked_logprobs(hidden, weight, targets, temperature)
    expected_logprobs, expected_entropies = naive(hidden, weight, targets, temperature)
    torch.testing.assert_close(logprobs, expected_logprobs, atol=1e-12, rtol=0)
    torch.testing.assert_close(entropies, expected_entropies, atol=1e-12, rtol=0)


def test_two_equal_logits_have_log_prob_and_entropy_of_a_coin():
    # Logits (1, 1): p = 1/2 each, log p = -0.693147 and H = 0.693147.
    logprobs, entropies = chunked_logprobs(
        torch.ones(1, 1), torch.ones(2, 1), torch.tensor([1]), 1.0
    )
    assert logprobs.item() == pytest.approx(-0.693147, abs=1e-6)
    assert entropies.item() == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_gradients_equal_the_numerical_ones(temperature):
    hidden, weight, targets = make_inputs()
    assert torch.autograd.gradcheck(
        lambda states, rows: chunked_logprobs(states, rows, targets, temperature), (hidden, weight)
    )


TRANSFORMS = [LogitTransform(0.3), LogitTransform(1.0, 2.0), LogitTransform(0.5, 3.0)]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_factors_and_caps_are_applied_before_the_temperature(transform):
    hidden, weight, targets = make_inputs()
    found = chunked_logprobs(hidden, weight, targets, 0.7, transform=transform)
    torch.testing.assert_close(found, naive(hidden, weight, targets, 0.7, transform))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gradients_through_factors_caps_and_bias_equal_the_numerical_ones(transform):
    hidden, weight, targets = make_inputs()
    bias = torch.linspace(-1, 1, len(weight), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda states, rows, shifts: chunked_logprobs(
            states, rows, targets, 0.7, bias=shifts, transform=transform
        ),
        (hidden, weight, bias),
    )


def test_bias_is_added_to_the_logits():
    hidden, weight, targets = make_inputs()
    bias = torch.linspace(-1, 1, len(weight), dtype=torch.float64)
    wider = (
        torch.cat([hidden, torch.ones(len(hidden), 1)], 1),
        torch.cat([weight, bias[:, None]], 1),
    )
    found = chunked_logprobs(hidden, weight, targets, 1.0, bias=bias)
    torch.testing.assert_close(found, naive(*wider, targets, 1.0))


def test_a_head_without_targets_computes_the_logits():
    hidden, weight, _ = make_inputs()
    bias = nn.Parameter(torch.linspace(-1, 1, len(weight), dtype=torch.float64))
    head = ChunkedHead(nn.Parameter(weight.detach()), bias)
    expected = nn.functional.linear(hidden, weight, bias)
    torch.testing.assert_close(head(hidden[None]), expected[None])


@pytest.mark.parametrize("output", [0, 1])
def test_gradient_of_one_output_alone_is_right(output):
    hidden, weight, targets = make_inputs()
    chunked_logprobs(hidden, weight, targets, 1.3)[output].sum().backward()
    gradients = grad_of(hidden).clone(), grad_of(weight).clone()
    hidden.grad = weight.grad = None
    naive(hidden, weight, targets, 1.3)[output].sum().backward()
    torch.testing.assert_close(gradients, (hidden.grad, weight.grad), atol=1e-12, rtol=0)


def test_chunk_size_changes_nothing_beyond_rounding(monkeypatch):
    hidden, weight, targets = make_inputs(dtype=torch.float32)
    small = chunked_logprobs(hidden, weight, targets, 1.0)
    monkeypatch.setattr(module, "SMALLEST_CHUNK", 100)
    torch.testing.assert_close(small, chunked_logprobs(hidden, weight, targets, 1.0))


def test_huge_logits_stay_finite():
    hidden, weight, targets = make_inputs(dtype=torch.float32, scale=1e4)
    logprobs, entropies = chunked_logprobs(hidden, weight, targets, 1.0)
    (logprobs.sum() + entropies.sum()).backward()
    for tensor in (logprobs, entropies, grad_of(hidden), grad_of(weight)):
        assert torch.isfinite(tensor).all()
    assert (logprobs <= 0).all()


def test_bfloat16_inputs_are_accumulated_in_float32():
    hidden, weight, targets = make_inputs(vocab=97, hidden=8, dtype=torch.bfloat16)
    logprobs, entropies = chunked_logprobs(hidden, weight, targets, 1.0)
    expected = naive(hidden.double(), weight.double(), targets, 1.0)
    assert logprobs.dtype == entropies.dtype == torch.float32
    torch.testing.assert_close(logprobs.double(), expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(entropies.double(), expected[1], atol=1e-5, rtol=0)
    logprobs.sum().backward()
    assert grad_of(hidden).dtype == grad_of(weight).dtype == torch.bfloat16


def test_no_tokens_give_no_logprobs_and_zero_gradients():
    hidden, weight, targets = make_inputs()
    logprobs, entropies = chunked_logprobs(hidden[:0], weight, targets[:0], 1.0)
    (logprobs.sum() + entropies.sum()).backward()
    assert logprobs.shape == entropies.shape == (0,)
    assert (grad_of(weight) == 0).all()
    assert (grad_of(hidden) == 0).all()


def test_head_holds_the_very_parameter_it_is_given():
    weight = nn.Parameter(torch.randn(4, 2))
    head = ChunkedHead(weight)
    assert head.weight is weight
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_logprob_at_index_t_is_about_token_t():
    # The state at 0 predicts token 1, so index 1 holds its log-prob and index 0 stays 0.
    hidden = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(0))
    head = ChunkedHead(nn.Parameter(torch.randn(5, 2, generator=torch.Generator().manual_seed(1))))
    token_ids = torch.tensor([[4, 2, 3]])
    selected = torch.tensor([[False, True, True]])
    logprobs, entropies = token_logprobs(head, hidden, token_ids, selected, 1.0)
    log_p = torch.log_softmax(hidden[0] @ head.weight.T, dim=-1)
    expected = torch.stack([torch.zeros(()), log_p[0, 2], log_p[1, 3]])
    torch.testing.assert_close(logprobs[0], expected)
    assert entropies[0, 0].item() == 0.0


def test_only_selected_tokens_are_computed():
    hidden = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    head = ChunkedHead(nn.Parameter(torch.randn(5, 2)))
    selected = torch.tensor([[False, False, True], [False, True, False]])
    logprobs, _ = token_logprobs(head, hidden, torch.ones(2, 3, dtype=torch.int64), selected, 1.0)
    logprobs.sum().backward()
    assert (logprobs != 0).tolist() == selected.tolist()
    has_gradient = grad_of(hidden).abs().sum(-1) != 0
    assert has_gradient.tolist() == [[False, True, False], [True, False, False]]


def test_first_tokens_and_padding_are_not_predictable():
    padded = predictable_tokens(torch.tensor([[0, 0, 0], [1, 1, -1]]))
    assert padded.tolist() == [[False, True, True], [False, True, False]]
    packed = predictable_tokens(torch.tensor([[0, 0, 1, 1, 1]]))
    assert packed.tolist() == [[False, True, False, True, True]]
    assert not predictable_tokens(torch.tensor([[-1, -1]])).any()


def peak_growth(is_chunked, connection):
    """Sends by how many bytes this process's memory grows at most in a forward and backward."""
    hidden, weight, targets = make_inputs(512, 32_000, 16, torch.float32)
    module.CHUNK_ELEMENTS = 1 << 20
    function = chunked_logprobs if is_chunked else naive
    function(*make_inputs(), 1.0)[0].sum().backward()  # what starts once, starts here
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    logprobs, entropies = function(hidden, weight, targets, 1.0)
    (logprobs.sum() + entropies.sum()).backward()
    connection.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def test_peak_memory_is_a_quarter_of_that_of_full_logits_or_less():
    """512 tokens x 32000 words: full logits in float32 are 62 MiB, and several copies live."""
    context = multiprocessing.get_context("fork")
    peaks = {}
    for is_chunked in (True, False):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=peak_growth, args=(is_chunked, sender))
        process.start()
        peaks[is_chunked] = receiver.recv()
        process.join()
    assert peaks[False] > 2 * 512 * 32_000 * 4
    assert peaks[True] * 4 <= peaks[False], f"peak growth in bytes: {peaks}"
