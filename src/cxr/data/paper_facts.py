"""What paper 004, section 2, says of the three data sets in numbers, beside the same counts of the input.

Counts come from the functions that the figures use; the real label files must give the paper's numbers (a test checks
it), the phantom its own.
"""

from collections.abc import Mapping

import pandas as pd

from cxr.data import nih
from cxr.data.counts import siim_counts
from cxr.data.headers import JPEG_LOSSLESS, is_elsewhere

COLUMNS = ["dataset", "fact", "here", "of", "paper"]
Row = tuple[str, str, float, str, float]


def paper_facts(
    labels: pd.DataFrame, images: pd.DataFrame, others: Mapping[str, pd.DataFrame], rsna_boxes: pd.DataFrame
) -> pd.DataFrame:
    """One row a fact: dataset, fact, here (count or mean), of (what was counted), paper (its number).

    labels: `siim.labelled_images`; images: the converted ones, whose columns may lack: such facts have no row; others,
    rsna_boxes: `counts.companion_labels`, a set that is not there has no rows.
    """
    rows = [*_siim_labels(siim_counts(labels)), *_siim_headers(images)]
    if "NIH" in others:
        rows = [*rows, *_nih(others["NIH"])]
    if "RSNA" in others:
        rows = [*rows, *_rsna(others["RSNA"], rsna_boxes)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _siim_labels(counts: dict) -> list[Row]:
    base, classes = "label files", counts["study_classes"]
    return [
        ("SIIM", "images", counts["images"], base, 6334),
        ("SIIM", "studies", counts["studies"], base, 6054),
        ("SIIM", "typical studies", classes["typical"], base, 2855),
        ("SIIM", "atypical studies", classes["atypical"], base, 474),
        ("SIIM", "images without a box", counts["images"] - counts["boxed_images"], base, 2040),
    ]


def _siim_headers(images: pd.DataFrame) -> list[Row]:
    base, found = "converted images", []
    # the real set has one image of 1140 columns; the paper gives the next smallest, 1228
    for side, name, least in (("height", "rows", 846), ("width", "columns", 1228)):
        found += [
            ("SIIM", f"fewest {name}", images[side].min(), base, least),
            ("SIIM", f"most {name}", images[side].max(), base, 4891),
        ]
    values = [
        ("MONOCHROME2", "photometric", "MONOCHROME2", 4633),
        ("MONOCHROME1", "photometric", "MONOCHROME1", 1701),
        ("12 bits stored", "bits_stored", 12, 4311),
        ("8 bits stored", "bits_stored", 8, 401),
        ("body part SKULL", "body_part", "SKULL", 57),
        ("sex F", "sex", "F", 2770),
        ("sex M", "sex", "M", 3564),
    ]
    found += [
        ("SIIM", fact, (images[column] == value).sum(), base, paper)
        for fact, column, value, paper in values
        if column in images
    ]
    if "transfer_syntax" in images:
        compressed = images["transfer_syntax"].isin(JPEG_LOSSLESS).sum()
        found.append(("SIIM", "JPEG Lossless", compressed, base, 440))
    if "body_part" in images:
        parts = images["body_part"].fillna("").astype(str)
        named = parts[(parts != "") & ~parts.map(is_elsewhere)]
        # the paper says "in different languages" and gives no number
        found.append(("SIIM", "ways to write chest", named.nunique(), base, float("nan")))
    return found


def _nih(table: pd.DataFrame) -> list[Row]:
    base, labels = "label file", table[list(nih.FINDINGS)]
    found = labels["No Finding"] == 0
    # as the paper divides: No Finding is the only label of its images
    with_finding = labels[found].to_numpy().sum() / max(found.sum(), 1)
    return [
        ("NIH", "diagnoses", labels.to_numpy().sum(), base, 141537),
        ("NIH", "diagnoses an image", round(labels.to_numpy().sum() / len(table), 2), base, 1.26),
        ("NIH", "diagnoses an image with a finding", round(with_finding, 2), base, 1.56),
    ]


def _rsna(table: pd.DataFrame, boxes: pd.DataFrame) -> list[Row]:
    base, boxless = "label files", int((table["has_box"] == 0).sum())
    return [
        # the file has a row for every box and one for every image without: the paper calls rows samples
        ("RSNA", "rows (boxes and boxless images)", len(boxes) + boxless, base, 30227),
        ("RSNA", "patients", table["patient_id"].nunique(), base, 26684),
        ("RSNA", "boxes (the paper: positive samples)", len(boxes), base, 9555),
    ]
