"""The whole pipeline inside one Kaggle session: the numbered notebooks in order, and a submission whatever happens.

Kaggle counts a notebook that ends with an error as failed and throws its submission away. So a stage that fails is
told, what follows it is left out, and the notebook goes on to its end; only before the first submission is a failure
final.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from cxr.budget import SACRIFICE
from cxr.data.siim import find_competition
from cxr.faults import DataFault
from cxr.kaggle.session import find_notebooks
from cxr.run_notebook import run_notebook
from cxr.submission_format import validate
from cxr.workspace import Workspace, open_workspace


class Pipeline:
    """One session's stages; `run` each of them in order, then `finish`."""

    def __init__(self, profile: str, overrides: str, working_dir: str):
        # a copy, since libraries write into the folder that a notebook runs in, and Kaggle's mounts are read-only
        self.notebooks = Path(tempfile.mkdtemp(prefix="cxr-notebooks-")) / "notebooks"
        self.notebooks.mkdir()
        for path in find_notebooks().glob("*.ipynb"):
            shutil.copyfile(path, self.notebooks / path.name)
        self.profile, self.overrides, self.working_dir = profile, overrides, working_dir
        self.failed: dict[str, str] = {}  # stage: why
        self.left_out: dict[str, str] = {}

    def run(self, stage: str, follows: tuple[str, ...] = ()) -> None:
        """Run one numbered notebook, unless a stage that it follows is missing or the time is over.

        Raises what the stage raised as long as no submission is there.
        """
        run = self._open()
        reason = self._obstacle(run, stage, follows)
        if reason:
            self.left_out[stage] = reason
            run.clock.tell(SACRIFICE, f"stage {stage} is left out: {reason}")
            return
        try:
            run_notebook(self.notebooks / f"{stage}.ipynb", run.places.runs / f"{stage}.ipynb", self._parameters())
        except Exception as error:  # whatever it was, the submission that lies there must still count
            if not run.places.submission.is_file():
                raise
            self.failed[stage] = _last_line(error)
            print(f"stage {stage} FAILED: {error}\n{run.places.submission} stays as it is", file=sys.stderr, flush=True)

    def _obstacle(self, run: Workspace, stage: str, follows: tuple[str, ...]) -> str:
        lacking = [name for name in follows if name in self.failed or name in self.left_out]
        if lacking:
            return f"it follows {', '.join(lacking)}, which did not finish"
        # trainings without time still leave a model of one batch; what is after the end of the hours does not count
        if run.places.submission.is_file() and run.clock.left_for_submission <= 0:
            return f"the {run.profile.budget.hours:g} hours are over"
        return ""

    def finish(self) -> Path:
        """Check the submission, name what went wrong, return the submission's path.

        Raises DataFault only when the file is missing or not valid: then nothing is lost by a failed notebook.
        """
        run = self._open()
        submission, sample = run.places.submission, find_competition(run.places.input) / "sample_submission.csv"
        faults = validate(submission, sample) if submission.is_file() else ["it is not there"]
        if faults:
            more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise DataFault(f"{submission}: no valid submission ({faults[0]}{more}); the stages above say why")
        for stage, reason in self.failed.items():
            print(f"!!! stage {stage} FAILED: {reason}")
        for stage, reason in self.left_out.items():
            print(f"!!! stage {stage} was left out: {reason}")
        if "11_submission" in self.failed or "11_submission" in self.left_out:
            print("!!! the submission is an earlier one: class frequencies, or what the models had done until then")
        print(f"{submission}: valid; {run.clock.used / 3600:.2f} of {run.profile.budget.hours:g} hours used")
        return submission

    def _open(self) -> Workspace:
        return open_workspace(self.profile, self.overrides, "", self.working_dir, self.working_dir)

    def _parameters(self) -> dict[str, str]:
        return {
            "profile": self.profile,
            "overrides": self.overrides,
            "input_dir": "",
            "working_dir": self.working_dir,
            "submissions_dir": self.working_dir,
        }


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__
