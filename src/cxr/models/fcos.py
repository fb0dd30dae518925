"""FCOS (Tian et al. 2019, "Fully convolutional one-stage object detection"; torchvision) on any shared backbone."""

from torchvision.models.detection import FCOS

from cxr.models.detectors import FINEST_STRIDE, DetectorNet, Pyramid, anchors
from cxr.profiles import FasterRcnn


class FcosNet(DetectorNet):
    """See `DetectorNet`; losses `classification`, `bbox_regression` and `bbox_ctrness`. It has no anchors: what
    torchvision calls so are the strides of the levels."""

    HEAD = ("model.backbone.fpn", "model.head")

    def __init__(self, settings: FasterRcnn):
        s, backbone = settings, Pyramid(settings)
        model = FCOS(
            backbone,
            1,
            anchor_generator=anchors(FINEST_STRIDE, backbone.count + 1, aspects=(1.0,)),
            score_thresh=s.confidence,
            nms_thresh=s.nms_iou,
            detections_per_img=s.max_boxes,
            topk_candidates=s.proposals // 2,
        )
        super().__init__(model, model.head)
