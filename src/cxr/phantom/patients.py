"""Patients: the sizes and habits of a body that stay the same over all of its radiographs. Lengths in cm."""

from dataclasses import dataclass

import numpy as np

from cxr.phantom.textures import plain


@dataclass(frozen=True)
class Patient:
    sex: str  # 'M' or 'F'
    age: int  # years, 16 to 95
    half_width: float  # from the midline to the inner chest wall at its widest
    lung_height: float  # apex to the top of the right diaphragm in deep inspiration
    depth: float  # half of the inner front-to-back extent
    fat: float  # thickness of the outer soft tissue
    breast: float  # 0 to 1, size of the breast shadow
    breast_sag: float  # -1..1, its height
    heart: float  # cardiothoracic ratio in PA; above .5 counts as enlarged
    heart_tilt: float
    aorta: float  # 0 to 1, how far the arch stands out
    dome_shape: float  # depth of the lateral fall of the diaphragm
    left_dome: float  # how much lower the left dome stands; far from 1 where one side is raised
    rib_spacing: float
    rib_slope: float
    rib_phase: float
    bone: float  # mineral, 1 = young adult
    spine_bend: float  # sideways deviation
    shoulders: float  # -1 (lowered) to 1 (raised)
    lung_density: float  # share of air spaces filled by tissue and blood; low in emphysema
    gravity: float  # how much denser the lower zones are, as for everybody who breathes shallowly
    vessels: float  # strength of the vascular markings
    scars: int  # old scars and plate-like atelectases: the same look in every class
    pleura: float  # thickness of an apical cap, 0 for most
    gas: float  # amount of gas in stomach and bowel
    seed: int  # of the vessel tree and the textures


def draw_patient(rng: np.random.Generator) -> Patient:
    """An adult of either sex; sizes after common anatomy, spread wide on purpose (see docs/difficulty_card.md)."""
    sex = str(rng.choice(["M", "F"], p=[0.55, 0.45]))
    size = rng.normal(1.0 if sex == "M" else 0.91, 0.06)
    age = int(np.clip(rng.normal(56, 17), 16, 95))
    weight = np.clip(rng.gamma(3, 0.4), 0.15, 3.2)
    return Patient(
        **plain(
            dict(
                sex=sex,
                age=age,
                half_width=14.0 * size * rng.normal(1, 0.05),
                lung_height=22.5 * size * rng.normal(1, 0.07),
                depth=9.5 * size * rng.normal(1, 0.08) + 0.5 * weight,
                fat=1.2 + 1.6 * weight,
                breast=float(
                    np.clip(rng.normal(0.55, 0.25), 0, 1) if sex == "F" else np.clip(rng.normal(0, 0.15), 0, 1)
                ),
                breast_sag=rng.uniform(-1, 1),
                heart=float(np.clip(rng.normal(0.45 + 0.001 * (age - 50), 0.055), 0.34, 0.66)),
                heart_tilt=rng.uniform(0.2, 0.75),
                aorta=float(np.clip(rng.normal(0.2 + 0.008 * (age - 30), 0.2), 0, 1)),
                dome_shape=rng.uniform(2.8, 5.5),
                left_dome=rng.normal(1.2, 0.6) + rng.normal(0, 2.2) * (rng.random() < 0.3),
                rib_spacing=rng.normal(2.45, 0.16) * size,
                rib_slope=rng.uniform(0.75, 1.25),
                rib_phase=rng.uniform(-0.4, 0.4),
                bone=float(np.clip(rng.normal(1.1 - 0.005 * (age - 30), 0.15), 0.5, 1.4)),
                spine_bend=rng.normal(0, 0.5),
                shoulders=rng.uniform(-1, 1),
                lung_density=float(np.clip(rng.normal(0.26, 0.05), 0.13, 0.42)),
                gravity=rng.uniform(-0.15, 0.55),
                vessels=rng.uniform(0.6, 1.4),
                scars=int(rng.poisson(0.35)),
                pleura=float(rng.uniform(0.3, 1) if rng.random() < 0.08 else 0),
                gas=rng.uniform(0, 1),
                seed=int(rng.integers(2**31)),
            )
        )
    )
