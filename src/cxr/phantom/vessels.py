"""Pulmonary vessels as two random trees a lung, hila, and the fine marking between them."""

import cv2
import numpy as np

from cxr.phantom.body import Chest
from cxr.phantom.patients import Patient
from cxr.phantom.textures import smooth_step
from cxr.phantom.views import Frame, View

GENERATIONS, STEPS = 6, 6


def build_vessels(patient: Patient, view: View, frame: Frame, chest: Chest) -> np.ndarray:
    """Thickness of blood in the lungs, cm, float32 [H x W], before lesions blur or hide it."""
    rng = np.random.default_rng(patient.seed + 2)
    total = np.zeros(frame.shape, np.float32)
    for _ in range(2):  # a tree in front of the other: crossings add up
        layer = np.zeros(frame.shape, np.uint8)
        for sign in (-1, 1):
            _draw_tree(layer, patient, frame, chest, sign, rng)
        total += cv2.GaussianBlur(layer, (0, 0), max(0.045 * frame.px_per_cm, 0.4))
    total *= np.float32(1.6 / 255)
    marking = frame.body_noise(rng, 0.8, 2)
    fine = np.exp(-((marking / 0.35) ** 2)) * 0.16 + 0.07 * marking
    hila = np.zeros(frame.shape, np.float32)
    for sign, level in ((-1, 0.45), (1, 0.41)):
        radius = np.hypot((chest.middle - sign * 3.6) / 1.7, (frame.y - level * chest.height) / 3.0)
        hila += 1.0 * np.exp(-(radius**2))
    inside = smooth_step(chest.air, 0.5, 5)
    old = _scars(patient, frame, chest, rng)
    return ((patient.vessels * (total + fine + hila) + old) * inside).astype(np.float32)


def _scars(patient: Patient, frame: Frame, chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Old changes that look the same in every class: plate-like streaks, mostly low, and an apical pleural cap; cm."""
    layer = np.zeros(frame.shape, np.uint8)
    for _ in range(patient.scars):
        side, length = rng.choice([-1, 1]), rng.uniform(2.5, 6)
        start = np.array([side * rng.uniform(0.35, 0.8) * patient.half_width, rng.uniform(0.25, 0.97) * chest.height])
        along = np.linspace(-0.5, 0.5, 5)[:, None] * length
        heading = rng.normal(0, 0.45)
        points = start + along * [np.cos(heading), np.sin(heading)] + rng.normal(0, 0.12, (5, 2))
        pixels = np.rint(frame.to_px(points) * 16).astype(np.int32)
        width = max(1, round(rng.uniform(0.12, 0.35) * frame.px_per_cm))
        cv2.polylines(layer, [pixels], False, 255, width, cv2.LINE_AA, 4)
    streaks = cv2.GaussianBlur(layer, (0, 0), max(0.06 * frame.px_per_cm, 0.4)) * np.float32(1.1 / 255)
    if patient.pleura == 0:
        return streaks
    cap = smooth_step(frame.y / chest.height, 0.16, 0.03) + 0.5 * smooth_step(chest.lateral, 0.9, 0.98)
    return streaks + 3 * patient.pleura * cap * smooth_step(chest.lateral, 0.3, 0.6)


def _draw_tree(
    layer: np.ndarray, patient: Patient, frame: Frame, chest: Chest, sign: int, rng: np.random.Generator
) -> None:
    """Grow all branches of one generation at a time; draw thin ones first, so that trunks lie on top."""
    trunks = 7
    places = np.stack([sign * rng.uniform(2.4, 3.6, trunks), chest.height * rng.uniform(0.36, 0.5, trunks)], 1)
    angles = np.linspace(-1.25, 1.35, trunks) + rng.normal(0, 0.12, trunks)
    widths = rng.uniform(0.3, 0.55, trunks)
    drawn = []
    for generation in range(GENERATIONS):
        length = patient.half_width * (0.27 if generation == 0 else 0.23) * 0.86**generation
        lengths = length * rng.uniform(0.6, 1.4, len(places))
        bend = rng.normal(0, 0.17, (len(places), STEPS)).cumsum(1)
        headings = angles[:, None] + bend
        steps = np.stack([sign * np.cos(headings), np.sin(headings)], 2) * (lengths / STEPS)[:, None, None]
        points = np.concatenate([places[:, None], places[:, None] + steps.cumsum(1)], 1)
        drawn.append((points, widths))
        places = np.repeat(points[:, -1], 2, axis=0)
        spread = rng.uniform(0.15, 0.6, len(places)) * np.tile([-1, 1], len(places) // 2)
        angles = np.repeat(headings[:, -1], 2) + spread
        widths = np.repeat(widths, 2) * rng.uniform(0.55, 0.88, len(places))
    for points, widths in reversed(drawn):
        pixels = np.rint(frame.to_px(points.reshape(-1, 2)).reshape(points.shape) * 16).astype(np.int32)
        for line, width in zip(pixels, widths * frame.px_per_cm, strict=True):
            shade = min(255, 255 * width / frame.px_per_cm / 0.9 * min(1, width) + 10)
            cv2.polylines(layer, [line], False, shade, max(1, round(width)), cv2.LINE_AA, 4)
