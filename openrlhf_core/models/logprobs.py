"""Log-probs and entropies of given tokens, without the logits of the whole vocabulary at once.

The logits of a micro-batch in float32 take 4 bytes x tokens x vocabulary, more than the weights of
many models. Here they are made one slice of the vocabulary at a time, folded into a running
log-sum-exp, and made again in the backward pass.

The only place that shifts between a token and the position that predicts it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from openrlhf_core.models.logit_transform import LogitTransform

CHUNK_ELEMENTS = 1 << 23
"""Logits (tokens x slice of the vocabulary) alive at a time: 32 MiB in float32."""
SMALLEST_CHUNK = 128

PLAIN = LogitTransform()


class ChunkedHead(nn.Module):
    """Replaces a model's output embedding; it holds the same Parameter under the same name.

    It is a module of its own, so that ZeRO-3 gathers the weight around it, and tied weights stay
    tied.
    """

    def __init__(
        self,
        weight: nn.Parameter,
        bias: nn.Parameter | None = None,
        transform: LogitTransform = PLAIN,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias
        self.transform = transform

    def forward(
        self,
        hidden: Float[Tensor, "*tokens hidden"],
        targets: Int64[Tensor, "*tokens"] | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor] | Tensor:
        """Returns log-probs and entropies of the targets.

        Without targets it returns what the output embedding would, [*tokens, vocab] in float32:
        this is how the model's own forward pass calls it.
        """
        hidden = hidden.to(self.weight.dtype)  # Mamba's last hidden state is float32
        if targets is None:
            return raw_logits(hidden, self.weight, self.bias)
        return chunked_logprobs(
            hidden, self.weight, targets, temperature, bias=self.bias, transform=self.transform
        )


def chunked_logprobs(
    hidden: Float[Tensor, "tokens hidden"],
    weight: Float[Tensor, "vocab hidden"],
    targets: Int64[Tensor, "tokens"],
    temperature: float,
    *,
    bias: Float[Tensor, "vocab"] | None = None,
    transform: LogitTransform = PLAIN,
) -> tuple[Float[Tensor, "tokens"], Float[Tensor, "tokens"]]:
    """Log-prob of each target and entropy in nats of softmax(logits / temperature).

    The logits are transform(hidden @ weight.T + bias). Both results are float32 (float64 for
    float64 inputs) and differentiable once.
    """
    question = _Question(targets, temperature, transform)
    logprobs, entropies = _ChunkedLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, question
    )
    return logprobs, entropies


def raw_logits(
    hidden: Float[Tensor, "*tokens hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, "vocab"] | None = None,
) -> Float[Tensor, "*tokens vocab"]:
    """hidden @ weight.T + bias in float32, without a float32 copy of the whole weight."""
    flat = hidden.reshape(-1, hidden.shape[-1])
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    parts = [_raw(flat, weight, bias, part, dtype) for part in _slices(weight, len(flat))]
    return torch.cat(parts, dim=1).reshape(*hidden.shape[:-1], -1)


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


@dataclass(frozen=True, eq=False)
class _Question:
    """Which tokens' log-probs are asked for, and under which distribution."""

    targets: Int64[Tensor, "tokens"]
    temperature: float
    transform: LogitTransform


class _ChunkedLogprobs(torch.autograd.Function):
    """With z the logits over temperature, p = softmax(z) and H the entropy, their gradients are
    d logprob / dz_i = [i is the target] - p_i  and  dH / dz_i = -p_i (log p_i + H).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        question: _Question,
    ) -> tuple[Tensor, Tensor]:
        targets, temperature, transform = question.targets, question.temperature, question.transform
        accumulate = torch.promote_types(hidden.dtype, torch.float32)
        highest = torch.full(targets.shape, -torch.inf, dtype=accumulate, device=hidden.device)
        total, moment, target_logits = (torch.zeros_like(highest) for _ in range(3))
        for part in _slices(weight, len(targets)):
            raw = _raw(hidden, weight, bias, part, accumulate)  # [tokens, slice]
            logits = _divided(transform(raw), temperature)
            raised = torch.maximum(highest, logits.amax(dim=1))
            rescale = torch.exp(highest - raised)
            exponentials = torch.exp(logits - raised[:, None])
            total = total * rescale + exponentials.sum(dim=1)
            moment = moment * rescale + torch.linalg.vecdot(exponentials, logits)
            highest = raised
            target_logits += _pick(logits, targets, part)
        log_total = highest + torch.log(total)
        entropies = log_total - moment / total
        ctx.save_for_backward(hidden, weight, bias, log_total, entropies)
        ctx.question = question
        ctx.set_materialize_grads(False)
        return target_logits - log_total, entropies

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, logprob_grads: Tensor | None, entropy_grads: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        hidden, weight, bias, log_total, entropies = ctx.saved_tensors
        targets, temperature = ctx.question.targets, ctx.question.temperature
        transform = ctx.question.transform
        hidden_grads = torch.zeros(hidden.shape, dtype=log_total.dtype, device=hidden.device)
        weight_grads = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        bias_grads = torch.empty_like(bias) if ctx.needs_input_grad[2] else None
        for part in _slices(weight, len(targets)):
            logits = transform(_raw(hidden, weight, bias, part, log_total.dtype))
            log_p = _divided(logits, temperature) - log_total[:, None]
            logit_grads = _logit_gradients(log_p, entropies, logprob_grads, entropy_grads)
            if logprob_grads is not None:
                _add_at_targets(logit_grads, targets, part, logprob_grads)
            logit_grads = transform.gradients(logit_grads / temperature, logits)
            logit_grads = logit_grads.to(hidden.dtype)
            hidden_grads += logit_grads @ weight[part]
            if weight_grads is not None:
                weight_grads[part] = logit_grads.T @ hidden
            if bias_grads is not None:
                bias_grads[part] = logit_grads.sum(dim=0)
        return hidden_grads.to(hidden.dtype), weight_grads, bias_grads, None


def _slices(weight: Tensor, num_tokens: int) -> list[slice]:
    vocab = weight.shape[0]
    size = max(CHUNK_ELEMENTS // max(num_tokens, 1), SMALLEST_CHUNK)
    return [slice(start, min(start + size, vocab)) for start in range(0, vocab, size)]


def _raw(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, part: slice, dtype: torch.dtype
) -> Float[Tensor, "tokens slice"]:
    """(hidden @ weight.T + bias)[:, part], accumulated and returned in `dtype`."""
    if hidden.is_cuda and hidden.dtype != dtype:
        raw = torch.mm(hidden, weight[part].T, out_dtype=dtype)
    else:
        raw = hidden.to(dtype) @ weight[part].to(dtype).T
    return raw if bias is None else raw + bias[part].to(dtype)


def _divided(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1.0 else logits / temperature


def _pick(logits: Tensor, targets: Tensor, part: slice) -> Float[Tensor, "tokens"]:
    """The target's logit where the target lies in this slice of the vocabulary, else 0."""
    inside, columns = _columns(targets, part)
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
    logit_grads: Tensor, targets: Tensor, part: slice, logprob_grads: Tensor
) -> None:
    inside, columns = _columns(targets, part)
    logit_grads.scatter_add_(
        1, columns[:, None], logprob_grads.masked_fill(~inside, 0.0)[:, None].to(logit_grads.dtype)
    )


def _columns(targets: Tensor, part: slice) -> tuple[Tensor, Tensor]:
    """Which targets lie in this slice of the vocabulary, and their columns in it (else any)."""
    inside = (targets >= part.start) & (targets < part.stop)
    return inside, (targets - part.start).clamp(0, part.stop - part.start - 1)
