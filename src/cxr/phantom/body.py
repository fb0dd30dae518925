"""Soft tissue and air of the chest as path lengths (cm of water) along the beam, from ellipsoid thicknesses.

Nothing is drawn: every organ is a formula over the grid, so silhouettes arise as they do in a radiograph, where two
tissues of different density touch along the beam (heart against lung, dome of the diaphragm against lung).
"""

from typing import NamedTuple

import numpy as np

from cxr.phantom.patients import Patient
from cxr.phantom.textures import dome, ellipse_r2, smooth_step
from cxr.phantom.views import Frame, View


class Chest(NamedTuple):
    """Arrays [H x W] over the frame, lengths in cm."""

    tissue: np.ndarray  # water thickness of the body if the lungs were filled
    air: np.ndarray  # thickness of lung along the beam
    wall: np.ndarray  # inner chest wall: half width at the height of each pixel, on the pixel's side
    lateral: np.ndarray  # 0 in the midline, 1 at the inner chest wall
    middle: np.ndarray  # x distance from the (turned, bent) midline of the mediastinum
    base: np.ndarray  # y of the top of the diaphragm at each pixel's x
    heart: np.ndarray  # bool, silhouette
    right_lung: np.ndarray  # bool, what a reader outlines; the patient's right lies at the left of the picture
    left_lung: np.ndarray
    height: float  # y of the right dome


def build_chest(patient: Patient, view: View, frame: Frame) -> Chest:
    """Fill the frame with the chest of this patient in this pose."""
    x, y = frame.x, frame.y
    height = patient.lung_height * view.inspiration
    middle = x - patient.spine_bend * np.sin(y / 7) - 1.2 * view.turn * smooth_step(y, -2, 6)
    wall, depth = _cavity(patient, view, x, y, height)
    lateral = np.minimum(np.abs(x) / np.maximum(wall, 0.1), 4)
    cavity = 2 * depth * dome(np.minimum(lateral, 1) ** 2)
    base = _diaphragm(patient, x, wall, height)
    below = (y - base) / 5.0
    # behind the dome the lung reaches lower: the shadow ends sharply at the top of the dome and fades below it
    behind = 0.2 * np.maximum(1 - np.sqrt(np.maximum(below, 0)), 0) * smooth_step(lateral, 0.25, 0.7)
    share = behind + (1 - behind) * smooth_step(y - base, view.breath, -view.breath)
    heart_thickness = _heart(patient, view, middle, y, height)
    vessel_band, edge = _mediastinum(patient, middle, y, height)
    edge = edge + 0.8 * (1 - edge) * smooth_step(heart_thickness, 2, 7)  # the heart hides where the lungs end behind it
    air = np.maximum(cavity * share - heart_thickness - vessel_band, 0) * edge
    inside = (lateral < 0.985) & (y < base) & (y > 0) & (np.abs(middle) > 2)
    heart = (heart_thickness > 2.2) & (y < base + 1.5) & (y > 0.3 * height)
    lungs = inside & ~heart & (edge > 0.65) & (vessel_band < 3)
    tissue = _torso(patient, view, x, y, height)
    return Chest(tissue, air, wall, lateral, middle, base, heart, lungs & (middle < 0), lungs & (middle > 0), height)


