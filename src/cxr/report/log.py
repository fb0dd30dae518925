"""`submissions/log.csv`: a line a run, for people who submit, and fill in what the leaderboard said.

A line is added when a run's result is new: the same submission with the same scores is no second run. Lines that stand
there are never touched, so that a person may edit them, and further columns are left empty. A spreadsheet takes a cell
that begins with = + - @ for a formula: such text gets an apostrophe.
"""

import csv
import fcntl
import io
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cxr.evaluation.intervals import Estimate
from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault
from cxr.report.manifest import manifest
from cxr.report.results import fused_estimates, read_scores
from cxr.workspace import Workspace, write_json

FIGURES = ("cv", "cv_low", "cv_high", "score", "score_low", "score_high")
COLUMNS = ("date", "commit", "profile", "overrides", "data", "input", *FIGURES, "seconds", "submission")
BY_HAND = ("public", "private")
SAME = ("profile", "input", "submission", "cv", "score")  # what makes two lines one run
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SHOWN = 12  # hex digits of a digest


def record_run(workspace: Workspace) -> str:
    """Write `manifest.json` and add the run's line to `submissions/log.csv`; returns what happened, in words.

    Raises DataFault for a log that cannot be read or written; it stays as it was.
    """
    files = RunFiles(workspace)
    found = manifest(files)
    write_json(found, files.places.manifest)
    if not (files.places.test_images_table.is_file() and files.places.submission.is_file()):
        return "no line in the log: stage 11 has not written its submission"
    added = append_line(files.places.log, log_line(files, found))
    return f"{files.places.log}: {'a new line' if added else 'this result stands there already'}"


def log_line(files: RunFiles, found: Mapping) -> dict[str, str]:
    """COLUMNS of this run; `found` is its manifest. cv: mAP out of fold after stage 10; score: mAP of the test set."""
    inside, scores = fused_estimates(files), read_scores(files)
    cv = Estimate(*inside.loc["mAP"]) if inside is not None else None
    figures = [*_cells(cv), *_cells(scores and _score(scores["run"]))]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "commit": found["commit"],
        "profile": found["profile"],
        "overrides": found["overrides"] or "",
        "data": found["data"],
        "input": found["input"][:SHOWN],
        **dict(zip(FIGURES, figures, strict=True)),
        "seconds": f"{sum(record['seconds'] for record in files.stages):.0f}",
        "submission": found["digests"][files.places.submission.name]["sha256"][:SHOWN],
    }


def _score(run: Mapping) -> Estimate:
    return Estimate(run.get("mAP"), run.get("mAP_low"), run.get("mAP_high"))


def _cells(figure: Estimate | None) -> list[str]:
    values = figure or Estimate(None, None, None)
    return ["" if value is None or math.isnan(value) else f"{value:.4f}" for value in values]


def append_line(path: Path, line: Mapping[str, str]) -> bool:
    """Add a line unless its run stands there; returns whether it was added. Several processes may do so at once.

    Raises DataFault for a file that is not such a log, and for one that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            content = file.read()
            addition = new_text(content, line, path)
            if addition:
                _write_whole(file, addition, len(content))
            return bool(addition)
    except OSError as error:
        raise DataFault(
            f"{path}: cannot be written ({error.strerror or error}); the run and its report stand, make the file "
            "writable and run 12_report again"
        ) from None


def _write_whole(file: io.FileIO, addition: bytes, size: int) -> None:
    """All of it or nothing: a full disk must not leave half a line."""
    if file.write(addition) != len(addition):
        os.ftruncate(file.fileno(), size)
        raise OSError("no space for a whole line")
    os.fsync(file.fileno())


def new_text(content: bytes, line: Mapping[str, str], path: Path) -> bytes:
    """What to append to the log's content, b"" where the run stands there. Raises DataFault for another file."""
    try:
        text = content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _fault(path, f"not readable as CSV in UTF-8 ({error})") from None
    fresh = not rows
    header = list((*COLUMNS, *BY_HAND)) if fresh else rows[0]
    wrong = [name for name in (*COLUMNS, *BY_HAND) if header.count(name) != 1]
    if wrong:
        raise _fault(
            path, f"column {', '.join(wrong)} must stand once in its first line, found {','.join(header)[:80]}"
        )
    wanted = same_run(line)
    if any(same_run(dict(zip(header, row, strict=False))) == wanted for row in rows[1:]):
        return b""
    end = "\r\n" if "\r\n" in text else "\n"
    stream = io.StringIO(newline="")
    if text and not text.endswith("\n"):
        stream.write(end)
    writer = csv.writer(stream, lineterminator=end)
    if fresh:
        writer.writerow(header)
    writer.writerow([harmless(line.get(name, "")) for name in header])
    return stream.getvalue().encode()


def same_run(line: Mapping[str, str]) -> tuple[str, ...]:
    """What tells runs apart; a spreadsheet may have written .5790 as 0.579."""
    cells = [(line.get(name) or "").strip() for name in SAME]
    return (*cells[:3], *(f"{float(cell):.4f}" if _is_number(cell) else cell for cell in cells[3:]))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def harmless(cell: str) -> str:
    """Text on one line that no spreadsheet takes for a formula."""
    cell = " ".join(str(cell).split())
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _fault(path: Path, found: str) -> DataFault:
    return DataFault(
        f"{path}: {found}; a log is comma-separated with the columns {', '.join((*COLUMNS, *BY_HAND))} and any others. "
        "Correct it, or move it away and a new one is begun; the run and its report stand"
    )
