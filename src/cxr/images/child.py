"""The other end of `isolate`: a process that does one job after the other, and may die of any of them.

    {"function": "cxr.images.jobs:convert_one"}                                                   in, a line
    {"loaded": "cxr.images.jobs:convert_one"}                                                     out, a line
    {"number": 7, "function": "cxr.images.jobs:convert_one", "job": [...], "limits": [60, 500]}   in, a line
    {"number": 7, "header": {...}, "reason": "", "shape": [512, 512], "last": false}              out, a line

Instead of `loaded` comes {"fault": "..."} if the function cannot be had; instead of the last line comes
{"number": 7, "errno": 28, "error": "...", "file": "..."} if the destination cannot be written. It is JSON and no
pickle, since a file that takes this process over must not thereby hand code to the one that asked.

In a file in memory that both share stand the number of the job that was begun last, which tells whose fault a death is,
and the pixels of the answer: through a pipe either would wake the one that waits, and pixels sixteen times.
"""

import importlib
import json
import operator
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from cxr.images.jobs import Done, Job, attempt

PIXELS_AT = 4096  # bytes; before them stands the number
IDLE_SECONDS = 300  # a process without work for so long ends; the next job starts another


class Limits(NamedTuple):
    """What one file may take before it counts as a failure."""

    seconds: float = 60
    memory_mb: int = 500  # private memory beyond what the idle process has; held on Linux only


def pack_job(job: Job) -> list:
    """A job as JSON can hold it, with absolute paths; names that are no UTF-8 survive as surrogates."""
    absolute = [None if path is None else str(Path(path).absolute()) for path in (job.file, job.png)]
    return [absolute[0], job.image_id, absolute[1], *job[3:]]


def unpack_job(packed: list) -> Job:
    """The job of `pack_job`."""
    file, image_id, png, *rest = packed
    return Job(Path(file), image_id, png and Path(png), *rest)


def function_name(function: Callable | str) -> str:
    """`module:name` of a function that another process can import, or that name itself; ValueError for others."""
    if isinstance(function, str):
        return function
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if not module or module == "__main__" or "<" in name:
        raise ValueError(f"{function!r} cannot be imported by another process: define it at the top of a module")
    return f"{module}:{name}"


def serve() -> None:
    """Answer the jobs on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends a hang in native code too, whether or not anybody waits
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, IDLE_SECONDS)
    requests, replies, shared = (*_private_pipes(), int(sys.argv[1]))
    _be_expendable()
    cv2.setNumThreads(1)  # as many processes as cores, each with a pool of its own, would be slower
    loaded: dict[str, tuple[Callable[[Job], Done], int | None]] = {}
    while line := requests.readline():
        request = json.loads(line)
        name, number = request["function"], request.get("number")
        if number is None:
            try:
                loaded[name] = _load(name)
            except Exception as error:
                _send(replies, {"fault": f"{type(error).__name__}: {error}"})
            else:
                _send(replies, {"loaded": name})
            continue
        limits = Limits(*request["limits"])
        function, idle_data = loaded[name]
        _limit_data(idle_data, limits.memory_mb)
        os.pwrite(shared, number.to_bytes(8, "little"), 0)
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        answer, pixels = _answer(function, unpack_job(request["job"]), limits)
        signal.setitimer(signal.ITIMER_REAL, IDLE_SECONDS)
        if pixels is not None:
            os.pwrite(shared, np.ascontiguousarray(pixels), PIXELS_AT)
        _send(replies, {"number": number, **answer, "last": _has_grown(idle_data, limits)})


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under numbers of their own: what libraries print must not lie between the replies."""
    requests, replies, null = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return open(requests, "rb"), open(replies, "wb")


def _be_expendable() -> None:
    """No core file of hundreds of megabytes; and where memory runs out, the kernel is to end this process first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(OSError):  # not Linux, or /proc is read-only
        Path("/proc/self/oom_score_adj").write_text("500")


def _load(name: str) -> tuple[Callable[[Job], Done], int | None]:
    """The function, ready to run, and the private memory of this process then, bytes (None where it is not known)."""
    _limit_data(None, 0)  # imports and compilers do not count
    module_name, _, path = name.partition(":")
    module = importlib.import_module(module_name)
    getattr(module, "warm_up", lambda: None)()
    function = operator.attrgetter(path)(module)
    os.dup2(1, 2)  # until here, the parent shows the last words; from here on, decoders chat about every odd file
    return function, _data_bytes()


def _data_bytes() -> int | None:
    """Private writable memory, which is what RLIMIT_DATA limits; None outside Linux."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), None)


def _limit_data(idle_data: int | None, memory_mb: float) -> None:
    """Let this process have memory_mb above idle_data bytes; None lifts the limit.

    Elsewhere than on Linux RLIMIT_DATA does not cover memory that is mapped, so there is no limit.
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = hard if idle_data is None else idle_data + int(memory_mb * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _has_grown(idle_data: int | None, limits: Limits) -> bool:
    """Whether earlier jobs left so much behind that later ones would run short: then this process is replaced."""
    now = _data_bytes()
    return idle_data is not None and now is not None and now - idle_data > limits.memory_mb * 2**20 / 4


def _answer(function: Callable[[Job], Done], job: Job, limits: Limits) -> tuple[dict, np.ndarray | None]:
    """The last line for a job and the pixels that go with it."""
    try:
        done = attempt(_checked(function), job, limits.memory_mb)
    except OSError as error:
        return {"errno": error.errno, "error": error.strerror or str(error), "file": str(error.filename or "")}, None
    shape = None if done.thumbnail is None else done.thumbnail.shape
    return {"header": done.header, "reason": done.reason, "digest": done.digest, "shape": shape}, done.thumbnail


def _checked(function: Callable[[Job], Done]) -> Callable[[Job], Done]:
    """The function, with answers that cannot be sent as its own exceptions."""

    def call(job: Job) -> Done:
        done = function(job)
        json.dumps(done.header)
        if done.thumbnail is not None and done.thumbnail.dtype != np.uint8:
            raise TypeError(f"a thumbnail of {done.thumbnail.dtype}, not uint8")
        return done

    return call


def _send(replies: BinaryIO, line: dict) -> None:
    try:
        replies.write(json.dumps(line).encode() + b"\n")
        replies.flush()
    except BrokenPipeError:
        os._exit(1)  # nobody waits any more


if __name__ == "__main__":
    sys.stdin = sys.stdout = None  # their descriptors are taken over
    serve()
    os._exit(0)  # no destructors of native libraries that hostile files went through
