"""Faster R-CNN (Ren et al. 2015; torchvision) with a feature pyramid on any shared backbone."""

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign

from cxr.models.backbones import backbone_features, feature_taps, normalise
from cxr.profiles import FasterRcnn

FINEST_STRIDE = 8  # opacities are large: the finer levels cost most and find nothing more
ASPECTS = (0.5, 1.0, 2.0)  # height over width of the anchors
POOLED = 7  # cells each way of a pooled region
CLASSES = 2  # background, opacity


class FasterRcnnNet(nn.Module):
    """Pixels uint8 [B x 1 x S x S] to detections, or in training mode, with targets, to four named losses.

    Detections: a list of {'boxes': [N x 4] xyxy in pixels of S, 'scores': [N], 'labels': [N]}. targets: a list of
    {'boxes', 'labels'} alike. Unlike torchvision's ready-made models it never resizes: pictures come at the size that
    the network shall see.
    """

    HEAD = ("model.backbone.fpn", "model.rpn", "model.roi_heads")  # what is not backbone

    def __init__(self, settings: FasterRcnn):
        super().__init__()
        features = backbone_features(settings.network)
        taps = [tap for tap in feature_taps(features) if tap[2] >= FINEST_STRIDE]
        layers = {str(index): str(level) for level, (index, _, _) in enumerate(taps)}
        widths = [width for _, width, _ in taps]
        # normalised pyramid and head: without, a detector that starts from random weights hardly learns
        # (He, Girshick, Dollar 2019, "Rethinking ImageNet pre-training", section 3.1)
        backbone = BackboneWithFPN(features, layers, widths, settings.pyramid, norm_layer=nn.BatchNorm2d)
        head = FastRCNNConvFCHead(
            (settings.pyramid, POOLED, POOLED), [settings.pyramid], [settings.head], norm_layer=nn.BatchNorm2d
        )
        levels = len(taps) + 1  # the pyramid pools one more from the coarsest
        anchors = AnchorGenerator(tuple((settings.anchor * 2**level,) for level in range(levels)), (ASPECTS,) * levels)
        self.model = FasterRCNN(
            backbone,
            rpn_anchor_generator=anchors,
            rpn_pre_nms_top_n_train=settings.proposals,
            rpn_post_nms_top_n_train=settings.proposals,
            rpn_pre_nms_top_n_test=settings.proposals // 2,
            rpn_post_nms_top_n_test=settings.proposals // 2,
            box_roi_pool=MultiScaleRoIAlign(list(layers.values()), POOLED, sampling_ratio=2),
            box_head=head,
            box_predictor=FastRCNNPredictor(settings.head, CLASSES),
            box_batch_size_per_image=settings.regions,
            box_score_thresh=settings.confidence,
            box_nms_thresh=settings.nms_iou,
            box_detections_per_img=settings.max_boxes,
        )
        self.model.transform = AsItIs()

    @property
    def features(self) -> nn.Module:
        """The backbone: what pretraining fills."""
        return self.model.backbone.body

    def forward(self, pixels: Tensor, targets: list[dict[str, Tensor]] | None = None):
        return self.model(normalise(pixels), targets)


class AsItIs(nn.Module):
    """In place of torchvision's transform, which would resize the pictures behind one's back."""

    def forward(self, pixels: Tensor, targets: list | None) -> tuple[ImageList, list | None]:
        return ImageList(pixels, [tuple(pixels.shape[-2:])] * len(pixels)), targets

    def postprocess(self, detections: list, _: list, __: list) -> list:
        return detections
