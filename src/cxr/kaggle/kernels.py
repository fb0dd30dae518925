"""The two notebooks that run on Kaggle, made from the numbered ones and from the Makefile's list of stages.

No parameter can be passed to a notebook on Kaggle, so the profile and the overrides are written into them.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cxr.faults import DataFault
from cxr.paths import REPOSITORY

SUBMISSION = "11_submission"
# The first cell of both: the clock, then the code, which may be mounted as today or as in older notebooks, and one
# folder deeper where a zipped folder of the upload kept its name. Standard library only.
SETUP = """\
import os, sys, time
from pathlib import Path

os.environ.setdefault("CXR_SESSION_STARTED", repr(time.monotonic()))  # the nine hours count from here
mounts = Path(os.environ.get("CXR_KAGGLE_ROOT", "/kaggle")) / "input"
layouts = ("*", "datasets/*/*", "*/*", "datasets/*/*/*")
source = [path.parents[1] for layout in layouts for path in sorted(mounts.glob(layout + "/src/cxr/__init__.py"))]
assert source, f"no data set with the code (src/cxr) below {mounts}: attach it to this notebook (Add Input)"
sys.path.insert(0, str(source[0]))"""
START_SUBMISSION = """

from cxr.kaggle.session import begin_submission

working_dir = begin_submission(profile)"""
START_PIPELINE = """

from cxr.kaggle.session import begin_pipeline

working_dir = begin_pipeline(profile, overrides)"""
LOOK = """\
from cxr.inputs import look_at_tests
from cxr.workspace import open_workspace

found = look_at_tests(open_workspace(profile, overrides, input_dir, working_dir, submissions_dir))"""


# who needs lung masks says so when there are none; for all others a failed stage 06 must not cost the submission
LUNGS = "06_segment_lungs"


class Stage(NamedTuple):
    """A line of the Makefile's map: a numbered notebook and those that it follows."""

    name: str
    follows: tuple[str, ...]


def read_stages(makefile: Path = REPOSITORY / "Makefile") -> list[Stage]:
    """The numbered stages in order, from the Makefile. Raises DataFault when it lists none."""
    # those from 20 on stand beside the submission
    calls = re.findall(r"^\$\(eval \$\(call stage,([01]\d_[^,)]+),([^,)]*)", makefile.read_text(), re.M)
    if not calls:
        raise DataFault(f"{makefile}: lists no stage; build the bundle from a checkout of the project")
    return [Stage(name.strip(), tuple(follows.split())) for name, follows in calls]


def submission_notebook(notebooks: Path, profile: str) -> nbformat.NotebookNode:
    """The inference kernel: notebook 11 behind a setup cell and a first look at the test set.

    The setup cell stands after the parameters and gives `working_dir` its value; all other cells are those of 11.
    """
    own = nbformat.read(notebooks / f"{SUBMISSION}.ipynb", as_version=4)
    marked = [n for n, cell in enumerate(own.cells) if "parameters" in cell.metadata.get("tags", [])]
    if len(marked) != 1:
        raise DataFault(f"{notebooks / SUBMISSION}.ipynb: has {len(marked)} cells tagged 'parameters'; it needs one")
    before, parameters, after = own.cells[: marked[0]], own.cells[marked[0]], own.cells[marked[0] + 1 :]
    parameters.source = set_value(parameters.source, "profile", profile)
    title = new_markdown_cell(
        "# Chest X-ray submission\n\n"
        "Inference alone: trained models in, `submission.csv` out. Built by `make kaggle` from notebook "
        f"`{SUBMISSION}.ipynb`; needs the competition and the data sets of the code, the wheels and the weights, and "
        "no network. A first submission from class frequencies is there within a minute; every better one replaces it."
    )
    middle = [new_code_cell(SETUP + START_SUBMISSION), new_code_cell(LOOK)]
    return numbered("submission", [title, *before, parameters, *middle, *after])


def pipeline_notebook(stages: list[Stage], profile: str, overrides: str) -> nbformat.NotebookNode:
    """The kernel that trains and submits: a cell for each numbered notebook, so that each one's output is seen."""
    title = new_markdown_cell(
        "# Chest X-ray pipeline\n\n"
        "From raw DICOM to `submission.csv` in one session: the numbered notebooks one after another, each within its "
        "share of the nine hours. The executed notebooks with their figures lie in the output, in "
        f"`{profile}/runs/`. Attach the output of an earlier session as input, and its finished folds are kept."
    )
    parameters = new_code_cell(f"profile = {profile!r}\noverrides = {overrides!r}", metadata={"tags": ["parameters"]})
    begin = new_code_cell(
        "from cxr.kaggle.pipeline import Pipeline\n\npipeline = Pipeline(profile, overrides, working_dir)"
    )
    cells = [new_code_cell(_call(stage)) for stage in stages]
    last = new_code_cell("pipeline.finish()")
    words = new_markdown_cell("A stage that fails is named here; the submission that lay there before it still counts.")
    return numbered("pipeline", [title, parameters, new_code_cell(SETUP + START_PIPELINE), begin, *cells, last, words])


def _call(stage: Stage) -> str:
    return f"pipeline.run({stage.name!r}, follows={tuple(name for name in stage.follows if name != LUNGS)!r})"


def set_value(source: str, name: str, value: str) -> str:
    """Parameters with another value for one name; its comment stays. Raises DataFault when the name is not there."""
    pattern = re.compile(rf"^{name} = (\"[^\"]*\"|'[^']*'|\S+)", re.M)
    if not pattern.search(source):
        raise DataFault(f"no parameter {name!r} in: {source.splitlines()[:1]}; notebook {SUBMISSION} must have it")
    return pattern.sub(lambda _: f"{name} = {json.dumps(value)}", source, count=1)


def numbered(name: str, cells: list) -> nbformat.NotebookNode:
    """A notebook of these cells for the kernel `python3`, without outputs, with the same ids at every build."""
    for number, cell in enumerate(cells):
        cell["id"] = f"{name}-{number:02d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def write_notebook(notebook: nbformat.NotebookNode, path: Path) -> Path:
    """Write a checked notebook as the numbered ones are written: indent 1, one newline at the end."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return path
