"""Stage 11 and `python -m cxr submit`: stream the test DICOMs through the trained models into a valid submission.

One bad file never loses the run: its row gets the fallback prediction, and the summary says so.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.boxes import scale_xyxy
from cxr.data.prepare import read_priors
from cxr.data.siim import find_competition, prediction_table, read_sample
from cxr.faults import DataFault
from cxr.images.dicom import read_header
from cxr.images.jobs import Job
from cxr.images.pool import run_jobs, worker_count
from cxr.labels import STUDY_CLASSES, UNIT_BOX, Prediction
from cxr.submission_format import write_submission
from cxr.systems.competition import Competition
from cxr.tables import BOX_COLUMNS, FAILURES, IMAGES, write_table
from cxr.workspace import Workspace, open_run_folder

STUDIES_AT_ONCE = 64  # bounds memory: so many studies' cache pictures are held


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
    images, failures = submit(workspace, workspace.competition, workspace.places.submission)
    write_table(images, workspace.places.test_images_table, IMAGES)
    write_table(failures, workspace.places.test_failures_table, FAILURES)
    return failures


def submit(workspace: Workspace, competition: Path, out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict every test image and write `out`; returns an images table of all of them and a failures table."""
    sample_csv = competition / "sample_submission.csv"
    sample = read_sample(sample_csv)
    files, findings = prediction_table(competition)
    for line in findings:
        print(f"note: {line}")
    rows, images, failures = predict_rows(workspace, competition, files)
    fallback = Fallback(read_priors(workspace), competition, files)
    missing = [row for row in sample.itertuples() if row.id not in rows]
    rows.update({row.id: fallback.row(row.kind, row.item_id) for row in missing})
    write_submission({row_id: rows[row_id] for row_id in sample["id"]}, sample_csv, out)
    print(f"{out}: {len(sample)} rows, valid; {len(missing)} of them got the fallback prediction")
    for path, reason in failures:
        print(f"note: {path}: {reason}")
    return patients_of_all(files, images), pd.DataFrame(failures, columns=list(FAILURES.columns))


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


def predict_rows(workspace: Workspace, competition: Path, files: pd.DataFrame) -> tuple[dict, pd.DataFrame, list]:
    """Rows of the submission by id, the table of readable images, and (path, reason) of the others."""
    system, settings = Competition(workspace, files), workspace.profile.images
    rows: dict[str, list[Prediction]] = {}
    tables, failures = [pd.DataFrame()], []  # a test set of unknown studies alone leaves nothing to predict
    studies = [group for _, group in files.groupby("study_id", sort=True)]
    with tqdm(total=len(files), desc="test images", unit="image") as bar:
        for start in range(0, len(studies), STUDIES_AT_ONCE):
            block = pd.concat(studies[start : start + STUDIES_AT_ONCE], ignore_index=True)
            images, pixels, bad = read_block(competition, block, settings.cache_size, worker_count(settings.workers))
            failures += bad
            tables.append(images)
            if len(images):
                rows.update(format_rows(images, *system.predict(images, pixels)))
            bar.update(len(block))
    return rows, pd.concat(tables, ignore_index=True), failures


def read_block(
    competition: Path, block: pd.DataFrame, size: int, workers: int
) -> tuple[pd.DataFrame, np.ndarray, list]:
    """Decode some images in parallel: an images table, cache pixels uint8 [N x S x S] of its rows, and failures."""
    jobs = [Job(competition / row.path, row.image_id, thumbnail=size) for row in block.itertuples()]
    good, pixels, bad = [], [], []
    for row, done in zip(block.itertuples(), run_jobs(jobs, workers), strict=True):
        if done.header is None:
            bad.append((row.path, done.reason))
            continue
        # the folder decides to which study an image belongs, as the sample file does; headers may differ
        good.append(
            {**done.header, "image_id": row.image_id, "study_id": row.study_id, "source": "siim_test", "path": row.path}
        )
        pixels.append(done.thumbnail)
    return pd.DataFrame(good), np.stack(pixels) if pixels else np.empty((0, size, size), np.uint8), bad


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
