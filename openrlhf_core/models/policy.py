"""A causal language model as learners see it: tokens in, their log-probs and entropies out."""

from jaxtyping import Bool, Int64
from torch import Tensor, nn
from transformers import PreTrainedModel

from openrlhf_core.models.logit_transform import body, measure_logit_transform
from openrlhf_core.models.logprobs import ChunkedHead, token_logprobs
from openrlhf_core.objectives.outputs import LogprobTensors, TokenLogprobs

PLAIN = TokenLogprobs()


class PolicyModel(nn.Module):
    """Wraps a transformers model, whose output embedding it replaces by a `ChunkedHead`.

    Parameters keep the names that transformers gives them, behind the prefix `model.`.
    """

    def __init__(self, model: PreTrainedModel, output: TokenLogprobs = PLAIN) -> None:
        super().__init__()
        self.output = output
        transform = measure_logit_transform(model)
        head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        model.set_output_embeddings(ChunkedHead(head.weight, head.bias, transform))  # type: ignore[no-untyped-call]
        self.model = model

    def forward(
        self,
        token_ids: Int64[Tensor, "batch seq"],
        packed_position_ids: Int64[Tensor, "batch seq"] | None,
        selected: Bool[Tensor, "batch seq"],
    ) -> LogprobTensors:
        """Returns log-probs and entropies of the selected tokens, 0 elsewhere.

        Rows are either right-padded (None) or hold samples end to end, each starting where the
        position ids start from 0. Padding needs no mask: it comes after every token that is
        looked at, and attention is causal.
        """
        positions = {} if packed_position_ids is None else {"position_ids": packed_position_ids}
        hidden = body(self.model)(
            input_ids=token_ids, use_cache=False, **positions
        ).last_hidden_state  # [batch, seq, hidden]
        head = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        return LogprobTensors(
            *token_logprobs(head, hidden, token_ids, selected, self.output.temperature)
        )
