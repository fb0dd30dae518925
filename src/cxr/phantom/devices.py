"""Things in, on and beside the patient that have nothing to do with the class: tubes, leads, wires, folds."""

from collections.abc import Callable

import cv2
import numpy as np

from cxr.phantom.body import Chest
from cxr.phantom.patients import Patient
from cxr.phantom.views import Frame, View

METAL, PLASTIC = 1.0, 0.28  # mu * t of a wire and of a radiopaque stripe


class Tray:
    """What one drawing function may use: its own random numbers, places in the chest, and two pens."""

    def __init__(self, patient: Patient, view: View, frame: Frame, chest: Chest) -> None:
        self.patient, self.frame, self.height = patient, frame, chest.height
        self.half = patient.half_width
        self.rng = np.random.default_rng([view.seed, 3])
        self.total = np.zeros(frame.shape, np.float32)

    def wire(self, points_cm: list, width_cm: float, value: float, wobble: float = 0.0) -> None:
        """A smooth line through points [N x 2]; thinner than a pixel is drawn fainter, not wider."""
        points = _curve(np.asarray(points_cm, float) + self.rng.normal(0, 1, (len(points_cm), 2)) * wobble)
        layer = np.zeros(self.frame.shape, np.uint8)
        width = width_cm * self.frame.px_per_cm
        pixels = np.rint(self.frame.to_px(points) * 16).astype(np.int32)
        cv2.polylines(layer, [pixels], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
        self.total += layer * np.float32(value * min(1, width) / 255)

    def shape(self, points_cm: np.ndarray, value: float) -> None:
        layer = np.zeros(self.frame.shape, np.uint8)
        cv2.fillPoly(layer, [np.rint(self.frame.to_px(points_cm) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        self.total += layer * np.float32(value / 255)

    def disc(self, centre: tuple[float, float], radius: float, value: float) -> None:
        turn = np.linspace(0, 2 * np.pi, 24)
        self.shape(np.asarray(centre) + radius * np.stack([np.cos(turn), np.sin(turn)], 1), value)


def _curve(points: np.ndarray) -> np.ndarray:
    """Catmull-Rom spline through points [N x 2], eight steps a piece."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 9)[:-1, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])


def _ecg_leads(tray: Tray) -> None:
    rng, half = tray.rng, tray.half
    for _ in range(rng.integers(2, 6)):
        side = rng.choice([-1, 1])
        spot = np.array([side * rng.uniform(0.35, 1.05) * half, rng.uniform(0.1, 1.15) * tray.height])
        tray.disc(tuple(spot), rng.uniform(0.45, 0.7), 0.35 * METAL)
        tray.disc(tuple(spot), 0.25, 0.5 * METAL)
        end = np.array([side * rng.uniform(0.6, 1.6) * half, rng.choice([-8, tray.height + 12])])
        tray.wire([spot, 0.6 * spot + 0.4 * end, 0.3 * spot + 0.7 * end, end], 0.14, 0.5 * METAL, 1.2)


def _tracheal_tube(tray: Tray) -> None:
    tip = tray.height * tray.rng.uniform(0.12, 0.28)
    for offset in (-0.42, 0.42):
        tray.wire([(offset, -14), (offset, -4), (offset - 0.2, tip)], 0.1, PLASTIC)
    tray.wire([(0.42, -14), (0.35, -4), (0.3, tip)], 0.12, PLASTIC)


def _gastric_tube(tray: Tray) -> None:
    end = [(2.5, tray.height + 1), (5.5, tray.height + 4), (7.5, tray.height + 5)]
    tray.wire(
        [(0.4, -14), (0.3, 0), (0.2, 0.5 * tray.height), (0.8, 0.85 * tray.height), *end], 0.22, 1.3 * PLASTIC, 0.2
    )


def _central_line(tray: Tray) -> None:
    side = tray.rng.choice([-1, 1])
    start = [(side * 5, -12), (side * 3.5, -3)] if tray.rng.random() < 0.6 else [(side * 14, 1.5), (side * 6, 0.5)]
    tray.wire(
        [*start, (-1.2, 0.2 * tray.height), (-2.2, 0.38 * tray.height), (-2.4, 0.5 * tray.height)], 0.2, PLASTIC, 0.2
    )


def _pacemaker(tray: Tray) -> None:
    side = 1 if tray.rng.random() < 0.8 else -1
    centre = np.array([side * 0.68 * tray.half, 0.2 * tray.height + tray.rng.normal(0, 1)])
    turn = np.linspace(0, 2 * np.pi, 40)
    box = np.stack(
        [
            np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.5 * 2.3,
            np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.5 * 2.0,
        ],
        1,
    )
    tray.shape(centre + box, 1.4 * METAL)
    tray.shape(centre + 0.6 * box, 0.6 * METAL)
    upper = [
        np.add(centre, (0, -1.8)),
        np.add(centre, (-2 * side, -3.2)),
        (-0.5, 0.18 * tray.height),
        (-2.4, 0.4 * tray.height),
    ]
    tray.wire([*upper, (-2.6, 0.65 * tray.height), (-1.8, 0.72 * tray.height)], 0.16, 0.8 * METAL, 0.15)
    tray.wire([*upper, (-2.0, 0.8 * tray.height), (3.8, 0.95 * tray.height)], 0.16, 0.8 * METAL, 0.15)


def _sternal_wires(tray: Tray) -> None:
    for level in np.linspace(0.2, 0.75, 6) * tray.height:
        x, r = tray.rng.normal(0, 0.25), tray.rng.uniform(0.5, 0.8)
        loop = [(x - r, level), (x, level + 0.4), (x + r, level), (x, level - 0.35), (x - r, level)]
        tray.wire(loop, 0.1, METAL, 0.06)


def _chest_tube(tray: Tray) -> None:
    side = tray.rng.choice([-1, 1])
    points = [
        (side * 1.5 * tray.half, 0.9 * tray.height),
        (side * 0.9 * tray.half, 0.7 * tray.height),
        (side * 0.6 * tray.half, 0.4 * tray.height),
        (side * 0.5 * tray.half, 0.15 * tray.height),
    ]
    tray.wire(points, 0.75, 0.35 * PLASTIC)
    tray.wire(points, 0.12, 1.6 * PLASTIC)


def _port(tray: Tray) -> None:
    side = tray.rng.choice([-1, 1])
    centre = (side * 0.6 * tray.half, 0.25 * tray.height)
    tray.disc(centre, 1.3, 0.45 * METAL)
    tray.disc(centre, 0.7, 0.4 * METAL)
    tray.wire(
        [centre, (side * 0.45 * tray.half, 0.02 * tray.height), (-1, 0.15 * tray.height), (-2.2, 0.45 * tray.height)],
        0.18,
        PLASTIC,
    )


def _tubing_outside(tray: Tray) -> None:
    side, rng = tray.rng.choice([-1, 1]), tray.rng
    points = [(side * tray.half * rng.uniform(0.2, 1.4), y) for y in (-12, -2, 8, 20, 36)]
    tray.wire(points, 0.6, 0.35 * PLASTIC)
    tray.wire(np.add(points, (0.3, 0)), 0.1, 0.8 * PLASTIC)


def _skin_fold(tray: Tray) -> None:
    """A soft edge that runs over the lung and mimics a pleural line: dense on one side, sharp on the other."""
    side, rng = tray.rng.choice([-1, 1]), tray.rng
    a, b = (side * rng.uniform(0.4, 0.9) * tray.half, -1), (side * rng.uniform(0.5, 1.0) * tray.half, 1.1 * tray.height)
    along = (tray.frame.y - a[1]) / (b[1] - a[1])
    distance = side * (tray.frame.x - a[0] - (b[0] - a[0]) * along - 0.8 * np.sin(3 * along))
    tray.total += (0.16 * np.exp(distance / 1.2) * (distance < 0) * (along > 0) * (along < 1)).astype(np.float32)


def _clips(tray: Tray) -> None:
    centre = np.array([tray.rng.uniform(-0.8, 0.8) * tray.half, tray.rng.uniform(0.2, 0.9) * tray.height])
    for _ in range(tray.rng.integers(2, 7)):
        spot = centre + tray.rng.normal(0, 1.5, 2)
        tray.wire([spot, spot + tray.rng.normal(0, 0.4, 2)], 0.14, METAL)


def _buttons(tray: Tray) -> None:
    x = tray.rng.normal(0, 2)
    for level in np.arange(-2, tray.height + 8, 7.0):
        tray.disc((x + tray.rng.normal(0, 0.3), level), 0.55, 0.4)


PENS: dict[str, Callable[[Tray], None]] = {
    "ecg_leads": _ecg_leads,
    "tracheal_tube": _tracheal_tube,
    "gastric_tube": _gastric_tube,
    "central_line": _central_line,
    "pacemaker": _pacemaker,
    "sternal_wires": _sternal_wires,
    "chest_tube": _chest_tube,
    "port": _port,
    "tubing_outside": _tubing_outside,
    "skin_fold": _skin_fold,
    "clips": _clips,
    "buttons": _buttons,
}


def build_devices(patient: Patient, view: View, frame: Frame, chest: Chest) -> np.ndarray:
    """Attenuation (mu * t) of all devices of the view, float32 [H x W]."""
    tray = Tray(patient, view, frame, chest)
    for name in view.devices:
        if name in PENS:
            PENS[name](tray)
    return tray.total
