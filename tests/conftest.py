"""What all tests share: no network, no writing outside tmp, small threads, and the real data if it is there."""

import os
import signal
import socket
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# kernels and other processes that tests start must find the package too; libraries' own notes go to tmp, not to HOME
NOTES = tempfile.mkdtemp(prefix="cxr-tests-")
os.environ.update(
    OMP_NUM_THREADS="1",
    NO_ALBUMENTATIONS_UPDATE="1",
    PYTHONPATH=str(REPOSITORY / "src"),
    YOLO_CONFIG_DIR=f"{NOTES}/yolo",
    MPLCONFIGDIR=f"{NOTES}/matplotlib",
    IPYTHONDIR=f"{NOTES}/ipython",
    JUPYTER_RUNTIME_DIR=f"{NOTES}/jupyter",
    PYTHONDONTWRITEBYTECODE="1",
)

# on a processor with AVX2 alone torch 2.10 crashed in trainings of networks as narrow as tests have them; with the
# kernels of AVX it does not, nor does it with AVX-512. It reads this when it is imported, here and in other processes
CPU = Path("/proc/cpuinfo")
if CPU.is_file() and " avx2" in (flags := CPU.read_text()) and " avx512f" not in flags:
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")

import pytest  # noqa: E402

# a shell ignores Ctrl-C in what it starts with `&`, and children inherit that: the tests that send it need it back
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REALDATA = Path(os.environ.get("CXR_REALDATA", REPOSITORY.parent / "shared" / "realdata"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that opens a connection to another machine fails with its address."""
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reached for the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", _no_lookup(socket.getaddrinfo))


def _no_lookup(lookup):
    def only_here(host, *args, **kwargs):
        if host not in (None, "", "localhost", "127.0.0.1", "::1"):
            raise AssertionError(f"a test asked for the address of {host}")
        return lookup(host, *args, **kwargs)

    return only_here


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real radiographs; tests that use it skip where it is absent."""
    if not (REALDATA / "MANIFEST.csv").is_file():
        pytest.skip(f"no real radiographs at {REALDATA}; set CXR_REALDATA to try this test")
    return REALDATA
