"""Synthetic chest radiographs: a Patient, a View and a Disease become pixels, boxes, masks and findings.

    rng = np.random.default_rng(7)
    patient = draw_patient(rng)
    rendering = render(patient, draw_view(rng, patient), draw_disease(rng, "typical"))

The body is a map of path lengths (body.py, bones.py, vessels.py), lesions replace air by fluid (lesions.py), devices
lie on top (devices.py), the detector turns attenuation into grey values (detector.py), letters are burnt in
(markers.py). Same arguments, same bytes.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cxr.phantom.body import Chest, build_chest
from cxr.phantom.bones import build_bones
from cxr.phantom.detector import collimate, expose
from cxr.phantom.devices import build_devices
from cxr.phantom.lesions import Disease, annotate, fill_share, findings_of
from cxr.phantom.markers import burn_in
from cxr.phantom.patients import Patient, draw_patient
from cxr.phantom.textures import smooth_step
from cxr.phantom.vessels import build_vessels
from cxr.phantom.views import Frame, View, draw_view

__all__ = ["Patient", "Rendering", "View", "draw_patient", "draw_view", "render"]

WATER = 0.2  # attenuation per cm at the mean energy of a chest exposure (about 60 keV)


class Rendering(NamedTuple):
    """One picture. Left and right are the patient's: the right lung lies at the left of the picture."""

    pixels: np.ndarray  # float32 [height x width], 0..1, bright = dense
    boxes_xyxy: np.ndarray  # float [N x 4], px
    masks: dict[str, np.ndarray]  # bool [height x width]: left_lung, right_lung, heart; untouched by lesions
    findings: tuple[str, ...]  # NIH names, sorted


def render(patient: Patient, view: View, disease: Disease) -> Rendering:
    """Make the radiograph. About 0.1 s for 900 px on one core."""
    frame = Frame(view, 0.5 * patient.lung_height * view.inspiration + 0.5)
    chest = build_chest(patient, view, frame)
    filled, extents, pneumothorax = _lesion_maps(disease, frame, chest)
    blood = build_vessels(patient, view, frame, chest)
    attenuation = _attenuation(patient, view, frame, chest, filled, blood, pneumothorax)
    attenuation += build_bones(patient, view, frame, chest)
    attenuation += build_devices(patient, view, frame, chest)
    pixels = expose(attenuation, view, frame, _focus(frame, chest))
    pixels = burn_in(collimate(pixels, view.border), view)
    size = (view.height, view.width)
    scale = (view.width / frame.shape[1], view.height / frame.shape[0])
    rng = np.random.default_rng([view.seed, 11])
    boxes_xyxy = annotate(disease.lesions, extents, chest, scale, size, rng)
    masks = {
        name: cv2.resize(getattr(chest, name).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
        for name in ("left_lung", "right_lung", "heart")
    }
    return Rendering(pixels, boxes_xyxy, masks, _findings(patient, disease))


def _lesion_maps(disease: Disease, frame: Frame, chest: Chest) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Share of air turned into fluid, extent of each lesion, extent of free air in the pleural space."""
    filled = np.zeros(frame.shape, np.float32)
    free = np.zeros(frame.shape, np.float32)
    extents = []
    for lesion in disease.lesions:
        share, extent = fill_share(lesion, frame, chest)
        extents.append(extent)
        if lesion.kind == "pneumothorax":
            free = np.maximum(free, extent)
        else:
            filled = 1 - (1 - filled) * (1 - share)
    return filled, extents, free


def _attenuation(
    patient: Patient, view: View, frame: Frame, chest: Chest, filled: np.ndarray, blood: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Everything but bones and devices, in mu * t."""
    rng = np.random.default_rng(patient.seed + 3)
    density = patient.lung_density * (1 + 0.5 * (0.95 - view.inspiration))
    uneven = 1 + 0.42 * frame.body_noise(rng, 8.0, 2) + patient.gravity * (frame.y / chest.height - 0.5)
    tissue_share = density * uneven * (1 - 0.9 * free) + filled * (1 - density)
    air = chest.air * (1 - np.clip(tissue_share, 0, 1))
    pleura = 1.6 * free * (1 - free)  # the line that a collapsed lung draws
    vessels = blood * (1 - np.minimum(1.1 * filled, 0.9)) * (1 - 0.95 * free) + pleura * (air > 0.5)
    haze = view.haze[0] * smooth_step(-chest.middle, 0, 8) + view.haze[1] * smooth_step(chest.middle, 0, 8)
    soft = chest.tissue * (1 + 0.012 * frame.body_noise(rng, 5.0, 3)) + haze * (chest.tissue > 5)
    gas = _gas(patient, frame, chest, rng) + _trachea(patient, frame, chest)
    return (WATER * np.maximum(soft - air - gas + 0.85 * vessels, 0)).astype(np.float32)


def _gas(patient: Patient, frame: Frame, chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Stomach bubble under the left dome and gas in the bowel."""
    under = smooth_step(frame.y - chest.base, 0.6, 1.6)
    depth = frame.y - chest.height - patient.left_dome - 2.6
    bubble = np.hypot((chest.middle - 5.5) / 3.2, depth / (1.0 + 1.6 * patient.gas))
    bowel = smooth_step(frame.body_noise(rng, 4.5, 2), 1.0 - 0.3 * patient.gas, 2.2) * smooth_step(chest.middle, -4, 4)
    gas = patient.gas * (5 * np.sqrt(np.maximum(1 - bubble**2, 0)) + 6 * bowel)
    return gas * under * (chest.lateral < 0.95)


def _trachea(patient: Patient, frame: Frame, chest: Chest) -> np.ndarray:
    """Air in the windpipe and the main bronchi."""
    carina = 0.32 * chest.height
    x, y = chest.middle + 0.25, frame.y
    pipe = 1.7 * np.sqrt(np.maximum(1 - (x / 0.95) ** 2, 0)) * smooth_step(y, carina + 0.6, carina - 0.4)
    below = y - carina
    slant = (1.05 + 0.2 * np.sign(x)) * np.maximum(below, 0)
    bronchus = 1.1 * np.sqrt(np.maximum(1 - ((np.abs(x) - 0.4 - slant) / 0.8) ** 2, 0))
    return pipe + bronchus * smooth_step(below, -0.3, 0.3) * smooth_step(below, 3.5, 1.5)


def _focus(frame: Frame, chest: Chest) -> np.ndarray:
    return (chest.tissue > 8) & (frame.y > 0) & (frame.y < chest.height + 3) & (chest.lateral < 1.05)


def _findings(patient: Patient, disease: Disease) -> tuple[str, ...]:
    names = findings_of(disease)
    if patient.heart > 0.53:
        names.add("Cardiomegaly")
    if patient.lung_density < 0.18:
        names.add("Emphysema")
    if patient.scars > 0:
        names.add("Fibrosis")
    if patient.pleura > 0:
        names.add("Pleural_Thickening")
    return tuple(sorted(names))
