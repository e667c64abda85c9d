"""A `Progress` as Prometheus text: gauges set once a step, labels `namespace` and `rlhfjob`.

For operations, not for papers: a scrape every 15 seconds misses short steps; metrics.jsonl has all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from openrlhf_core.spec.metrics import find_metric
from openrlhf_core.spec.progress import Progress

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class JobLabels:
    """Names that every series of a run bears; never `job`, `pod` or `instance`."""

    namespace: str
    rlhfjob: str


def render_metrics(progress: Progress, labels: JobLabels) -> bytes:
    """The text that /metrics answers with."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(progress, labels))
    return generate_latest(registry)


class _Collector:
    """What a registry collects: one `Progress`."""

    def __init__(self, progress: Progress, labels: JobLabels) -> None:
        self._progress = progress
        self._labels = {"namespace": labels.namespace, "rlhfjob": labels.rlhfjob}

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: the names are known only from the progress."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, meaning, value in _standing(self._progress):
            yield self._gauge(name, meaning, {}, [({}, value)])
        yield from self._metrics()

    def _metrics(self) -> Iterator[GaugeMetricFamily]:
        """Members of a family are series of one metric."""
        series: dict[str, list[tuple[dict[str, str], float]]] = {}
        meanings: dict[str, str] = {}
        for name, value in self._progress.metrics.items():
            metric, labels = find_metric(name)
            series.setdefault(metric.prometheus_name, []).append((labels, value))
            meanings[metric.prometheus_name] = metric.help
        for name, samples in series.items():
            yield self._gauge(name, meanings[name], samples[0][0], samples)

    def _gauge(
        self,
        name: str,
        meaning: str,
        extra: dict[str, str],
        samples: list[tuple[dict[str, str], float]],
    ) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(name, meaning, labels=[*self._labels, *extra])
        for labels, value in samples:
            gauge.add_metric([*self._labels.values(), *labels.values()], value)
        return gauge


def _standing(progress: Progress) -> Iterator[tuple[str, str, float]]:
    """Where the run stands, as (name, help, value)."""
    yield "rlhf_step", "Last finished step.", progress.step
    yield "rlhf_steps_planned", "Step after which the run is done.", progress.total_steps
    yield "rlhf_attempt", "Number of this attempt.", progress.attempt
    yield (
        "rlhf_last_update_timestamp_seconds",
        "When a step or phase last changed.",
        progress.last_update_time,
    )
    if progress.checkpoint is not None:
        yield "rlhf_checkpoint_step", "Step of the newest checkpoint.", progress.checkpoint.step
        yield (
            "rlhf_checkpoint_timestamp_seconds",
            "When the newest checkpoint was committed.",
            progress.checkpoint.time,
        )
