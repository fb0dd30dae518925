"""Whether a rehearsed session passes: its submission beside the local models', its versions beside Kaggle's."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cxr.data.siim import SLUG
from cxr.faults import DataFault
from cxr.kaggle.rehearsal.compare import Comparison, compare_submissions, rows_of
from cxr.kaggle.rehearsal.environment import Environment, differing_versions, read_pins
from cxr.kaggle.rehearsal.hidden import Planted, ids_of
from cxr.kaggle.rehearsal.isolation import Isolation
from cxr.kaggle.rehearsal.session import Session
from cxr.kaggle.unpack import MANIFEST
from cxr.submission_format import validate

SAMPLE = "sample_submission.csv"
SHOWN = 3  # faults of a kind in the table


@dataclass(frozen=True)
class Case:
    """A session to rehearse: which mounts, and whether the test set is swapped."""

    name: str
    layout: str
    rerun: bool


@dataclass
class Result:
    """What came of a case; no problems: passed."""

    case: Case
    problems: list[str] = field(default_factory=list)
    session: Session | None = None
    comparison: Comparison | None = None
    rows: int = 0


@dataclass(frozen=True)
class Setting:
    """What all cases share."""

    bundle: Path
    run: Path
    competition: Path
    hidden: Path | None
    out: Path
    walls: Isolation
    python: Environment


def wanted_versions(bundle: Path) -> dict[str, str]:
    """Version by package: what Kaggle's image has, and what the wheels of the bundle add."""
    wheels = json.loads((bundle / "wheels" / MANIFEST).read_text())["packages"]
    return {**read_pins(bundle / "code" / "requirements-kaggle.txt"), **wheels}


def version_problems(session: Session, setting: Setting) -> list[str]:
    """Packages that the kernel had in other versions than there; nothing to say of our own environment.

    A kernel that never got so far had what its environment has.
    """
    if not setting.python.is_kaggles:
        return []
    packages = session.kernel.get("packages")
    if packages is None:
        pins = read_pins(setting.bundle / "code" / "requirements-kaggle.txt")
        return differing_versions(pins, setting.python.packages)
    return differing_versions(wanted_versions(setting.bundle), packages)


def judge_submission(
    result: Result, entries: dict[str, Path], planted: list[Planted], setting: Setting, folder: Path
) -> None:
    """Valid against the sample of this case, and equal to what the local models say."""
    if not result.session.submission.is_file():
        result.problems.append("no submission.csv in Kaggle's working folder")
        return
    kept = shutil.copy2(result.session.submission, folder / "submission.csv")
    faults = validate(kept, entries[SAMPLE])
    result.problems += [f"submission.csv: {fault}" for fault in faults[:SHOWN]]
    result.rows = len(ids_of(entries[SAMPLE]))
    if faults:
        return
    local = predict_here(entries, setting, folder)
    spared = rows_of([fault.study_id for fault in planted], [fault.image_id for fault in planted])
    result.comparison = compare_submissions(kept, local, spared)
    local.unlink()
    differing = result.comparison.differing
    if differing:
        remedy = "if the run is newer than the bundle, `make kaggle` builds it again"
        result.problems.append(f"differs from the local models in {len(differing)} rows; {remedy}")
    result.problems += differing[:SHOWN]


def predict_here(entries: dict[str, Path], setting: Setting, folder: Path) -> Path:
    """What the local models say about the same files, by `python -m cxr submit` in a process of its own."""
    local, out = folder / "local" / SLUG, folder / "local.csv"
    local.mkdir(parents=True)
    for name, source in entries.items():
        (local / name).symlink_to(source.resolve())
    command = [sys.executable, "-m", "cxr", "submit", str(local), str(out), "--run", str(setting.run)]
    session = ("CXR_KAGGLE_ROOT", "CXR_SESSION_STARTED")
    environment = {name: value for name, value in os.environ.items() if name not in session}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    shutil.rmtree(folder / "local")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise DataFault(f"{setting.run}: the local models cannot predict this test set ({last})")
    return out


def record(result: Result, planted: list[Planted], setting: Setting) -> dict:
    """report.json of a case."""
    session, kernel = result.session, result.session.kernel
    pins, packages = wanted_versions(setting.bundle), kernel.get("packages", {})
    return {
        "case": result.case.name,
        "passed": not result.problems,
        "problems": result.problems,
        "mounts": result.case.layout,
        "rerun": result.case.rerun,
        "isolation": setting.walls.words,
        "walls": session.facts,
        "network_tries": sorted(set(session.network_tries)),
        "environment": setting.python.note or str(setting.python.python),
        "python": kernel.get("python"),
        "code": kernel.get("cxr"),
        "gpus": kernel.get("gpus"),
        "packages": {name: packages.get(name) for name in sorted(pins)},
        "versions_that_differ": differing_versions(pins, packages),
        "seconds": session.seconds,
        "bytes_left": session.sizes,
        "rows": result.rows,
        "planted": [vars(fault) for fault in planted],
        "comparison": result.comparison.as_record() if result.comparison else None,
    }


def print_table(results: list[Result]) -> None:
    """A line a case, then its problems."""
    heads = ("passed", "rows", "boxes", "score off", "box off px", "seconds", "left MB")
    print(f"{'case':<10}" + "".join(f"{head:>11}" for head in heads))
    for result in results:
        found, session = result.comparison or Comparison(), result.session
        cells = ("no" if result.problems else "yes", found.rows, found.boxes, f"{found.largest_score:.1e}")
        cells += (f"{found.largest_pixels:.2f}", f"{session.seconds:.0f}", f"{session.sizes['working'] / 1e6:.1f}")
        print(f"{result.case.name:<10}" + "".join(f"{cell:>11}" for cell in cells))
    for result in results:
        for problem in result.problems:
            print(f"{result.case.name}: {problem}", file=sys.stderr)
