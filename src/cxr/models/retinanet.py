"""RetinaNet (Lin et al. 2017, "Focal loss for dense object detection"; torchvision) on any shared backbone."""

from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.retinanet import RetinaNetHead

from cxr.models.detectors import DetectorNet, Pyramid, anchors
from cxr.profiles import FasterRcnn

OCTAVES = 3  # sizes of anchors a level (section 4)


class RetinaNetNet(DetectorNet):
    """See `DetectorNet`; losses `classification` and `bbox_regression`."""

    HEAD = ("model.backbone.fpn", "model.head")

    def __init__(self, settings: FasterRcnn):
        s, backbone = settings, Pyramid(settings)
        generator = anchors(s.anchor, backbone.count + 1, OCTAVES)
        head = RetinaNetHead(
            s.pyramid, generator.num_anchors_per_location()[0], 1, norm_layer=lambda width: nn.GroupNorm(8, width)
        )
        model = RetinaNet(
            backbone,
            1,
            anchor_generator=generator,
            head=head,
            score_thresh=s.confidence,
            nms_thresh=s.nms_iou,
            detections_per_img=s.max_boxes,
            topk_candidates=s.proposals // 2,
        )
        super().__init__(model, model.head)
