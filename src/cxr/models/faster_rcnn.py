"""Faster R-CNN (Ren et al. 2015; torchvision) with a feature pyramid on any shared backbone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import complete_box_iou_loss

from cxr.faults import DataFault
from cxr.models.detectors import DetectorNet, Pyramid, anchors
from cxr.models.pooling import PooledRegions
from cxr.profiles import FasterRcnn

POOLED = 7  # cells each way of a pooled region
CLASSES = 2  # background, opacity
OVERLAP, POSITIVE = 0.5, 0.25  # IoU from which a region counts as found; share of them in the loss (torchvision's)
BOX_LOSSES = ("smooth_l1", "ciou")


class FasterRcnnNet(DetectorNet):
    """See `DetectorNet`; four named losses."""

    HEAD = ("model.backbone.fpn", "model.rpn", "model.roi_heads")
    has_background = True

    def __init__(self, settings: FasterRcnn):
        s, backbone = settings, Pyramid(settings)
        head = FastRCNNConvFCHead((s.pyramid, POOLED, POOLED), [s.pyramid], [s.head], norm_layer=nn.BatchNorm2d)
        pool = PooledRegions(backbone.names, POOLED, sampling_ratio=2)
        predictor = FastRCNNPredictor(s.head, CLASSES)
        model = FasterRCNN(
            backbone,
            rpn_anchor_generator=anchors(s.anchor, backbone.count + 1),
            rpn_pre_nms_top_n_train=s.proposals,
            rpn_post_nms_top_n_train=s.proposals,
            rpn_pre_nms_top_n_test=s.proposals // 2,
            rpn_post_nms_top_n_test=s.proposals // 2,
            box_roi_pool=pool,
            box_head=head,
            box_predictor=predictor,
        )
        kept = (s.regions, POSITIVE, None, s.confidence, s.nms_iou, s.max_boxes)
        model.roi_heads = BoxHeads(pool, head, predictor, OVERLAP, OVERLAP, *kept, box_loss=s.box_loss)
        super().__init__(model, model.rpn.head, predictor)


class BoxHeads(RoIHeads):
    """torchvision's second stage with a choice of the box loss: smooth L1 of offsets, or CIoU of the boxes themselves
    (Zheng et al. 2020; paper 004, section 3.1, tried it)."""

    def __init__(self, *parts: object, box_loss: str):
        if box_loss not in BOX_LOSSES:
            raise DataFault(f"faster_rcnn.box_loss={box_loss}: not known; choose one of {', '.join(BOX_LOSSES)}")
        super().__init__(*parts)
        self.box_loss = box_loss

    def forward(self, features: dict, proposals: list[Tensor], image_shapes: list, targets: list | None = None):
        if not self.training or self.box_loss == "smooth_l1":
            return super().forward(features, proposals, image_shapes, targets)
        proposals, _, labels, offsets = self.select_training_samples(proposals, targets)
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        logits, found = self.box_predictor(pooled)
        true, count = torch.cat(labels), sum(map(len, labels))
        positive = torch.where(true > 0)[0]
        # offsets to boxes; float32, since bf16 has not the digits of a pixel
        boxes_xyxy = self.box_coder.decode(found.float(), proposals)[positive, true[positive]]
        truth_xyxy = self.box_coder.decode(torch.cat(offsets), proposals)[positive, 0]
        box_loss = complete_box_iou_loss(boxes_xyxy, truth_xyxy, reduction="sum") / max(1, count)
        return [], {"loss_classifier": F.cross_entropy(logits, true), "loss_box_reg": box_loss}