def _cavity(patient: Patient, view: View, x: np.ndarray, y: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Half width [H x W] of the thoracic cavity on the pixel's side and half depth, both by height."""
    relative = y / height
    top = np.clip(1 - relative / 0.8, 0, 1)
    profile = np.maximum(1 - top**2.25, 1e-4) ** (1 / 2.25)
    profile = profile * (1 - 0.05 * smooth_step(relative, 0.75, 1.4)) * (0.94 + 0.06 * smooth_step(relative, 0.1, 0.8))
    side = 1 - 0.07 * view.turn * np.sign(x)
    width = np.where(y > 0, patient.half_width * profile * side, 0.05)
    depth = patient.depth * (0.4 + 0.6 * smooth_step(relative, -0.05, 0.6))
    return width, depth


def _diaphragm(patient: Patient, x: np.ndarray, wall: np.ndarray, height: float) -> np.ndarray:
    """y of the top of the diaphragm under each x: domes near .45 of the half width, falling to the lateral angle."""
    across = np.abs(x) / patient.half_width
    outer = np.maximum(across - 0.42, 0) / 0.58
    inner = np.maximum(0.42 - across, 0) / 0.42
    fall = patient.dome_shape * (0.75 * outer**2 + 0.5 * outer**5) + 0.8 * inner**2
    return height + fall + patient.left_dome * smooth_step(x, -4, 5)


def _heart(patient: Patient, view: View, middle: np.ndarray, y: np.ndarray, height: float) -> np.ndarray:
    """Thickness of heart, pulmonary trunk and aortic arch between a left and a right border that depend on height."""
    magnified = 1.12 if view.projection == "AP" else 1.0
    width = 2 * patient.half_width * patient.heart * magnified * (1 + 0.35 * (0.95 - view.inspiration))
    bottom, tilt = height + 1.6, 0.14 * patient.heart_tilt * width
    pressed = min(1.0, (bottom - 0.48 * height) / (0.62 * width))  # a wide heart under a high diaphragm lies flatter
    at = [bottom - pressed * part * width for part in (0.5, 0.3, 0.16, 0.02, -0.1)]
    left = [
        (-1, 1.6),
        (0.18 * height, 2.2),
        (0.27 * height, 2.7 + 1.2 * patient.aorta),
        (0.34 * height, 2.4),
        (0.43 * height, 2.9 + 0.5 * patient.vessels),
        (at[0], 0.28 * width),
        (at[1], 0.50 * width - tilt),
        (at[2], 0.60 * width - 0.4 * tilt),
        (at[3], 0.58 * width),
        (at[4], 0.3 * width),
    ]
    right = [
        (-1, 1.8),
        (0.2 * height, 2.3),
        (0.42 * height, 2.2),
        (at[0], 0.26 * width),
        (at[1], 0.37 * width),
        (at[2], 0.38 * width),
        (at[3], 0.30 * width),
        (at[4], 0.1 * width),
    ]
    outer, inner = _border(left, y), -_border(right, y)
    half = np.maximum((outer - inner) / 2, 0.1)
    offset = (middle - (outer + inner) / 2) / half
    ends = smooth_step(y, 0.08 * height, 0.2 * height) * smooth_step(y, bottom + 0.2 * width, bottom)
    heart = np.minimum(2.7 * half, 1.15 * width) * dome(offset * offset) * ends
    descending = (middle - 1.3 - 0.5 * patient.aorta) / 1.3
    return np.maximum(heart, 2.6 * dome(descending * descending) * smooth_step(y, 0.25 * height, 0.33 * height))


def _border(knots: list[tuple[float, float]], y: np.ndarray) -> np.ndarray:
    """Distance from the midline at each height: a rounded line through knots (y, x), which are put in order first."""
    heights, distances = np.array(sorted(knots)).T
    fine = np.arange(heights[0], heights[-1], 0.1)
    rounded = np.convolve(np.pad(np.interp(fine, heights, distances), 9, "edge"), np.hanning(21)[1:-1] / 10, "valid")
    return np.interp(y, fine, rounded).astype(np.float32)


def _mediastinum(patient: Patient, middle: np.ndarray, y: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the upper vessels, and a 0..1 edge that ends the lungs at spine and great vessels."""
    relative = y / height
    right = 2.3 + 2.4 * np.exp(-np.maximum(y, 0) / 1.1) + 0.5 * smooth_step(relative, 0.1, 0.3)
    right = right - 0.9 * smooth_step(relative, 0.3, 0.5)
    left = 2.3 + 2.6 * np.exp(-np.maximum(y, 0) / 1.2) - 0.7 * smooth_step(relative, 0.3, 0.5)
    border = np.where(middle < 0, right, left)
    band = 5.0 * dome((middle / (border + 0.5)) ** 2) * smooth_step(relative, 0.55, 0.3)
    return band, 0.18 + 0.82 * smooth_step(np.abs(middle), border - 0.35, border + 0.3)


def _torso(patient: Patient, view: View, x: np.ndarray, y: np.ndarray, height: float) -> np.ndarray:
    """Water thickness of trunk, neck, breasts and arms."""
    across = np.abs(x)
    wall = patient.half_width + 1.6 + patient.fat
    wide = patient.half_width + 8 + 0.6 * patient.fat
    half = wide + (wall - wide) * smooth_step(y, 2, 11) + 0.05 * np.maximum(y - 9, 0) * patient.fat
    half_depth = patient.depth + 1.3 + 0.75 * patient.fat
    power = 3.2 + 2.0 * smooth_step(y, 12, 2)
    trunk = np.maximum(1 - np.minimum(across / half, 1) ** power, 0) ** (1 / power)
    lift = -1.5 - 2.0 * patient.shoulders
    outline = lift - 5.5 * smooth_step(across, 16, 3.5) + 2.5 * smooth_step(across, 15, 22)
    drop = np.clip((y - outline) / 4, 0, 1)
    neck = 6.3 + 0.4 * patient.fat
    neck_thickness = 14.5 * dome((across / neck) ** 2)
    thickness = 2 * half_depth * trunk * np.sqrt(1 - (1 - drop) ** 2) * (0.85 + 0.15 * smooth_step(y, 0, 9))
    thickness = np.maximum(thickness, np.where(y < outline + 4, neck_thickness, 0))
    arm_centre = patient.half_width + 5 + patient.fat + view.arm + 0.12 * np.maximum(y, 0) * (view.arm - 2)
    arm = 2 * (3.6 + 0.5 * patient.fat) * dome(((across - arm_centre) / (3.6 + 0.5 * patient.fat)) ** 2)
    thickness = np.maximum(thickness, 1.4 * arm * smooth_step(y, lift - 1, lift + 5))
    return thickness + _breasts(patient, view, across, y, height) * (trunk > 0)


def _breasts(patient: Patient, view: View, across: np.ndarray, y: np.ndarray, height: float) -> np.ndarray:
    size = patient.breast
    if size < 0.1:
        return np.zeros_like(across)
    flat = 0.7 if view.projection == "AP" else 1.0
    centre = (patient.half_width * (0.62 + 0.08 * (1 - flat)), height * (0.78 + 0.12 * patient.breast_sag))
    axes = (4.5 + 3.5 * size, 4.0 + 4.0 * size)
    radius = ellipse_r2(across, y, centre, axes)
    upper = smooth_step(y, centre[1] - axes[1], centre[1] + axes[1] * 0.6)  # no upper contour: it hangs from the chest
    return 5.5 * size * flat * dome(radius) ** 1.3 * upper
