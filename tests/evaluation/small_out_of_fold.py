"""A small training set in two folds and predictions for it, as tables."""

import numpy as np
import pandas as pd

from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS


def competition(seed=0, patients=40):
    """Two images a patient, one study each; every second study has a box on each image."""
    rng, rows, truth = np.random.default_rng(seed), [], []
    for patient in range(patients):
        kind = rng.integers(4)
        for number in range(2):
            image = f"i{patient}-{number}"
            one = dict.fromkeys(STUDY_CLASSES, 0) | {STUDY_CLASSES[kind]: 1}
            place = {"image_id": image, "study_id": f"s{patient}", "patient_id": f"p{patient}", "fold": patient % 2}
            rows.append({**place, "height": 100, "width": 100, "role": "train", "has_box": int(kind > 0), **one})
            if kind:
                truth.append((image, "opacity", 1.0, 10, 10, 60, 60))
    return pd.DataFrame(rows), pd.DataFrame(truth, columns=["image_id", "label", "score", *BOX_COLUMNS])


def predictions(images, truth, noise, seed=1):
    """Scores that know the truth but for some noise."""
    rng = np.random.default_rng(seed)
    has = images["has_box"].to_numpy()
    score = (0.5 + 0.3 * (has - 0.5) + noise * rng.normal(size=len(images))).clip(0.01, 0.99)
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": score})
    boxes[BOX_COLUMNS] = [10, 12, 60, 60]
    studies = images.drop_duplicates("study_id")
    table = studies[["study_id"]].reset_index(drop=True)
    for name in STUDY_CLASSES:
        table[name] = (0.5 * studies[name].to_numpy() + noise * rng.random(len(studies))).clip(0, 1)
    return boxes, pd.Series(1 - score, index=images["image_id"], name="none"), table
