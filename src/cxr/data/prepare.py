"""Stages 01 and 03: training images to pixels and a table, then true boxes, folds and annotations."""

import json

import numpy as np
import pandas as pd

from cxr.boxes import scale_xyxy
from cxr.data.box_table import true_boxes
from cxr.data.coco import to_coco
from cxr.data.draw import hash_order
from cxr.data.duplicates import as_pairs, conflict_notes, duplicate_notes, find_duplicates
from cxr.data.external import copies_in_test
from cxr.data.fingerprints import flat_notes, training_thumbnails, without_flat, write_fingerprints
from cxr.data.folds import balance_notes, balance_table, deviation_notes, deviations, make_folds
from cxr.data.leaks import check_run
from cxr.data.siim import read_image_level, training_table
from cxr.faults import DataFault
from cxr.images.convert import Wanted, convert_files
from cxr.images.files import STATE
from cxr.images.pool import worker_count
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, BOXES, FAILURES, FOLDS, IMAGES, read_table, write_csv, write_table
from cxr.workspace import Workspace, write_json

LABEL_COLUMNS = [*STUDY_CLASSES, "has_box", "role"]


def convert_training(workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stage 01: every training DICOM to the uint8 cache, and PNG if the profile says so. Images and failures tables.

    A file that cannot be read is a row of `failures.csv` and missing from training; if none can be read, DataFault.
    Fingerprints of the training and the test pictures are left for the stages that look for copies.
    """
    places, settings = workspace.places, workspace.profile.images
    labels, _ = training_table(workspace.competition)
    chosen = choose_images(labels, settings.train_limit)
    if len(chosen) < len(labels):
        print(
            f"profile {workspace.profile.name} trains on {len(chosen)} of {len(labels)} images, "
            "drawn by whole studies, evenly over classes"
        )
    files = [workspace.competition / path for path in chosen["path"]]
    cache_file = places.cache(settings.cache_size)
    wanted = Wanted(
        png_root=places.images / "siim" if settings.png else None,
        cache_file=cache_file,
        cache_size=settings.cache_size,
    )
    images, failures, kept = convert_files(
        files, workspace.competition, cache_file.parent / STATE, wanted, workers=worker_count(settings.workers)
    )
    if kept:
        print(f"{kept} of {len(images)} images were converted before")
    if images.empty:
        raise DataFault(
            f"{workspace.competition / 'train'}: none of {len(files)} DICOM files could be read; the first: "
            f"{failures['reason'].iloc[0] if len(failures) else 'no file'}"
        )
    # the folder decides to which study an image belongs, as the label files do; headers may differ
    labelled = chosen[["image_id", "study_id", *LABEL_COLUMNS]]
    images = images.drop(columns="study_id").merge(labelled, on="image_id", how="left", validate="one_to_one")
    images["has_box"] = images["has_box"].astype(int)
    write_table(failures, places.failures_table, FAILURES)
    write_table(images, places.images_table, IMAGES)
    write_fingerprints(workspace, images)
    return images, failures


def choose_images(labels: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most about `limit` images, whole studies drawn by a hash of their ids, each class in its proportion."""
    if not limit or len(labels) <= limit:
        return labels
    share = limit / len(labels)
    studies = labels.drop_duplicates("study_id")
    classes = studies[list(STUDY_CLASSES)].to_numpy().argmax(1)
    kept = [
        study
        for _, group in studies["study_id"].groupby(classes)
        for study in hash_order(group)[: max(1, round(share * len(group)))]
    ]
    return labels[labels["study_id"].isin(kept)].reset_index(drop=True)


def load_training(workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Images table with `fold`, true boxes, and the memory-mapped cache uint8 [N x S x S] of the same rows."""
    places = workspace.places
    for path, stage in ((places.images_table, "01_dicom_to_png"), (places.folds_table, "03_annotations_and_folds")):
        if not path.is_file():
            raise DataFault(f"{path}: not there yet; run notebook {stage} first, or `make all`")
    images = read_table(places.images_table, IMAGES)
    folds = read_table(places.folds_table, FOLDS)
    merged = images.merge(folds[["image_id", "group", "fold"]], on="image_id", how="left", validate="one_to_one")
    pixels = np.load(places.cache(workspace.profile.images.cache_size), mmap_mode="r")
    if merged["fold"].isna().any() or len(pixels) != len(merged):
        raise DataFault(f"{places.folds_table}: does not fit {places.images_table}; run 03_annotations_and_folds again")
    return merged.astype({"fold": int}), read_table(places.boxes_table, BOXES), pixels


def annotate_and_fold(workspace: Workspace) -> tuple[pd.DataFrame, list[str]]:
    """Stage 03: true boxes, folds that keep patients and copies together, COCO file, priors, table of copies.

    The written folds are checked for leaks from headers and pixels; those that leak do not stay. Returns the balance of
    the folds and one line a finding.
    """
    places, settings = workspace.places, workspace.profile.folds
    images = read_table(places.images_table, IMAGES)
    image_level = read_image_level(workspace.competition / "train_image_level.csv")
    image_level = image_level[image_level["image_id"].isin(images["image_id"])].reset_index(drop=True)
    boxes, notes = true_boxes(image_level, images)
    thumbnails = training_thumbnails(workspace, images)
    comparable = without_flat(images, thumbnails)
    duplicates = find_duplicates(comparable, thumbnails)
    write_csv(duplicates, places.duplicates_table)
    folds = make_folds(comparable, settings.count, settings.seed, as_pairs(duplicates), settings.most_patients)
    write_table(boxes, places.boxes_table, BOXES)
    write_table(folds, places.folds_table, FOLDS)
    try:
        check_run(workspace)
    except DataFault:
        places.folds_table.unlink()
        raise
    write_json(to_coco(image_level, images), places.coco)
    write_json(priors(images, boxes), places.priors)
    balance = balance_table(folds, images)
    notes += [*duplicate_notes(comparable, as_pairs(duplicates)), *conflict_notes(duplicates)]
    notes += copies_in_test(workspace, comparable, thumbnails)
    notes += [*flat_notes(images, comparable), *balance_notes(balance), *deviation_notes(deviations(folds, images))]
    return balance, notes


def priors(images: pd.DataFrame, boxes: pd.DataFrame) -> dict:
    """Class frequencies, and the mean box of each half of the image with its frequency, as shares of width and height.

    What a test image gets when its file cannot be read, and a study without a readable image.
    """
    studies = images.drop_duplicates("study_id")
    sizes = images.set_index("image_id")[["height", "width"]]
    shares = [
        scale_xyxy(box[BOX_COLUMNS].to_numpy(float), sizes.loc[image_id].to_numpy(float), (1.0, 1.0))
        for image_id, box in boxes.groupby("image_id")
    ]
    corners = np.concatenate([np.empty((0, 4)), *shares])
    left = corners[:, [0, 2]].mean(1) < 0.5
    halves = [half for half in (corners[left], corners[~left]) if len(half)]
    return {
        "studies": {name: float(studies[name].mean()) for name in STUDY_CLASSES},
        "none": float(1 - images["has_box"].mean()),
        "boxes": [
            {"score": round(len(half) / len(images), 6), "box": half.mean(0).round(6).tolist()} for half in halves
        ],
    }


def read_priors(workspace: Workspace) -> dict:
    """The priors that stage 03 wrote."""
    return json.loads(workspace.places.priors.read_text())
