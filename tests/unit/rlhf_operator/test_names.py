"""Child names: deterministic, short enough for KubeRay, never shared."""

from rlhf_operator import names

UID = "0f1e2d3c-0000-4000-8000-000000000000"
LONGEST = "a" * 40


def test_the_longest_job_name_gives_a_cluster_name_that_kuberay_takes() -> None:
    name = names.ray_cluster_name(LONGEST, UID, 999)
    # KubeRay cuts names of Secrets and pods to 50 characters, and refuses clusters above 53.
    assert len(name) <= 50
    assert len(names.head_service(name)) <= 63


def test_another_job_of_the_same_name_never_meets_this_ones_pods() -> None:
    other = "ffffffff" + UID[8:]
    assert names.ray_cluster_name("demo", UID, 1) != names.ray_cluster_name("demo", other, 1)


def test_the_attempt_of_a_cluster_is_read_from_its_name() -> None:
    assert names.first_attempt_of(names.ray_cluster_name("demo-2", UID, 17)) == 17


def test_a_submission_is_named_by_job_and_attempt() -> None:
    assert names.submission_id("demo", 3) == "demo-3"
