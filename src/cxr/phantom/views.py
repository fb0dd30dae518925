"""How a patient is put before the detector: field, pose, exposure, and the grid in cm that all parts draw on."""

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.phantom.patients import Patient
from cxr.phantom.textures import noise, plain

WORKING_SIZE = 512  # px of the longer side on which the body is computed; larger pictures are enlarged before the noise
NOISE_EXTENT = 60  # cm of body that a body-fixed noise covers before it repeats mirrored
NOISE_DENSITY = 8  # its samples per cm


@dataclass(frozen=True)
class View:
    """One exposure. A second image of a study is a second View of the same patient and disease."""

    projection: str  # 'AP' (portable, larger heart, scapulae over the lungs) or 'PA'
    height: int  # px of the finished picture
    width: int
    field_cm: float  # extent of the longer side at the patient
    angle: float  # radians, in the picture plane
    shift_cm: tuple[float, float]  # of the picture centre from the centre of the thorax
    turn: float  # -1..1, rotation about the body's axis: moves mediastinum and clavicles against the ribs
    inspiration: float  # .75 (shallow) to 1.05: relative height of the lungs
    breath: float  # cm by which breathing blurs the diaphragm
    arm: float  # cm between chest wall and arm; large: out of the picture
    scatter: float  # share of scattered radiation
    exposure: float  # photons: noise falls with its root
    window: tuple[float, float]  # percentile-like positions of black and white, relative to the body's own range
    gamma: float
    sharpen: float  # strength of the console's unsharp mask
    gradient: tuple[float, float]  # uneven field along x and y, in attenuation units over the picture
    haze: tuple[float, float]  # smooth extra soft tissue over the patient's right and left half, cm
    devices: tuple[str, ...]
    border: tuple[float, float, float, float]  # collimator: share of the picture cut dark at left, top, right, bottom
    seed: int


class Frame:
    """The picture's grid in body coordinates: x to the right of the screen (the patient's left), y down, in cm.

    The origin lies in the midline at the height of the lung apices.
    """

    def __init__(self, view: View, centre_y: float) -> None:
        scale = min(1.0, WORKING_SIZE / max(view.height, view.width))
        self.shape = (max(1, round(view.height * scale)), max(1, round(view.width * scale)))
        self.px_per_cm = max(self.shape) / view.field_cm
        cos, sin = np.cos(view.angle), np.sin(view.angle)
        self.turning = np.array([[cos, -sin], [sin, cos]])
        self.centre = np.array([view.shift_cm[0], centre_y + view.shift_cm[1]])
        rows, columns = np.indices(self.shape, np.float32)
        across = (columns + np.float32(0.5 - self.shape[1] / 2)) / np.float32(self.px_per_cm)
        down = (rows + np.float32(0.5 - self.shape[0] / 2)) / np.float32(self.px_per_cm)
        self.x = (across * cos + down * sin + self.centre[0]).astype(np.float32)
        self.y = (down * cos - across * sin + self.centre[1]).astype(np.float32)

    def to_px(self, points_cm: np.ndarray) -> np.ndarray:
        """Body points [N x 2] in cm to working pixels [N x 2] (x, y), centres of pixels at whole numbers."""
        turned = (np.asarray(points_cm, float) - self.centre) @ self.turning.T
        return turned * self.px_per_cm + np.array(self.shape[::-1]) / 2 - 0.5

    def body_noise(self, rng: np.random.Generator, grain_cm: float, octaves: int, gain: float = 0.5) -> np.ndarray:
        """Noise [H x W] that clings to the body: two views of a patient show the same texture, moved and scaled."""
        tile = noise(rng, (NOISE_EXTENT * NOISE_DENSITY,) * 2, grain_cm * NOISE_DENSITY, octaves, gain)
        step = NOISE_DENSITY / self.px_per_cm
        matrix = np.empty((2, 3))
        matrix[:, :2] = self.turning.T * step
        matrix[:, 2] = np.add(self.centre, (NOISE_EXTENT / 2, NOISE_EXTENT / 3)) * NOISE_DENSITY
        matrix[:, 2] -= matrix[:, :2] @ (np.array(self.shape[::-1]) / 2 - 0.5)
        return cv2.warpAffine(
            tile, matrix, self.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )


