"""The optional case `pipeline`: two sessions that train and submit, the second with the first one's output attached.

A phantom of its own and settings of a minute: what is tried is the way through the nine hours, not the models.
"""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from cxr.data.siim import SLUG
from cxr.kaggle.kernels import pipeline_notebook, read_stages, write_notebook
from cxr.kaggle.rehearsal.judge import Case, Result, Setting, judge_submission, record, version_problems
from cxr.kaggle.rehearsal.session import clear_scratch, run_session
from cxr.kaggle.rehearsal.tree import NEW, Bind, binds_of, competition_entries, datasets_of, mount_point, remove_tree
from cxr.phantom.datasets import make_phantom
from cxr.workspace import write_json

PROFILE, STUDIES, SEED = "demo", 48, 7002
TINY = (
    "nih.epochs=1 rsna.yolo_epochs=1 rsna.faster_rcnn_epochs=1 lungs.epochs=2 yolo.epochs=2 faster_rcnn.epochs=1 "
    "study.epochs=2 fusion.resamples=100"
)
OWNER, KERNEL = "somebody", "cxr-pipeline"
FIRST, SECOND = Case("pipeline", NEW, rerun=False), Case("resumed", NEW, rerun=False)


def rehearse_pipeline(setting: Setting) -> list[Result]:
    """A first session from nothing and a second that finds its folds. Both must submit; the models stay as they are."""
    folder = setting.out / FIRST.name
    remove_tree(folder)
    folder.mkdir()
    print(f"[{FIRST.name}] a phantom of {STUDIES} studies, profile {PROFILE} with {TINY}", flush=True)
    make_phantom(folder / "phantom", STUDIES, SEED)
    notebook = write_notebook(pipeline_notebook(read_stages(), PROFILE, TINY), folder / "pipeline.ipynb")
    earlier, results = folder / "earlier", []
    try:
        for case in (FIRST, SECOND):
            results.append(one_session(case, setting, notebook, folder, earlier if case is SECOND else None))
            if case is FIRST:
                shutil.move(results[0].session.kaggle / "working", earlier)
            clear_scratch(results[-1].session.kaggle)
            if results[-1].problems:
                break
    finally:
        for name in ("phantom", "earlier", "kaggle"):
            remove_tree(folder / name)
    return results


def one_session(case: Case, setting: Setting, notebook: Path, folder: Path, earlier: Path | None) -> Result:
    """Run the pipeline kernel; `earlier` is the working folder of a first session, attached as its output."""
    phantom, kaggle, results = folder / "phantom" / "input", folder / "kaggle", folder / case.name
    results.mkdir()
    entries = competition_entries(phantom / SLUG, None)
    binds = binds_of(kaggle / "input", case.layout, entries, datasets_of(setting.bundle, ("code", "wheels")))
    others = [path for path in sorted(phantom.iterdir()) if path.is_dir() and path.name != SLUG]
    binds += [Bind(path, mount_point(kaggle / "input", case.layout, path.name, OWNER)) for path in others]
    if earlier:
        binds.append(Bind(earlier, kaggle / "input" / "notebooks" / OWNER / KERNEL))
    session = run_session(notebook, kaggle, binds, results, case.rerun, setting.walls, setting.python)
    result = Result(case, session.problems(setting.walls), session)
    result.problems += version_problems(session, setting)
    trained_here = replace(setting, run=kaggle / "working" / PROFILE)
    if not result.problems:
        judge_submission(result, entries, [], trained_here, results)
    if earlier and not result.problems:
        result.problems += retrained(earlier / PROFILE, kaggle / "working" / PROFILE)
    write_json(record(result, [], setting), results / "report.json")
    print(f"[{case.name}] {session.seconds:.0f} s", flush=True)
    return result


def retrained(before: Path, after: Path) -> list[str]:
    """Folds that the second session did not take over, a line each."""
    weights = sorted(path.relative_to(before) for path in before.glob("models/*/fold_*/weights.pt"))
    if not weights:
        return ["the first session left no weights of folds"]
    return [f"{path.parent} was trained again" for path in weights if _digest(before / path) != _digest(after / path)]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
