"""`make kaggle`: everything that Kaggle needs, checked, in one folder, with the commands that upload it.

    code/ wheels/ weights/    datasets, private
    submission/ pipeline/     kernels: inference alone; train and submit
    commands.txt              the exact `kaggle` commands

Competition data never travels, nor a table of training images, nor a path of this machine.
"""

import argparse
import os
import re
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

from cxr import provenance
from cxr.data.siim import SLUG as COMPETITION
from cxr.faults import DataFault
from cxr.kaggle.check import bundle_faults
from cxr.kaggle.commands import DATASETS, commands_text
from cxr.kaggle.kernels import pipeline_notebook, read_stages, submission_notebook, write_notebook
from cxr.kaggle.metadata import slug_of, write_dataset, write_kernel
from cxr.kaggle.show import refuse, tell
from cxr.kaggle.weights import START, missing_parts, pack_run, pack_starting_weights
from cxr.kaggle.wheels import pack_wheels, wheel_licences
from cxr.paths import REPOSITORY
from cxr.profiles import PROFILES, load_profile

NOBODY = "your-kaggle-name"  # stands in for the user until one is named; a valid name, so that the rest can be checked
TITLES = {
    "code": "CXR code",
    "wheels": "CXR wheels",
    "weights": "CXR weights",
    "submission": "CXR submission",
    "pipeline": "CXR pipeline",
}
TERMS = (
    "AGPL-3.0, since ultralytics is. Trained on data that may be used for non-commercial purposes only. No images, no "
    "labels. For research; no medical device."
)


