"""Child names: deterministic, short enough for KubeRay, never shared."""

from rlhf_operator import names

UID = "0f1e2d3c-0000-4000-8000-000000000000"
LONGEST = "a" * 40


def test_the_longest_job_name_gives_a_cluster_name_that_kuberay_takes() -> None:
    name = names.ray_cluster_name(LONGEST, UID, 999)
    assert len(name) <= 53
    assert len(names.ray_cluster_name(LONGEST, UID, 99_999)) <= 53


def test_kuberay_may_keep_the_end_of_a_long_name_only() -> None:
    service = names.head_service(names.ray_cluster_name("a2" * 20, UID, 12_345))
    whole, cut = names.kuberay_names(service)
    assert whole == service
    assert cut == "ra2a2a2a2a2a2a2a2a2a2a2a2a2a2-0f1e2-12345-head-svc"
    assert names.kuberay_names("demo-0f1e2-1-head-svc") == ("demo-0f1e2-1-head-svc",)


def test_only_names_that_we_give_are_the_jobs() -> None:
    assert names.is_ray_cluster_name("demo-0f1e2-1", "demo", UID)
    for name in ("demo-0f1e2-", "demo-0f1e2-x", "demo-0f1e2-123456", "demo-1-0f1e2-1", "demo", ""):
        assert not names.is_ray_cluster_name(name, "demo", UID), name


def test_another_job_of_the_same_name_never_meets_this_ones_pods() -> None:
    other = "ffffffff" + UID[8:]
    assert names.ray_cluster_name("demo", UID, 1) != names.ray_cluster_name("demo", other, 1)


def test_the_attempt_of_a_cluster_is_read_from_its_name() -> None:
    assert names.first_attempt_of(names.ray_cluster_name("demo-2", UID, 17)) == 17


def test_a_submission_is_named_by_job_and_attempt() -> None:
    assert names.submission_id("demo", 3) == "demo-3"
