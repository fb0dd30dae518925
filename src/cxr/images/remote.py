"""What a Dask worker runs for `cluster`: one job, after it made sure that it would give the same pixels."""

import os
import socket
from functools import cache
from importlib import metadata
from typing import NamedTuple

import cxr
from cxr.faults import DataFault
from cxr.images import isolate
from cxr.images.child import Limits, unpack_job
from cxr.images.jobs import Done
from cxr.stamps import modules_digest

DECIDING = (
    "numpy",
    "numba",
    "pydicom",
    "python-gdcm",
    "opencv-python-headless",
    "pillow",
    "xxhash",
)  # they make the pixels and their digests


class Remote(NamedTuple):
    """What a worker sends back: the result of a job, or an exception that ends the run."""

    worker: str
    done: Done | None = None
    fault: Exception | None = None
    unseen: bool = False  # the worker does not have the file


@cache
def identity(module: str) -> dict[str, str]:
    """What decides the pixels that a function of `module` makes: our code and the libraries."""
    code = {name: modules_digest(name) for name in (module, __name__) if name.partition(".")[0] == "cxr"}
    return {"cxr": cxr.__version__, **code, **{package: _version(package) for package in DECIDING}}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def work(name: str, packed: list, limits: tuple, versions: dict[str, str]) -> Remote:
    """One job, on a worker. Exceptions come back as values: those that Dask reports itself mean something else."""
    here = f"{socket.gethostname()}:{os.getpid()}"
    try:
        found = identity(name.partition(":")[0])
        if found != versions:
            differing = ", ".join(key for key in sorted({*found, *versions}) if found.get(key) != versions.get(key))
            raise DataFault(f"{here} runs other versions than this machine ({differing}); install the same on both")
        job = unpack_job(packed)
        if not os.path.exists(job.file):
            return Remote(here, unseen=True)
        return Remote(here, isolate.do(name, job, Limits(*limits)))
    except ImportError as error:
        return Remote(here, fault=DataFault(f"{here}: {error}; install the same there as here"))
    except (DataFault, OSError) as error:
        return Remote(here, fault=error)
