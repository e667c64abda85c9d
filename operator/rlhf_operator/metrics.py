"""The operator's own Prometheus metrics. Training metrics are the driver's, on its own port."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from openrlhf_core.spec.kinds.status import RLHFJobStatus
from rlhf_operator.cache import JobKey


class OperatorMetrics:
    """One registry and what is counted in it; series of a job go when the job goes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter(
            "rlhf_operator_reconcile_total", "Passes by result.", ["result"], registry=self.registry
        )
        self.seconds = Histogram(
            "rlhf_operator_reconcile_seconds", "Duration of a pass.", registry=self.registry
        )
        self.calls = Counter(
            "rlhf_operator_api_requests_total",
            "Requests to the API server; code 0 is no answer.",
            ["verb", "code"],
            registry=self.registry,
        )
        self.status_writes = Counter(
            "rlhf_operator_status_writes_total", "Status writes.", registry=self.registry
        )
        self.last_success = Gauge(
            "rlhf_operator_last_success_timestamp_seconds",
            "When a pass last succeeded.",
            registry=self.registry,
        )
        self.depth = Gauge(
            "rlhf_operator_queue_depth", "Jobs that wait for a pass.", registry=self.registry
        )
        self._phase = self._job_gauge("rlhf_job_phase", "1 for the phase of a job.", "phase")
        self._step = self._job_gauge("rlhf_job_step", "Last finished step of a job.")
        self._restarts = self._job_gauge("rlhf_job_restarts", "Retries of a job.")
        self._devices = self._job_gauge("rlhf_job_devices_held", "Devices a job holds.")
        self._phases: dict[JobKey, str] = {}

    def on_call(self, verb: str, status: int) -> None:
        """Counts a request to the API server."""
        self.calls.labels(verb, str(status)).inc()

    def show_job(self, key: JobKey, status: RLHFJobStatus) -> None:
        """Brings the series of a job to its status."""
        phase = status.phase or "Pending"
        if self._phases.get(key, phase) != phase:
            self._phase.remove(*key, self._phases[key])
        self._phases[key] = phase
        self._phase.labels(*key, phase).set(1)
        self._step.labels(*key).set(status.progress.step if status.progress else 0)
        self._restarts.labels(*key).set(status.restarts)
        is_holding = phase in ("Starting", "Running", "Restarting")
        self._devices.labels(*key).set((status.devices or 0) if is_holding else 0)

    def forget_job(self, key: JobKey) -> None:
        """Removes the series of a job that is gone."""
        phase = self._phases.pop(key, None)
        if phase is not None:
            self._phase.remove(*key, phase)
            for gauge in (self._step, self._restarts, self._devices):
                gauge.remove(*key)

    def _job_gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, ["namespace", "rlhfjob", *labels], registry=self.registry)
