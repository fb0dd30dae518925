"""The studies of a run: which fit the filters, and what there is to show of one. No widgets here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cxr.browse.mistakes import FALSE_ALARM, MISSED, RIGHT, USUAL, WRONG_CLASS, BoxJudgement, judge_boxes, wrong_classes
from cxr.data.counts import study_class
from cxr.data.headers import short_value
from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS

FACTS = (
    "patient_id", "source", "role", "height", "width", "photometric", "bits_stored", "transfer_syntax", "modality",
    "sex", "age", "body_part", "has_window", "has_voi_lut", "has_rescale", "note", "source_path",
)  # fmt: skip
SHORT = ("height", "width", "bits_stored", "transfer_syntax", "has_window", "has_voi_lut", "has_rescale")
NOTHING = np.empty((0, 4))


class Boxes(NamedTuple):
    """Boxes of one image in original pixels."""

    corners: np.ndarray  # xyxy [N x 4]
    scores: np.ndarray  # [N]


@dataclass(frozen=True)
class Filters:
    """What to page through; None and '' mean all."""

    label: str | None = None
    source: str | None = None
    fold: int | None = None
    error: str | None = None  # MISSED, FALSE_ALARM, WRONG_CLASS or RIGHT, of `model` at `threshold`
    model: str | None = None
    threshold: float = USUAL
    text: str = ""  # part of the id of a study, image or patient


class Studies:
    """The studies of a run with labels, folds, predictions and pictures, as far as they are there.

    Raises DataFault before stage 03, which makes folds and true boxes. A broken file costs its own part only: `faults`
    holds a line for each.
    """

    def __init__(self, files: RunFiles):
        self.files, self.faults = files, []
        if files.images is None or files.truth is None:
            raise DataFault(
                f"{files.places.folds_table}: no folds and true boxes yet; run 03_annotations_and_folds first, "
                "or `make all`"
            )
        self.images = files.images
        self.boxes: dict[str, pd.DataFrame] = self._tolerant(lambda: files.boxes, {})
        self.scores: dict[str, pd.DataFrame] = self._tolerant(lambda: files.study_scores, {})
        self.pixels: np.ndarray | None = self._tolerant(lambda: files.pixels, None)
        self.rows = self.images.groupby("study_id", sort=True).indices
        self.ids = list(self.rows)
        first = self.images.drop_duplicates("study_id").set_index("study_id").loc[self.ids]
        self.kinds, self.folds, self.sources = study_class(first), first["fold"], first["source"]
        names = self.images[["study_id", "image_id", "patient_id"]].astype(str)
        words = names.agg("\n".join, axis=1).str.lower().groupby(self.images["study_id"]).agg("\n".join)
        self._words = words.loc[self.ids]
        self._study_of = pd.Index(self.ids).get_indexer(self.images["study_id"])
        self._grouped = {name: _by_image(table) for name, table in [*self.boxes.items(), (None, files.truth)]}
        self.judge = cache(self._judge)

    def _tolerant(self, read: Callable[[], Any], instead: Any) -> Any:
        try:
            return read()
        except DataFault as fault:
            self.faults.append(str(fault))
            return instead

    @property
    def models(self) -> list[str]:
        """Everything that predicted boxes or classes, detectors first."""
        return list(dict.fromkeys([*self.boxes, *self.scores]))

    def error_kinds(self, model: str | None) -> list[str]:
        """What can be asked of a model: boxes can be missed or too many, classes wrong."""
        kinds = [MISSED, FALSE_ALARM] if model in self.boxes else []
        kinds += [WRONG_CLASS] if model in self.scores else []
        return [*kinds, RIGHT] if kinds else []

    def _judge(self, model: str) -> BoxJudgement:
        return judge_boxes(self.images, self.files.truth, self.boxes[model])

    def best_threshold(self, model: str) -> float:
        """Where the F1 of a detector's out-of-fold boxes is highest."""
        return self.judge(model).best_threshold

    def mistakes(self, model: str, threshold: float) -> dict[str, np.ndarray]:
        """bool [S] by kind of error, in the order of `ids`; `right` is none of the kinds that the model can make."""
        found = {}
        if model in self.boxes:
            judged = self.judge(model)
            found[MISSED] = self._any_image(judged.missed(threshold))
            found[FALSE_ALARM] = self._any_image(judged.false_alarm(threshold))
        if model in self.scores:
            found[WRONG_CLASS] = wrong_classes(self.kinds, self.scores[model])
        return {**found, RIGHT: ~np.any(list(found.values()), axis=0)} if found else {}

    def _any_image(self, images: np.ndarray) -> np.ndarray:
        return np.bincount(self._study_of[images], minlength=len(self.ids)) > 0

    def select(self, filters: Filters) -> list[str]:
        """Ids of the studies that fit all filters, in order. ValueError for an error that the model cannot make."""
        fits = np.ones(len(self.ids), bool)
        for wanted, values in ((filters.label, self.kinds), (filters.source, self.sources), (filters.fold, self.folds)):
            if wanted is not None:
                fits &= (values == wanted).to_numpy()
        if filters.text.strip():
            fits &= self._words.str.contains(filters.text.strip().lower(), regex=False).to_numpy()
        if filters.error is not None:
            if filters.error not in self.error_kinds(filters.model):
                raise ValueError(f"{filters.model} cannot be asked for {filters.error!r}")
            fits &= self.mistakes(filters.model, filters.threshold)[filters.error]
        return [study for study, fit in zip(self.ids, fits, strict=True) if fit]

    def image_rows(self, study: str) -> list[int]:
        """Rows of the study's images in the images table and the cache."""
        return [int(row) for row in self.rows[study]]

    def image_boxes(self, row: int, model: str | None = None, threshold: float = 0.0) -> Boxes:
        """A model's boxes of at least this score on one image, or the true ones (score 1)."""
        found = self._grouped[model].get(self.images["image_id"].iat[row], Boxes(NOTHING, np.empty(0)))
        kept = found.scores >= threshold
        return Boxes(found.corners[kept], found.scores[kept])

    def probabilities(self, study: str) -> dict[str, dict[str, float]]:
        """Probability by class of each model that scores studies; models silent on this study are left out."""
        found = {}
        for name, table in self.scores.items():
            row = table[table["study_id"] == study]
            if len(row):
                found[name] = row[list(STUDY_CLASSES)].iloc[0].astype(float).to_dict()
        return found

    def facts(self, row: int) -> dict[str, str]:
        """What the header says of one image, as short text; what is unknown has no entry."""
        image = self.images.iloc[row]
        known = {name: image[name] for name in FACTS if name in image and not pd.isna(image[name])}
        told = {name: short_value(value) if name in SHORT else str(value) for name, value in known.items()}
        return {name.replace("_", " "): value for name, value in told.items() if value}

    def options(self) -> Mapping[str, list]:
        """Values to filter by: label, source, fold."""
        labels = [name for name in STUDY_CLASSES if (self.kinds == name).any()]
        return {
            "label": labels,
            "source": sorted(self.sources.unique()),
            "fold": sorted(int(fold) for fold in self.folds.unique()),
        }


def _by_image(table: pd.DataFrame) -> dict[str, Boxes]:
    corners, scores = table[BOX_COLUMNS].to_numpy(float), table["score"].to_numpy(float)
    return {image: Boxes(corners[rows], scores[rows]) for image, rows in table.groupby("image_id").indices.items()}
