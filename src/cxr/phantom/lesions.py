"""Diseases: what a study shows, where in the lungs, and the boxes that an annotator draws around it.

Places are relative to the lung (u: 0 at the mediastinum, 1 at the chest wall; v: 0 at the apex, 1 at the diaphragm),
so that one Disease fits every view of every patient. Patterns follow the categories of the RSNA consensus on COVID-19
(Simpson 2020) which the SIIM set uses: *typical* bilateral, peripheral, lower; *indeterminate* unilateral, central or
diffuse; *atypical* lobar consolidation, effusion, nodules, pneumothorax. Box counts per class are those of the real
train set: typical 1 / 2 / 3 boxes 1 / 93 / 6 %, indeterminate none 4 %, one 65 %, two 31 %, atypical none 19 %.
"""

from dataclasses import dataclass

import numpy as np

from cxr.boxes import clip_xyxy
from cxr.labels import STUDY_CLASSES
from cxr.phantom.body import Chest
from cxr.phantom.textures import plain, smooth_step
from cxr.phantom.views import Frame

RIGHT, LEFT = -1, 1  # the patient's sides, as signs of x on the screen


@dataclass(frozen=True)
class Lesion:
    kind: str  # ground_glass, consolidation, lobar, effusion, nodule, pneumothorax
    side: int  # RIGHT or LEFT
    u: float  # centre
    v: float
    ru: float  # half extents
    rv: float
    density: float  # share of the air that is replaced by fluid, 0..1
    patch: float  # irregularity of the border
    mottle: float  # spread of that share: crazy paving, reticulation; carries what a 16 px thumbnail cannot see
    group: int  # lesions of one group share a box; -1: never boxed
    seed: int


@dataclass(frozen=True)
class Disease:
    study_class: str
    lesions: tuple[Lesion, ...] = ()


def draw_disease(rng: np.random.Generator, study_class: str) -> Disease:
    """What a study of this class shows. `study_class` is one of `cxr.labels.STUDY_CLASSES`; else ValueError."""
    if study_class not in STUDY_CLASSES:
        raise ValueError(f"study class {study_class!r}; expected one of {', '.join(STUDY_CLASSES)}")
    makers = {"negative": lambda rng: [], "typical": _typical, "indeterminate": _indeterminate, "atypical": _atypical}
    return Disease(study_class, tuple(makers[study_class](rng)))


def _patch(
    rng: np.random.Generator,
    side: int,
    u: tuple[float, float],
    v: tuple[float, float],
    density: float,
    group: int,
    kind: str = "ground_glass",
    mottle: float | None = None,
) -> Lesion:
    """A patch between the lung coordinates u = (inner, outer) and v = (upper, lower)."""
    mottle = rng.uniform(0.09, 0.15) if mottle is None else mottle
    fields = dict(
        kind=kind,
        side=side,
        u=(u[0] + u[1]) / 2,
        v=(v[0] + v[1]) / 2,
        ru=(u[1] - u[0]) / 2,
        rv=max((v[1] - v[0]) / 2, 0.07),
        density=density,
        patch=rng.uniform(0.2, 0.5),
        mottle=mottle,
        group=group,
        seed=int(rng.integers(2**31)),
    )
    return Lesion(**plain(fields))


def _density(rng: np.random.Generator) -> float:
    return float(np.clip(np.exp(rng.normal(np.log(0.12), 0.4)), 0.05, 0.4))


