"""The page as a whole: head, parts, and a file that appears whole or not at all."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault
from cxr.report.audit import shortcuts, subgroups
from cxr.report.calibration import calibration
from cxr.report.cases import cases
from cxr.report.classes import classes
from cxr.report.curves import curves, roc
from cxr.report.examples import examples
from cxr.report.head import banner, facts, headline
from cxr.report.lungs import lungs
from cxr.report.manifest import identity
from cxr.report.out_of_fold import detectors, studies
from cxr.report.page import Html, Section, absent, document
from cxr.report.results import blend, pretraining, score
from cxr.report.timeline import times
from cxr.report.trainings import failures, learning, provenance
from cxr.report.where import where
from cxr.report.worth import beside_baseline, beside_plain, choices
from cxr.workspace import Workspace


class Part(NamedTuple):
    """A section before its content is known: `look` says what to look for."""

    anchor: str
    title: str
    look: str
    blocks: Callable[[RunFiles], list[Html]]


PARTS = (
    Part(
        "score",
        "Score of the submission",
        "Look for classes whose interval stands clear of the baseline's (which knows mean boxes, thumbnails and header "
        "fields), and for a test score far below the one out of fold.",
        score,
    ),
    Part(
        "classes",
        "Class by class",
        "Look for classes with few positives, whose figures mean little, and for thresholds that change from fold to "
        "fold.",
        classes,
    ),
    Part(
        "boxes",
        "Boxes out of fold",
        "Look for how far the two averages lie apart: on all images a detector pays for every alarm on healthy lungs, "
        "on boxed images only it does not. The first is what the competition counts.",
        detectors,
    ),
    Part(
        "studies",
        "Studies out of fold",
        "Look for classes whose interval reaches down to their share of the studies, which is what guessing gets, and "
        "in the matrix for what indeterminate and atypical are taken for.",
        studies,
    ),
    Part(
        "curves",
        "Precision and recall",
        "Look at the left end: precision that starts low means confident mistakes, and these cost most.",
        curves,
    ),
    Part(
        "roc",
        "ROC curves",
        "Look at the left end: how many true ones are found while hardly any other is taken for one.",
        roc,
    ),
    Part(
        "calibration",
        "Calibration",
        "Look for lines below the dotted one at high scores: there the model is surer than it may be.",
        calibration,
    ),
    Part(
        "pictures",
        "Pictures drawn by lot",
        "Look for amber boxes on hearts, devices and markers, and for green boxes without an amber one.",
        examples,
    ),
    Part(
        "cases",
        "Good and bad cases",
        "Look for what the worst have in common: a device, a border, a view, a label that may itself be wrong.",
        cases,
    ),
    Part(
        "where",
        "Where the models look",
        "Look for models with hardly more of their heat inside the lungs than even heat has (times near 1): however "
        "high their scores, they found something else than disease.",
        where,
    ),
    Part(
        "lungs",
        "Lungs",
        "Look for classes whose lungs are believed less often or deformed more often: what looks at lungs alone would "
        "lose their findings.",
        lungs,
    ),
    Part(
        "blend",
        "Fusion and blending",
        "Look for steps whose interval contains 0: what they gained may be chance.",
        blend,
    ),
    Part(
        "subgroups",
        "Groups of patients",
        "Look for groups that are served worse than the rest, and for groups too small to know.",
        subgroups,
    ),
    Part(
        "shortcuts",
        "Shortcuts",
        "Look for anything red: a label that can be told without looking at the lungs will be told that way.",
        shortcuts,
    ),
    Part(
        "pretraining",
        "Pretraining on and off",
        "Look for gains whose interval lies above 0; where it lies below, pretraining did harm.",
        pretraining,
    ),
    Part(
        "choices",
        "Single choices on and off",
        "Look for gains whose interval lies above 0, and remember that of ten lines one or two stand clear by chance.",
        choices,
    ),
    Part(
        "baseline",
        "Beside the trivial baseline, out of fold",
        "Look for classes that thumbnails and header fields tell as well: there the run may know no more than they do.",
        beside_baseline,
    ),
    Part(
        "plain",
        "Beside a plain training",
        "Look for a gain whose interval lies above 0 at about the same CPU seconds; one seed alone may be luck.",
        beside_plain,
    ),
    Part(
        "learning",
        "Learning curves",
        "Losses should still fall at the end or have come to rest; a held-out loss (dashed) that rises "
        "while the other falls means learning by heart.",
        learning,
    ),
    Part(
        "timeline",
        "Time line",
        "Look for the one stage that is worth making faster, for what was left out for lack of time, and for a last "
        "submission that came close to the end.",
        times,
    ),
    Part(
        "provenance",
        "What the models learned from",
        "Look for random starting weights, for trainings that the clock cut short, and for more than one commit.",
        provenance,
    ),
    Part(
        "manifest",
        "The run's manifest",
        "Look for whether two pages are about the same thing: the same input, settings and submission have the same "
        "digests.",
        identity,
    ),
    Part(
        "failures",
        "What failed and what was left out",
        "Look for a reason that stands there many times: one bad file is bad luck, many are a fault of the reader.",
        failures,
    ),
)


def write_report(workspace: Workspace) -> Path:
    """Write `report.html` from the files of the run, whatever of them is there; returns its path.

    An absent file is said to be absent where it belongs; a broken one is named where it was wanted; the rest stands.
    """
    files = RunFiles(workspace)
    sections = [Section(part.anchor, part.title, part.look, made(part.blocks, files)) for part in PARTS]
    foot = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by stage 12 from the files of the run."
    head = [block for blocks in (banner, headline, facts) for block in made(blocks, files)]
    page = document(f"Report of profile {files.profile.name}", head, sections, foot)
    return replace_text(page, workspace.places.report)


def made(blocks: Callable[[RunFiles], list[Html]], files: RunFiles) -> list[Html]:
    """The blocks, or which file they could not be made from, without this machine's folders."""
    try:
        return blocks(files)
    except DataFault as fault:
        words = str(fault).replace(f"{files.places.root}{os.sep}", "")
        return absent(f"This part could not be made. {words}")


def replace_text(page: str, path: Path) -> Path:
    """Write a page atomically: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
