"""Walls around the kernel: namespaces of Linux where the system allows them, else copies and a socket block."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cxr.kaggle.rehearsal.tree import Bind
from cxr.paths import REPOSITORY

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "--")
PASSED_ON = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")  # what the machine is shared by
HERE = Path(__file__).parent
RAN, WALLS = "inside.py", "network_block.py"


@dataclass(frozen=True)
class Isolation:
    """How the kernel is kept in: `reason` says why there are no namespaces, "" where there are."""

    reason: str = ""

    @property
    def namespaces(self) -> bool:
        return not self.reason

    @property
    def words(self) -> str:
        """For the table and report.json."""
        if self.namespaces:
            return "user, mount and network namespaces: no network but loopback, inputs and HOME mounted read-only"
        return f"socket block and copies without write permission (no namespaces here: {self.reason})"


def find_isolation(scratch: Path) -> Isolation:
    """Try the namespaces with a real mount below `scratch`: some systems allow unshare and refuse what follows."""
    trial, target = scratch / "trial", scratch / "trial" / "read_only"
    target.mkdir(parents=True, exist_ok=True)
    plan = write_plan(trial / "plan.json", True, [], [target], [], {"facts": trial / "facts.json"})
    try:
        done = subprocess.run([*UNSHARE, sys.executable, str(HERE / RAN), str(plan)], capture_output=True, text=True)
        reason = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["unshare failed"])[-1]
        if not reason:
            facts = json.loads((trial / "facts.json").read_text())
            held = not facts["writable"] and facts["network"] == "cut off"
            reason = "" if held else f"they do not hold: {facts}"
    except OSError as error:
        reason = f"unshare: {error.strerror}"
    finally:
        shutil.rmtree(trial)
    return Isolation(reason)


def write_plan(
    path: Path, namespaces: bool, binds: list[Bind], read_only: list[Path], hidden: list[Path], files: dict[str, Path]
) -> Path:
    """What inside.py shall do, as it reads it."""
    plan = {
        "namespaces": namespaces,
        "binds": [[str(bind.source), str(bind.target)] for bind in binds],
        "read_only": [str(folder) for folder in read_only],
        "hidden": [str(folder) for folder in hidden],
        **{name: str(file) for name, file in files.items()},
    }
    path.write_text(json.dumps(plan, indent=1))
    return path


def hidden_folders() -> list[Path]:
    """What of the checkout no kernel may see: on Kaggle there is no repository beside it."""
    return [folder for folder in (REPOSITORY / "src", REPOSITORY / "notebooks") if folder.is_dir()]


def kernel_environment(python: Path, kaggle: Path, home: Path, short: Path, rerun: bool) -> dict[str, str]:
    """All environment variables that the kernel sees.

    `short` is a writable folder with a short path: names of sockets end at 108 characters (unix(7)).
    """
    block = short / "block"
    block.mkdir(exist_ok=True)
    shutil.copy(HERE / WALLS, block / "sitecustomize.py")
    shutil.copy(HERE / RAN, short / RAN)
    (short / "jupyter").mkdir(exist_ok=True)
    (short / "tmp").mkdir(exist_ok=True)
    rerunning = {"KAGGLE_IS_COMPETITION_RERUN": "1"} if rerun else {}
    return {
        "PATH": os.pathsep.join([str(python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(short / "tmp"),
        "JUPYTER_RUNTIME_DIR": str(short / "jupyter"),
        "PYTHONPATH": str(block),
        "CXR_KAGGLE_ROOT": str(kaggle),
        "CXR_NETWORK_LOG": str(short / "network.log"),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        **rerunning,
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
    }


def kernel_command(isolation: Isolation, python: Path, short: Path, plan: Path) -> list[str]:
    """The command that runs the plan inside the walls."""
    return [*(UNSHARE if isolation.namespaces else ()), str(python), str(short / RAN), str(plan)]
