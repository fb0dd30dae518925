"""Training patients that are not learned from, but show when to stop: the fold that is scored stays unseen."""

import numpy as np
import pandas as pd

from cxr.data.draw import hold_out
from cxr.faults import DataFault

VALIDATED = 0.1  # of the patients to learn from

Part = tuple[pd.DataFrame, pd.DataFrame, np.ndarray]  # images, boxes, pixels


def set_aside(training: Part, key: str) -> tuple[Part, Part]:
    """Images to learn from and those of a tenth of the patients. DataFault, naming `key`, for one patient."""
    images, boxes, pixels = training
    aside = hold_out(images["patient_id"], VALIDATED)
    if aside.all():
        raise DataFault(f"{key}: one patient cannot be learned from and validated on; take 0")
    return tuple((images[part], boxes, pixels[np.flatnonzero(part)]) for part in (~aside, aside))
