"""What a run has left on disk, as far as it is there: nothing here fails because a stage has not run.

A file that is absent is None or missing from the result; one that is there and broken raises DataFault, which the
page shows in the section that wanted it.
"""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.evaluation.out_of_fold import Ground, ground_truth, match_all
from cxr.evaluation.voc import Matches
from cxr.faults import DataFault
from cxr.prediction.combine import none_from_boxes, study_means
from cxr.tables import BOXES, FOLDS, IMAGE_SCORES, IMAGES, STUDY_SCORES, read_csv, read_table
from cxr.workspace import Workspace

FIRST, LAST = ("yolo", "faster_rcnn"), ("fused",)  # columns and panels stand in this order, others between
OWN_STAGE = "12_report"
# trainings that only measure what something gains, or that teach
VARIANT = re.compile(r"(.+?)_(with(?:out)?_\w+|lungs_\w+|seed_\d+|grid_\w+|round_\d+)")
TITLES = {
    "yolo": "YOLO",
    "faster_rcnn": "Faster R-CNN",
    "retinanet": "RetinaNet",
    "fcos": "FCOS",
    "plain": "plain ultralytics",
    "studies": "study classifier",
    "lungs": "lung segmenter",
    "rsna": "RSNA",
    "nih": "NIH",
}


def is_main(name: str) -> bool:
    """Whether a model is one of the run's own, and not one that only measures what something gains."""
    return not VARIANT.fullmatch(name)


def title_of(name: str) -> str:
    """What people call a model or a table of predictions."""
    if variant := VARIANT.fullmatch(name):
        return f"{title_of(variant[1])} {variant[2].replace('_', ' ')}"
    if name.startswith("pretrain_"):
        data, _, model = name.removeprefix("pretrain_").partition("_")
        return f"pretraining on {title_of(data)}" + (f", {title_of(model)}" if model else "")
    return TITLES.get(name, name.replace("_", " "))