def _typical(rng: np.random.Generator) -> list[Lesion]:
    sides = [RIGHT, LEFT] if rng.random() > 0.01 else [int(rng.choice([RIGHT, LEFT]))]
    density, upper, lower = _density(rng), rng.normal(0.3, 0.18), rng.normal(0.92, 0.1)
    lesions = []
    for group, side in enumerate(sides):
        v = (np.clip(upper + rng.normal(0, 0.11), 0.0, 0.78), np.clip(lower + rng.normal(0, 0.05), 0.7, 1.08))
        u = (np.clip(rng.normal(0.25, 0.16), 0.0, 0.7), rng.uniform(1.0, 1.08))
        kind = "consolidation" if density > 0.17 else "ground_glass"
        strength = density * rng.uniform(0.7, 1.3)
        if rng.random() < 0.06 and v[1] - v[0] > 0.4:  # two apart in one lung
            middle = (v[0] + v[1]) / 2
            lesions.append(_patch(rng, side, u, (v[0], middle - 0.06), strength, group + 2, kind))
            v = (middle + 0.06, v[1])
        lesions.append(_patch(rng, side, u, v, strength, group, kind))
    return lesions


def _indeterminate(rng: np.random.Generator) -> list[Lesion]:
    groups = (0, 1) if rng.random() > 0.04 else (-1, -1)
    pattern = rng.choice(["unilateral", "central", "diffuse"], p=[0.67, 0.2, 0.13])
    density = _density(rng)
    if pattern == "unilateral":
        middle, half, inner = rng.uniform(0.35, 0.85), rng.uniform(0.12, 0.3), rng.uniform(0, 0.45)
        u, v = (inner, inner + rng.uniform(0.35, 0.6)), (middle - half, middle + half)
        return [_patch(rng, int(rng.choice([RIGHT, LEFT])), u, v, density, groups[0])]
    if pattern == "central":
        middle, half = rng.uniform(0.45, 0.6), rng.uniform(0.14, 0.26)
        u, v = (-0.1, rng.uniform(0.45, 0.62)), (middle - half, middle + half)
    else:
        u, v, density = (0, 1.02), (rng.uniform(0.05, 0.2), rng.uniform(0.85, 1.05)), 0.8 * density
    return [_patch(rng, side, u, v, density, group) for group, side in zip(groups, (RIGHT, LEFT), strict=True)]


def _atypical(rng: np.random.Generator) -> list[Lesion]:
    side = int(rng.choice([RIGHT, LEFT]))
    boxed = rng.random() > 0.12
    pattern = rng.choice(["lobar", "effusion", "nodules", "pneumothorax"], p=[0.4, 0.28, 0.22, 0.1])
    if pattern == "lobar":
        upper = (0.02, rng.uniform(0.35, 0.5))
        v = upper if rng.random() < 0.5 else (rng.uniform(0.5, 0.62), rng.uniform(0.85, 1.05))
        return [_patch(rng, side, (0, 1.05), v, rng.uniform(0.4, 0.75), 0 if boxed else -1, "lobar", 0.06)]
    if pattern == "effusion":
        sides = [side] if rng.random() < 0.7 else [RIGHT, LEFT]
        return [
            _patch(
                rng,
                one,
                (0, 1),
                (rng.uniform(0.62, 0.9), 1.3),
                rng.uniform(0.7, 0.95),
                group if boxed else -1,
                "effusion",
                0.03,
            )
            for group, one in enumerate(sides)
        ]
    if pattern == "nodules":
        count = int(rng.choice([1, 2, 3, 5], p=[0.45, 0.25, 0.15, 0.15]))
        groups = [group if boxed and group < 3 else -1 for group in range(count)]
        return [_nodule(rng, int(rng.choice([RIGHT, LEFT])), group) for group in groups]
    u, v = (rng.uniform(0.6, 0.85), 1.2), (-0.2, rng.uniform(0.6, 1.1))
    return [_patch(rng, side, u, v, 0, -1, "pneumothorax", 0)]


def _nodule(rng: np.random.Generator, side: int, group: int) -> Lesion:
    radius = rng.uniform(0.04, 0.12)
    return Lesion(
        "nodule",
        side,
        rng.uniform(0.2, 0.85),
        rng.uniform(0.15, 0.88),
        radius * 1.7,
        radius,
        rng.uniform(0.45, 0.75),
        0.1,
        0.05,
        group,
        int(rng.integers(2**31)),
    )


