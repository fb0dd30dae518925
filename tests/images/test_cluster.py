"""The same conversions on a Dask cluster of two real processes."""

import os
import signal
import socket
import sys
import time
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import poor_jobs
import pytest

from cxr.faults import DataFault
from cxr.images import cluster as module
from cxr.images.child import Limits
from cxr.images.cluster import check_address
from cxr.images.jobs import Job
from cxr.images.pool import run_jobs

LIMITS = Limits(2, 200)
LOCAL = {"host": "127.0.0.1", "dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install distributed")
    with distributed.LocalCluster(n_workers=2, processes=True, threads_per_worker=1, **LOCAL) as cluster:
        yield cluster


def run(cluster, *ids: object, convert=poor_jobs.by_name, png: Path | None = None, limits: Limits = LIMITS):
    jobs = [Job(Path(__file__), str(name), png and png / f"{name}.png", None, 4) for name in ids]
    return run_jobs(jobs, 1, convert, limits, scheduler=cluster.scheduler_address)


def test_a_worker_killed_midway_loses_no_file_and_does_none_twice(cluster, tmp_path):
    names = [f"nap-{i}" for i in range(24)]
    results = run(cluster, *names, png=tmp_path)
    done = [next(results) for _ in range(5)]
    workers = {one.header["parent"] for one in done}
    assert len(workers) == 2, "both workers have work"
    os.kill(max(workers), signal.SIGKILL)
    done += results
    assert max(workers) not in {one.header["parent"] for one in done[5:]}, "its results were lost with it"
    assert [one.header["image_id"] for one in done] == names
    assert all((one.thumbnail == 7).all() for one in done)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.png" for name in names)
    assert all((cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 7).all() for path in tmp_path.iterdir())


def test_a_file_that_crashes_or_hangs_takes_no_worker_along(cluster):
    before = {one.header["parent"] for one in run(cluster, *[f"nap-{i}" for i in range(8)])}
    done = list(run(cluster, "a", "abort", "hang_in_native_code", "swell", "b", limits=Limits(0.5, 200)))
    assert [bool(one.header) for one in done] == [True, False, False, False, True]
    assert done[1].reason.startswith("crashed the decoder (SIGABRT)") and done[2].reason.startswith("took longer")
    assert {one.header["parent"] for one in run(cluster, *[f"nap-{i}" for i in range(8)])} == before


def test_dicom_files_give_what_they_give_here(cluster, tmp_path, dicom):
    (tmp_path / "a.dcm").write_bytes(dicom(np.arange(1200, dtype=np.uint16).reshape(40, 30)))
    (tmp_path / "b.dcm").write_bytes(b"rubbish" * 99)
    jobs = [Job(tmp_path / f"{name}.dcm", name, tmp_path / f"{name}.png", None, 16) for name in "abc"]
    there, here = (list(run_jobs(jobs, 0, scheduler=address)) for address in (cluster.scheduler_address, None))
    assert there[0].header == here[0].header and np.array_equal(there[0].thumbnail, here[0].thumbnail)
    assert there[1:] == here[1:] and (tmp_path / "a.png").is_file()


def test_a_task_whose_workers_all_died_is_a_failure(cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    assert [one.reason for one in run(cluster, "kill_the_parent")] == [
        "the workers of the cluster that tried it all died; get the file again"
    ]
    monkeypatch.undo()
    assert next(run(cluster, "a")).header


def test_few_jobs_are_submitted_ahead_and_none_after_closing(cluster):
    drawn = count()
    endless = (Job(Path(__file__), f"nap-{next(drawn)}") for _ in iter(int, 1))
    results = run_jobs(endless, 1, poor_jobs.by_name, LIMITS, cluster.scheduler_address)
    assert [next(results).header["image_id"] for _ in range(3)] == ["nap-0", "nap-1", "nap-2"]
    results.close()
    assert next(drawn) <= 3 + 32
    deadline = time.monotonic() + 60
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cluster.scheduler.tasks


def test_a_destination_that_cannot_be_written_ends_the_run(cluster):
    with pytest.raises(OSError, match="No space left"):
        list(run(cluster, "a", "fail_to_write", "b"))


def test_workers_of_other_versions_are_refused(cluster, monkeypatch):
    versions = module.identity("poor_jobs")
    assert versions["numpy"] == np.__version__ and versions["cxr.images.remote"]
    monkeypatch.setattr(module, "identity", lambda name: {**versions, "pydicom": "2.0.0"})
    with pytest.raises(DataFault, match=r"runs other versions than this machine \(pydicom\); install the same on both"):
        list(run(cluster, "a"))


def test_workers_must_see_the_files(cluster, monkeypatch, tmp_path):
    jobs = [Job(tmp_path / "absent.dcm", "a")]
    reason = "cannot be read (No such file or directory)"
    assert [one.reason for one in run_jobs(jobs, 1, scheduler=cluster.scheduler_address)] == [reason]
    monkeypatch.setattr(module.os.path, "exists", lambda path: True)  # here it is there
    with pytest.raises(DataFault, match=r"does not see .*absent.dcm; all workers need the same files"):
        list(run_jobs(jobs, 1, scheduler=cluster.scheduler_address))


def test_pictures_must_arrive_here(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with pytest.raises(DataFault, match=r"wrote .*a.png, which is not here; all workers need the same file system"):
        list(run(cluster, "a", png=tmp_path))  # `well` writes nothing


def test_an_open_address_is_warned_about_on_stderr(cluster, monkeypatch, capsys):
    monkeypatch.setattr(module, "check_address", lambda address: f"warning: {address} is open")
    assert next(run(cluster, "a")).header
    assert capsys.readouterr().err == f"warning: {cluster.scheduler_address} is open\n"


@pytest.mark.parametrize(
    "address", ["localhost:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tls://far.org:8786"]
)
def test_local_and_encrypted_addresses_are_fine(address):
    assert check_address(address) is None


@pytest.mark.parametrize("address", ["tcp://10.0.0.7:8786", "far.org:8786", "tcp://[2001:db8::1]:8786", "0.0.0.0:8786"])
def test_other_addresses_are_warned_about(address):
    warning = check_address(address)
    assert "not encrypted" in warning and address in warning and "run programs as you" in warning


@pytest.mark.parametrize("address", ["nonsense", "::1", "host:port", "host:99999", "ucx://host:1", "tcp://", "a b:1"])
def test_what_is_no_address_is_a_fault(address):
    with pytest.raises(DataFault, match="is no address of a Dask scheduler; give it like"):
        list(run_jobs([], 1, scheduler=address))


def test_nobody_there_is_a_fault(monkeypatch):
    pytest.importorskip("distributed", reason="needs Dask: pip install distributed")
    monkeypatch.setattr(module, "WAIT", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DataFault, match="no Dask scheduler answers"):
        list(run_jobs([], 1, scheduler=address))
    with pytest.raises(DataFault, match="needs certificates: set distributed.comm.tls"):
        list(run_jobs([], 1, scheduler=f"tls://{address}"))


def test_a_cluster_without_workers_is_a_fault(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install distributed")
    monkeypatch.setattr(module, "WAIT", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, **LOCAL) as empty,
        pytest.raises(DataFault, match="the cluster has no worker; start some with"),
    ):
        list(run(empty, "a"))


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DataFault, match=r"pip install distributed"):
        list(run_jobs([], 1, scheduler="localhost:8786"))
