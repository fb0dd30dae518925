"""Where our recipes leave paper 004: what the demo, the Kaggle run and the winners' recipe share."""

from dataclasses import replace

from cxr.profiles.networks import FasterRcnn, Nih, Study, Yolo

# whole pictures, a rate that falls with every batch, momentum as AdamW has it
NIH = replace(Nih(), resize=0, step_every=0, optimizer="AdamW")
# ultralytics' own losses; scores from .001 on, since a threshold throws average precision away
YOLO = replace(
    Yolo(),
    warmup_iterations=0,
    box_loss="ciou",
    class_gain=0.5,
    hsv_h=0.0,
    hsv_s=0.0,
    hsv_v=0.3,
    confidence=0.001,
    nms_iou=0.5,
)
FASTER_RCNN = replace(FasterRcnn(), validation_batch=0, step_every=0, optimizer="AdamW", augmentation="ours")
# one layer on a backbone that learns with it, a segmentation head on box masks, mirror images at test time
STUDY = replace(
    Study(),
    resize=0,
    hidden=0,
    freeze_backbone=False,
    optimizer="AdamW",
    lr_random=0.002,
    step_every=0,
    augmentation="ours",
    mask_weight=1.0,
    flip_at_test=True,
)
