"""Metrics as TensorBoard events, without torch."""

from collections.abc import Mapping
from pathlib import Path

from openrlhf_core.durable import writing
from openrlhf_core.spec.exit_codes import ConfigurationError

try:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
except ImportError as error:
    raise ConfigurationError(
        "training.logging.tensorboard is true, but TensorBoard is not installed; "
        "`pip install rlhf-operator[tensorboard]` or set it to false"
    ) from error


class TensorBoardSink:
    """An event file in `directory`; events after `start_step` of an earlier attempt are purged."""

    def __init__(self, directory: Path, start_step: int) -> None:
        self._directory = directory
        with writing(directory):
            self._writer = EventFileWriter(str(directory))
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=start_step + 1, session_log=start))

    def write(self, step: int, time: float, metrics: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        with writing(self._directory):
            self._writer.add_event(Event(wall_time=time, step=step, summary=Summary(value=values)))

    def close(self) -> None:
        with writing(self._directory):
            self._writer.close()
