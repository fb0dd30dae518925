"""The spine's models by name."""

from cxr.models.architectures import FASTER_RCNN
from cxr.profiles import Profile, more_detectors

YOLO, STUDIES = "yolo", "studies"
CLASSIFIERS = (STUDIES,)


def detectors_of(profile: Profile) -> tuple[str, ...]:
    """YOLO, Faster R-CNN and what the profile names beside them."""
    return (YOLO, FASTER_RCNN, *more_detectors(profile))