def fill_share(lesion: Lesion, frame: Frame, chest: Chest) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 arrays [H x W]: the share of air that turns into fluid, and the lesion's extent without texture."""
    rng = np.random.default_rng(lesion.seed)
    u = (lesion.side * chest.middle - 2.3) / np.maximum(chest.wall - 2.3, 1)
    v = frame.y / np.maximum(chest.base, 1)
    own_side = lesion.side * chest.middle > 0
    if lesion.kind == "effusion":
        level = lesion.v - lesion.rv - 0.16 * np.clip(u, 0, 1) ** 3 + 0.05 * np.clip(0.5 - u, 0, 1)
        extent = own_side * smooth_step(v, level - 0.03, level + 0.04)
    else:
        ragged = lesion.patch * frame.body_noise(rng, 4.0, 2)
        power = 2.0 if lesion.kind == "nodule" else 3.0
        radius = np.abs((u - lesion.u) / lesion.ru) ** power + np.abs((v - lesion.v) / lesion.rv) ** power
        soft = {"lobar": 0.08, "nodule": 0.12, "pneumothorax": 0.03}.get(lesion.kind, 0.3)
        extent = own_side * smooth_step(1 - radius ** (1 / power) + 0.35 * ragged, -soft, soft)
    cloud = lesion.density * (1 + 0.3 * frame.body_noise(rng, 3.5, 1))
    share = cloud + lesion.mottle * frame.body_noise(rng, 1.1, 2, 0.7)
    return np.clip(extent * share, 0, 0.97).astype(np.float32), extent.astype(np.float32)


def annotate(
    lesions: tuple[Lesion, ...],
    extents: list[np.ndarray],
    chest: Chest,
    scale: tuple[float, float],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """boxes_xyxy float [N x 4] in picture px around what can be seen, drawn with the scatter of a human hand.

    `scale`: picture px per working px along x and y; `size`: (height, width) of the picture.
    """
    boxes = []
    for group in sorted({lesion.group for lesion in lesions} - {-1}):
        visible = np.max([extent for lesion, extent in zip(lesions, extents, strict=True) if lesion.group == group], 0)
        visible = visible * smooth_step(chest.air, 1, 3)
        box = _bounds(visible)
        if box is not None:
            boxes.append(box * np.tile(scale, 2))
    boxes_xyxy = np.array(boxes).reshape(-1, 4)
    sides = np.tile(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 2)
    jitter = rng.normal(0.01, 0.045, boxes_xyxy.shape) * sides * [-1, -1, 1, 1]
    boxes_xyxy = clip_xyxy(boxes_xyxy + jitter, *size)
    keep = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0] > 4) & (boxes_xyxy[:, 3] - boxes_xyxy[:, 1] > 4)
    return boxes_xyxy[keep]


def _bounds(visible: np.ndarray) -> np.ndarray | None:
    """Box around all but the outermost percent of the visible opacity, working px; None if hardly any shows."""
    mass = np.where(visible > 0.3, visible, 0)
    if (mass > 0).sum() < 40:
        return None
    ends = []
    for axis in (0, 1):
        share = np.cumsum(mass.sum(axis=axis)) / mass.sum()
        ends.append((np.searchsorted(share, 0.012), np.searchsorted(share, 0.988) + 1))
    return np.array([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], float)


FINDINGS = {
    "ground_glass": ("Infiltration",),
    "consolidation": ("Infiltration", "Consolidation"),
    "lobar": ("Consolidation", "Pneumonia"),
    "effusion": ("Effusion",),
    "nodule": ("Nodule",),
    "pneumothorax": ("Pneumothorax",),
}


def findings_of(disease: Disease) -> set[str]:
    """NIH finding names of the lesions; a round lesion wider than about 3 cm is called Mass."""
    names = set()
    for lesion in disease.lesions:
        names.update(("Mass",) if lesion.kind == "nodule" and lesion.rv > 0.07 else FINDINGS[lesion.kind])
    return names
