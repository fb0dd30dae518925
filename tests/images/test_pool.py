"""Many jobs at once: every one has its result, in order, and none waits for another's fate."""

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import numpy as np
import poor_jobs
import pytest

from cxr.images import isolate
from cxr.images.child import Limits
from cxr.images.jobs import Done, Job, convert_one
from cxr.images.pool import run_jobs, worker_count

LIMITS = Limits(2, 200)
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    isolate.close_all()


def jobs(*ids: object) -> list[Job]:
    return [Job(Path("/pictures") / str(name), str(name)) for name in ids]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_jobs(workers):
    names = [f"nap-{i}" if i % 5 == 0 else str(i) for i in range(20)]
    results = list(run_jobs(jobs(*names), workers, poor_jobs.by_name, LIMITS))
    assert [done.header["image_id"] for done in results] == names
    assert len({done.header["pid"] for done in results} - {os.getpid()}) == workers


def test_a_file_that_crashes_hangs_or_swells_costs_itself_alone():
    names = [*range(5), "abort", "swell", 5, "hang_in_native_code", *range(6, 15)]
    results = list(run_jobs(jobs(*names), 2, poor_jobs.by_name, Limits(0.5, 200)))
    ids = [done.header and done.header["image_id"] for done in results]
    assert ids == [None if isinstance(name, str) else str(name) for name in names]
    reasons = [done.reason for done in results if not done.header]
    beginnings = ("crashed the decoder (SIGABRT)", "needs more memory than a file may take", "took longer than 0.5 s")
    assert all(reason.startswith(start) for reason, start in zip(reasons, beginnings, strict=True)), reasons


def test_without_workers_the_work_is_done_here():
    seen = []

    def convert(job):
        seen.append(job.image_id)
        return poor_jobs.by_name(job)

    results = run_jobs(iter(jobs("a", "divide", "refuse", "swell_behind_a_fault", "b")), 0, convert)
    assert next(results).header["pid"] == os.getpid() and seen == ["a"]
    reasons = [done.reason for done in results]
    assert reasons[0].startswith("unexpected ZeroDivisionError in poor_jobs.py")
    assert reasons[1] == "of no use" and reasons[2].startswith("needs more memory") and reasons[3] == ""


def test_a_slow_consumer_stops_the_workers(tmp_path):
    """Jobs are drawn only as results are taken: memory does not grow with the number of files."""
    drawn = count()
    endless = (Job(Path("/x"), str(next(drawn))) for _ in iter(int, 1))
    results = run_jobs(endless, 2, poor_jobs.by_name, LIMITS)
    for i in range(30):
        assert next(results).header["image_id"] == str(i)
    time.sleep(0.5)
    assert next(drawn) <= 30 + 4 * 2 + 3 * 2 + 1
    results.close()


@needs_proc
def test_closing_early_ends_what_runs(recwarn):
    threads, others = threading.active_count(), children_of(os.getpid())
    results = run_jobs(jobs("a", *["sleep"] * 50), 2, poor_jobs.by_name, Limits(120, 200))
    assert next(results).header["image_id"] == "a"
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 60, "it waited for jobs that nobody wants"
    assert not [str(warning.message) for warning in recwarn if "joblib" in warning.filename]
    isolate.close_all()
    assert children_of(os.getpid()) == others
    deadline = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= threads


def test_a_destination_that_cannot_be_written_ends_the_run():
    with pytest.raises(OSError, match="No space left") as caught:
        list(run_jobs(jobs("a", "fail_to_write", *["sleep"] * 9), 2, poor_jobs.by_name, Limits(60, 200)))
    assert caught.value.filename == "/full/x.png"


def test_dicom_files_go_through(tmp_path, dicom):
    values = np.arange(1200, dtype=np.uint16).reshape(40, 30)
    (tmp_path / "a.dcm").write_bytes(dicom(values))
    (tmp_path / "b.dcm").write_bytes(dicom(values)[:-9])
    work = [Job(tmp_path / f"{name}.dcm", name, tmp_path / f"{name}.png", None, 16) for name in "ab"]
    here, there = (list(run_jobs(work, workers)) for workers in (0, 1))
    assert here[0].header == there[0].header and np.array_equal(here[0].thumbnail, there[0].thumbnail)
    assert here[1] == there[1] == convert_one(work[1]) == Done(reason=there[1].reason)
    assert (tmp_path / "a.png").is_file() and not (tmp_path / "b.png").exists()


def test_worker_count():
    assert worker_count(1) == 1 and worker_count(3) == 3 and worker_count() >= 1


PROGRAM = """
import sys
from pathlib import Path
import poor_jobs
from cxr.images.child import Limits
from cxr.images.jobs import Job
from cxr.images.pool import run_jobs

names = ["a", "b", *["sleep"] * 9]
try:
    for done in run_jobs([Job(Path("/x"), n) for n in names], int(sys.argv[1]), poor_jobs.by_name, Limits(3, 200)):
        print(done.header["pid"], flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_program(workers: int) -> subprocess.Popen:
    """A run of its own in a process group of its own; returns when two results are there and the others hang."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(workers)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
    )  # fmt: skip
    for _ in range(2):
        assert process.stdout.readline()
    time.sleep(0.2)
    return process


def running() -> dict[int, int]:
    """Parents of all processes by process id, but for those that ended and wait for their parent to notice."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            found[int(name.split()[0])] = int(parent)
    return found


def children_of(pid: int) -> list[int]:
    return [child for child, parent in running().items() if parent == pid]


def gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running().keys() & set(pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@needs_proc
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_the_run_and_its_processes_at_once(workers):
    process = start_program(workers)
    children = children_of(process.pid)
    assert len(children) == workers
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    assert process.wait(2) == 130 and gone(children, 1)
    process.stdout.close()


@needs_proc
def test_processes_end_within_the_limit_when_their_parent_is_killed():
    process = start_program(2)
    children = children_of(process.pid)
    assert len(children) == 2
    process.kill()
    process.wait()
    assert gone(children, LIMITS.seconds + 3)
    process.stdout.close()
