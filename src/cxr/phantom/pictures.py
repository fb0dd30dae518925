"""One phantom picture from named random numbers: patient, disease and view are drawn independently of each other."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cxr.phantom.anatomy import draw_patient, draw_view, render
from cxr.phantom.lesions import Disease, draw_disease
from cxr.phantom.seeds import generator

ATTEMPTS = 40  # draws of a disease until its number of boxes is the wanted one; then the nearest is taken
RETAKEN = ("shift_cm", "exposure", "window", "gamma", "sharpen", "border", "seed")  # what changes from take to take
UNBOXED = -1  # group of lesions that nobody boxes


class Picture(NamedTuple):
    """A rendering and what a header may tell about it. Pixels float [H x W] in 0..1, bright = dense."""

    pixels: np.ndarray
    boxes_xyxy: np.ndarray
    masks: dict[str, np.ndarray]
    findings: tuple[str, ...]
    sex: str
    age: int
    projection: str
    pixel_mm: float


def draw_picture(
    seed: int,
    purpose: str,
    keys: tuple[int, int, int, int],
    study_class: str,
    box_count: int | None,
    size: tuple[int, int] | None = None,
) -> Picture:
    """Draw the picture of (patient, disease, pose, view) `keys` within one data set, named by `purpose`.

    A pose that differs from the view is the view of another picture of the study: this one is its retake.
    `box_count`: how many boxes the disease should have; None leaves it to chance. `size`: (height, width) in px instead
    of the size that the view draws. Equal arguments give equal bytes in every process.
    """
    patient_key, disease_key, pose_key, view_key = keys
    patient = draw_patient(generator(seed, f"{purpose} patient", patient_key))
    view = draw_view(generator(seed, f"{purpose} view", view_key), patient)
    if pose_key != view_key:
        pose = draw_view(generator(seed, f"{purpose} view", pose_key), patient)
        view = replace(pose, **{name: getattr(view, name) for name in RETAKEN})
    if size:
        view = replace(view, height=size[0], width=size[1])
    disease = draw_disease_with(seed, f"{purpose} disease", disease_key, study_class, box_count)
    pixels, boxes_xyxy, masks, findings = render(patient, view, disease)
    pixel_mm = 10 * view.field_cm / max(view.height, view.width)
    return Picture(pixels, boxes_xyxy, masks, findings, patient.sex, patient.age, view.projection, pixel_mm)


def draw_disease_with(seed: int, purpose: str, key: int, study_class: str, box_count: int | None) -> Disease:
    """The first of some draws that annotators would box `box_count` times, else the nearest one."""
    best, best_distance = None, np.inf
    for attempt in range(ATTEMPTS):
        disease = draw_disease(generator(seed, purpose, key, attempt), study_class)
        groups = {lesion.group for lesion in disease.lesions} - {UNBOXED}
        distance = 0 if box_count is None else abs(len(groups) - box_count)
        if distance < best_distance:
            best, best_distance = disease, distance
        if not distance:
            break
    return best
