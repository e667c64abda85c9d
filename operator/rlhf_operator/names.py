"""Labels, child names, paths and ports: each written once.

Every name derives from the job's name and uid, so that a pass that is run again after a crash
finds what the pass before it made.
"""

GROUP = "openrlhf.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
JOBS = "rlhfjobs"
KIND = "RLHFJob"

FIELD_MANAGER = "rlhf-operator"
FINALIZER = f"{GROUP}/cleanup"

LABEL_JOB = f"{GROUP}/job"
LABEL_JOB_UID = f"{GROUP}/job-uid"
LABEL_GROUP = f"{GROUP}/group"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_OPERATOR = "app.kubernetes.io/name"
OPERATOR_NAME = "rlhf-operator"

LABEL_RAY_CLUSTER = "ray.io/cluster"
LABEL_RAY_GROUP = "ray.io/group"
LABEL_RAY_NODE_TYPE = "ray.io/node-type"
ANNOTATION_NO_HEAD_RESTART = "ray.io/disable-provisioned-head-restart"

HEAD_GROUP = "head"
"""Name of the head in `cluster.groups`; KubeRay's own name for it is `headgroup`."""

DASHBOARD_PORT = 8265
PROGRESS_PORT = 8090
METRICS_PORT = 8091
GCS_PORT = 6379
CLIENT_PORT = 10001
RAY_METRICS_PORT = 8080

CONFIG_DIRECTORY = "/etc/rlhf"
RUN_CONFIG_KEY = "run.json"
RUN_CONFIG_PATH = f"{CONFIG_DIRECTORY}/{RUN_CONFIG_KEY}"
RUNTIME_KEY = "runtime.json"
STOP_SCRIPT_KEY = "stop.py"
STOP_SCRIPT_PATH = f"{CONFIG_DIRECTORY}/{STOP_SCRIPT_KEY}"
CONFIGMAPS_DIRECTORY = f"{CONFIG_DIRECTORY}/configmaps"
OUTPUT_DIRECTORY = "/var/rlhf/output"
CACHE_DIRECTORY = "/var/rlhf/cache"
CLAIMS_DIRECTORY = "/mnt/pvc"

MAX_KUBERAY_NAME = 50
MAX_ATTEMPT_DIGITS = 5
"""With more, the name of a RayCluster would be longer than KubeRay takes."""

TOKEN_ENV = "RAY_AUTH_TOKEN"
TOKEN_KEY = "auth_token"


def job_labels(job_name: str, job_uid: str) -> dict[str, str]:
    """The labels of every child of a job."""
    return {
        LABEL_JOB: job_name,
        LABEL_JOB_UID: job_uid,
        LABEL_MANAGED_BY: OPERATOR_NAME,
    }


def ray_cluster_name(job_name: str, job_uid: str, attempt: int) -> str:
    """`<job>-<5 of its uid>-<attempt it was made for>`: 53 characters or fewer, as KubeRay asks.

    A job of the same name made later, or a later attempt, never meets pods of this cluster.
    """
    return f"{job_name}-{job_uid.replace('-', '')[:5]}-{attempt}"


def first_attempt_of(cluster_name: str) -> int:
    """The attempt that a RayCluster was made for, from its name."""
    return int(cluster_name.rsplit("-", 1)[1])


def is_ray_cluster_name(cluster_name: str, job_name: str, job_uid: str) -> bool:
    """Whether a RayCluster of that name may be the job's."""
    stem, _, number = cluster_name.rpartition("-")
    is_number = number.isascii() and number.isdigit() and len(number) <= MAX_ATTEMPT_DIGITS
    return is_number and f"{stem}-0" == ray_cluster_name(job_name, job_uid, 0)


def submission_id(job_name: str, attempt: int) -> str:
    """Id of an attempt's Ray job; Ray refuses a second one of the same id."""
    return f"{job_name}-{attempt}"


def config_map_name(job_name: str) -> str:
    """ConfigMap with the RunConfig, the runtime's snapshot and the preStop script."""
    return f"{job_name}-config"


def network_policy_name(job_name: str) -> str:
    """NetworkPolicy of the job's pods."""
    return f"{job_name}-pods"


def output_claim_name(job_name: str) -> str:
    """Claim that is made from `storage.output.size`."""
    return f"{job_name}-output"


def output_sub_path(job_name: str, job_uid: str) -> str:
    """Directory in the output claim of a job that names none."""
    return f"{job_name}-{job_uid[:8]}"


def group_resource(group_name: str) -> str:
    """Ray resource that the nodes of a worker group offer, one for each device."""
    return f"rlhf-group-{group_name}"


def head_service(cluster_name: str) -> str:
    """Service of the head that KubeRay makes."""
    return f"{cluster_name}-head-svc"


def kuberay_names(name: str) -> tuple[str, ...]:
    """The names that KubeRay may give a child: the whole one; some versions keep only the end of a
    long one, with an r in place of a first character that may not begin a name."""
    kept = name[-MAX_KUBERAY_NAME:]
    cut = kept if kept[0].isalpha() else f"r{kept[1:]}"
    return (name,) if cut == name else (name, cut)


def service_host(service: str, namespace: str, domain: str = "svc") -> str:
    """DNS name of a service, as the operator's pod resolves it."""
    return f"{service}.{namespace}.{domain}"
