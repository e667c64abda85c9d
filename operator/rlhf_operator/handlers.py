"""What kopf calls: each body is one call. No kopf object leaves this file.

Low-level event handlers only: they feed the cache and wake workers. No state is kept by kopf, it
adds no finalizer and writes nothing into objects.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import kopf

from rlhf_operator import names
from rlhf_operator.application import Application

Raw = dict[str, Any]

START_AGAIN_SECONDS = 5.0
"""Between attempts to start while the API server does not answer."""


def register(application: Application, registry: kopf.OperatorRegistry) -> None:
    """Joins the application to kopf's events."""
    labelled = {names.LABEL_JOB: kopf.PRESENT}

    @kopf.on.login(registry=registry)
    def login(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**given)

    @kopf.on.startup(registry=registry, backoff=START_AGAIN_SECONDS)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings, application.settings.namespaces)
        try:
            await application.start()
        except OSError as error:  # a port that is taken stays taken: end, and be started anew
            raise kopf.PermanentError(f"the operator cannot start: {error}") from error

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await application.stop()

    @kopf.on.event(names.GROUP, names.VERSION, names.JOBS, registry=registry)
    async def job_changed(event: Any, **_: Any) -> None:
        application.job_changed(event["type"], dict(event["object"]))

    @kopf.on.event("ray.io", "v1", "rayclusters", labels=labelled, registry=registry)
    async def cluster_changed(event: Any, **_: Any) -> None:
        application.child_changed("rayclusters", event["type"], dict(event["object"]))

    @kopf.on.event("", "v1", "pods", labels=labelled, registry=registry)
    async def pod_changed(event: Any, **_: Any) -> None:
        application.child_changed("pods", event["type"], dict(event["object"]))


def configure(settings: kopf.OperatorSettings, namespaces: Sequence[str]) -> None:
    """kopf as a watcher: no events of its own, no peering, streams that are renewed.

    With named namespaces it does not scan the cluster, for which it would need rights there: a
    KubeRay that comes later is watched only from the operator's next start.
    """
    settings.scanning.disabled = bool(namespaces)
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["pods"] = names.LABEL_JOB
    settings.watching.label_selectors["rayclusters"] = names.LABEL_JOB
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # kopf takes its own finalizer off objects that no handler of its holds: it must not be ours.
    settings.persistence.finalizer = f"{names.GROUP}/unused"


async def run(application: Application, ready: asyncio.Event | None = None) -> None:
    """Watches until it is told to stop."""
    registry = kopf.OperatorRegistry()
    register(application, registry)
    namespaces = application.settings.namespaces
    with contextlib.suppress(asyncio.CancelledError):
        await kopf.operator(
            registry=registry,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
        )
