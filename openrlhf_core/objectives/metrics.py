"""The metrics of one optimizer step, and how those of several become one number each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from openrlhf_core.spec.metrics import Merge, find_metric


@dataclass(frozen=True)
class Measurement:
    """A metric of one optimizer step, as the mean of `count` things. Made by learners.

    Example: Measurement(total=3.0, count=60.0) is a clip ratio of 0.05 over 60 tokens.
    """

    total: float
    count: float = 1.0

    @property
    def value(self) -> float:
        return self.total / self.count


def merge_updates(updates: Sequence[Mapping[str, Measurement]]) -> dict[str, float]:
    """Returns one number per metric for the optimizer steps of one step, in their order.

    The catalogue says how each metric is merged. A metric that some optimizer steps lack is merged
    over the others.
    """
    names = dict.fromkeys(name for update in updates for name in update)
    return {
        name: MERGES[find_metric(name)[0].merge]([u[name] for u in updates if name in u])
        for name in names
    }


def _mean(found: Sequence[Measurement]) -> float:
    """The mean over all things counted: optimizer steps weigh by what they counted."""
    return sum(one.total for one in found) / sum(one.count for one in found)


MERGES: dict[Merge, Callable[[Sequence[Measurement]], float]] = {
    "mean": _mean,
    "sum": lambda found: sum(one.value for one in found),
    "max": lambda found: max(one.value for one in found),
    "first": lambda found: found[0].value,
    "last": lambda found: found[-1].value,
}
