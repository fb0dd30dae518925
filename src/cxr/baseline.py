"""The submission that every model must beat: no network, no lesion ever looked at closely.

Study classes and `none` come from ridge regression on 16x16 thumbnails and header fields; `opacity` boxes are typical
training boxes (k-means) and the brightest blobs of each lung zone, scored by how often such a box was right in training
times (1 - none). A model that does not beat it has learned exposure, habitus and paperwork.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from joblib import cpu_count
from sklearn.cluster import KMeans
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from cxr.boxes import iou_xyxy, scale_xyxy, xywh_to_xyxy
from cxr.data.siim import find_competition, prediction_table, read_sample, training_table
from cxr.faults import DataFault
from cxr.images.convert import positive
from cxr.images.jobs import Job
from cxr.images.pool import run_jobs
from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES, UNIT_BOX, Prediction, format_prediction_string
from cxr.tables import write_csv

THUMBNAIL, BLOB_SIZE = 16, 96  # px
NUMBERS = ("height", "width", "bits_stored")
NAMES = ("photometric", "transfer_syntax", "modality", "sex", "body_part", "has_window", "has_voi_lut", "has_rescale")
ALPHAS = np.logspace(0, 5, 16)
CLUSTERS = 6  # typical boxes
ZONES_XYXY = ((0.10, 0.15, 0.46, 0.75), (0.54, 0.15, 0.90, 0.75))  # where lungs lie, as shares of width and height
HIT_IOU = 0.5
TARGETS = (*STUDY_CLASSES, "none")


class Features(NamedTuple):
    """What is kept of a picture: thumbnail [256] in 0..1, header fields, blobs_xyxy [K x 4] as shares of the sides."""

    thumbnail: np.ndarray
    header: dict
    blobs_xyxy: np.ndarray


def features(header: dict, pixels: np.ndarray) -> Features:
    """Features of a header and its picture, uint8 [BLOB_SIZE x BLOB_SIZE]."""
    small = to_cache_size(pixels, THUMBNAIL)
    return Features(small.ravel() / 255, {key: header.get(key, "") for key in NUMBERS + NAMES}, bright_blobs(pixels))


def bright_blobs(pixels: np.ndarray) -> np.ndarray:
    """Largest bright blob of each lung zone at two thresholds: boxes_xyxy [up to 4 x 4], shares of the sides.

    Brightness is what is left above a wide blur, so that a side that is brighter as a whole does not count.
    """
    size, picture = pixels.shape[0], pixels.astype(np.float32)
    fine, wide = cv2.GaussianBlur(picture, (0, 0), size / 40), cv2.GaussianBlur(picture, (0, 0), size / 5)
    boxes = []
    for zone in ZONES_XYXY:
        left, top, right, bottom = (round(edge * size) for edge in zone)
        glow = (fine - wide)[top:bottom, left:right]
        for share in (60, 75):  # percentile above which a pixel is bright
            bright = (glow > np.percentile(glow, share)).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
            largest = stats[1:, cv2.CC_STAT_AREA].argmax() + 1 if len(stats) > 1 else 0  # 0: the zone, when all is flat
            x, y, w, h, _ = stats[largest]
            boxes.append([left + x, top + y, left + x + w, top + y + h])
    return np.array(boxes) / size


def extract_all(paths: list[Path], workers: int) -> list[Features | str]:
    """Features of DICOM files, or the reasons why they cannot be read, with a bar."""
    jobs = [Job(path, path.name, thumbnail=BLOB_SIZE) for path in paths]
    results = tqdm(run_jobs(jobs, workers), total=len(paths), desc="features", unit="image")
    return [
        f"{path}: {done.reason}" if done.header is None else features(done.header, done.thumbnail)
        for path, done in zip(paths, results, strict=True)
    ]


class Encoder:
    """Features to numbers [N x F]: thumbnail, its mean and spread, sizes, and one column for each frequent name."""

    def __init__(self, features: list[Features]) -> None:
        self.names = {}
        for key in NAMES:
            counts = pd.Series([str(item.header[key]) for item in features]).value_counts()
            self.names[key] = list(counts.index[counts >= 5])

    def __call__(self, features: list[Features]) -> np.ndarray:
        return np.array([self._row(item) for item in features])

    def _row(self, item: Features) -> np.ndarray:
        sizes = [float(item.header[key] or 0) for key in NUMBERS]
        aspect = sizes[1] / max(sizes[0], 1)
        flags = [str(item.header[key]) == name for key, names in self.names.items() for name in names]
        tone = [item.thumbnail.mean(), item.thumbnail.std()]
        return np.concatenate([item.thumbnail, tone, sizes, [aspect], flags])


class Baseline:
    """Fitted on training features, their targets [N x 5] (four classes, none) and boxes as shares of the sides."""

    def __init__(self, features: list[Features], targets: np.ndarray, boxes_xyxy: list[np.ndarray]) -> None:
        self.encode = Encoder(features)
        self.prior = targets.mean(axis=0)
        numbers = self.encode(features)
        self.ridges = [
            make_pipeline(StandardScaler(), RidgeCV(alphas=ALPHAS)).fit(numbers, target) for target in targets.T
        ]
        self.typical_xyxy = typical_boxes(boxes_xyxy)
        every = [np.concatenate([self.typical_xyxy, item.blobs_xyxy]) for item in features]
        boxed = [hits(found, true) for found, true in zip(every, boxes_xyxy, strict=True) if len(true)]
        self.frequency = np.mean(boxed, axis=0) if boxed else np.zeros(len(every[0]))  # of a hit, where there is a box

    def scores(self, features: list[Features]) -> np.ndarray:
        """Scores [N x 5] in 0..1, rising with the regression's answer (a logistic curve of the same slope at .5)."""
        if not features:
            return np.empty((0, len(TARGETS)))
        numbers = self.encode(features)
        answers = np.stack([ridge.predict(numbers) for ridge in self.ridges], axis=1)
        return 1 / (1 + np.exp(-4 * (answers - 0.5)))

    def boxes(self, item: Features, none: float) -> list[Prediction]:
        """Candidate boxes in original pixels with their scores."""
        size = (float(item.header["height"]), float(item.header["width"]))
        shares = np.concatenate([self.typical_xyxy, item.blobs_xyxy])
        scores = self.frequency * (1 - none)
        boxes = scale_xyxy(shares, (1, 1), size)
        return [Prediction("opacity", score, *box) for score, box in zip(scores, boxes, strict=True) if score > 0]


