"""Ribs, clavicles, spine, shoulder blades and humeri: attenuation (in units of mu * t) over the frame."""

import cv2
import numpy as np

from cxr.phantom.body import Chest
from cxr.phantom.patients import Patient
from cxr.phantom.textures import dome, ellipse_r2, smooth_step
from cxr.phantom.views import Frame, View


def build_bones(patient: Patient, view: View, frame: Frame, chest: Chest) -> np.ndarray:
    """Sum of all bones, float32 [H x W]."""
    rng = np.random.default_rng(patient.seed + 1)
    total = _ribs(patient, view, frame, rng) + _spine(patient, chest, frame) + _clavicles(patient, view, frame)
    total += _shoulders(patient, view, frame)
    return (patient.bone * total).astype(np.float32)


def _tube(t: np.ndarray, core: float, rim: float) -> np.ndarray:
    """Profile over relative distance t from the axis of a bone: spongy core and a brighter cortical rim."""
    return core * dome(t**2) + rim * np.exp(-(((np.abs(t) - 0.8) / 0.17) ** 2))


def _ribs(patient: Patient, view: View, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Posterior and anterior arcs on an elliptic cage: each pixel asks which rib its ray meets, at back and front."""
    x, y = frame.x, frame.y
    height = patient.lung_height
    top = np.clip(1 - (y + 0.8) / (0.8 * height), 0, 1)
    side = 1 - 0.07 * view.turn * np.sign(x)
    cage = (patient.half_width + 0.5) * np.maximum(1 - top**2.25, 1e-4) ** (1 / 2.25) * side
    sine = np.clip(np.abs(x) / np.maximum(cage, 0.1), 0, 1)
    cosine = np.sqrt(np.maximum(1 - sine**2, 0.0))
    inside = smooth_step(np.abs(x) - cage, 0.25, -0.35) * (y > -0.8)
    slope = patient.rib_slope * (0.55 + 0.45 * smooth_step(y, 0, 9))
    back_drop = slope * (2.2 * sine + 4.4 * (1 - cosine))
    front_drop = slope * (6.6 + 7.5 * (1 - sine) ** 0.8 * smooth_step(y, 2, 12))
    slant = 1 / np.maximum(cosine, 0.3) ** 0.45
    back = _rib_profile(patient, y - back_drop, rng, 0.24, 0.17) * smooth_step(np.abs(x), 1.0, 2.2)
    front = _rib_profile(patient, y - front_drop, rng, 0.24, 0.10) * smooth_step(sine, 0.42, 0.62)
    low = 0.35 + 0.65 * smooth_step(y - height * view.inspiration, 5, 0)
    return (0.64 * back + 0.36 * front) * slant * inside * low * smooth_step(y, 1.5 * height, 1.2 * height)


def _rib_profile(patient: Patient, along: np.ndarray, rng: np.random.Generator, core: float, rim: float) -> np.ndarray:
    """`along`: height in cm after the rib's own drop has been taken off, so that ribs lie at multiples of spacing."""
    knots = np.arange(-3, 18)
    uneven = knots + rng.normal(0, 0.07, knots.size)
    number = np.interp(along / patient.rib_spacing + patient.rib_phase, uneven, knots).astype(np.float32)
    index = np.rint(number)
    which = np.clip(index, -3, 17).astype(np.int8) + 3
    half = np.clip(rng.normal(0.27, 0.025, 21), 0.2, 0.34).astype(np.float32)[which]
    weight = np.clip(rng.normal(1, 0.12, 21), 0.6, 1.4).astype(np.float32)[which]
    return weight * _tube((number - index) / half, core, rim) * (index >= 0) * (index <= 11)


def _spine(patient: Patient, chest: Chest, frame: Frame) -> np.ndarray:
    """Vertebral bodies with discs between, pedicles and spinous processes."""
    x, y = chest.middle, frame.y
    length = 1.75 + 0.03 * np.clip(y, -10, 40)
    phase = np.log(length) / 0.03  # its slope is 1 / length: bodies grow downwards
    level = np.abs(phase - np.rint(phase)) * 2  # 0 in the middle of a body, 1 at the disc
    width = 1.35 + 0.025 * np.clip(y, -8, 25) - 0.15 * (1 - level)
    body = smooth_step(np.abs(x) / width, 1.08, 0.92) * (0.55 + 0.3 * smooth_step(level, 0.95, 0.75))
    plates = 0.2 * np.exp(-(((level - 0.8) / 0.12) ** 2)) * (np.abs(x) < width)
    pedicle = np.hypot((np.abs(x) - 0.72 * width) / 0.42, (level * length / 2) / 0.6)
    ring = 0.3 * np.exp(-(((pedicle - 0.8) / 0.3) ** 2))
    process = 0.4 * dome((x / 0.35) ** 2 + ((level - 0.4) / 0.5) ** 2)
    transverse = 0.3 * smooth_step(np.abs(x), 3.2, 2.6) * dome((level / 0.45) ** 2) * (np.abs(x) > width)
    return 0.24 * (body + plates + ring + process + transverse)


def _clavicles(patient: Patient, view: View, frame: Frame) -> np.ndarray:
    x, y = frame.x - 0.9 * view.turn, frame.y
    across = np.abs(x)
    scale = patient.half_width / 14
    t = np.clip((across / scale - 1.2) / 15.5, 0, 1)
    level = 3.4 if view.projection == "PA" else 1.6
    rise = (2.6 + 1.8 * patient.shoulders) * t + 0.75 * np.sin(2 * np.pi * t) - 0.25 * (view.turn * np.sign(x))
    thick = (0.62 + 0.35 * np.exp(-t / 0.08)) * (1 + 0.25 * smooth_step(t, 0.7, 1))
    ends = smooth_step(across / scale, 1.0, 1.6) * smooth_step(across / scale, 17, 16)
    return 0.8 * _tube((y - level + rise) / thick, 0.38, 0.32) * ends


def _shoulders(patient: Patient, view: View, frame: Frame) -> np.ndarray:
    """Shoulder blades as filled outlines, humeri as tubes."""
    inner = (0.62 if view.projection == "AP" else 0.86) * patient.half_width
    lift = -2.0 * patient.shoulders
    blade = np.array(
        [
            [inner + 1.0, 0.5],
            [inner + 0.2, 6],
            [inner + 1.5, 12.5],
            [inner + 2.6, 13.0],
            [inner + 4.2, 7],
            [inner + 5.6, 2.6],
            [inner + 6.2, 0.2],
            [inner + 4.0, -0.3],
        ]
    )
    crest = np.array([[inner + 0.5, 3.2], [inner + 3, 1.2], [inner + 7.5, -1.6]])
    layer = np.zeros(frame.shape, np.uint8)
    for sign in (-1, 1):
        outline, ridge = (
            np.rint(frame.to_px(np.add(points, (0, lift)) * [sign, 1]) * 16).astype(np.int32)
            for points in (blade, crest)
        )
        cv2.fillPoly(layer, [outline], 90, cv2.LINE_AA, 4)
        cv2.polylines(layer, [outline], True, 160, max(1, round(0.35 * frame.px_per_cm)), cv2.LINE_AA, 4)
        cv2.polylines(layer, [ridge], False, 150, max(1, round(0.7 * frame.px_per_cm)), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.18 * frame.px_per_cm).astype(np.float32) / 255
    across, y = np.abs(frame.x), frame.y
    centre = patient.half_width + 4.6 + 0.3 * patient.fat
    head = ellipse_r2(across, y, (centre, 1.8 + lift), (2.5, 2.7))
    shaft_x = centre + 0.8 + (0.12 * (view.arm - 2) + 0.05) * np.maximum(y - lift - 2, 0)
    shaft = _tube((across - shaft_x) / 1.25, 0.3, 0.55) * (y > 2 + lift)
    return 0.42 * soft + np.maximum(0.6 * dome(head) + 0.08 * np.exp(-(((head - 0.9) / 0.12) ** 2)), 0.8 * shaft)