DEVICE_ODDS = {  # chance on a portable AP, on a PA exposure
    "ecg_leads": (0.5, 0.12),
    "tracheal_tube": (0.22, 0.01),
    "gastric_tube": (0.2, 0.02),
    "central_line": (0.3, 0.05),
    "pacemaker": (0.07, 0.06),
    "sternal_wires": (0.08, 0.07),
    "chest_tube": (0.05, 0.01),
    "port": (0.05, 0.05),
    "tubing_outside": (0.3, 0.04),
    "skin_fold": (0.25, 0.05),
    "clips": (0.08, 0.06),
    "buttons": (0.08, 0.08),
    "lead_letter": (0.8, 0.9),
    "burnt_text": (0.45, 0.25),
    "arrow": (0.2, 0.03),
}


def draw_view(rng: np.random.Generator, patient: Patient, longer_side: tuple[int, int] = (640, 900)) -> View:
    """Pose, field, exposure and distractors, all independent of the disease.

    `longer_side`: range of the longer side in px. Sides stand 1.16 +- .10 as width to height in the SIIM set.
    """
    projection = str(rng.choice(["AP", "PA"], p=[0.6, 0.4]))
    portable = projection == "AP"
    aspect = float(rng.choice([1.22, 1.15, 1.0, 0.84], p=[0.5, 0.2, 0.18, 0.12]) * rng.uniform(0.98, 1.02))
    long = int(rng.integers(longer_side[0], longer_side[1] + 1))
    height, width = (round(long / aspect), long) if aspect > 1 else (long, round(long * aspect))
    inspiration = float(np.clip(rng.normal(0.86 if portable else 0.95, 0.07), 0.68, 1.06))
    # the lungs take .72 +- .08 of the width and .71 +- .09 of the height in the SIIM set
    across = 2 * patient.half_width / np.clip(rng.normal(0.715, 0.07), 0.55, 0.95) / (width / long)
    down = (patient.lung_height * inspiration + 3) / np.clip(rng.normal(0.71, 0.075), 0.5, 0.95) / (height / long)
    field = float(max(across, down) if rng.random() < 0.7 else 0.5 * (across + down))
    magnified = 0.94 if portable else 1.0
    black, white = rng.uniform(-0.02, 0.25) + (0.2 * rng.random() if portable else 0), rng.uniform(0.62, 0.95)
    return View(
        **plain(
            dict(
                projection=projection,
                height=height,
                width=width,
                field_cm=field * magnified,
                angle=rng.normal(0, 0.05 if portable else 0.02),
                shift_cm=(rng.normal(0, 1.7), rng.normal(0, 2.1)),
                turn=float(np.clip(rng.normal(0, 0.4), -1, 1)),
                inspiration=inspiration,
                breath=rng.uniform(0.06, 0.5 if portable else 0.2),
                arm=rng.uniform(1, 6),
                scatter=rng.uniform(0.35, 1.1) if portable else rng.uniform(0.1, 0.45),
                exposure=float(np.exp(np.clip(rng.normal(0.1, 0.5), -0.6, 1.5))),
                window=(black, white),
                gamma=float(np.exp(rng.normal(-0.05, 0.2))),
                sharpen=rng.uniform(0, 1.1),
                gradient=(rng.normal(0, 0.3), rng.normal(0, 0.3)),
                haze=(abs(rng.normal(0, 1.5)), abs(rng.normal(0, 1.5))),
                devices=tuple(name for name, odds in DEVICE_ODDS.items() if rng.random() < odds[0 if portable else 1]),
                border=_draw_border(rng),
                seed=int(rng.integers(2**31)),
            )
        )
    )


def _draw_border(rng: np.random.Generator) -> tuple[float, float, float, float]:
    if rng.random() < 0.75:
        return (0.0, 0.0, 0.0, 0.0)
    return tuple(float(share) for share in rng.uniform(0, 0.05, 4) * (rng.random(4) < 0.6))
