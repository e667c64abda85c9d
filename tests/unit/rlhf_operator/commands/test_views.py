"""What `rlhf list` and `rlhf status` show is what the object says."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from rich.console import Console, RenderableType

from openrlhf_core.spec.exit_codes import ConfigurationError
from openrlhf_core.spec.kinds.status import CheckpointStatus
from rlhf_operator.commands.checkpoints import checkpoint_table
from rlhf_operator.commands.job_view import JobView, duration, short_number
from rlhf_operator.commands.listing import jobs_table
from rlhf_operator.commands.printing import object_text
from rlhf_operator.commands.status_view import decisive_condition, status_line, status_view

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def text_of(view: RenderableType, width: int = 120) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(view)
    return buffer.getvalue()


def test_a_listed_job_shows_phase_step_reward_and_age(running: dict[str, Any]) -> None:
    text = text_of(jobs_table([JobView.of(running)], NOON, with_namespace=False))
    header, row = (line.split() for line in text.strip().splitlines())
    assert header[0] == "NAME"
    assert row == ["first", "Running", "GRPO", "12/80", "0.4322", "1", "1", "60m"]


def test_the_namespace_is_shown_where_jobs_of_many_are_listed(running: dict[str, Any]) -> None:
    text = text_of(jobs_table([JobView.of(running)], NOON, with_namespace=True))
    assert text.splitlines()[1].startswith("team-a")


def test_a_job_that_nobody_looked_at_is_pending(running: dict[str, Any]) -> None:
    running["status"] = None
    job = JobView.of(running)
    assert (job.phase, job.step, job.outcome) == ("Pending", "", None)
    assert "rlhf doctor" in text_of(status_view(job, [], NOON))


def test_a_status_of_a_newer_version_is_still_read(running: dict[str, Any]) -> None:
    running["status"]["fromTheFuture"] = {"x": 1}
    assert JobView.of(running).phase == "Running"


def test_the_recipe_stands_where_there_is_no_algorithm(running: dict[str, Any]) -> None:
    running["spec"]["training"] = {"recipe": "SFT"}
    assert JobView.of(running).algorithm == "SFT"


def test_the_status_says_progress_metrics_groups_and_output(running: dict[str, Any]) -> None:
    text = text_of(status_view(JobView.of(running), [], NOON))
    assert "team-a/first  GRPO  Running  60m old  attempt 2 (resumed from step 10)" in text
    assert "step 12/80, 1.123e+04 tokens/s, 2m to go" in text
    assert "reward/mean 0.4322" in text
    assert "newest checkpoint: step 10, checkpoints/step-00000010" in text
    assert "claim first-output, first-0123abcd" in text


def test_the_status_of_a_failure_names_reason_and_exit_code(failed: dict[str, Any]) -> None:
    text = text_of(status_view(JobView.of(failed), [], NOON))
    row = next(line for line in text.splitlines() if line.startswith("3m ago"))
    assert row.split()[2:4] == ["ConfigurationRejected", "2"]
    assert "no such column [bold]" in row, "a message is no markup"


def test_events_are_shown_with_their_age(running: dict[str, Any]) -> None:
    event = {
        "reason": "AttemptStarted",
        "message": "attempt 2",
        "lastTimestamp": "2026-01-01T11:59:00Z",
        "metadata": {},
    }
    text = text_of(status_view(JobView.of(running), [event], NOON))
    assert "60s ago  AttemptStarted  attempt 2" in text


@pytest.mark.parametrize("width", [20, 60, 200])
def test_the_status_fits_every_terminal(running: dict[str, Any], width: int) -> None:
    lines = text_of(status_view(JobView.of(running), [], NOON), width).splitlines()
    assert max(map(len, lines)) <= width


def test_one_line_says_what_matters(running: dict[str, Any], failed: dict[str, Any]) -> None:
    assert status_line(JobView.of(running)) == (
        "Running step 12/80 reward 0.4322 | Running: DriverRunning: step 12 of 80"
    )
    assert status_line(JobView.of(failed)) == (
        "Failed | Failed: ConfigurationRejected: exit code 2: no such column"
    )


def test_pods_that_do_not_start_explain_a_waiting_job(running: dict[str, Any]) -> None:
    conditions = running["status"]["conditions"]
    conditions[1] |= {"status": "False", "reason": "ImagePullBackOff", "message": "no such image"}
    assert decisive_condition(JobView.of(running)) == (
        "ClusterReady: ImagePullBackOff: no such image"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (150, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172800, "2d"),
    ],
)
def test_durations_read_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_a_number_is_short_and_other_text_stays() -> None:
    assert short_number("0.000012345") == "1.234e-05"
    assert short_number("NaN?") == "NaN?"


def test_the_newest_checkpoint_is_listed() -> None:
    newest = CheckpointStatus(step=20, path="checkpoints/b", time="2026-01-01T12:00:00Z")
    assert "20    2026-01-01T12:00:00Z  checkpoints/b" in text_of(checkpoint_table(newest))


def test_an_object_prints_without_the_servers_bookkeeping(running: dict[str, Any]) -> None:
    shown = yaml.safe_load(object_text(running, "yaml"))
    assert shown["metadata"]["name"] == "first"
    assert "managedFields" not in shown["metadata"]
    assert yaml.safe_load(object_text(running, "json")) == shown
    with pytest.raises(ConfigurationError, match="use yaml or json"):
        object_text(running, "xml")
