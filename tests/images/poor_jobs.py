"""Conversions that go wrong in every way, for processes that import them by name."""

import ctypes
import mmap
import os
import re
import signal
import time

import numpy as np

from cxr.faults import DataFault
from cxr.images.jobs import Done
from cxr.images.outputs import partial_path, write_png


def well(job):
    """Tells what it got and who it is."""
    header = {"image_id": job.image_id, "file": str(job.file), "pid": os.getpid(), "parent": os.getppid()}
    return Done(header, np.full((job.thumbnail, job.thumbnail), 7, np.uint8) if job.thumbnail else None)


def by_name(job):
    """Does what the image id says, up to the first dash; other ids go well."""
    return globals().get(job.image_id.split("-")[0], well)(job)


def abort(job):
    os.abort()


def fault_in_memory(job):
    ctypes.string_at(8)


def sleep(job):
    time.sleep(600)


def nap(job):
    """Takes a while, and writes its picture."""
    time.sleep(0.2)
    if job.png:
        write_png(job.png, np.full((9, 9), 7, np.uint8))
    return well(job)


def hang_in_native_code(job):
    ctypes.CDLL(None).pause()


def hang_with_the_gil(job):
    re.match(r"(a|aa)+$", "a" * 80 + "b")  # takes for ever, and no other thread runs meanwhile


def ignore_the_alarm(job):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(600)


def swell(job):
    parts = []
    while True:
        parts.append(bytearray(2**24))


def swell_in_native_code(job):
    """Like a decoder that does not look whether it got its memory."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while True:
        ctypes.memset(libc.malloc(ctypes.c_size_t(2**26)), 1, 2**26)


def swell_behind_a_fault(job):
    try:
        np.ones(2**40, np.uint8)
    except MemoryError:
        raise DataFault(f"{job.file}: damaged, or so it seems") from None


def take(job):
    """As many MB as the id says after a dash, for a moment."""
    mapped = mmap.mmap(-1, int(job.image_id.split("-")[1]) * 2**20, mmap.MAP_PRIVATE)
    mapped.close()
    return well(job)


KEPT = []


def leak(job):
    KEPT.append(bytearray(2**20 * int(job.image_id.split("-")[1])))
    return well(job)


def chatter(job):
    """Prints by every way that native libraries know."""
    print("{}" * 5000)
    for stream in (0, 1, 2):
        os.write(stream, b"noise\n" * 5000)
    return well(job)


def write_into_the_pipe(job):
    """What a decoder with a wild pointer may do to the very pipe of the replies."""
    for number in range(3, 20):
        try:
            os.write(number, b"{}" * 99 + b"\n")
        except OSError:
            continue
    time.sleep(600)


def forge(job):
    """Claims a thumbnail of another size."""
    return Done({}, np.zeros((job.thumbnail + 1, 1), np.uint8))


def divide(job):
    return 1 // 0


def refuse(job):
    raise DataFault(f"{job.file}: of no use")


def fail_to_write(job):
    raise OSError(28, "No space left on device", "/full/x.png")


def leave_half_a_png(job):
    """Dies while the picture is written."""
    partial_path(job.png).write_bytes(b"half")
    os.abort()


def return_what_cannot_be_sent(job):
    return Done({"image_id": {1, 2}})


def return_floats(job):
    return Done({}, np.zeros((8, 8)))


def interrupt_myself(job):
    """Ctrl-C in a terminal reaches every process of the group."""
    os.kill(os.getpid(), signal.SIGINT)
    return well(job)


def be_killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def end_quietly(job):
    os._exit(3)


def kill_the_parent(job):
    """What the kernel does to a whole machine's worth of processes when it has to."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)
