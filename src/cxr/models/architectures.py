"""The torchvision detectors by name: a further one is a small file beside these, and a line here."""

from cxr.faults import DataFault
from cxr.models.detectors import DetectorNet
from cxr.models.faster_rcnn import FasterRcnnNet
from cxr.models.fcos import FcosNet
from cxr.models.retinanet import RetinaNetNet
from cxr.profiles import FasterRcnn

FASTER_RCNN = "faster_rcnn"
ARCHITECTURES: dict[str, type[DetectorNet]] = {
    FASTER_RCNN: FasterRcnnNet,
    "retinanet": RetinaNetNet,
    "fcos": FcosNet,
}


def build_detector(architecture: str, settings: FasterRcnn) -> DetectorNet:
    """A detector with random weights. Raises DataFault for an unknown one."""
    if architecture not in ARCHITECTURES:
        known = ", ".join(name for name in ARCHITECTURES if name != FASTER_RCNN)
        raise DataFault(f"detectors.more={architecture}: no such architecture; choose from {known}")
    return ARCHITECTURES[architecture](settings)
