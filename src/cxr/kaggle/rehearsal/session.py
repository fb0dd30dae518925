"""One rehearsed session: a tree, walls around it, the kernel run in it, and what it left behind."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cxr.kaggle.rehearsal.environment import Environment
from cxr.kaggle.rehearsal.isolation import (
    Isolation,
    hidden_folders,
    kernel_command,
    kernel_environment,
    write_plan,
)
from cxr.kaggle.rehearsal.tree import (
    Bind,
    changed_files,
    copy_read_only,
    make_mount_points,
    remove_tree,
    size_of,
    snapshot,
)

DISK_LIMIT = 20e9  # bytes that Kaggle keeps of /kaggle/working
NO_HOME = Path(os.devnull, "home")  # not even root can make it: what it lies in is no folder
PROBLEM_LINES, WIDTH = 12, 200  # of the log, when a kernel fails
COLOUR = re.compile(r"\x1b\[[\d;]*[mK]")


@dataclass
class Session:
    """What a kernel run left behind. `files` stay after the tree is gone."""

    kaggle: Path
    seconds: float = 0.0
    error: str = ""  # why the notebook did not reach its end, "" if it did
    facts: dict = field(default_factory=dict)  # of the walls, as inside.py found them
    kernel: dict = field(default_factory=dict)  # of the kernel: python, packages, cxr, folder
    network_tries: list[str] = field(default_factory=list)
    changed_inputs: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes left in `working` and in TMPDIR

    @property
    def submission(self) -> Path:
        return self.kaggle / "working" / "submission.csv"

    def problems(self, isolation: Isolation) -> list[str]:
        """What a session must not do, a line each; what it submitted is looked at elsewhere."""
        lines = [f"the notebook ended with {self.error}"] if self.error else []
        if self.facts.get("network") != "cut off":
            lines.append(f"the network was not cut off: {self.facts.get('network', 'the kernel never started')}")
        if isolation.namespaces and self.facts.get("writable"):
            lines.append(f"could be written: {', '.join(self.facts['writable'])}")
        if self.changed_inputs:
            lines.append(f"inputs were written: {len(self.changed_inputs)} files, such as {self.changed_inputs[0]}")
        if self.sizes.get("working", 0) > DISK_LIMIT:
            lines.append(f"left {self.sizes['working'] / 1e9:.1f} GB in working, Kaggle keeps {DISK_LIMIT / 1e9:.0f}")
        code = self.kernel.get("cxr")
        if code and not code.startswith(str(self.kaggle / "input")):
            lines.append(f"ran the code of {code}, not that of the mounted data set")
        return lines


def run_session(
    notebook: Path, kaggle: Path, binds: list[Bind], results: Path, rerun: bool, walls: Isolation, python: Environment
) -> Session:
    """Run `notebook` in the tree `kaggle` as Kaggle would. `results` gets `log.txt` and the executed notebook.

    The tree's input is made of `binds` here; its working folder may hold files already. Never raises for what the
    kernel does: that is in the Session.
    """
    inputs, home, watched = lay_out(kaggle, binds, walls)
    before, session = snapshot(watched), Session(kaggle)
    short = Path(tempfile.mkdtemp(prefix="cxr-"))  # not below the results: paths of sockets must be short
    try:
        files = {
            "notebook": notebook,
            "executed": results / notebook.name,
            "folder": kaggle / "working",
            "facts": short / "facts.json",
            "kernel_facts": short / "kernel.json",
        }
        hidden = hidden_folders() if walls.namespaces else []
        plan = write_plan(short / "plan.json", walls.namespaces, binds, [inputs, home], hidden, files)
        environment = kernel_environment(python.python, kaggle, home, short, rerun)
        if not walls.namespaces:  # root may write beside mounted code, which Python would use
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = kernel_command(walls, python.python, short, plan)
        _run(session, command, environment, results / "log.txt")
        session.facts, session.kernel = _read(files["facts"]), _read(files["kernel_facts"])
        session.error = session.facts.get("error") or session.error
        session.network_tries = _tries(short / "network.log")
        session.sizes = {"working": size_of(kaggle / "working"), "temporary": size_of(short / "tmp")}
    finally:
        shutil.rmtree(short)
    session.changed_inputs = changed_files(before, snapshot(watched))
    return session


def lay_out(kaggle: Path, binds: list[Bind], walls: Isolation) -> tuple[Path, Path, list[Path]]:
    """Make the tree; returns its input, HOME, and the paths in which nothing may change."""
    inputs = kaggle / "input"
    for folder in (inputs, kaggle / "working"):
        folder.mkdir(parents=True, exist_ok=True)
    if not walls.namespaces:
        copy_read_only(binds, inputs)
        return inputs, NO_HOME, [inputs]
    home = kaggle.parent / "home"
    home.mkdir(exist_ok=True)
    make_mount_points(binds)
    return inputs, home, [bind.source for bind in binds]


def _run(session: Session, command: list[str], environment: dict[str, str], log: Path) -> None:
    started = time.monotonic()
    with open(log, "w") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, cwd="/")
    session.seconds = round(time.monotonic() - started, 1)
    if done.returncode:
        tail = log.read_text(errors="replace").strip().splitlines()[-1:]
        session.error = tail[0] if tail else f"exit code {done.returncode} without a word"


def _read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}


def _tries(log: Path) -> list[str]:
    """Addresses that somebody tried to reach."""
    return log.read_text().splitlines() if log.is_file() else []


def log_tail(log: Path) -> list[str]:
    """The last lines of a log without their colours, for people who want to know why."""
    text = COLOUR.sub("", log.read_text(errors="replace")) if log.is_file() else ""
    return [line[:WIDTH] for line in text.strip().splitlines()[-PROBLEM_LINES:]]


def clear_scratch(kaggle: Path) -> None:
    """Remove the tree, and the HOME beside it."""
    for folder in (kaggle, kaggle.parent / "home"):
        remove_tree(folder)
