"""The spine's models by name, and the code that shapes their trainings."""

from cxr.models.architectures import FASTER_RCNN
from cxr.profiles import Profile, more_detectors

YOLO, STUDIES = "yolo", "studies"
CLASSIFIERS = (STUDIES,)
# what shapes a training: when one of these changes, a finished fold is not the fold that would be trained now
FIT = (
    "cxr.training.fit",
    "cxr.training.recipe",
    "cxr.training.losses",
    "cxr.models.backbones",
    "cxr.data.augment",
    "cxr.images.resize",
)
TORCHVISION = (*FIT, "cxr.training.detectors", "cxr.models.detectors", "cxr.data.detection")
CODE = {
    YOLO: ("cxr.training.yolo", "cxr.training.yolo_losses", "cxr.data.yolo_labels", "cxr.images.resize"),
    STUDIES: (
        *FIT,
        "cxr.training.studies",
        "cxr.models.classifiers",
        "cxr.models.mask_heads",
        "cxr.data.datasets",
        "cxr.images.centre",
    ),
}


def detectors_of(profile: Profile) -> tuple[str, ...]:
    """YOLO, Faster R-CNN and what the profile names beside them."""
    return (YOLO, FASTER_RCNN, *more_detectors(profile))