def read_json(path: Path) -> dict | None:
    """One of the run's JSON files; None where it is absent. Raises DataFault when it is not a JSON object."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise DataFault(f"{path}: not readable as JSON ({error}); run the stage that writes it again") from None
    if not isinstance(value, dict):
        raise DataFault(f"{path}: holds {type(value).__name__}, not an object; run the stage that writes it again")
    return value


class RunFiles:
    """The files of one run, each read when a section first asks for it."""

    def __init__(self, workspace: Workspace):
        self.profile, self.places = workspace.profile, workspace.places

    @cached_property
    def inputs(self) -> dict:
        """What stage 00 found; empty before it ran."""
        return read_json(self.places.inputs) or {}

    @cached_property
    def stages(self) -> list[dict]:
        """`runs/NN_*.json` in the order of the stages, with the time of writing: {'stage', 'seconds', 'peak_memory_gb',
        'finished'}. The report's own is left out: it can only be that of an earlier run.
        """
        paths = [path for path in sorted(self.places.runs.glob("[0-9][0-9]_*.json")) if path.stem != OWN_STAGE]
        found = [{**(read_json(path) or {}), "finished": path.stat().st_mtime} for path in paths]
        return [record for record in found if {"stage", "seconds", "peak_memory_gb"} <= record.keys()]

    def run_folders(self, file: str) -> dict[str, dict[str, Path]]:
        """Every `file` (metrics.csv, run.json) of the run folders by model and fold: {'yolo': {'fold 0': path}}.

        A training without folds has one entry, `all`. Pretrainings come first.
        """
        models = self.places.lungs_model.parent
        folders: dict[str, dict[str, Path]] = {}
        for path in sorted([*models.glob(f"*/{file}"), *models.glob(f"*/fold_*/{file}")]):
            model, *fold = path.parent.relative_to(models).parts
            folders.setdefault(model, {})[fold[0].replace("_", " ") if fold else "all"] = path
        return dict(sorted(folders.items(), key=lambda item: (not item[0].startswith("pretrain_"), _place(item[0]))))

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Trainings that a stage went without, and why (`absent.json`)."""
        paths = sorted(self.places.lungs_model.parent.glob("*/absent.json"))
        return {path.parent.name: str((read_json(path) or {}).get("reason", "unknown")) for path in paths}

    @cached_property
    def trainings(self) -> dict[str, dict[str, dict]]:
        """The run.json files of finished trainings, by model and fold."""
        folders = self.run_folders("run.json")
        return {model: {fold: read_json(path) for fold, path in paths.items()} for model, paths in folders.items()}

    @cached_property
    def images(self) -> pd.DataFrame | None:
        """Images table with `fold`; None before stage 03."""
        places = self.places
        if not (places.images_table.is_file() and places.folds_table.is_file()):
            return None
        images, folds = read_table(places.images_table, IMAGES), read_table(places.folds_table, FOLDS)
        merged = images.merge(folds[["image_id", "fold"]], on="image_id", how="left", validate="one_to_one")
        if merged["fold"].isna().any():
            raise DataFault(
                f"{places.folds_table}: does not fit {places.images_table}; run 03_annotations_and_folds again"
            )
        return merged.astype({"fold": int})

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        """True boxes of the training images; None before stage 03."""
        return read_table(self.places.boxes_table, BOXES) if self.places.boxes_table.is_file() else None

    @cached_property
    def ground(self) -> Ground | None:
        """The truth as the metric wants it; None before stage 03."""
        return None if self.images is None or self.truth is None else ground_truth(self.images, self.truth)

    @cached_property
    def pixels(self) -> np.ndarray | None:
        """The cache uint8 [N x S x S], rows of `images`; None where it is absent (some remove it to save disk)."""
        path = self.places.cache(self.profile.images.cache_size)
        if self.images is None or not path.is_file():
            return None
        pixels = np.load(path, mmap_mode="r")
        if len(pixels) != len(self.images):
            raise DataFault(
                f"{path}: {len(pixels)} pictures, but the images table has {len(self.images)} rows; "
                "run 01_dicom_to_png again"
            )
        return pixels

    @cached_property
    def boxes(self) -> dict[str, pd.DataFrame]:
        """Out-of-fold BOXES tables by name: YOLO, Faster R-CNN, others, fused."""
        found = {}
        for path in self.places.fused.parent.glob("*/out_of_fold.csv"):
            if set(BOXES.columns) <= set(read_csv(path).columns):
                found[path.parent.name] = read_table(path, BOXES)
        return dict(sorted(found.items(), key=lambda item: _place(item[0])))

    @cached_property
    def image_scores(self) -> dict[str, pd.DataFrame]:
        """Out-of-fold IMAGE_SCORES tables (study classes) by name."""
        paths = sorted(self.places.fused.parent.glob("*/out_of_fold_images.csv"))
        return {path.parent.name: read_table(path, IMAGE_SCORES) for path in paths}

    @cached_property
    def study_scores(self) -> dict[str, pd.DataFrame]:
        """Out-of-fold STUDY_SCORES by name: means of the image scores, then the fused ones of stage 10."""
        found = {}
        for name, scores in self.image_scores.items():
            studies = scores["image_id"].map(self.images.set_index("image_id")["study_id"])
            found[name] = study_means(scores[studies.notna()], studies.dropna())
        path = self.places.fused / "studies.csv"
        if path.is_file():
            found[self.places.fused.name] = read_table(path, STUDY_SCORES)
        for name, scores in found.items():
            self._check_complete(scores["study_id"], self.ground.studies, name)
        return found

    @cached_property
    def none(self) -> dict[str, pd.Series]:
        """Probability of `none` by image_id: of each detector from its boxes alone, fused as stage 10 blended it."""
        ids, fused = list(self.images["image_id"]), self.places.fused
        found = {name: none_from_boxes(ids, boxes) for name, boxes in self.boxes.items() if name != fused.name}
        if (fused / "none.csv").is_file():
            found[fused.name] = read_csv(fused / "none.csv", ["image_id", "none"]).set_index("image_id")["none"]
            self._check_complete(found[fused.name].index, self.ground.images, fused.name)
        return found

    def fused_matches(self) -> list[Matches] | None:
        """The six classes out of fold after stage 10, matched; None where a part of the predictions is absent."""
        fused = self.places.fused.name
        if self.ground is None or not all(fused in found for found in (self.boxes, self.none, self.study_scores)):
            return None
        return match_all(self.ground, self.boxes[fused], self.none[fused], self.study_scores[fused])

    @staticmethod
    def _check_complete(ids: Iterable[str], wanted: pd.Index, name: str) -> None:
        missing = wanted.difference(pd.Index(ids))
        if len(missing):
            raise DataFault(
                f"predictions/{name}: nothing about {len(missing)} of {len(wanted)} studies or images, the first is "
                f"{missing[0]}; run the stage that writes it again"
            )

    def best_of(self, tables: dict[str, pd.DataFrame]) -> str | None:
        """The table to show where there is room for one: fused, or the first; None without any."""
        fused = self.places.fused.name
        return fused if fused in tables else next(iter(tables), None)


def _place(name: str) -> tuple[int, str]:
    if name in FIRST:
        return FIRST.index(name), name
    return len(FIRST) + (name in LAST), name
