"""The same conversions on a Dask cluster: `python -m cxr convert SRC DST --scheduler ADDRESS`.

Scheduler and workers need this package and its libraries in the same versions, and the workers the same files under the
same paths. Each task hands its job to a process of its own (`isolate`), so that a file that crashes its decoder does
not take a Dask worker along; tasks of a worker that is lost otherwise are done again by another, which is harmless, as
files appear whole or not at all.

Jobs are submitted one by one, a bounded number ahead of the result that is due. joblib has a Dask backend, too, but its
results pile up in front of a slow consumer, and it waits for ever for a task whose workers died: it has no callback for
errors.
"""

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import cxr
from cxr.faults import DataFault
from cxr.images.child import Limits, function_name, pack_job
from cxr.images.jobs import Done, Job
from cxr.images.remote import Remote, identity, work

WAIT = 10  # seconds for the scheduler to answer, and for the first worker
PATIENCE = 60  # seconds: for another worker when all are gone, and for a new file to be seen here (NFS remembers 60 s)


def check_address(address: str) -> str | None:
    """A warning if anybody on the network could read along, None if not. DataFault for what is no address."""
    scheme, host, _ = _parts(address)
    if scheme == "tls" or host == "localhost" or _is_loopback(host):
        return None
    return (
        f"warning: {address} is not encrypted: whoever can read this network sees the patients' data, and whoever can "
        "reach that port can run programs as you; use tls:// or a tunnel to localhost"
    )


def run_on_cluster(jobs: Iterable[Job], address: str, convert: Callable[[Job], Done], limits: Limits) -> Iterator[Done]:
    """Results in the order of the jobs, as `pool.run_jobs` gives them.

    Raises DataFault if the cluster is out of reach, runs other versions or does not see the files, OSError where a
    destination cannot be written.
    """
    if warning := check_address(address):
        print(warning, file=sys.stderr)
    try:
        import distributed  # noqa: F401  its loggers must be there before they can be silenced
    except ImportError:
        raise DataFault("--scheduler needs Dask: pip install distributed") from None
    with _quiet():
        client = _connect(address)
        try:
            yield from _in_order(client, jobs, convert, limits)
        finally:
            client.close()  # the cluster forgets what nobody waits for


def _parts(address: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme = host = port = None
    if scheme not in ("tcp", "tls") or not host or not port or host.split() != [host]:
        raise DataFault(
            f"{address!r} is no address of a Dask scheduler; give it like tcp://127.0.0.1:8786 or tls://..."
        )
    return scheme, host, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs a traceback for every lost connection; what matters here becomes a DataFault."""
    handlers = {
        handler for name in ("distributed", "distributed.client") for handler in logging.getLogger(name).handlers
    }
    levels = {handler: handler.level for handler in handlers}
    try:
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)


def _connect(address: str):
    """A `distributed.Client` with at least one worker behind it."""
    import distributed

    scheme, host, port = _parts(address)
    security = distributed.Security()
    if scheme == "tls" and not security.get_connection_args("client").get("ssl_context"):
        raise DataFault(f"{address} needs certificates: set distributed.comm.tls in Dask's configuration")
    try:
        place = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        client = distributed.Client(place, timeout=WAIT, set_as_default=False, security=security)
    except (OSError, ValueError) as error:
        raise DataFault(f"{address}: no Dask scheduler answers ({error}); start one with `dask scheduler`") from None
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError:
        client.close()
        raise DataFault(f"{address}: the cluster has no worker; start some with `dask worker {address}`") from None
    return client


def _in_order(client, jobs: Iterable[Job], convert: Callable, limits: Limits) -> Iterator[Done]:
    """Submit at one end of a queue of bounded length, give results from its other end."""
    ahead = max(32, 4 * sum(client.nthreads().values()))
    name, versions, seen = function_name(convert), identity(convert.__module__), set()
    rest, waiting = iter(jobs), deque()
    while True:
        for job in rest:
            arguments = (name, pack_job(job), tuple(limits), versions)
            # pure=False: the same file twice is two tasks
            waiting.append((job, client.submit(work, *arguments, pure=False)))
            if len(waiting) >= ahead:
                break
        if not waiting:
            return
        job, future = waiting.popleft()
        yield _result(client, future, job, seen)


def _result(client, future, job: Job, seen: set[str]) -> Done:
    """The result of a task; `seen` are the workers whose files were found here."""
    from distributed import KilledWorker

    try:
        remote = _wait(client, future)
    except KilledWorker:
        return Done(reason="the workers of the cluster that tried it all died; get the file again")
    except DataFault:
        raise
    except Exception as error:  # the connection broke, or the workers lack this very module
        raise DataFault(
            f"the cluster gave up ({type(error).__name__}: {' '.join(str(error).split())[:200]}); "
            f"see that scheduler and workers run and have cxr {cxr.__version__}"
        ) from None
    if remote.fault:
        raise remote.fault
    if remote.unseen:
        if os.path.exists(job.file):
            raise DataFault(
                f"{remote.worker} does not see {job.file}; all workers need the same files at the same paths"
            )
        return Done(reason="cannot be read (No such file or directory)")
    if job.png and remote.done.header is not None and remote.worker not in seen:
        _await_file(job.png, remote.worker)
        seen.add(remote.worker)
    return remote.done


def _wait(client, future) -> Remote:
    """The task's result; DataFault when no worker is left that could do it."""
    from distributed import wait

    without = 0
    while True:
        try:
            with client.as_current():
                wait(future, timeout=WAIT)
            return future.result(timeout=WAIT)
        except TimeoutError:
            without = 0 if client.nthreads() else without + WAIT
        if without >= PATIENCE:
            raise DataFault(f"the cluster has had no worker for {PATIENCE} s; start some and convert again")


def _await_file(path: Path, worker: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            raise DataFault(f"{worker} wrote {path}, which is not here; all workers need the same file system")
        time.sleep(0.5)
