"""Stage 11 and `python -m cxr submit`: stream the test DICOMs through the trained models into a valid submission.

One bad file never loses the run: its row gets the fallback prediction, and the summary says so. Inside a run the clock
decides how much is predicted (`prediction.schedule`); each better submission replaces the one before.
"""

import argparse
from pathlib import Path

import pandas as pd

from cxr.boxes import scale_xyxy
from cxr.budget import SUBMISSION, Clock, endless
from cxr.data.prepare import read_priors
from cxr.data.siim import find_competition, prediction_table, read_sample
from cxr.faults import DataFault
from cxr.images.dicom import read_header
from cxr.images.pool import worker_count
from cxr.labels import STUDY_CLASSES, UNIT_BOX, Prediction
from cxr.prediction.feed import Feed, decoded_blocks
from cxr.prediction.schedule import Results, Schedule
from cxr.submission_format import write_submission
from cxr.systems.competition import Competition
from cxr.tables import BOX_COLUMNS, FAILURES, IMAGES, write_table
from cxr.workspace import Workspace, open_run_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`INPUT OUT.csv [--run FOLDER]`."""
    parser.add_argument("input", type=Path, help="a Kaggle-shaped folder with a test set and a sample submission")
    parser.add_argument("out", type=Path, help="the submission to write")
    parser.add_argument(
        "--run", type=Path, default=Path("working/demo"), help="folder of a finished run (default %(default)s)"
    )


def main(args: argparse.Namespace) -> int:
    """Write a submission with the models of a run."""
    submit(open_run_folder(args.run), find_competition(args.input), args.out)
    return 0


def submit_run(workspace: Workspace) -> pd.DataFrame:
    """Stage 11: the submission of a run, and tables of its test images and of what failed; returns the latter."""
    places = workspace.places
    images, failures = submit(workspace, workspace.competition, places.submission, workspace.clock)
    write_table(images, places.test_images_table, IMAGES)
    write_table(failures, places.test_failures_table, FAILURES)
    return failures


def submit(
    workspace: Workspace, competition: Path, out: Path, clock: Clock | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict the test images and write `out`; returns an images table of all of them and a failures table.

    Without a clock everything is predicted, however long it takes. With one, see `prediction.schedule`.
    """
    clock = clock or endless()
    files, findings = prediction_table(competition)
    for line in findings:
        print(f"note: {line}")
    writer = Writer(workspace, competition, files, out, clock)
    schedule = Schedule(writer.system, len(files), clock, writer.write)
    settings, workers = workspace.profile, worker_count(workspace.profile.images.workers)
    blocks = decoded_blocks(competition, files, settings.prediction.block, settings.images.cache_size, workers)
    schedule.run(Feed(blocks))
    if not out.is_file():
        writer.write(pd.DataFrame(), {}, "class frequencies")
    failures = [failure for block in schedule.blocks for failure in block.failures]
    for path, reason in failures:
        print(f"note: {path}: {reason}")
    images = pd.concat([pd.DataFrame(), *(block.images for block in schedule.blocks)], ignore_index=True)
    return patients_of_all(files, images), pd.DataFrame(failures, columns=list(FAILURES.columns))


class Writer:
    """Turns what the networks found into the file: every row of the sample, those of no network by the fallback."""

    def __init__(self, workspace: Workspace, competition: Path, files: pd.DataFrame, out: Path, clock: Clock):
        self.system, self.out, self.clock = Competition(workspace, files), out, clock
        self.sample_csv = competition / "sample_submission.csv"
        self.sample = read_sample(self.sample_csv)
        self.fallback = Fallback(read_priors(workspace), competition, files)

    def write(self, images: pd.DataFrame, results: Results, words: str) -> None:
        """Replace the submission by one from these results; images: image_id, study_id, height, width, maybe none."""
        rows = format_rows(images, *self.system.combine(images, results)) if len(images) else {}
        missing = [row for row in self.sample.itertuples() if row.id not in rows]
        rows.update({row.id: self.fallback.row(row.kind, row.item_id) for row in missing})
        write_submission({row_id: rows[row_id] for row_id in self.sample["id"]}, self.sample_csv, self.out)
        shown = f"{len(self.sample)} rows, valid; {len(missing)} of them got the fallback prediction"
        self.clock.tell(SUBMISSION, f"{self.out}: {shown} ({words})")


def patients_of_all(files: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The images table of the whole test set: what intervals of a score are resampled by.

    An image that could not be read belongs to its study's patient, or counts as one of its own, and has size 0.
    """
    table = files.assign(source="siim_test", height=0, width=0, patient_id=None)
    if len(images):
        known = images.set_index("image_id")
        for column in ("patient_id", "height", "width"):
            table[column] = table["image_id"].map(known[column]).fillna(table[column])
    table["patient_id"] = table.groupby("study_id")["patient_id"].transform("first").fillna(table["study_id"])
    return table


def format_rows(
    images: pd.DataFrame, boxes: pd.DataFrame, none: pd.Series, studies: pd.DataFrame
) -> dict[str, list[Prediction]]:
    """Rows of a submission by id: all four classes on every study, `none` and the boxes on every image."""
    rows = {}
    for row in studies.itertuples():
        rows[f"{row.study_id}_study"] = [Prediction(name, getattr(row, name), *UNIT_BOX) for name in STUDY_CLASSES]
    found = {image_id: group[["score", *BOX_COLUMNS]].to_numpy() for image_id, group in boxes.groupby("image_id")}
    for image_id in images["image_id"]:
        opacities = [Prediction("opacity", *map(float, values)) for values in found.get(image_id, [])]
        rows[f"{image_id}_image"] = [Prediction("none", float(none[image_id]), *UNIT_BOX), *opacities]
    return rows


class Fallback:
    """What a row gets that no model saw: class frequencies, and the training's mean boxes where the size is known."""

    def __init__(self, priors: dict, competition: Path, files: pd.DataFrame):
        self.priors, self.competition = priors, competition
        self.paths = dict(zip(files["image_id"], files["path"], strict=True))

    def row(self, kind: str, item_id: str) -> list[Prediction]:
        """Predictions for a `study` or an `image` row."""
        if kind == "study":
            return [Prediction(name, self.priors["studies"][name], *UNIT_BOX) for name in STUDY_CLASSES]
        none = Prediction("none", self.priors["none"], *UNIT_BOX)
        size = self._size(item_id)
        if size is None:
            return [none]
        boxes = scale_xyxy([half["box"] for half in self.priors["boxes"]], (1.0, 1.0), size)
        return [
            none,
            *(
                Prediction("opacity", half["score"], *box)
                for half, box in zip(self.priors["boxes"], boxes, strict=True)
            ),
        ]

    def _size(self, image_id: str) -> tuple[int, int] | None:
        """Height and width from the header; a file whose pixels are broken often still has one."""
        if image_id not in self.paths:
            return None
        try:
            header = read_header(self.competition / self.paths[image_id])
        except DataFault:
            return None
        return header["height"], header["width"]
