"""The operator's settings, from its command line; the chart writes the same flags."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlhf_operator.state.situation import Limits


@dataclass(frozen=True)
class Settings:
    """How this operator runs."""

    namespaces: tuple[str, ...] = ()
    """Watched namespaces; empty is all of them."""
    default_runtime: str | None = None
    """ClusterRLHFRuntime of jobs that name none."""
    own_namespace: str = "default"
    """Where the operator's pod lives; its jobs' pods let it in from there."""
    monitoring_namespace: str | None = None
    """Where Prometheus lives; it may reach the metrics ports of the jobs' pods."""
    cluster_domain: str = "svc"
    """What follows `<service>.<namespace>.` in DNS names: `svc`, or `svc.cluster.local`."""
    concurrency: int = 8
    resync_seconds: float = 30.0
    metrics_port: int = 8080
    health_port: int = 8081
    log_level: str = "INFO"
    log_format: str = "text"
    limits: Limits = field(default_factory=Limits)


def parse_settings(arguments: Sequence[str]) -> Settings:
    """Settings from command line words. SystemExit with usage on wrong ones."""
    given = _parser().parse_args(arguments)
    return Settings(
        namespaces=() if given.all_namespaces else tuple(given.namespace),
        default_runtime=given.default_runtime or None,
        own_namespace=os.environ.get("POD_NAMESPACE", "default"),
        monitoring_namespace=given.monitoring_namespace or None,
        cluster_domain=given.cluster_domain,
        concurrency=given.concurrency,
        resync_seconds=given.resync_seconds,
        metrics_port=given.metrics_port,
        health_port=given.health_port,
        log_level=given.log_level,
        log_format=given.log_format,
        limits=Limits(
            poll=given.poll_seconds,
            contact=given.contact_timeout_seconds,
            status=given.status_interval_seconds,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rlhf_operator", description="Runs RLHFJobs on KubeRay clusters."
    )
    add, default, limits = parser.add_argument, Settings(), Limits()
    add("--namespace", action="append", default=[], help="watch it; may be given several times")
    add("--all-namespaces", action="store_true", help="watch every namespace (the default)")
    add("--default-runtime", help="ClusterRLHFRuntime of jobs that name none")
    add("--monitoring-namespace", help="namespace whose pods may scrape the jobs' metrics")
    add("--cluster-domain", default=default.cluster_domain, help="suffix of service names")
    add("--concurrency", type=int, default=default.concurrency, help="passes at the same time")
    add("--resync-seconds", type=float, default=default.resync_seconds, help="longest pause")
    add("--poll-seconds", type=float, default=limits.poll, help="between looks at a live driver")
    add("--contact-timeout-seconds", type=float, default=limits.contact, help="silence of a head")
    add("--status-interval-seconds", type=float, default=limits.status, help="between progress")
    add("--metrics-port", type=int, default=default.metrics_port, help="serves /metrics")
    add("--health-port", type=int, default=default.health_port, help="serves /healthz")
    add("--log-level", type=str.upper, default=default.log_level, help="DEBUG, INFO, WARNING")
    add("--log-format", type=str.lower, choices=("text", "json"), default=default.log_format)
    return parser
