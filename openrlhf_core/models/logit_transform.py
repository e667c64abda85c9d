"""What a model does to its logits behind the output embedding: a factor, a soft cap, or nothing.

Granite divides its logits, Cohere and Falcon-H1 multiply them, Gemma 2 caps them with tanh. The
transform is measured: the model's own code runs on known logits, so that no list of architectures
or configuration fields has to be kept.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from openrlhf_core.models.load import runnable_on_cpu
from openrlhf_core.spec.exit_codes import ConfigurationError

PROBES = (1e-3, 0.5, 3.0, 10.0, 30.0, 100.0, 1e6)
"""Raw logits at which the transform is measured, beside their negatives."""


@dataclass(frozen=True)
class LogitTransform:
    """logits = factor x raw, or cap x tanh(factor x raw / cap), where raw = hidden @ weight.T."""

    factor: float = 1.0
    cap: float | None = None

    def __call__(self, raw: Tensor) -> Tensor:
        """Returns the logits."""
        scaled = raw if self.factor == 1.0 else raw * self.factor
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)

    def gradients(self, logit_grads: Tensor, logits: Tensor) -> Tensor:
        """Returns the gradients of the raw outputs from those of the logits."""
        if self.cap is not None:
            logit_grads = logit_grads * (1 - (logits / self.cap) ** 2)
        return logit_grads if self.factor == 1.0 else logit_grads * self.factor


def body(model: PreTrainedModel) -> nn.Module:
    """Returns the part of a model that computes its last hidden state."""
    base = model.base_model
    if base is model:  # Llama 4 names its body otherwise than its class says
        return model.get_submodule("model")
    return base


def measure_logit_transform(model: PreTrainedModel) -> LogitTransform:
    """Returns the transform of a model on the CPU whose output embedding is still its own.

    ConfigurationError when its logits are another function of the last hidden state.
    """
    raw = torch.tensor([sign * probe for probe in PROBES for sign in (1.0, -1.0)])
    try:
        hidden, head_input, logits = _run_with_logits(model, raw)
    except Exception as error:  # a model's own code raises errors of every kind
        raise ConfigurationError(
            f"a forward pass of {type(model).__name__} over two tokens failed: "
            f"{type(error).__name__}: {error}; take another model"
        ) from error
    scale, transform = _ratio(hidden, head_input), _fit(raw, logits)
    if scale is None or transform is None:
        raise ConfigurationError(
            f"the logits of {type(model).__name__} are neither what its output embedding computes "
            "from the last hidden state, nor that times a factor, nor that with a soft cap; such "
            "a model cannot be trained yet: take another one"
        )
    return LogitTransform(transform.factor * scale, transform.cap)


def _run_with_logits(model: PreTrainedModel, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Runs two tokens with `raw` as the first outputs of the output embedding, the others 0.

    Returns, of the last token: its last hidden state, the input of the output embedding, and the
    logits that came of `raw`.
    """
    inputs: list[Tensor] = []

    def replace_output(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        inputs.append(args[0])
        replaced = torch.zeros(output.shape)
        replaced[..., : len(raw)] = raw
        return replaced

    tokens = torch.zeros(1, 2, dtype=torch.int64)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    hook = head.register_forward_hook(replace_output)
    was_training = model.training
    try:
        model.train(False)
        with torch.no_grad(), runnable_on_cpu(model):
            hidden = body(model)(input_ids=tokens, use_cache=False).last_hidden_state
            logits = model(input_ids=tokens, use_cache=False).logits
    finally:
        hook.remove()
        model.train(was_training)
    return hidden[0, -1], inputs[-1].reshape(-1, hidden.shape[-1])[-1], logits[0, -1, : len(raw)]


def _ratio(hidden: Tensor, head_input: Tensor) -> float | None:
    """Returns the factor between the two; None when they differ by more than that."""
    hidden = hidden.to(head_input.dtype)
    if torch.equal(hidden, head_input):
        return 1.0
    precision = 8 * torch.finfo(hidden.dtype).eps
    hidden, head_input = hidden.double(), head_input.double()
    ratio = torch.dot(hidden, head_input) / torch.dot(hidden, hidden)
    error = (head_input - ratio * hidden).abs().max()
    return float(ratio) if error <= precision * head_input.abs().max() else None


def _fit(raw: Tensor, logits: Tensor) -> LogitTransform | None:
    """Returns the transform that maps `raw` to `logits`; None when no factor or cap does."""
    raw, logits = raw.double(), logits.double()
    factor = float(logits[0] / raw[0])
    largest = float(logits[-2])
    for transform in (LogitTransform(factor), LogitTransform(factor, largest or None)):
        if torch.allclose(transform(raw), logits, rtol=1e-4, atol=1e-8):
            return transform
    return None
