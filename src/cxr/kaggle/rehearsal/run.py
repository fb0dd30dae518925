"""`make rehearse`: run the built kernel as Kaggle would, on the visible test set and on a hidden one, and compare.

Command: `python -m cxr rehearse`. A case passes when the kernel ran to its end behind its walls, its submission is
valid against that case's sample file, and every row outside planted faults equals what the local models say. Each
leaves `<working>/rehearse/<case>/`: submission.csv, log.txt, the executed notebook, report.json.
"""

import argparse
import json
from pathlib import Path

from cxr.data.siim import find_competition
from cxr.faults import DataFault
from cxr.kaggle.rehearsal.environment import find_environment
from cxr.kaggle.rehearsal.hidden import Planted, ids_of, make_hidden, plant_faults
from cxr.kaggle.rehearsal.isolation import find_isolation
from cxr.kaggle.rehearsal.judge import (
    SAMPLE,
    Case,
    Result,
    Setting,
    judge_submission,
    print_table,
    record,
    version_problems,
)
from cxr.kaggle.rehearsal.pipeline import rehearse_pipeline
from cxr.kaggle.rehearsal.session import clear_scratch, log_tail, run_session
from cxr.kaggle.rehearsal.tree import NEW, OLD, binds_of, competition_entries, datasets_of, remove_tree
from cxr.workspace import write_json

MORE_STUDIES = 5  # a hidden test set of another size: so many studies more than half of the visible ones
MOST_STUDIES = 40  # drawn for a rehearsal
DATASETS = ("code", "wheels", "weights")
NEEDED = ("submission/submission.ipynb", *DATASETS)  # of the bundle
CASES = {case.name: case for case in (Case("visible", NEW, rerun=False), Case("hidden", OLD, rerun=True))}
PIPELINE = "pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A finished run, its bundle, the visible and the hidden test set, and the Python to run the kernel with."""
    parser.add_argument("--profile", default="demo", help="profile of the finished run (default %(default)s)")
    parser.add_argument("--working", type=Path, default=Path("working"))
    parser.add_argument("--input", type=Path, default=Path("input"), help="where the competition's data lies")
    parser.add_argument("--hidden", type=Path, help="a Kaggle-shaped folder whose test set is the hidden one")
    parser.add_argument("--bundle", type=Path, default=Path("dist/kaggle"), help="what `make kaggle` built")
    parser.add_argument("--python", type=Path, default=Path(".venv-kaggle/bin/python"), help="made by setup_kaggle.sh")
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=[*CASES, PIPELINE],
        default=list(CASES),
        help=f"{PIPELINE}: train and submit on a small phantom, twice (default {' '.join(CASES)})",
    )


def main(args: argparse.Namespace) -> int:
    """Rehearse every case, print a table; 1 when one fails."""
    setting = prepare(args)
    results = [rehearse(CASES[name], setting) for name in args.cases if name in CASES]
    if PIPELINE in args.cases:
        results += rehearse_pipeline(setting)
    print_table(results)
    return 1 if any(result.problems for result in results) else 0


def prepare(args: argparse.Namespace) -> Setting:
    """Look at everything that is needed before the first minute is spent. Raises DataFault."""
    bundle, run = args.bundle.resolve(), (args.working / args.profile).resolve()
    missing = [name for name in NEEDED if not (bundle / name).exists()]
    if missing:
        raise DataFault(f"{bundle}: no {', '.join(missing)} there; run `make kaggle` first (a finished run is needed)")
    if not (run / "profile.json").is_file():
        raise DataFault(
            f"{run}: no finished run to compare with; run `make all` first, or name --working and --profile"
        )
    out = (args.working / "rehearse").resolve()
    out.mkdir(parents=True, exist_ok=True)
    python, walls = find_environment(args.python.absolute()), find_isolation(out)
    print(f"environment: {python.note or f'Python {python.version} with the versions of the image, {python.python}'}")
    print(f"isolation: {walls.words}")
    hidden = find_competition(args.hidden).resolve() if args.hidden else None
    return Setting(bundle, run, find_visible(args.input, run), hidden, out, walls, python)


def find_visible(input_dir: Path, run: Path) -> Path:
    """The competition's folder below `input_dir`, or that of the run (its phantom) when there is none."""
    try:
        return find_competition(input_dir).resolve()
    except DataFault:
        record = json.loads((run / "inputs.json").read_text()) if (run / "inputs.json").is_file() else {}
        folder = Path(record.get("competition", ""))
        if not (folder / SAMPLE).is_file():
            raise
        print(f"no competition below {input_dir}: the {record['data']} data of the run is taken, {folder}")
        return folder


def rehearse(case: Case, setting: Setting) -> Result:
    """One case from the tree to the comparison; what went wrong is in the result, in words."""
    folder = setting.out / case.name
    remove_tree(folder)
    folder.mkdir()
    print(f"[{case.name}] {case.layout} mounts", flush=True)
    hidden, planted = hidden_set(setting, folder / "drawn") if case.rerun else (None, [])
    entries = competition_entries(setting.competition, hidden)
    binds = binds_of(folder / "kaggle" / "input", case.layout, entries, datasets_of(setting.bundle, DATASETS))
    notebook = setting.bundle / "submission" / "submission.ipynb"
    try:
        session = run_session(notebook, folder / "kaggle", binds, folder, case.rerun, setting.walls, setting.python)
        result = Result(case, session.problems(setting.walls), session)
        result.problems += version_problems(session, setting)
        judge_submission(result, entries, planted, setting, folder)
    finally:
        clear_scratch(folder / "kaggle")
        remove_tree(folder / "drawn")
    write_json(record(result, planted, setting), folder / "report.json")
    known = session.error.startswith("DataFault")  # says all that there is to say
    for line in log_tail(folder / "log.txt") if session.error and not known else ():
        print(f"[{case.name}] | {line}")
    return result


def hidden_set(setting: Setting, folder: Path) -> tuple[Path, list[Planted]]:
    """The user's hidden test set as it is, or a drawn one with two broken files. None of its rows may be visible."""
    visible = ids_of(setting.competition / SAMPLE)
    if setting.hidden:
        return setting.hidden, []
    studies = sum(row_id.endswith("_study") for row_id in visible)
    size = min(MOST_STUDIES, studies // 2 + MORE_STUDIES)
    hidden = make_hidden(folder, size + (size == studies))
    seen = visible & ids_of(hidden / SAMPLE)
    if seen:
        raise DataFault(f"{hidden}: {len(seen)} ids of the hidden test set are visible ones; take another seed")
    return hidden, plant_faults(hidden)
