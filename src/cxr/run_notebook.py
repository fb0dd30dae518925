"""Run a numbered notebook as a stage: strictly, because papermill alone is not (unknown parameters, `sys.exit(0)` and
failed shell lines all end with exit code 0 there, and a failed run leaves a file that make takes for a finished one).

Command: `python -m cxr run NOTEBOOK OUT [-p NAME VALUE]...`. OUT appears only after every cell has run; a failed run is
kept as `<OUT stem>.failed.ipynb` for reading. `<OUT stem>.json` holds seconds and peak memory.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from cxr import budget
from cxr.faults import DataFault
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

    Raises DataFault for a notebook or parameters that do not fit and for a data fault inside the notebook;
    PapermillExecutionError for any other exception in a cell.
    """
    notebook, out = Path(notebook), Path(out)
    check_notebook(notebook, parameters)
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = out.with_name(f"{out.stem}.failed.ipynb")
    print(f"[{notebook.stem}]", flush=True)
    started = time.monotonic()
    with PeakMemory() as memory:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(failed),
                parameters=parameters,
                kernel_name=KERNEL,
                cwd=str(notebook.parent),
                progress_bar=False,
                log_output=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                config=PRIVATE,
            )
            check_executed(failed)
        except PapermillExecutionError as error:
            if error.ename == "DataFault":
                raise DataFault(f"{error.evalue} [stage {notebook.stem}; its cells lie in {failed}]") from None
            raise
        finally:
            seconds = time.monotonic() - started
            budget.add_seconds(out.parent.parent / "budget.json", notebook.stem, seconds)
    os.replace(failed, out)
    record = {"stage": notebook.stem, "seconds": round(seconds, 1), "peak_memory_gb": round(memory.peak / 1e9, 2)}
    write_json(record, out.with_suffix(".json"))
    print(f"[{notebook.stem}] done in {seconds:.0f} s, peak memory {memory.peak / 1e9:.1f} GB", flush=True)
    return out


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


class PeakMemory:
    """Largest sum of resident memory over this process and all its children, sampled twice a second, in bytes.

    Shared pages count once for each process, so the figure errs upwards.
    """

    def __init__(self, interval: float = 0.5):
        self.interval, self.peak = interval, 0
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
            if self._stop.wait(self.interval):
                return


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it ended between the listing and the look
        return 0
