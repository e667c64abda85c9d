import pytest

from openrlhf_core.engines.weight_sync.backend import choose_backend
from openrlhf_core.spec.exit_codes import ConfigurationError


@pytest.mark.parametrize(
    ("requested", "device_kind", "sharing", "backend"),
    [
        ("Auto", "CPU", "all", "gloo"),
        ("Auto", "CPU", "none", "gloo"),
        ("Auto", "CUDA", "all", "ipc"),
        ("Auto", "CUDA", "none", "nccl"),
        ("Auto", "CUDA", "some", "gloo"),
        ("Gloo", "CPU", "none", "gloo"),
        ("Gloo", "CUDA", "all", "gloo"),
        ("Gloo", "CUDA", "none", "gloo"),
        ("NCCL", "CUDA", "none", "nccl"),
        ("CUDAIPC", "CUDA", "all", "ipc"),
    ],
)
def test_each_placement_has_its_transport(requested, device_kind, sharing, backend) -> None:
    assert choose_backend(requested, device_kind, sharing) == backend


@pytest.mark.parametrize(
    ("requested", "device_kind", "sharing", "reason"),
    [
        ("NCCL", "CPU", "none", "needs CUDA devices"),
        ("CUDAIPC", "CPU", "all", "needs CUDA devices"),
        ("CUDAIPC", "CUDA", "none", "not every engine shares"),
        ("CUDAIPC", "CUDA", "some", "not every engine shares"),
        ("NCCL", "CUDA", "some", "a device of its own on each side"),
        ("NCCL", "CUDA", "all", "a device of its own on each side"),
    ],
)
def test_a_transport_that_cannot_work_is_refused_with_its_field_and_a_mend(
    requested, device_kind, sharing, reason
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        choose_backend(requested, device_kind, sharing)
    assert str(caught.value).startswith(f"training.weightSync.backend is {requested}")
    assert "use Auto" in str(caught.value)
