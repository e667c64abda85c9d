"""Descriptors 1 and 2 while output is captured: real processes, a real pseudo-terminal."""

import os
import pty
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import os, subprocess, sys
from pathlib import Path
from openrlhf_core.telemetry.console import captured_output
output = Path(sys.argv[1])
"""


def run(code: str, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(output)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def log_of(output: Path) -> str:
    return (output / "logs" / "driver.log").read_text()


def test_all_that_is_printed_goes_to_the_log(tmp_path: Path) -> None:
    done = run(
        """
        print("before")
        with captured_output(output) as terminal:
            print("from Python")
            print("an error", file=sys.stderr)
            os.write(1, b"from C\\n")
            subprocess.run(["sh", "-c", "echo from a child; echo its error >&2"], check=True)
            terminal.write("on the display\\n")
        print("after")
        print("after error", file=sys.stderr)
        """,
        tmp_path,
    )
    assert done.stdout == "before\non the display\nafter\n"
    assert done.stderr == "after error\n"
    assert sorted(log_of(tmp_path).splitlines()) == sorted(
        ["from Python", "an error", "from C", "from a child", "its error"]
    )


def test_an_exception_is_shown_where_it_would_have_been(tmp_path: Path) -> None:
    done = run(
        """
        with captured_output(output):
            print("inside")
            raise SystemExit("it broke")
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "it broke\n")
    assert log_of(tmp_path) == "inside\n"


def test_a_second_run_appends_to_the_log(tmp_path: Path) -> None:
    for text in ("one", "two"):
        run(f"with captured_output(output):\n    print({text!r})", tmp_path)
    assert log_of(tmp_path) == "one\ntwo\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    done = run(
        """
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with captured_output(output):
                pass
        print(len(os.listdir("/proc/self/fd")) - before)
        """,
        tmp_path,
    )
    assert done.stdout == "0\n"


def test_children_do_not_hold_the_terminal_open(tmp_path: Path) -> None:
    """Else `rlhf run | cat` would wait for a process that the run left behind."""
    done = run(
        """
        with captured_output(output):
            child = subprocess.Popen(["sleep", "30"], close_fds=False)
        print(child.pid)
        """,
        tmp_path,
    )
    os.kill(int(done.stdout), 9)


def test_a_reader_that_went_away_stops_nothing(tmp_path: Path) -> None:
    done = run(
        """
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        with captured_output(output) as terminal:
            terminal.write("read\\n")
            os.close(reading)
            for _ in range(3):
                terminal.write("lost\\n")
                terminal.flush()
            print("goes on", terminal.isatty())
        """,
        tmp_path,
    )
    assert log_of(tmp_path) == "goes on False\n", done.stderr


def test_a_full_pipe_that_does_not_block_loses_text_but_not_the_display(tmp_path: Path) -> None:
    done = run(
        """
        from openrlhf_core.telemetry.console import TerminalStream
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        terminal = TerminalStream(writing, "utf-8")
        terminal.write("x" * 1_000_000)
        os.read(reading, 1_000_000)
        terminal.write("seen")
        print(os.read(reading, 100).decode(), terminal.is_gone)
        """,
        tmp_path,
    )
    assert done.stdout == "seen False\n", done.stderr


def test_a_log_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    done = run(
        """
        from openrlhf_core.spec.exit_codes import RunError
        try:
            with captured_output(output):
                pass
        except RunError as error:
            print(error)
        """,
        tmp_path,
    )
    assert f"{tmp_path}/logs" in done.stdout


def on_a_terminal(code: str, output: Path, term: str = "xterm") -> str:
    """What a person would see: the bytes that reach a pseudo-terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(output)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": term, "COLUMNS": "100"},
    ):
        os.close(theirs)
        seen = bytearray()
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # how Linux says that the other side is closed
            pass
    os.close(ours)
    return seen.decode()


DISPLAY = """
import time
from openrlhf_core.telemetry.display import open_display
from openrlhf_core.telemetry.progress import ProgressBoard
with captured_output(output) as terminal:
    display = open_display(terminal)
    board = ProgressBoard(attempt=1, total_steps=4, versions={})
    display.wait_for("starting Ray")
    print("a library's banner")
    time.sleep(0.3)
    for step in range(1, 5):
        board.enter("rollout")
        board.finish_step(step, {"reward/mean": step / 4, "kl/mean": 0.012})
        display.show(board.snapshot())
    display.note("resumes never")
    display.close()
"""


def test_a_terminal_gets_a_bar_and_no_banner(tmp_path: Path) -> None:
    seen = on_a_terminal(DISPLAY, tmp_path)
    assert "starting Ray …" in seen
    assert "step 4/4" in seen and "reward 1.00 kl 0.012" in seen
    assert "resumes never" in seen
    assert "banner" not in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1, "the cursor comes back"
    assert log_of(tmp_path) == "a library's banner\n"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path, term: str) -> None:
    seen = on_a_terminal(DISPLAY, tmp_path, term)
    assert "\x1b" not in seen
    assert [line.split(" ETA")[0] for line in seen.splitlines()[1:3]] == [
        "step 1/4 reward 0.25 kl 0.012",
        "step 2/4 reward 0.50 kl 0.012",
    ]
