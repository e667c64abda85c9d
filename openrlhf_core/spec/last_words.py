"""`LastWords`: the record that a driver leaves in its log when a run ends before it is done."""

from pydantic import Field

from openrlhf_core.spec.exit_codes import Cause, RunError
from openrlhf_core.spec.kinds.base import SpecModel

LAST_WORDS = "rlhf-end: "
"""Begins the line of the log that holds the record, as JSON. The driver prints it last, on a
cluster only; the operator reads it from the log that Ray keeps."""

MAX_MESSAGE = 4000


class LastWords(SpecModel):
    """Why a driver ended.

    LastWords(exit_code=10, cause=Cause.WORKER_LOST, message="learner rank 1 is lost: ...")
    """

    exit_code: int = Field(ge=1, le=255, description="Exit code of the driver.")
    cause: Cause = Field(description="Why it ended.")
    message: str = Field("", max_length=MAX_MESSAGE, description="Why, for people.")


def last_words_line(error: RunError) -> str:
    """The line that holds the record of the error that ended a run; a long message is cut."""
    record = LastWords(
        exit_code=int(error.exit_code), cause=error.cause, message=str(error)[:MAX_MESSAGE]
    )
    return f"{LAST_WORDS}{record.model_dump_json(by_alias=True)}\n"
