"""The constants of fusion and blending: what stage 10 tunes, keeps in `blend.json`, and stage 11 reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.faults import DataFault
from cxr.prediction.calibrate import Map
from cxr.profiles import Fusion

PRODUCT, MAXIMUM = "product", "maximum"  # none = product of (1 - p) over an image's boxes; none = 1 - the highest p

# Values that medal teams and the paper wrote down: each stands on the grid of its step (SIIM-FISABIO-RSNA, 2021)
PUBLISHED = {
    "wbf_iou": {0.5: "8th place", 0.55: "paper 004", 0.625: "upper end of the top ten"},
    "wbf_skip": {0.001: "8th place"},
    "none_formula": {PRODUCT: "11th place", MAXIMUM: "9th place"},
    "none_from_negative": {0.5: "11th place"},
    "negative_from_none": {0.3: "11th place"},
    "none_into_boxes": {0.16: "11th place"},
}


@dataclass(frozen=True)
class Constants:
    """What stage 10 tunes. Weights are relative; a model of weight 0 is left out and need not be there."""

    wbf_iou: float
    wbf_skip: float
    max_boxes: int  # an image
    box_weights: dict[str, float] = field(default_factory=dict)
    class_weights: dict[str, float] = field(default_factory=dict)
    none_formula: str = PRODUCT
    none_from_head: float = 0.0  # h: none = (1 - h) none of the boxes + h none of the classifiers' two-class heads
    none_from_negative: float = 0.0  # a: none' = (1 - a) none + a negative
    negative_from_none: float = 0.0  # c: negative' = (1 - c) negative + c mean(none)
    none_into_boxes: float = 0.0  # b: score' = score^(1 - b) (1 - none')^b
    box_calibration: dict[str, Map] = field(default_factory=dict)  # by detector, before fusion; one not named: none
    class_calibration: dict[str, Map] = field(default_factory=dict)  # by classifier, before its images are averaged
    none_calibration: Map = field(default_factory=dict)  # of fused boxes, for `none` alone; empty: none


def starting_constants(
    settings: Fusion, detectors: Sequence[str], classifiers: Sequence[str], none_head: bool = False
) -> Constants:
    """The published values of the profile, all models alike: where tuning begins, and what holds without it.

    none_head: a classifier says `none` too.
    """
    return Constants(
        settings.wbf_iou,
        settings.wbf_skip,
        settings.max_boxes,
        dict.fromkeys(detectors, 1.0),
        dict.fromkeys(classifiers, 1.0),
        none_from_head=settings.none_from_head if none_head else 0.0,
        none_from_negative=settings.none_from_negative,
        negative_from_none=settings.negative_from_none,
        none_into_boxes=settings.none_into_boxes,
    )


def published_by(values: dict) -> dict[str, str]:
    """Who published these values of Constants' fields, by field; fields whose value nobody published are left out."""
    return {
        name: PUBLISHED[name][value] for name, value in values.items() if name in PUBLISHED and value in PUBLISHED[name]
    }


def read_constants(path: Path, members: bool) -> Constants:
    """Constants from `blend.json`. Without `members`, those that were tuned without foreign members, if any joined."""
    if not path.is_file():
        raise DataFault(f"{path}: not there yet; run notebook 10_fuse_and_blend first, or `make all`")
    try:
        kept = json.loads(path.read_text())
        return Constants(**kept["constants" if members else "constants_without_members"])
    except KeyError as error:
        # no member joined: there is one set of constants for both
        if error.args == ("constants_without_members",) and "constants" in kept and not kept.get("members"):
            return read_constants(path, members=True)
        raise DataFault(f"{path}: lacks {error}; run notebook 10_fuse_and_blend again") from None
    except (ValueError, TypeError) as error:
        raise DataFault(
            f"{path}: no constants of this version ({error}); run notebook 10_fuse_and_blend again"
        ) from None
