import pytest

from openrlhf_core.engines.weight_sync.backend import choose_backend
from openrlhf_core.spec.errors import ConfigurationError


@pytest.mark.parametrize(
    ("requested", "device_kind", "colocated", "backend"),
    [
        ("Auto", "CPU", True, "gloo"),
        ("Auto", "CPU", False, "gloo"),
        ("Auto", "CUDA", True, "ipc"),
        ("Auto", "CUDA", False, "nccl"),
        ("Gloo", "CPU", False, "gloo"),
        ("Gloo", "CUDA", True, "gloo"),
        ("Gloo", "CUDA", False, "gloo"),
        ("NCCL", "CUDA", False, "nccl"),
        ("CUDAIPC", "CUDA", True, "ipc"),
    ],
)
def test_each_placement_has_its_transport(requested, device_kind, colocated, backend) -> None:
    assert choose_backend(requested, device_kind, colocated) == backend


@pytest.mark.parametrize(
    ("requested", "device_kind", "colocated", "reason"),
    [
        ("NCCL", "CPU", False, "needs CUDA devices"),
        ("CUDAIPC", "CPU", True, "needs CUDA devices"),
        ("CUDAIPC", "CUDA", False, "not every engine shares"),
        ("NCCL", "CUDA", True, "a device of its own on each side"),
    ],
)
def test_a_transport_that_cannot_work_is_refused_with_its_field_and_a_mend(
    requested, device_kind, colocated, reason
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        choose_backend(requested, device_kind, colocated)
    assert str(caught.value).startswith(f"training.weightSync.backend is {requested}")
    assert "use Auto" in str(caught.value)