@dataclass(frozen=True)
class Wanted:
    """What to build: the arguments of the command."""

    profile: str
    working: Path
    input: Path
    out: Path
    user: str = NOBODY
    pipeline_profile: str = "kaggle"
    pipeline_overrides: str = ""
    pythons: tuple[str, ...] = ("3.12", "3.13")
    wheels: bool = True
    cache: Path | None = None  # of wheels; None: working/wheels
    datasets: tuple[str, ...] = ()  # further inputs of the pipeline: owner/slug
    competitions: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    repository: Path = REPOSITORY

    @property
    def run(self) -> Path:
        return self.working / self.profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--profile P --working DIR --input DIR --out DIR [--user NAME] [...]`."""
    parser.add_argument("--profile", default="demo", choices=sorted(PROFILES), help="the finished run to take along")
    parser.add_argument("--working", type=absolute, default=absolute("working"))
    parser.add_argument("--input", type=absolute, default=absolute("input"), help="its weights/ holds starting weights")
    parser.add_argument("--out", type=absolute, default=absolute("dist/kaggle"))
    parser.add_argument("--user", default=os.environ.get("KAGGLE_USERNAME") or NOBODY, help="your name on Kaggle")
    parser.add_argument("--pipeline-profile", default="kaggle", choices=sorted(PROFILES))
    parser.add_argument("--pipeline-overrides", default="", help='settings as in SET="..."')
    pythons = {"dest": "pythons", "default": ["3.12", "3.13"], "metavar": "3.X", "type": python_version}
    parser.add_argument("--python", nargs="+", help="Pythons to pack wheels for (default 3.12 3.13)", **pythons)
    parser.add_argument("--no-wheels", dest="wheels", action="store_false", help="leave the wheels out")
    parser.add_argument("--cache", type=Path, help="folder of fetched wheels (default WORKING/wheels)")
    parser.add_argument("--datasets", nargs="*", default=[], metavar="OWNER/SLUG", help="more inputs of the pipeline")
    parser.add_argument("--competitions", nargs="*", default=[], metavar="SLUG", help="more inputs of the pipeline")
    parser.add_argument("--kernels", nargs="*", default=[], metavar="OWNER/SLUG", help="earlier sessions, as inputs")


def absolute(text: str) -> Path:
    """A folder by its whole name: the bundle is searched for it."""
    return Path(text).resolve()


def python_version(text: str) -> str:
    """`3.12`, as pip and the tags of wheels want it."""
    if not re.fullmatch(r"3\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version like 3.12")
    return text


def main(args: argparse.Namespace) -> int:
    """Build the bundle; exit code 1 when wheels are missing or a rule is broken."""
    return build(Wanted(**{field.name: getattr(args, field.name) for field in fields(Wanted) if field.name in args}))


def build(wanted: Wanted) -> int:
    """Build into a folder beside `out`, check it, put it in place, show it. Returns the exit code.

    1: wheels are missing, and the rest is there; or a rule is broken, and `out` stays as it was.
    """
    load_profile(wanted.pipeline_profile, wanted.pipeline_overrides)
    if wanted.out.exists() and not (wanted.out / "commands.txt").is_file() and any(wanted.out.iterdir()):
        raise DataFault(f"{wanted.out}: holds something else, which a bundle would replace; name an empty folder")
    partial = wanted.out.with_name(f".{wanted.out.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        pack_code(wanted, partial / "code")
        missing = pack_all_wheels(wanted, partial / "wheels") if wanted.wheels else []
        notes = pack_weights(wanted, partial / "weights")
        pack_kernels(wanted, partial)
        (partial / "commands.txt").write_text(commands_text(partial, TITLES, wanted.user))
        faults = bundle_faults(partial, [wanted.repository, wanted.working, wanted.input, Path.home()])
        if faults:
            refuse(faults, partial, wanted.out)
            return 1
        shutil.rmtree(wanted.out, ignore_errors=True)
        os.replace(partial, wanted.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if wanted.user == NOBODY:
        notes.append(f"no Kaggle name given, the metadata say {NOBODY!r}; build again with KAGGLE_USER=name to upload")
    tell(wanted.out, missing, notes)
    return 1 if missing else 0


def pack_code(wanted: Wanted, out: Path) -> None:
    """The package, the numbered notebooks, the licence, the list of what the image holds, and the commit."""
    repository, unwanted = wanted.repository, shutil.ignore_patterns("__pycache__", "*.nb[ci]", ".*")
    shutil.copytree(repository / "src" / "cxr", out / "src" / "cxr", ignore=unwanted)
    (out / "src" / "cxr" / provenance.RECORD).write_text(provenance.commit() + "\n")
    (out / "notebooks").mkdir()
    for path in sorted((repository / "notebooks").glob("[01][0-9]_*.ipynb")):
        shutil.copyfile(path, out / "notebooks" / path.name)
    for name in ("LICENSE", "README.md", "requirements-kaggle.txt"):
        shutil.copyfile(repository / name, out / name)
    subtitle = "Chest X-ray pipeline: the Python package and its notebooks"
    described = f"Source of the package cxr, commit {provenance.commit()}. AGPL-3.0."
    write_dataset(out, wanted.user, TITLES["code"], subtitle, "AGPL-3.0", described)


def pack_all_wheels(wanted: Wanted, out: Path) -> list[str]:
    """Wheels and their metadata; lines of what is missing. The dataset's licence is `other`: each wheel has its own."""
    cache = wanted.cache or wanted.working / "wheels"
    missing = pack_wheels(wanted.repository / "requirements-wheels.txt", list(wanted.pythons), cache, out)
    licences = "\n".join(f"- {name}: {licence}" for name, licence in wheel_licences(out).items())
    described = f"Python packages that Kaggle's image lacks, unchanged from PyPI. Licence of each:\n{licences}"
    subtitle = "Python wheels that the chest X-ray notebooks need offline"
    write_dataset(out, wanted.user, TITLES["wheels"], subtitle, "other", described)
    return missing


def pack_weights(wanted: Wanted, out: Path) -> list[str]:
    """The models of the run, if it is finished, and starting weights for trainings; lines for the user."""
    out.mkdir(parents=True)
    lacking = missing_parts(wanted.run)
    if lacking:
        notes = [f"no finished run in {wanted.run} ({lacking[0]}): no models, no submission kernel; `make all` first"]
    else:
        notes = pack_run(wanted.run, out)
    described = "".join(f" {note}." for note in notes)
    if wanted.input.is_dir():
        notes += pack_starting_weights(wanted.input, out, wanted.pipeline_profile, wanted.pipeline_overrides)
    if not any(out.iterdir()):
        out.rmdir()
        return [*notes, "no weights dataset: neither models nor starting weights"]
    shutil.copyfile(wanted.repository / "LICENSE", out / "LICENSE")
    subtitle = "Trained weights of the chest X-ray pipeline"
    write_dataset(out, wanted.user, TITLES["weights"], subtitle, "AGPL-3.0", TERMS + described)
    return notes


def pack_kernels(wanted: Wanted, out: Path) -> None:
    """Both kernels, or the pipeline alone where no models are."""
    ours = {part: f"{wanted.user}/{slug_of(TITLES[part])}" for part in DATASETS if (out / part).is_dir()}
    if (out / "weights" / wanted.profile).is_dir():
        notebook = submission_notebook(wanted.repository / "notebooks", wanted.profile)
        write_notebook(notebook, out / "submission" / "submission.ipynb")
        title = TITLES["submission"]
        write_kernel(out / "submission", wanted.user, title, "submission.ipynb", list(ours.values()), [COMPETITION], [])
    stages = read_stages(wanted.repository / "Makefile")
    notebook = pipeline_notebook(stages, wanted.pipeline_profile, wanted.pipeline_overrides)
    write_notebook(notebook, out / "pipeline" / "pipeline.ipynb")
    if not (out / "weights" / START).is_dir():
        ours.pop("weights", None)  # trained models are nothing that a training reads
    datasets, competitions = [*ours.values(), *wanted.datasets], [COMPETITION, *wanted.competitions]
    title = TITLES["pipeline"]
    write_kernel(out / "pipeline", wanted.user, title, "pipeline.ipynb", datasets, competitions, list(wanted.kernels))
