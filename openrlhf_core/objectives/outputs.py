"""What a model computes at each token: the kinds of output and the tensors of each kind.

An objective names the kind that it needs. `models` has one head per kind.
"""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TokenLogprobs:
    """The log-prob of each selected token and the entropy of the distribution that it is from."""

    temperature: float = 1.0
    """Logits are divided by it, as the rollout engine does when it draws tokens."""


ModelOutput = TokenLogprobs
"""Every kind of output. A new kind is a class here, a tensor type below and a head in `models`."""


class LogprobTensors(NamedTuple):
    """The tensors of TokenLogprobs; both are 0 at tokens that are not selected."""

    logprobs: Float[Tensor, "batch seq"]
    """Log-prob of token t given the tokens before it, at index t."""
    entropies: Float[Tensor, "batch seq"]
    """Entropy in nats of the distribution over token t, at index t."""
