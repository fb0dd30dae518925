"""How a radiograph is stored: the header and encoding quirks of the real SIIM set, drawn without a look at the class.

Shares are those of the real set where its header tables tell them (photometric interpretation, series numbers), else
what its public descriptions tell. A row of quirks says nothing about pixels: `dicoms.py` turns both into a file.
"""

import numpy as np
import pandas as pd

from cxr.phantom.seeds import share_out

SHARES = {
    "photometric": {"MONOCHROME2": 0.731, "MONOCHROME1": 0.269},
    "bits_stored": {12: 0.68, 8: 0.07, 10: 0.08, 14: 0.06, 15: 0.03, 16: 0.08},
    "transfer_syntax": {"Explicit VR Little Endian": 0.93, "JPEG Lossless SV1": 0.07},
    # the four ways a file says how to show it; window widths hold for the values in use
    "voi": {"none": 0.615, "window": 0.30, "windows": 0.05, "lut": 0.035},
    "window_function": {"": 0.85, "LINEAR": 0.15},
    "rescale": {"absent": 0.60, "identity": 0.34, "shifted": 0.06},
    "stored_range": {"full": 0.60, "partial": 0.40},
    "modality": {"CR": 0.55, "DX": 0.45},
    "body_part": {
        "CHEST": 0.55,
        "PORT CHEST": 0.12,
        "TORAX": 0.09,
        "THORAX": 0.06,
        "": 0.06,
        "PECHO": 0.03,
        "Pecho": 0.02,
        "2- TORAX": 0.015,
        "T\u00d2RAX": 0.015,
        "SKULL": 0.015,
        "ABDOMEN": 0.015,
        "CLAVICLE": 0.01,
    },
    "series_number": {1: 0.94, "": 0.04, 2: 0.012, 1001: 0.004, 3: 0.004},
    "has_sex": {True: 0.97, False: 0.03},
    "has_spacing": {True: 0.85, False: 0.15},
    "has_view_position": {True: 0.30, False: 0.70},
    "has_study_time": {True: 0.80, False: 0.20},
}


PIXEL_QUIRKS = [  # what decides the stored values and how they are shown
    "photometric",
    "bits_stored",
    "voi",
    "window_function",
    "rescale",
    "stored_range",
    "range_low",
    "range_high",
]


def draw_quirks(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """One row of quirks per image: the columns of SHARES, and `range_low`, `range_high` as fractions of full scale."""
    table = pd.DataFrame({name: share_out(rng, count, shares) for name, shares in SHARES.items()})
    partial = table["stored_range"] == "partial"
    table["range_low"] = np.where(partial, rng.uniform(0, 0.03, count), 0.0).round(4)
    table["range_high"] = np.where(partial, rng.uniform(0.55, 0.97, count), 1.0).round(4)
    # 16 bits declared while the detector delivers 12: some vendors do, and a reader must not trust BitsStored
    narrow = (table["bits_stored"] == 16) & partial
    table["range_high"] = table["range_high"].mask(narrow, 4095 / 65535)
    table["range_low"] = table["range_low"].mask(narrow, 0.0)
    # a look-up table maps values after the modality step; its first index must not be negative (PS3.3 C.11.2.1.1)
    table["rescale"] = table["rescale"].mask((table["voi"] == "lut") & (table["rescale"] == "shifted"), "identity")
    return table
