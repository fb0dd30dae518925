"""Run a numbered notebook as a stage: strictly, because papermill alone is not (unknown parameters, `sys.exit(0)` and
failed shell lines all end with exit code 0 there, and a failed run leaves a file that make takes for a finished one).

Command: `python -m cxr run NOTEBOOK OUT [-p NAME VALUE]...`. OUT appears only after every cell has run; a failed run is
kept as `<OUT stem>.failed.ipynb` for reading. `<OUT stem>.json` holds seconds and peak memory.
"""

import argparse
import fcntl
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from cxr import budget
from cxr.faults import DataFault
from cxr.full_disk import full_disk, is_full, says_full
from cxr.workspace import write_json

KERNEL = "python3"
# sockets of this user instead of TCP ports, which anybody on the machine could listen to
PRIVATE = Config({"KernelManager": {"transport": "ipc"}})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`NOTEBOOK OUT -p NAME VALUE`."""
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))


def main(args: argparse.Namespace) -> int:
    """Run one stage from the command line; its clock lies in budget.json beside the folder of OUT."""
    run_notebook(args.notebook, args.out, dict(args.parameter))
    return 0


def run_notebook(notebook: Path, out: Path, parameters: dict[str, str]) -> Path:
    """Execute `notebook` with `parameters`; `out` exists afterwards only if every cell ran.

    Raises DataFault for a notebook or parameters that do not fit, for a data fault inside the notebook, for a full disk
    and for a kernel that was killed; PapermillExecutionError for any other exception in a cell.
    """
    notebook, out = Path(notebook).absolute(), Path(out).absolute()  # papermill changes the folder while it runs
    check_notebook(notebook, parameters)
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = out.with_name(f"{out.stem}.failed.ipynb")
    print(f"[{notebook.stem}]", flush=True)
    # stages from 20 on stand beside the submission: they take none of its hours
    clock = "budget_beside.json" if re.match(r"[2-9]\d_", notebook.stem) else "budget.json"
    spent = SpentSeconds(out.parent.parent / clock, notebook.stem)
    with alone_in(out.parent), PeakMemory(spent.tell) as memory:
        try:
            execute(notebook, failed, parameters)
        finally:
            spent.tell(at_once=True)
    record = {"stage": notebook.stem, "seconds": round(spent.seconds, 1), "peak_memory_gb": round(memory.peak / 1e9, 2)}
    # before the notebook gets its name: then the stage counts as done, and nothing may be missing
    write_json(record, out.with_suffix(".json"))
    os.replace(failed, out)
    print(f"[{notebook.stem}] done in {spent.seconds:.0f} s, peak memory {memory.peak / 1e9:.1f} GB", flush=True)
    return out


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Refuse to work beside another run: where `make` alone was killed, its stage still writes.

    The lock goes with the process that holds it, however that ends.
    """
    with open(folder / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            process = file.read() or "unknown"
            raise DataFault(
                f"{folder}: another run is at work there (process {process}); wait for it, or end it and give the same "
                "command again"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def execute(notebook: Path, out: Path, parameters: dict[str, str]) -> None:
    """Run every cell, and leave them with their outputs in `out`. Raises as `run_notebook`."""
    where = f"[stage {notebook.stem}; its cells lie in {out}]"
    places = [
        out.parent,
        Path(tempfile.gettempdir()),
        *(Path(text) for text in parameters.values() if "/" in str(text)),
    ]
    try:
        papermill.execute_notebook(
            str(notebook),
            str(out),
            parameters=parameters,
            kernel_name=KERNEL,
            cwd=str(notebook.parent),
            progress_bar=False,
            log_output=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            config=PRIVATE,
        )
        check_executed(out)
    except PapermillExecutionError as error:
        if error.ename == "DataFault":
            raise DataFault(f"{error.evalue} {where}") from None
        if says_full(error.evalue):
            raise DataFault(f"{full_disk(places)} {where}") from None
        raise
    except DeadKernelError:
        raise DataFault(
            f"the process of the notebook was killed: by hand, or by the system for lack of memory; make memory free "
            f"and give the same command again, what is finished is kept {where}"
        ) from None
    except OSError as error:  # of this process, which writes the notebook with its outputs
        if is_full(error):
            raise DataFault(f"{full_disk(places)} {where}") from None
        raise


def check_notebook(notebook: Path, parameters: dict[str, str]) -> None:
    """Refuse what papermill would pass over in silence."""
    if not notebook.is_file():
        raise DataFault(f"{notebook}: no such notebook; found {', '.join(known_notebooks(notebook.parent)) or 'none'}")
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    if not any("parameters" in cell.metadata.get("tags", []) for cell in cells):
        raise DataFault(
            f"{notebook}: no cell is tagged 'parameters', so none could be set; tag the cell that holds them"
        )
    for cell in cells:
        shell = [
            line for line in cell.source.splitlines() if line.lstrip().startswith(("!", "%%bash", "%%sh", "%%script"))
        ]
        if shell:
            raise DataFault(
                f"{notebook}: {shell[0].strip()!r} is a shell line, whose failure would go unseen; "
                "call a function instead"
            )
    known = set(papermill.inspect_notebook(str(notebook)))
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise DataFault(f"{notebook}: unknown parameter {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def known_notebooks(folder: Path) -> list[str]:
    """Names of the notebooks in a folder."""
    return sorted(path.name for path in folder.glob("*.ipynb"))


def check_executed(notebook: Path) -> None:
    """Every code cell must have run to its end: `sys.exit(0)` leaves a SystemExit behind and cells without a number."""
    cells = [
        cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code" and cell.source.strip()
    ]
    for number, cell in enumerate(cells, 1):
        stopped = any(output.get("ename") == "SystemExit" for output in cell.outputs)
        if stopped or cell.execution_count is None:
            raise DataFault(
                f"{notebook}: code cell {number} of {len(cells)} "
                f"{'left by sys.exit' if stopped else 'never ran'}; a stage must run to its last cell"
            )


class SpentSeconds:
    """Tells the clock every few seconds what the stage has taken: a stage that is killed has taken it too."""

    def __init__(self, path: Path, stage: str, every: float = 5.0):
        self.path, self.stage, self.every = path, stage, every
        self.started, self.told = time.monotonic(), 0.0
        self._lock = threading.Lock()  # the watching thread tells, and at the end this one

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def tell(self, at_once: bool = False) -> None:
        """Add what came since the last time. A full disk is for the stage to tell: no run ends for the clock's sake."""
        with self._lock:
            seconds = self.seconds
            if not at_once and seconds - self.told < self.every:
                return
            try:
                budget.add_seconds(self.path, self.stage, seconds - self.told)
            except OSError as error:
                if not is_full(error):
                    raise
                return
            self.told = seconds


class PeakMemory:
    """Largest sum of resident memory over this process and all its children, sampled twice a second, in bytes.

    Shared pages count once for each process, so the figure errs upwards. `beside`: called after each sample.
    """

    def __init__(self, beside: Callable[[], None] = lambda: None, interval: float = 0.5):
        self.interval, self.peak, self.beside = interval, 0, beside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.peak = max(self.peak, sum(map(_resident, [process, *process.children(recursive=True)])))
            self.beside()
            if self._stop.wait(self.interval):
                return


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it ended between the listing and the look
        return 0
