"""The modules that shape each kind of training: when one changes, a finished training is trained again."""

FIT = (
    "cxr.training.fit",
    "cxr.training.recipe",
    "cxr.training.losses",
    "cxr.models.backbones",
    "cxr.data.augment",
    "cxr.images.resize",
)
LABELS = (*FIT, "cxr.models.classifiers", "cxr.data.multilabel", "cxr.images.centre")
YOLO = ("cxr.training.yolo", "cxr.training.yolo_losses", "cxr.data.yolo_labels", "cxr.images.resize")
STUDIES = (
    *FIT,
    "cxr.training.studies",
    "cxr.training.aside",
    "cxr.models.classifiers",
    "cxr.models.mask_heads",
    "cxr.data.datasets",
    "cxr.images.centre",
)


def torchvision_code(architecture: str) -> tuple[str, ...]:
    """Of a torchvision detector, whose architecture is a module of its own."""
    own = ("cxr.training.detectors", "cxr.training.aside", "cxr.models.detectors", f"cxr.models.{architecture}")
    return (*FIT, *own, "cxr.data.detection")
