"""Log-probs and entropies of given tokens, without the logits of the whole vocabulary at once.

The logits of a micro-batch in float32 take 4 bytes x tokens x vocabulary, more than the weights of
many models. Here they are made one slice of the vocabulary at a time, folded into a running
log-sum-exp, and made again in the backward pass.

The one place where the shift between a token and the position that predicts it is done.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK_ELEMENTS = 1 << 23
"""Logits (tokens x slice of the vocabulary) alive at a time: 32 MiB in float32."""
SMALLEST_CHUNK = 128


class ChunkedHead(nn.Module):
    """Stands in for a model's output embedding: the same Parameter under the same name.

    Being a module of its own, ZeRO-3 gathers the weight around it; tied weights stay tied.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self,
        hidden: Float[Tensor, "tokens hidden"],
        targets: Int64[Tensor, "tokens"],
        temperature: float,
    ) -> tuple[Float[Tensor, "tokens"], Float[Tensor, "tokens"]]:
        return chunked_logprobs(hidden, self.weight, targets, temperature)


def chunked_logprobs(
    hidden: Float[Tensor, "tokens hidden"],
    weight: Float[Tensor, "vocab hidden"],
    targets: Int64[Tensor, "tokens"],
    temperature: float,
) -> tuple[Float[Tensor, "tokens"], Float[Tensor, "tokens"]]:
    """Log-prob of each target and entropy in nats under softmax(hidden @ weight.T / temperature).

    Both are float32 (float64 for float64 inputs) and differentiable once.
    """
    logprobs, entropies = _ChunkedLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, temperature
    )
    return logprobs, entropies


def token_logprobs(
    head: nn.Module,
    hidden: Float[Tensor, "batch seq hidden"],
    token_ids: Int64[Tensor, "batch seq"],
    selected: Bool[Tensor, "batch seq"],
    temperature: float,
) -> tuple[Float[Tensor, "batch seq"], Float[Tensor, "batch seq"]]:
    """Log-prob of token t given those before it, and the entropy it was drawn with, at index t.

    Only `selected` tokens are computed, the others are 0. A sample's first token must not be
    selected: nothing predicts it.
    """
    chosen = selected[:, 1:]
    logprobs, entropies = head(hidden[:, :-1][chosen], token_ids[:, 1:][chosen], temperature)
    return _scatter(logprobs, selected), _scatter(entropies, selected)


def predictable_tokens(sample_ids: Int64[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"]:
    """True at tokens that follow another token of the same sample: no first tokens, no padding."""
    follows = sample_ids[:, 1:] == sample_ids[:, :-1]
    first = torch.zeros_like(sample_ids[:, :1], dtype=torch.bool)
    return torch.cat([first, follows], dim=1) & (sample_ids >= 0)


def _scatter(
    values: Float[Tensor, "tokens"], selected: Bool[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq"]:
    placed = values.new_zeros(selected.shape)
    return placed.masked_scatter(selected, values)


class _ChunkedLogprobs(torch.autograd.Function):
    """With z the logits over temperature, p = softmax(z) and H the entropy, their gradients are
    d logprob / dz_i = [i is the target] - p_i  and  dH / dz_i = -p_i (log p_i + H).
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        accumulate = torch.promote_types(hidden.dtype, torch.float32)
        highest = torch.full(targets.shape, -torch.inf, dtype=accumulate, device=hidden.device)
        total, moment, target_logits = (torch.zeros_like(highest) for _ in range(3))
        for start, stop in _slices(weight, len(targets)):
            logits = _logits(hidden, weight[start:stop], temperature, accumulate)  # [tokens, slice]
            raised = torch.maximum(highest, logits.amax(dim=1))
            rescale = torch.exp(highest - raised)
            exponentials = torch.exp(logits - raised[:, None])
            total = total * rescale + exponentials.sum(dim=1)
            moment = moment * rescale + torch.linalg.vecdot(exponentials, logits)
            highest = raised
            target_logits += _pick(logits, targets, start, stop)
        log_total = highest + torch.log(total)
        entropies = log_total - moment / total
        ctx.save_for_backward(hidden, weight, targets, log_total, entropies)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return target_logits - log_total, entropies

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, logprob_grads: Tensor | None, entropy_grads: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, weight, targets, log_total, entropies = ctx.saved_tensors
        hidden_grads = torch.zeros(hidden.shape, dtype=log_total.dtype, device=hidden.device)
        weight_grads = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        for start, stop in _slices(weight, len(targets)):
            rows = weight[start:stop]
            logits = _logits(hidden, rows, ctx.temperature, log_total.dtype)
            logit_grads = _logit_gradients(
                logits - log_total[:, None], entropies, logprob_grads, entropy_grads
            )
            if logprob_grads is not None:
                _add_at_targets(logit_grads, targets, start, stop, logprob_grads)
            logit_grads = (logit_grads / ctx.temperature).to(hidden.dtype)
            hidden_grads += logit_grads @ rows
            if weight_grads is not None:
                weight_grads[start:stop] = logit_grads.T @ hidden
        return hidden_grads.to(hidden.dtype), weight_grads, None, None


def _slices(weight: Tensor, num_tokens: int) -> list[tuple[int, int]]:
    vocab = weight.shape[0]
    size = max(CHUNK_ELEMENTS // max(num_tokens, 1), SMALLEST_CHUNK)
    return [(start, min(start + size, vocab)) for start in range(0, vocab, size)]


def _logits(
    hidden: Tensor, rows: Tensor, temperature: float, accumulate: torch.dtype
) -> Float[Tensor, "tokens slice"]:
    if hidden.is_cuda and hidden.dtype != accumulate:
        logits = torch.mm(hidden, rows.T, out_dtype=accumulate)
    else:
        logits = hidden.to(accumulate) @ rows.to(accumulate).T
    return logits if temperature == 1.0 else logits / temperature


def _pick(logits: Tensor, targets: Tensor, start: int, stop: int) -> Float[Tensor, "tokens"]:
    """The target's logit where the target lies in this slice of the vocabulary, else 0."""
    inside = (targets >= start) & (targets < stop)
    columns = (targets - start).clamp(0, stop - start - 1)
    return logits.gather(1, columns[:, None]).squeeze(1).masked_fill(~inside, 0.0)


def _logit_gradients(
    log_p: Float[Tensor, "tokens slice"],
    entropies: Float[Tensor, "tokens"],
    logprob_grads: Float[Tensor, "tokens"] | None,
    entropy_grads: Float[Tensor, "tokens"] | None,
) -> Float[Tensor, "tokens slice"]:
    """-p x (g_logprob + g_entropy x (log p + H)), all but the target's own term."""
    scale = torch.zeros_like(entropies) if logprob_grads is None else logprob_grads
    if entropy_grads is None:
        return torch.exp(log_p).mul_(-scale[:, None])
    slope = scale[:, None] + entropy_grads[:, None] * (log_p + entropies[:, None])
    return torch.exp(log_p).mul_(slope).neg_()


def _add_at_targets(
    logit_grads: Tensor, targets: Tensor, start: int, stop: int, logprob_grads: Tensor
) -> None:
    inside = (targets >= start) & (targets < stop)
    columns = (targets - start).clamp(0, stop - start - 1)
    logit_grads.scatter_add_(
        1, columns[:, None], logprob_grads.masked_fill(~inside, 0.0)[:, None].to(logit_grads.dtype)
    )
