"""Makes the samples of many rows, in this process or in several, in the order of the rows."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from openrlhf_core.data.encoding import Encoder
from openrlhf_core.data.reading.rows import BadRow, PlacedRow
from openrlhf_core.data.supervised.maker import SampleMaker, make_samples
from openrlhf_core.data.supervised.stored_samples import Columns, to_columns
from openrlhf_core.spec.exit_codes import RetryableError

S = TypeVar("S")

ROWS_AT_ONCE = 512
ROWS_WORTH_A_PROCESS = 10_000
"""Below this a process would take longer to start than the rows take."""


@dataclass(frozen=True, eq=False)
class MadeRows:
    """What became of some rows. Made by `tokenise`, read by whoever stores them."""

    num_rows: int
    columns: Columns
    num_too_long: int
    bad: list[tuple[str, str]]
    """(place, what is wrong) of each row that cannot be used."""


@dataclass(frozen=True)
class _Worker(Generic[S]):
    """What a process needs to make samples."""

    maker: SampleMaker[S]
    encoder: Encoder
    max_length: int

    def make(self, rows: list[PlacedRow]) -> MadeRows:
        results = make_samples(
            self.maker, self.encoder, [row.content for row in rows], self.max_length
        )
        bad = [
            (row.place, result.problem)
            for row, result in zip(rows, results, strict=True)
            if isinstance(result, BadRow)
        ]
        samples = [r for r in results if r is not None and not isinstance(r, BadRow)]
        return MadeRows(len(rows), to_columns(samples), results.count(None), bad)


def tokenise(
    maker: SampleMaker[S], rows: Iterable[PlacedRow], max_length: int, num_processes: int
) -> Iterator[MadeRows]:
    """The samples of all rows, some hundred rows at once, in the order of the rows."""
    parts = _parts(rows)
    if num_processes < 2:
        worker = _Worker(maker, Encoder(maker.renderer.tokenizer), max_length)
        yield from map(worker.make, parts)
        return
    pool = ProcessPoolExecutor(
        num_processes,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(maker, max_length),
    )
    try:
        yield from _in_order(pool, parts, 2 * num_processes)
    except BrokenProcessPool as error:
        raise RetryableError(
            "a process that tokenises the data died, perhaps for lack of memory; give the run "
            "more memory"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def processes_for(num_rows: int) -> int:
    """How many processes are worth starting for so many rows on this machine."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, num_rows // ROWS_WORTH_A_PROCESS))


def _in_order(
    pool: ProcessPoolExecutor, parts: Iterator[list[PlacedRow]], most: int
) -> Iterator[MadeRows]:
    """Results in the order of the parts; no more than `most` parts are under way."""
    waiting: deque[Future[MadeRows]] = deque()
    for part in parts:
        waiting.append(pool.submit(_make_in_worker, part))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _parts(rows: Iterable[PlacedRow]) -> Iterator[list[PlacedRow]]:
    iterator = iter(rows)
    while part := list(islice(iterator, ROWS_AT_ONCE)):
        yield part


_worker: _Worker[Any] | None = None
"""What `_start_worker` put into this process, when it is one of the pool."""


def _start_worker(maker: SampleMaker[Any], max_length: int) -> None:
    global _worker  # noqa: PLW0603 - a process of the pool has no other place for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the threads
    _worker = _Worker(maker, Encoder(maker.renderer.tokenizer), max_length)


def _make_in_worker(rows: list[PlacedRow]) -> MadeRows:
    assert _worker is not None, "the pool starts its processes with _start_worker"
    return _worker.make(rows)