def typical_boxes(boxes_xyxy: list[np.ndarray]) -> np.ndarray:
    """The mean box of each half of the picture and k-means centres, [up to 8 x 4], shares of the sides."""
    every = np.concatenate(boxes_xyxy)
    if not len(every):
        return np.array(ZONES_XYXY)
    left = every[:, [0, 2]].mean(axis=1) < 0.5
    means = [every[side].mean(axis=0) for side in (left, ~left) if side.any()]
    clusters = min(CLUSTERS, len(np.unique(every, axis=0)))
    centres = KMeans(clusters, n_init=4, random_state=0).fit(every).cluster_centers_
    return np.concatenate([means, centres])


def hits(found_xyxy: np.ndarray, true_xyxy: np.ndarray) -> np.ndarray:
    """Which found boxes overlap a true one by more than half, bool [N]."""
    return iou_xyxy(found_xyxy, true_xyxy).max(axis=1, initial=0) > HIT_IOU


def fit_baseline(competition: Path, workers: int) -> tuple[Baseline, list[str]]:
    """Learn from train; boxless duplicates stay out. Returns the baseline and the reasons of unreadable files."""
    table, _ = training_table(competition)
    table = table[table["role"] == "train"].reset_index(drop=True)
    found = extract_all([competition / path for path in table["path"]], workers)
    read = [number for number, item in enumerate(found) if isinstance(item, Features)]
    features = [found[number] for number in read]
    if not features:
        raise DataFault(f"{competition / 'train'}: none of {len(found)} images can be read; the first: {found[0]}")
    table = table.iloc[read].assign(none=lambda rows: (~rows["has_box"].astype(bool)).astype(int))
    sizes = [(float(item.header["height"]), float(item.header["width"])) for item in features]
    boxes = [scale_xyxy(xywh_to_xyxy(box), size, (1, 1)) for box, size in zip(table["boxes_xywh"], sizes, strict=True)]
    return Baseline(features, table[list(TARGETS)].to_numpy(float), boxes), [x for x in found if isinstance(x, str)]


def predict_baseline(competition: Path, baseline: Baseline, workers: int) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the submission in the order of the sample file, and the reasons of unreadable files."""
    table, _ = prediction_table(competition)
    found = extract_all([competition / path for path in table["path"]], workers)
    readable = [isinstance(item, Features) for item in found]
    scores = np.tile(baseline.prior, (len(found), 1))
    scores[readable] = baseline.scores([item for item in found if isinstance(item, Features)])
    studies = pd.DataFrame(scores, columns=TARGETS).groupby(table["study_id"].to_numpy()).mean()
    images = dict(zip(table["image_id"], range(len(table)), strict=True))
    sample = read_sample(competition / "sample_submission.csv")
    texts = []
    for kind, item_id in zip(sample["kind"], sample["item_id"], strict=True):
        if kind == "study":
            row = studies.loc[item_id] if item_id in studies.index else dict(zip(TARGETS, baseline.prior, strict=True))
            groups = [Prediction(name, row[name], *UNIT_BOX) for name in STUDY_CLASSES]
        else:
            number = images.get(item_id)
            none = baseline.prior[-1] if number is None else scores[number, -1]
            seen = number is not None and readable[number]
            groups = [Prediction("none", none, *UNIT_BOX), *(baseline.boxes(found[number], none) if seen else [])]
        texts.append(format_prediction_string(groups))
    table = pd.DataFrame({"id": sample["id"], "PredictionString": texts})
    return table, [reason for reason in found if isinstance(reason, str)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, help="Kaggle-shaped folder, or the competition's folder itself")
    parser.add_argument("out", type=Path, help="submission CSV to write")
    parser.add_argument("--workers", type=positive, default=cpu_count(), metavar="N", help="processes")


def main(args: argparse.Namespace) -> int:
    """Write the baseline's submission and say how many files could not be read."""
    rows, unread = write_baseline(find_competition(args.input), args.out, args.workers)
    note = f"; {len(unread)} files cannot be read and count with mean scores, the first: {unread[0]}" if unread else ""
    print(f"{args.out}: {rows} rows{note}")
    return 0


def write_baseline(competition: Path, out: Path, workers: int = 0) -> tuple[int, list[str]]:
    """Fit on train, predict test, write the submission; returns its number of rows and the reasons of unreadable files.

    `workers` 0 means one process a core.
    """
    workers = workers or cpu_count()
    baseline, lost = fit_baseline(competition, workers)
    table, lost_too = predict_baseline(competition, baseline, workers)
    write_csv(table, out)
    return len(table), lost + lost_too
