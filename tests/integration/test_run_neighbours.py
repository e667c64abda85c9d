"""Another Ray on the machine is neither joined nor touched, also when RAY_ADDRESS names it."""

from run_lab import Undisturbed

FIRST_JOB = "01000000"


def test_another_ray_is_left_alone(undisturbed: Undisturbed) -> None:
    assert undisturbed.finished.exit_code == 0, undisturbed.finished.text
    # Ray numbers the programs that join it: had our run done so, this would be the second.
    assert f"job {FIRST_JOB} nodes 1" in undisturbed.seen.stdout, undisturbed.seen.stderr
