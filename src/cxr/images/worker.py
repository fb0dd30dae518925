"""A process for conversions, seen from outside: it is handed jobs, watched, and replaced when it dies.

What it dies of becomes the job's reason. `child` is its inside and tells what goes through the pipes; `isolate` shares
workers among threads. For Linux and macOS; memory is limited on Linux alone.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from cxr.faults import DataFault
from cxr.images.child import IDLE_SECONDS, Limits, function_name, pack_job
from cxr.images.jobs import Done, Job
from cxr.images.outputs import PARTIAL, partial_path
from cxr.images.replies import MAX_LINE, Ended, Lost, Replies, Silent
from cxr.images.shared import Shared

STARTS = 3  # so often may a process die before it begins the job
GRACE = 5  # seconds that a process gets to end by itself, by its own alarm above all
CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
DEFAULT_LIMITS = Limits()


class Worker:
    """One process after the other, one job at a time. For one thread at a time, except `cancel`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._errors: BinaryIO | None = None  # what the process says while it starts
        self._shared: Shared | None = None
        self._loaded: set[str] = set()  # functions that it has
        self._number = 0
        self.cancelled = False

    def do(self, function: Callable[[Job], Done] | str, job: Job, limits: Limits = DEFAULT_LIMITS) -> Done:
        """Run `function(job)` there: a function at the top of a module, or "module:name".

        Raises OSError where the destination cannot be written, ImportError if the process cannot import the function,
        DataFault if no process starts. Ctrl-C ends the process.
        """
        name, words = function_name(function), ""
        try:
            for start in range(STARTS):
                time.sleep(max(0, start - 1))  # before the last try: what kills processes may be over then
                try:
                    self._hand_over(name, job, limits)
                    return self._result(job, limits)
                except Lost as lost:  # killed while idle, or ended by its own clock: not this job's doing
                    words = self._last_words() or str(lost)
                    self.close()
                if self.cancelled:
                    return Done(reason="was interrupted")
        except (KeyboardInterrupt, SystemExit):
            self._abandon(job)  # half done, and the process cannot serve another
            raise
        raise DataFault(f"the process that reads pictures does not start: {words}; try {sys.executable} by itself")

    def cancel(self) -> None:
        """From another thread: end the job that runs, now; whatever `do` then returns is of no use."""
        self.cancelled = True
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End the process; another job would start another."""
        if process := self._process:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # one in the kernel's hands (a dead disk) may stay for a while
                process.wait(GRACE)
            self.forget()

    def forget(self) -> None:
        """Let go of the process without touching it."""
        process, self._process = self._process, None
        if process:
            for stream in (process.stdin, process.stdout, self._errors, self._shared):
                stream.close()
            process.returncode = process.returncode or 0  # after a fork it is the parent's: do not wait for it

    def _start(self) -> None:
        self.close()
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": _search_path()}
        try:
            self._errors, self._shared = tempfile.TemporaryFile(), Shared()  # noqa: SIM115  closed by `forget`
            shared = self._shared.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cxr.images.child", str(shared)], bufsize=0, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, pass_fds=[shared],
            )  # fmt: skip
        except OSError as error:  # no memory, no descriptors; it must not look like a fault of the destination
            raise Lost(str(error)) from None
        self._replies, self._loaded = Replies(self._process.stdout), set()

    def _hand_over(self, name: str, job: Job, limits: Limits) -> None:
        """Send the job to a process that has its function. Raises Lost if there is none any more."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        if self.cancelled:  # while it started, when there was no process to kill yet
            self._process.kill()
        if name not in self._loaded:
            self._replies.deadline = time.monotonic() + IDLE_SECONDS + GRACE  # imports and compilers take their time
            self._send({"function": name})
            answer = self._replies.line()
            if "fault" in answer:
                raise ImportError(f"{name} cannot be loaded by a process of its own: {answer['fault']}")
            if answer != {"loaded": name}:
                raise Lost("answered out of turn")
            self._loaded.add(name)
        self._number += 1
        self._replies.deadline = time.monotonic() + limits.seconds + GRACE
        self._send({"number": self._number, "function": name, "job": pack_job(job), "limits": limits})

    def _send(self, request: dict) -> None:
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise Ended("ended while it was idle") from None

    def _result(self, job: Job, limits: Limits) -> Done:
        """Wait for the answer. Raises Lost if the process died before it began."""
        try:
            answer = self._replies.line()
            if answer.get("number") != self._number:
                raise Lost("answered out of turn")
            if "errno" in answer:
                raise OSError(answer["errno"], str(answer.get("error")), str(answer.get("file")))
            header, reason, shape = answer.get("header"), answer.get("reason"), answer.get("shape")
            # a wrong shape would shift all later rows of a cache
            if not isinstance(header, dict | None) or not isinstance(reason, str) or shape not in (None, _shape(job)):
                raise Lost("answered with garbage")
            pixels = None if shape is None else self._shared.pixels(job.thumbnail)
            done = Done(header, pixels, reason, str(answer.get("digest", "")))
        except Lost as lost:
            if isinstance(lost, Ended) and self._shared.begun() != self._number:
                raise
            return Done(reason=f"{_cause(lost, self._abandon(job, isinstance(lost, Ended)), limits)}")
        if answer.get("last"):
            self.close()
        return done

    def _abandon(self, job: Job, ended: bool = False) -> int | None:
        """End the process and what it left of a PNG; returns its exit status if it ended by itself."""
        process = self._process
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE if ended else 0)
        status = process.poll()
        self.close()
        if job.png:
            mine = partial_path(job.png)
            theirs = f"{mine.name.removesuffix(f'{os.getpid()}{PARTIAL}')}{process.pid}{PARTIAL}"
            with suppress(OSError):  # mostly there is none
                mine.with_name(theirs).unlink()
        return status

    def _last_words(self) -> str:
        if self._errors is None or self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read(MAX_LINE).decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _shape(job: Job) -> list[int]:
    return [job.thumbnail, job.thumbnail]


def _cause(lost: Lost, status: int | None, limits: Limits) -> str:
    """Why a job has no result, in words."""
    if isinstance(lost, Silent) or status == -signal.SIGALRM:
        return f"took longer than {limits.seconds:g} s; get the file again"
    if status == -signal.SIGKILL:
        return "was killed, most likely for want of memory; use fewer workers, or get the file again"
    if status is not None and -status in CRASHES:
        name = signal.Signals(-status).name
        return f"crashed the decoder ({name}), or needs more than {limits.memory_mb:g} MB; get the file again"
    if status is not None:
        return f"ended the decoder (exit status {status}); get the file again"
    return f"crashed the decoder (it {lost}); get the file again"


def _search_path() -> str:
    """Where this process finds modules: also an uninstalled package, also those of a script."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
