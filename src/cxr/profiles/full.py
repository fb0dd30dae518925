"""The winners' recipe, on several GPUs: a segmentation head on box masks, three detectors, averaged weights, mirror
images, all folds."""

from dataclasses import replace

from cxr.profiles import ours
from cxr.profiles.networks import Detectors, Rsna
from cxr.profiles.sections import Budget, Folds, Images, Profile

NETWORK, WEIGHTS = "tu-tf_efficientnetv2_m", "tf_efficientnetv2_m"

FULL = Profile(
    "full",
    images=Images(cache_size=1024),
    folds=Folds(count=5),
    nih=replace(
        ours.NIH,
        network=NETWORK,
        weights=WEIGHTS,
        size=384,
        epochs=10,
        lr=0.0003,
        warmup_fraction=0.05,
    ),
    rsna=Rsna(yolo_epochs=15, faster_rcnn_epochs=8, negatives=1.0),
    yolo=replace(
        ours.YOLO,
        model="yolo11x",
        weights="yolo11x",
        size=768,
        epochs=40,
        batch=16,
        mosaic=1.0,
        mixup=0.3,
        flip_at_test=True,
    ),
    faster_rcnn=replace(
        ours.FASTER_RCNN,
        network=NETWORK,
        weights=WEIGHTS,
        size=768,
        predict_size=768,
        epochs=20,
        batch=8,
        lr=0.0003,
        anchor=48,
        ema=0.999,
        flip_at_test=True,
    ),
    detectors=Detectors(more="retinanet"),
    study=replace(
        ours.STUDY,
        network=NETWORK,
        weights=WEIGHTS,
        size=768,
        epochs=25,
        batch=16,
        lr=0.0003,
        decoder="unet",
        none_weight=0.5,
        warmup_fraction=0.05,
        ema=0.999,
    ),
    budget=Budget(hours=120),
)
