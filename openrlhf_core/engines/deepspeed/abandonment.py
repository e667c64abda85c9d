"""Ends long work between two micro-batches, on all ranks at the same one.

An optimizer step may last longer than the grace period of a stop.
"""

import threading

import torch
import torch.distributed as dist

from openrlhf_core.spec.exit_codes import WorkAbandoned


class Abandonment:
    """Decides for all ranks together whether to leave the work, once any rank was asked to.

    Each check starts a vote and reads the result of the vote before, so that no rank waits for the
    slowest; a request therefore takes effect one micro-batch later. A single rank reads its own
    vote at once. `group` must move CPU tensors.
    """

    def __init__(self, group: dist.ProcessGroup | None) -> None:
        self._group = group
        self._was_asked = threading.Event()
        self._vote: torch.Tensor | None = None
        self._counting: dist.Work | None = None

    def ask(self) -> None:
        """Requests to leave the work; it cannot be undone. Called from any thread."""
        self._was_asked.set()

    def check(self) -> None:
        """Raises WorkAbandoned on every rank at the same call once a rank was asked; collective."""
        if dist.get_world_size(self._group) == 1:
            is_over = self._was_asked.is_set()
        else:
            is_over = self._last_vote()
        if is_over:
            raise WorkAbandoned("stopped on request; training was left between two micro-batches")

    def _last_vote(self) -> bool:
        if self._counting is not None:
            self._counting.wait()
        last = self._vote
        self._vote = torch.tensor(float(self._was_asked.is_set()))
        self._counting = dist.all_reduce(
            self._vote, op=dist.ReduceOp.MAX, group=self._group, async_op=True
        )
        return last is not None and bool(last.item())
