"""`python -m cxr predict FILES...`: what a run's models say of single radiographs, as a table, a CSV and overlays."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cxr.app.answers import NOTICE, ask
from cxr.app.limits import Limits
from cxr.app.models import Models
from cxr.app.overlay import draw
from cxr.app.uploads import Decoder, Refusal, Upload, plain_ids
from cxr.faults import DataFault
from cxr.images.outputs import write_png
from cxr.labels import STUDY_CLASSES
from cxr.submission_format import ID, TEXT
from cxr.tables import write_csv
from cxr.workspace import open_run_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`FILES... [--run FOLDER] [--models NAMES] [--out CSV] [--overlay DIR] [--threshold P]`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="DICOM, PNG or JPEG")
    parser.add_argument(
        "--run", type=Path, default=Path("working/demo"), help="folder of a finished run (default %(default)s)"
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME", help="fused (default), yolo, faster_rcnn, studies, ..."
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="write the rows of a submission")
    parser.add_argument("--overlay", type=Path, metavar="DIR", help="write each picture with its boxes, as PNG")
    parser.add_argument("--threshold", type=float, default=0.25, help="score from which a box is drawn and counted")


def main(args: argparse.Namespace) -> int:
    """Exit code 1 when no file can be looked at; one that cannot is a line, and the rest goes on."""
    models = Models(open_run_folder(args.run))
    names, uploads = models.chosen(args.models), decode_all(args.files, models.size)
    if not uploads:
        raise DataFault(f"none of {len(args.files)} files can be looked at")
    answers = ask(models, uploads, names)
    print(f"{NOTICE} Models: {', '.join(names)}.")
    print(table_of(answers, args.threshold).to_string(index=False))
    if args.out:
        rows = {key: text for answer in answers for key, text in answer["submission"].items()}
        write_csv(pd.DataFrame(rows.items(), columns=[ID, TEXT]), args.out)
        print(args.out)
    if args.overlay:
        for path in write_overlays(args.overlay, uploads, answers, args.threshold):
            print(path)
    return 0


def decode_all(files: Sequence[Path], size: int) -> list[Upload]:
    """The readable ones; a line for each of the others."""
    found = []
    with Decoder(size, Limits()) as decoder:
        for path in tqdm(files, desc="reading", unit="file", disable=len(files) < 4):
            try:
                with open(path, "rb") as file:
                    one = decoder.decode(path.name, file)
            except OSError as error:
                one = Refusal(path.name, f"cannot be read ({error.strerror})")
            if isinstance(one, Refusal):
                print(f"note: {path}: {one.reason}")
            else:
                found.append(one)
    return found


def table_of(answers: Sequence[dict], threshold: float) -> pd.DataFrame:
    """A line a file: its size, boxes from the threshold on, the best score, none, and study classes."""
    rows = []
    for one in answers:
        scores = [box["score"] for box in one["boxes"]]
        rows.append(
            {
                "file": one["name"],
                "size": f"{one['width']} x {one['height']}",
                "boxes": sum(score >= threshold for score in scores),
                "best": f"{max(scores, default=0):.3f}",
                "none": f"{one['none']:.3f}",
                **{name: f"{one['study'][name]:.3f}" for name in STUDY_CLASSES},
            }
        )
    return pd.DataFrame(rows)


def write_overlays(folder: Path, uploads: Sequence[Upload], answers: Sequence[dict], threshold: float) -> list[Path]:
    """One PNG a file, at most 1536 px; returns their places."""
    places = [folder / f"{name}.png" for name in plain_ids([one.name for one in uploads])]
    for path, upload, answer in zip(places, uploads, answers, strict=True):
        write_png(path, draw(upload, [box for box in answer["boxes"] if box["score"] >= threshold]))
    return places
