"""What runs inside the walls: `python inside.py PLAN.json` mounts, tries the walls, and runs a notebook.

It is copied out of the package and run by the environment's Python, which does not have ours: the standard library
and papermill (which stands for Kaggle's own runner) only. The plan holds
    namespaces  whether mounts can be made here; without, everything lies in place already
    binds       [[source, target]]; hidden: folders that must not be seen; read_only: folders (HOME, input)
    notebook, executed, folder, facts, kernel_facts      paths; without a notebook only the walls are tried
"""

import _socket
import errno
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import uuid
from pathlib import Path

NOWHERE = ("192.0.2.1", 9)  # an address that no machine has (RFC 5737)
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
MOUNT_FLAGS = {"nosuid": os.ST_NOSUID, "nodev": os.ST_NODEV, "noexec": os.ST_NOEXEC}

# added at the end of the notebook: with what it really ran
FACTS_CELL = """
import importlib.metadata, json, os, sys
packages = {{}}
for distribution in importlib.metadata.distributions():
    packages.setdefault(str(distribution.metadata["Name"]).lower().replace("_", "-"), distribution.version)
code, torch = getattr(sys.modules.get("cxr"), "__file__", None), sys.modules.get("torch")
gpus = torch.cuda.device_count() if torch else 0
with open({path!r}, "w") as file:
    json.dump(dict(python=sys.version.split()[0], packages=packages, cxr=code, gpus=gpus, folder=os.getcwd()), file)
"""


def main(plan_file: str) -> int:
    """0: the notebook ran to its end; 1: a cell raised, or a wall could not be built."""
    plan = json.loads(Path(plan_file).read_text())
    if plan["namespaces"]:
        bring_up_loopback()
        mount_all(plan)
    facts = try_walls(plan)
    if plan.get("notebook"):
        facts.update(run_notebook(plan))
    Path(plan["facts"]).write_text(json.dumps(facts, indent=1))
    return 1 if facts.get("error") else 0


def bring_up_loopback() -> None:
    """A new network namespace has `lo` switched off; a machine without internet still has it."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def mount_all(plan: dict) -> None:
    """Bind every entry, hide what must not be seen, then take the write permission away."""
    for folder in plan["read_only"]:
        mount("--bind", folder, folder)
    for source, target in plan["binds"]:
        mount("--bind", source, target)
        remount_read_only(target)
    for folder in plan["hidden"]:
        mount("-t", "tmpfs", "-o", "ro,size=4k", "none", folder)
    for folder in plan["read_only"]:
        remount_read_only(folder)


def remount_read_only(path: str) -> None:
    """Flags that the outer mount has must be named again: an inner user may not lift them (user_namespaces(7))."""
    flags = [name for name, bit in MOUNT_FLAGS.items() if os.statvfs(path).f_flag & bit]
    mount("-o", ",".join(["remount", "bind", "ro", *flags]), path)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def try_walls(plan: dict) -> dict:
    """Try what must fail: a file in each read-only folder, a connection to another machine."""
    return {
        "writable": [folder for folder in plan["read_only"] if can_write(Path(folder))],
        "network": try_network(plan["namespaces"]),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "user": os.getuid(),
    }


def can_write(folder: Path) -> bool:
    trial = folder / f".{uuid.uuid4().hex}"
    try:
        before = folder.stat()
        trial.touch()
    except OSError:
        return False
    trial.unlink()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # who looks for changes later must not find us
    return True


def try_network(namespaces: bool) -> str:
    """`cut off`, or what happened instead. In a namespace the system's own socket, which no Python block sees."""
    kind = _socket.socket if namespaces else socket.socket
    trial = kind(socket.AF_INET, socket.SOCK_STREAM)
    trial.settimeout(3)
    try:
        trial.connect(NOWHERE)
    except OSError as error:
        return "cut off" if error.errno == errno.ENETUNREACH else str(error)
    finally:
        trial.close()
        if log := os.environ.get("CXR_NETWORK_LOG"):
            Path(log).write_text("")  # this was us
    return "a connection was made"


def run_notebook(plan: dict) -> dict:
    """Run it as Kaggle's runner would; a failed one keeps the cells that ran."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    notebook = nbformat.read(plan["notebook"], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(FACTS_CELL.format(path=plan["kernel_facts"])))
    longer = Path(plan["executed"]).with_suffix(".input.ipynb")
    nbformat.write(notebook, longer)
    error = ""
    try:
        papermill.execute_notebook(
            str(longer),
            plan["executed"],
            kernel_name="python3",
            cwd=plan["folder"],
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            config=Config({"KernelManager": {"transport": "ipc"}}),
        )
    except PapermillExecutionError as fault:
        print("\n".join(fault.traceback), file=sys.stderr)
        error = f"{fault.ename}: {fault.evalue}"
    longer.unlink()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"error": error, "largest_process_gb": round(peak / 1e9, 2)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
