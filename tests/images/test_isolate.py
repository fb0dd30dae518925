"""A job in a process of its own: what it dies of is a reason, and the next job does not notice."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import poor_jobs
import pytest

from cxr.faults import DataFault
from cxr.images import child, isolate, worker
from cxr.images.child import Limits
from cxr.images.jobs import Done, Job, lacked_memory
from cxr.images.worker import Worker

LIMITS = Limits(1, 200)


@pytest.fixture(scope="module")
def one():
    """One worker for all tests: each finds what the one before left."""
    worker = Worker()
    yield worker
    worker.close()


def do(worker: Worker, function, name: str = "x", limits: Limits = LIMITS, **more) -> Done:
    return worker.do(function, Job(Path("/pictures/x.dcm"), name, **more), limits)


def pid_of(worker: Worker) -> int:
    return do(worker, poor_jobs.well).header["pid"]


def test_header_and_pixels_come_back_from_another_process(one):
    done = do(one, poor_jobs.well, "a", thumbnail=300)
    places = {"pid": pid_of(one), "parent": os.getpid()}
    assert done.header == {"image_id": "a", "file": "/pictures/x.dcm", **places} and done.reason == ""
    assert done.thumbnail.shape == (300, 300) and done.thumbnail.dtype == np.uint8 and (done.thumbnail == 7).all()
    assert done.header["pid"] != os.getpid()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (poor_jobs.abort, r"crashed the decoder \(SIGABRT\), or needs more than 200 MB; get the file again"),
        (poor_jobs.fault_in_memory, r"crashed the decoder \(SIGSEGV\)"),
        (poor_jobs.hang_in_native_code, "took longer than 0.3 s; get the file again"),
        (poor_jobs.hang_with_the_gil, "took longer than 0.3 s"),
        (poor_jobs.swell_in_native_code, r"crashed the decoder \(SIG"),
        (poor_jobs.write_into_the_pipe, r"crashed the decoder \(it answered with garbage\); get the file again"),
        (poor_jobs.forge, r"crashed the decoder \(it answered with garbage\)"),
        (poor_jobs.be_killed, "was killed, most likely for want of memory; use fewer workers"),
        (poor_jobs.end_quietly, r"ended the decoder \(exit status 3\)"),
    ],
)
def test_what_a_process_dies_of_is_the_reason(one, function, reason, monkeypatch):
    monkeypatch.setattr(worker, "GRACE", 60)  # a busy machine must not look like a worker that needed it
    before, start = pid_of(one), time.monotonic()
    done = do(one, function, limits=Limits(0.3 if "longer" in reason else 4, 200), thumbnail=8)
    assert time.monotonic() - start < worker.GRACE, "it did not end by itself"
    assert done.header is None and done.thumbnail is None
    assert re.match(reason, done.reason), done.reason
    assert pid_of(one) != before


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (poor_jobs.divide, "unexpected ZeroDivisionError in poor_jobs.py"),
        (poor_jobs.refuse, "of no use"),
        (poor_jobs.swell, "needs more memory than a file may take (200 MB); save the picture smaller"),
        (poor_jobs.swell_behind_a_fault, "needs more memory than a file may take (200 MB); save the picture smaller"),
        (poor_jobs.return_what_cannot_be_sent, "unexpected TypeError in encoder.py"),
        (poor_jobs.return_floats, "unexpected TypeError in child.py"),
    ],
)
def test_exceptions_are_reasons_and_cost_no_process(one, function, reason):
    before = pid_of(one)
    done = do(one, function)
    assert done.reason.startswith(reason) and done.header is None and done.thumbnail is None
    assert pid_of(one) == before or function is poor_jobs.swell  # what swells may leave memory behind


def test_prints_of_libraries_do_not_lie_between_the_answers(one, capfd):
    before = pid_of(one)
    assert do(one, poor_jobs.chatter, thumbnail=4).header["pid"] == before == pid_of(one)
    assert capfd.readouterr() == ("", "")
    assert one._errors.seek(0, os.SEEK_END) == 0, "what is kept of it would grow without end"


def test_memory_counts_from_what_the_idle_process_has(one):
    if sys.platform != "linux":
        pytest.skip("memory is limited on Linux alone")
    assert do(one, poor_jobs.take, "take-180").header
    assert "needs more memory" in do(one, poor_jobs.take, "take-220").reason
    assert do(one, poor_jobs.take, "take-220", Limits(1, 250)).header


def test_a_process_that_keeps_memory_is_replaced(one):
    """Otherwise good files would fail in the end for what earlier ones left."""
    before = pid_of(one)
    done = [do(one, poor_jobs.leak, "leak-30") for _ in range(8)]
    assert all(one.header for one in done), done
    assert done[0].header["pid"] == before and 2 < len({one.header["pid"] for one in done}) < 8


def test_a_process_that_died_idle_costs_nothing(one):
    os.kill(pid_of(one), signal.SIGKILL)
    time.sleep(0.05)
    assert do(one, poor_jobs.well).header
    os.kill(pid_of(one), signal.SIGKILL)  # and without time to notice
    assert do(one, poor_jobs.well).header


def test_a_process_that_ignores_its_alarm_is_ended_from_outside(one, monkeypatch):
    monkeypatch.setattr(worker, "GRACE", 0.3)
    start = time.monotonic()
    assert do(one, poor_jobs.ignore_the_alarm, limits=Limits(0.2, 200)).reason.startswith("took longer than 0.2 s")
    assert time.monotonic() - start < 60, "it was left to sleep"


def test_idle_processes_end_by_themselves(monkeypatch):
    program = "from cxr.images import child; child.IDLE_SECONDS = 0.1; child.serve()"
    words = [sys.executable, "-c", program, "0"]  # the number of a descriptor for pixels, which nobody will send
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.wait(20) == -signal.SIGALRM
    process.stdin.close()


def test_names_that_are_no_utf8_survive(one, tmp_path, dicom):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4\xff\n.dcm"))
    path.write_bytes(dicom(np.zeros((9, 9), np.uint16)))
    done = one.do("cxr.images.jobs:convert_one", Job(path, path.stem, thumbnail=4), LIMITS)
    assert done.header["image_id"] == path.stem and done.thumbnail.shape == (4, 4)


def test_relative_paths_are_those_of_the_caller(one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert one.do(poor_jobs.well, Job(Path("a/../b"), "b"), LIMITS).header["file"] == str(tmp_path / "a/../b")


def test_a_destination_that_cannot_be_written_is_no_reason(one):
    with pytest.raises(OSError, match="No space left") as caught:
        do(one, poor_jobs.fail_to_write)
    assert (caught.value.errno, caught.value.filename) == (28, "/full/x.png")


def test_half_a_png_is_removed(one, tmp_path):
    assert do(one, poor_jobs.leave_half_a_png, png=tmp_path / "x.png").reason.startswith("crashed")
    assert not list(tmp_path.iterdir())


def test_functions_that_no_other_process_can_import_are_refused(one):
    with pytest.raises(ValueError, match="at the top of a module"):
        do(one, lambda job: Done())
    with pytest.raises(ImportError, match=r"poor_jobs:absent cannot be loaded .* AttributeError"):
        do(one, "poor_jobs:absent")
    assert pid_of(one)


def test_a_process_that_does_not_start_is_a_fault_with_its_last_words(monkeypatch):
    monkeypatch.setattr(worker, "STARTS", 1)
    monkeypatch.setattr(worker, "_search_path", lambda: "/nowhere")
    monkeypatch.setattr(sys, "executable", sys.base_prefix + "/bin/python3")  # a Python without this package
    with pytest.raises(DataFault, match="does not start: .*No module named"):
        do(Worker(), poor_jobs.well)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DataFault, match="does not start: .*No such file"):
        do(Worker(), poor_jobs.well)


def test_ctrl_c_ends_the_process_and_comes_through(one):
    before = pid_of(one)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        do(one, poor_jobs.sleep, limits=Limits(30, 200))
    assert not alive(before) and pid_of(one) != before


def test_ctrl_c_is_not_for_the_process(one):
    assert do(one, poor_jobs.interrupt_myself).header["pid"] == pid_of(one)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_threads_share_processes_and_close_all_ends_them():
    job = Job(Path("/x"), "x")
    first = isolate.do(poor_jobs.well, job, LIMITS).header["pid"]
    assert isolate.do(poor_jobs.well, job, LIMITS).header["pid"] == first
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(isolate.do(poor_jobs.nap, job, LIMITS).header["pid"]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first in found and len(set(found)) == 3
    isolate.close_all()
    assert not any(map(alive, found))


def test_a_forked_process_has_processes_of_its_own():
    job = Job(Path("/x"), "x")
    mine = isolate.do(poor_jobs.well, job, LIMITS).header["pid"]
    forked = os.fork()
    if not forked:
        if isolate._idle:
            os._exit(2)  # holding the parent's pipes open would keep its processes alive after it
        theirs = isolate.do(poor_jobs.well, job, LIMITS).header["pid"]
        isolate.close_all()
        os._exit(0 if theirs != mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert isolate.do(poor_jobs.well, job, LIMITS).header["pid"] == mine
    isolate.close_all()


def test_stopping_a_crew_ends_its_jobs_and_no_others():
    crew, other, found = isolate.Crew(), isolate.Crew(), {}
    calls = [
        threading.Thread(
            target=lambda: found.update(a=crew.do(poor_jobs.sleep, Job(Path("/x"), "a"), Limits(30, 200)))
        ),
        threading.Thread(target=lambda: found.update(b=other.do(poor_jobs.nap, Job(Path("/x"), "b"), LIMITS))),
    ]
    for call in calls:
        call.start()
    time.sleep(0.05)  # both processes are still starting
    crew.stop()
    for call in calls:
        call.join(10)
    assert found["a"].header is None and found["b"].header["image_id"] == "b"
    assert crew.do(poor_jobs.well, Job(Path("/x"), "c"), LIMITS) == Done(reason="was interrupted")
    isolate.close_all()


def test_want_of_memory_is_found_behind_other_exceptions():
    told = cv2.error("Insufficient memory")
    told.code = cv2.Error.StsNoMem
    assert lacked_memory(told) and lacked_memory(MemoryError()) and lacked_memory(OSError(errno.ENOMEM, "mmap"))
    assert not lacked_memory(ValueError()) and not lacked_memory(cv2.error("other")) and not lacked_memory(OSError())


def test_jobs_keep_their_values_on_the_way():
    for job in (Job(Path("/a"), "a"), Job(Path("/a"), "a", Path("/b/c.png"), 3, 4)):
        assert child.unpack_job(child.pack_job(job)) == job
