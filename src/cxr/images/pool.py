"""Many conversions at once: joblib's threads, each of which waits for a process of its own (`isolate`).

Threads, because the processes do the work; so a process can be lost without the pool.
"""

import threading
from collections.abc import Callable, Iterable, Iterator

import joblib

from cxr.images.child import Limits
from cxr.images.isolate import Crew
from cxr.images.jobs import Done, Job, attempt, convert_one
from cxr.images.worker import DEFAULT_LIMITS


def worker_count(wanted: int = 0) -> int:
    """`wanted` processes, or one a core."""
    return wanted or joblib.cpu_count()


def run_jobs(
    jobs: Iterable[Job],
    workers: int,
    convert: Callable[[Job], Done] = convert_one,
    limits: Limits = DEFAULT_LIMITS,
    scheduler: str | None = None,
) -> Iterator[Done]:
    """Results in the order of the jobs; a file that crashes, hangs or swells is a reason like any other.

    workers: processes at a time; 0 does the work in this one, without limits, for tests and debuggers. convert: a
    function at the top of a module. scheduler: address of a Dask cluster that does the work in the place of this
    machine. At most four results a worker wait for the consumer, however many jobs there are. Closing the iterator
    ends the jobs under way. Raises OSError where a destination cannot be written, DataFault for a cluster out of reach.
    """
    if scheduler:
        from cxr.images.cluster import run_on_cluster  # an optional extra

        yield from run_on_cluster(jobs, scheduler, convert, limits)
    elif workers:
        yield from _in_threads(jobs, workers, convert, limits)
    else:
        yield from (attempt(convert, job) for job in jobs)


def _in_threads(jobs: Iterable[Job], workers: int, convert: Callable, limits: Limits) -> Iterator[Done]:
    crew, turns = Crew(), _Turns(4 * workers)

    def task(number: int, job: Job) -> Done | None:
        return crew.do(convert, job, limits) if turns.wait(number) else None

    pool = joblib.Parallel(workers, backend="threading", return_as="generator", batch_size=1, pre_dispatch=2 * workers)
    results = pool(joblib.delayed(task)(number, job) for number, job in turns.while_open(enumerate(jobs)))
    try:
        for done in results:
            turns.advance()
            yield done
    finally:
        turns.close()
        crew.stop()
        for _ in results:  # what is left ends at once; closing instead would make joblib warn
            pass


class _Turns:
    """Keeps the workers from running far ahead of the consumer: joblib itself piles results up.

    Job i begins when fewer than `ahead` results before it wait. The job whose result is next never waits.
    """

    def __init__(self, ahead: int):
        self._ahead, self._taken, self._open = ahead, 0, True
        self._changed = threading.Condition()

    def wait(self, number: int) -> bool:
        """Wait for the turn of a job; False if it is not to be done any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or number < self._taken + self._ahead)
            return self._open

    def advance(self) -> None:
        """The consumer takes a result."""
        with self._changed:
            self._taken += 1
            self._changed.notify_all()

    def close(self) -> None:
        """No more jobs are to be done."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def while_open(self, jobs: Iterable) -> Iterator:
        """The jobs, until `close`."""
        for job in jobs:
            if not self._open:
                return
            yield job
