"""Run a conversion in a process of its own, so that a file that crashes, hangs or swells costs itself alone.

`do(function, job)` lends the job to an idle process of this one, starting it if there is none, and waits. Threads may
call it side by side; as many processes live as calls did at a time. They end with this process, or within the limits if
that is killed, or after five idle minutes.
"""

import atexit
import os
import threading
from collections.abc import Callable

from cxr.images.child import Limits
from cxr.images.jobs import Done, Job
from cxr.images.worker import DEFAULT_LIMITS, Worker


class Crew:
    """Calls of one run, to be cut short together. Any number of threads may call `do`."""

    def __init__(self) -> None:
        self._busy: set[Worker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def do(self, function: Callable[[Job], Done] | str, job: Job, limits: Limits = DEFAULT_LIMITS) -> Done:
        """`Worker.do` by an idle worker of this process."""
        worker = _borrow()
        try:
            with self._lock:
                if self._stopped:
                    return Done(reason="was interrupted")
                self._busy.add(worker)
            return worker.do(function, job, limits)
        finally:
            with self._lock:
                self._busy.discard(worker)
            _give_back(worker)

    def stop(self) -> None:
        """End the jobs that run, and begin no more."""
        with self._lock:
            self._stopped = True
            for worker in self._busy:
                worker.cancel()


def do(function: Callable[[Job], Done] | str, job: Job, limits: Limits = DEFAULT_LIMITS) -> Done:
    """`Worker.do` by an idle worker of this process."""
    return Crew().do(function, job, limits)


_lock = threading.Lock()
_idle: list[Worker] = []
_all: set[Worker] = set()


def _borrow() -> Worker:
    with _lock:
        worker = _idle.pop() if _idle else Worker()
        _all.add(worker)
        return worker


def _give_back(worker: Worker) -> None:
    if worker.cancelled:
        worker.close()
    with _lock:
        if worker.cancelled:
            _all.discard(worker)
        else:
            _idle.append(worker)


def close_all() -> None:
    """End every process; later jobs start new ones."""
    with _lock:
        idle, busy = [*_idle], _all.difference(_idle)
        _idle.clear()
        _all.clear()
    for worker in busy:
        worker.cancel()  # the call that it is in closes it
    for worker in idle:
        worker.close()


def _forget_all() -> None:
    """In a forked process the workers are the parent's; holding their pipes open would keep them alive after it."""
    for worker in _all:
        worker.forget()
    _all.clear()
    _idle.clear()
    _lock.release()


atexit.register(close_all)
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget_all)
