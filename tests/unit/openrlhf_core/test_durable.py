"""Durable files and the sentences that failed writes become."""

import errno
import os
from pathlib import Path

import pytest

from openrlhf_core.durable import explain_write_error, write_durably, writing
from openrlhf_core.spec.exit_codes import ConfigurationError, RetryableError


def fail(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def test_write_durably_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_durably(path, "a long first text\n")
    write_durably(path, "short\n")
    assert path.read_text() == "short\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_write_durably_leaves_nothing_aside_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RetryableError, match=r"run\.json"):
        write_durably(tmp_path / "run.json", "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_path_space_and_mend(tmp_path: Path, number: int) -> None:
    error = explain_write_error(tmp_path / "a" / "b", fail(number, tmp_path / "a" / "b"), 5000)
    assert isinstance(error, RetryableError)
    assert f"{tmp_path}/a/b: the disk is full" in str(error)
    assert "bytes free, 5,000 needed" in str(error)
    assert "free some space" in str(error)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_forbidden_write_is_not_retried(tmp_path: Path, number: int) -> None:
    error = explain_write_error(tmp_path, fail(number, tmp_path / "x"))
    assert isinstance(error, ConfigurationError)
    assert f"{tmp_path}/x: cannot be written" in str(error)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT])
def test_a_failing_volume_is_retried(tmp_path: Path, number: int) -> None:
    error = explain_write_error(tmp_path, fail(number, tmp_path / "x"))
    assert isinstance(error, RetryableError)
    assert f"{tmp_path}/x: writing failed ({os.strerror(number)})" in str(error)


def test_an_error_without_a_file_name_is_about_the_path_given(tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match=str(tmp_path)), writing(tmp_path):
        raise OSError(errno.EIO, "Input/output error")
