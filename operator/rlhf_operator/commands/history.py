"""The rows of a job's metrics.jsonl: from the head pod while it lives, else from the claim.

A finished job has no pods. Then a short-lived pod of the job's own image prints the file, with the
volumes that the job's pods had, and is deleted.
"""

import json
from collections.abc import Iterable
from typing import Any

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.runtime import RLHFRuntimeSpec
from rlhf_operator.commands.claim_reader import read_claim
from rlhf_operator.commands.cluster import Cluster
from rlhf_operator.commands.job_view import JobView
from rlhf_operator.commands.pods import pods_of, run_in
from rlhf_operator.names import HEAD_GROUP, RUN_CONFIG_KEY, RUNTIME_KEY, config_map_name

Row = dict[str, Any]

FILE = "metrics.jsonl"


def metric_rows(cluster: Cluster, name: str) -> list[Row]:
    """Rows `{"step", "time", "metrics"}` of the whole run so far, in their order.

    Raises ConfigurationError when no step is finished yet.
    """
    job = JobView.of(cluster.job(name))
    heads = [
        pod for pod in pods_of(cluster, name) if pod.group == HEAD_GROUP and pod.phase == "Running"
    ]
    if heads:
        directory = json.loads(_job_file(cluster, job, RUN_CONFIG_KEY))["output"]
        command = ["sh", "-c", f"cat '{directory}/{FILE}' 2>/dev/null || true"]
        return rows_of(run_in(cluster, heads[0], command), name)
    if job.status.output is None:
        raise ConfigurationError(f"{name} has no output yet ({job.phase})")
    runtime = RLHFRuntimeSpec.model_validate_json(
        _job_file(cluster, job, RUNTIME_KEY), by_alias=True, by_name=False
    )
    return rows_of(read_claim(cluster, job, runtime, FILE), name)


def rows_of(lines: Iterable[str], name: str) -> list[Row]:
    """The rows that lines of metrics.jsonl hold; a line that is torn is passed over."""
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    if not rows:
        raise ConfigurationError(f"{name} has finished no step yet: there is nothing to show")
    return rows


def _job_file(cluster: Cluster, job: JobView, key: str) -> str:
    name = config_map_name(job.name)
    data = cluster.get(cluster.core_path("configmaps", name), f"configmap {name}").get("data", {})
    if key not in data:
        raise ConfigurationError(f"configmap {name} has no {key}: another version made it")
    return str(data[key])
