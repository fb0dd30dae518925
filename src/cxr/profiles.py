"""What differs between runs, and nothing else decides a size: four profiles of frozen sections, and `SET=` overrides.

A stage reads named sections only; its stamp carries those sections, so that a changed value reruns the stages that
read it and what follows them.
"""

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any

from cxr.faults import DataFault


@dataclass(frozen=True)
class Phantom:
    """The synthetic data set that stands in where no competition data is found."""

    studies: int = 560  # train and test together; a quarter is test
    seed: int = 0
    nih: float = 0.75  # pictures to pretrain the backbone on, for each study
    rsna: float = 0.5  # pictures to pretrain the detectors on, for each study


@dataclass(frozen=True)
class Images:
    """DICOM to pixels."""

    cache_size: int = 512  # px, edge of the square uint8 cache that trainings read
    png: bool = False  # keep full-size PNGs in working/images (25 GB for the real train set)
    train_limit: int = 0  # 0 = all labelled images; otherwise a stratified choice of this many
    workers: int = 0  # 0 = one a core
    keep_caches: bool = True  # no: pictures of NIH and RSNA, and YOLO's folders, go when their training is finished


@dataclass(frozen=True)
class Folds:
    """Cross-validation."""

    count: int = 5
    seed: int = 2021
    most_patients: int = 3  # that copied pictures may join to one group; more is taken for a fault


@dataclass(frozen=True)
class Nih:
    """Pretraining of the shared backbone: 15 labels of NIH ChestX-ray14, several at once (paper 004, section 4.2)."""

    use: bool = True  # no: backbones start from a weight file or from random weights
    network: str = "resnext101_32x8d"  # a torchvision classification network; study and faster_rcnn take its features
    weights: str = "resnext101_32x8d"  # looked for as input/weights/<weights>*.pth
    size: int = 224  # px
    epochs: int = 35
    batch: int = 32
    optimizer: str = "SGD"
    lr: float = 0.001
    lr_random: float = 0.001  # for a backbone that starts from random weights
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.0
    dropout: float = 0.0
    ema: float = 0.0  # decay of the averaged weights; 0 = off
    train_limit: int = 0  # images; 0 = all
    seed: int = 2021


@dataclass(frozen=True)
class Rsna:
    """Pretraining of the detectors on RSNA pneumonia boxes. Networks and sizes are those of the detectors."""

    use: bool = True
    yolo_epochs: int = 30
    faster_rcnn_epochs: int = 0  # paper 004 pretrains YOLO alone
    negatives: float = 0.0  # images without a box for each one with (paper 004: positives only)
    train_limit: int = 0  # images; 0 = all
    seed: int = 2021


@dataclass(frozen=True)
class Lungs:
    """The lung segmenter (by default the U-Net of paper 000, table 4) and what counts as a believable mask."""

    network: str = "unet"  # one of `cxr.models.segmenters.NETWORKS`
    structures: bool = False  # heart, right and left lung apart (paper 002); only from sets that tell them apart
    width: int = 0  # channels of the first level; 0: as published
    depth: int = 0  # levels; 0: as published
    size: int = 512  # px
    epochs: int = 50
    batch: int = 8
    lr: float = 0.001
    schedule: str = "cosine"  # of the rate; constant, or plateau: a tenth whenever the training loss stalls
    patience: int = 0  # epochs without a lower loss on a tenth of the training patients, then the best epoch's weights
    weight_decay: float = 1e-4
    entropy_weight: float = 1.0  # of cross entropy
    dice_weight: float = 1.0
    ema: float = 0.0  # decay of the averaged weights; 0 = off
    augmentation: str = "ours"  # one of `cxr.data.lung_batches.AUGMENTATIONS`
    min_area: float = 0.06  # share of the picture; masks outside of these are rejected
    max_area: float = 0.75
    margin: float = 0.08  # of the lungs' box, added at each side where a model sees that box alone
    keep_heart: bool = False  # what lies between the lungs is not covered where a model sees lungs alone (paper 003)
    seed: int = 2021


@dataclass(frozen=True)
class Yolo:
    """The one-stage detector (ultralytics)."""

    model: str = (
        "yolov5l"  # an ultralytics model; its yaml is built, weights come from a file of that name or are random
    )
    weights: str = "yolov5lu"  # looked for as input/weights/<weights>*.pt
    size: int = 512  # px
    epochs: int = 35
    batch: int = 3
    nominal_batch: int = 64  # reached by accumulation
    optimizer: str = "SGD"
    lr: float = 0.01
    final_lr_fraction: float = 0.05
    momentum: float = 0.937
    weight_decay: float = 0.0005
    warmup_epochs: float = 1.0
    mosaic: float = 0.0
    mixup: float = 0.5
    flip_left_right: float = 0.5
    flip_up_down: float = 0.1
    translate: float = 0.1
    scale: float = 0.5
    degrees: float = 0.0
    confidence: float = 0.001  # the ultralytics default of .25 throws average precision away
    nms_iou: float = 0.5
    max_boxes: int = 30
    resume: bool = True  # a killed training goes on after its last epoch (other random numbers); no: it begins again
    pretrained: bool = True  # start from the detector of stage 05, where there is one
    lungs: str = "whole"  # what it sees of a picture: whole, crop, mask or crop+mask (`cxr.data.lung_views`)
    seed: int = 2021


@dataclass(frozen=True)
class FasterRcnn:
    """The two-stage detector (torchvision), on the backbone of stage 04 with a feature pyramid."""

    network: str = "resnext101_32x8d"
    weights: str = "resnext101_32x8d"  # for the backbone, where stage 04 left none
    pyramid: int = 256  # channels of the feature pyramid
    head: int = 1024  # width of the box head
    size: int = 512  # px, training
    predict_size: int = 1024  # px
    epochs: int = 50
    head_epochs: int = 0  # epochs before those, in which the backbone rests
    batch: int = 10
    optimizer: str = "SGD"
    lr: float = 0.001  # for a backbone that began with a weight file
    lr_random: float = 0.001  # for one that began with random weights, even if stages 04 and 05 trained it since
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.02
    ema: float = 0.0
    proposals: int = 1000  # boxes that the first stage hands to the second in training; half of it in prediction
    regions: int = 512  # of those, how many an image gives to the loss of the second stage
    anchor: int = 16  # px, edge of the smallest anchor at training size; it doubles from level to level
    validate_every: int = 1  # epochs
    confidence: float = 0.001
    nms_iou: float = 0.5
    max_boxes: int = 30
    pretrained: bool = True  # start from stage 05, else from the backbone of stage 04, where they are
    lungs: str = "whole"  # what it sees of a picture
    seed: int = 2021


@dataclass(frozen=True)
class Study:
    """The study classifier."""

    network: str = "resnext101_32x8d"  # a torchvision classification network
    weights: str = "resnext101_32x8d"  # for the backbone, where stage 04 left none
    size: int = 224  # px
    epochs: int = 58
    head_epochs: int = 0  # epochs before those, in which the backbone rests
    freeze_backbone: bool = False  # it rests in all epochs (paper 004)
    optimizer: str = "AdamW"
    batch: int = 15
    lr: float = 0.0005  # for a backbone that began with a weight file
    lr_random: float = 0.002  # for one that began with random weights, which has further to go
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.0  # share of all steps in which the rate rises linearly
    dropout: float = 0.5
    mask_weight: float = 0.0  # > 0 adds a segmentation head on box masks (what the winners share)
    ema: float = 0.0  # decay of the averaged weights; 0 = off
    flip_at_test: bool = True
    pretrained: bool = True  # start from the backbone of stage 04, where there is one
    lungs: str = "whole"  # what it sees of a picture
    seed: int = 2021


@dataclass(frozen=True)
class Fusion:
    """From the models' predictions to rows of the submission. Constants are paper 004's, the 8th and 11th place's.

    With `tune` stage 10 chooses them anew from out-of-fold predictions, and these are where it starts.
    """

    tune: bool = True
    resamples: int = 1000  # of the bootstrap behind each interval
    # Patients who have a class, in each part that a step is tuned on, below which the published values stay. AP from 21
    # positives has a standard error near .07, and it shrinks with their root: at 30 still .06, more than any step gains
    least_patients: int = 30

    wbf_iou: float = 0.55
    wbf_skip: float = 0.001
    none_from_negative: float = 0.5  # none' = (1 - w) none + w negative
    negative_from_none: float = 0.3  # negative' = (1 - w) negative + w none
    none_into_boxes: float = 0.16  # score' = score^(1 - w) (1 - none)^w
    max_boxes: int = 30  # an image row


@dataclass(frozen=True)
class Prediction:
    """How test images go through the models (stage 11); nothing here changes a prediction unless time runs out."""

    batch: int = 16  # images at a time on the GPU: 16 GB must hold them
    block: int = 64  # studies that are decoded and predicted at a time


@dataclass(frozen=True)
class Budget:
    """One clock for the whole run; shares are of the hours that are left when a stage starts."""

    hours: float = 9.0
    reserve: float = 0.1  # of the hours, that no training may use: for the submission
    margin: float = 0.02  # of the hours, that nothing may use: Kaggle throws away what is not finished in time
    nih_share: float = 0.15
    rsna_share: float = 0.15
    lungs_share: float = 0.1
    yolo_share: float = 0.4
    faster_rcnn_share: float = 0.55
    study_share: float = 0.8


@dataclass(frozen=True)
class Profile:
    """All settings of a run."""

    name: str
    phantom: Phantom = field(default_factory=Phantom)
    images: Images = field(default_factory=Images)
    folds: Folds = field(default_factory=Folds)
    nih: Nih = field(default_factory=Nih)
    rsna: Rsna = field(default_factory=Rsna)
    lungs: Lungs = field(default_factory=Lungs)
    yolo: Yolo = field(default_factory=Yolo)
    faster_rcnn: FasterRcnn = field(default_factory=FasterRcnn)
    study: Study = field(default_factory=Study)
    fusion: Fusion = field(default_factory=Fusion)
    prediction: Prediction = field(default_factory=Prediction)
    budget: Budget = field(default_factory=Budget)


SECTIONS = tuple(f.name for f in dataclasses.fields(Profile) if f.name != "name")

PROFILES = {
    # Two CPU cores, minutes. Networks that learn from random weights on a few hundred pictures.
    "demo": Profile(
        "demo",
        images=Images(cache_size=320, png=True, train_limit=340),
        folds=Folds(count=2),
        nih=Nih(
            network="mobilenet_v2",
            weights="mobilenet_v2",
            size=160,
            epochs=12,
            batch=8,
            optimizer="AdamW",
            lr=0.0005,
            lr_random=0.003,
            warmup_fraction=0.1,
            ema=0.98,
            train_limit=300,
        ),
        rsna=Rsna(yolo_epochs=6, faster_rcnn_epochs=6, negatives=1.0, train_limit=130),
        lungs=Lungs(width=8, size=96, epochs=50, batch=4, lr=0.004),
        faster_rcnn=FasterRcnn(
            network="mobilenet_v2",
            weights="mobilenet_v2",
            pyramid=64,
            head=256,
            size=192,
            predict_size=192,
            epochs=13,
            batch=4,
            optimizer="AdamW",
            lr=0.001,
            lr_random=0.004,
            warmup_fraction=0.1,
            ema=0.98,
            proposals=200,
            regions=64,
            anchor=18,
            validate_every=5,
        ),
        yolo=Yolo(
            model="yolo11n",
            weights="yolo11n",
            size=256,
            epochs=16,
            batch=4,
            nominal_batch=4,
            optimizer="AdamW",
            lr=0.002,
            momentum=0.9,
            mixup=0.0,
            flip_up_down=0.0,
            scale=0.2,
            resume=False,  # a fold takes two minutes, and begins to the same end
        ),
        study=Study(
            network="mobilenet_v2",
            weights="mobilenet_v2",
            size=160,
            epochs=22,
            batch=16,
            lr=0.001,
            lr_random=0.004,
            dropout=0.2,
            mask_weight=1.0,
            warmup_fraction=0.1,
        ),
    ),
    # Train and infer on T4 x2 inside nine hours.
    "kaggle": Profile(
        "kaggle",
        images=Images(cache_size=512, keep_caches=False),
        folds=Folds(count=5),
        nih=Nih(
            network="efficientnet_v2_s",
            weights="efficientnet_v2_s",
            size=224,
            epochs=2,
            batch=64,
            optimizer="AdamW",
            lr=0.0005,
            lr_random=0.001,
            warmup_fraction=0.05,
            train_limit=40000,
        ),
        rsna=Rsna(yolo_epochs=6, faster_rcnn_epochs=3, negatives=0.5),
        lungs=Lungs(width=16, size=256, epochs=30, batch=16),
        yolo=Yolo(model="yolo11m", weights="yolo11m", epochs=20, batch=16, nominal_batch=64, mixup=0.2),
        faster_rcnn=FasterRcnn(
            network="efficientnet_v2_s",
            weights="efficientnet_v2_s",
            predict_size=512,
            epochs=8,
            batch=12,
            optimizer="AdamW",
            lr=0.0003,
            lr_random=0.001,
            anchor=32,
            validate_every=4,
        ),
        study=Study(
            network="efficientnet_v2_s",
            weights="efficientnet_v2_s",
            size=384,
            epochs=15,
            batch=32,
            lr=0.0005,
            mask_weight=1.0,
            warmup_fraction=0.05,
            ema=0.999,
        ),
        # 6334 hidden images through 20 passes: nobody has measured them on a T4 yet, so with room to spare
        budget=Budget(reserve=0.15),
    ),
    # Paper 004: the sections' own defaults are its numbers. AdamW at study level is ours.
    "paper": Profile(
        "paper", images=Images(cache_size=1024, png=True), folds=Folds(count=5), study=Study(freeze_backbone=True)
    ),
    # The winners' recipe, several GPUs.
    "full": Profile(
        "full",
        images=Images(cache_size=1024),
        folds=Folds(count=5),
        nih=Nih(
            network="efficientnet_v2_m",
            weights="efficientnet_v2_m",
            size=384,
            epochs=10,
            optimizer="AdamW",
            lr=0.0003,
            lr_random=0.001,
            warmup_fraction=0.05,
        ),
        rsna=Rsna(yolo_epochs=15, faster_rcnn_epochs=8, negatives=1.0),
        yolo=Yolo(model="yolo11x", weights="yolo11x", size=768, epochs=40, batch=16, mixup=0.3),
        faster_rcnn=FasterRcnn(
            network="efficientnet_v2_m",
            weights="efficientnet_v2_m",
            size=768,
            predict_size=768,
            epochs=20,
            batch=8,
            optimizer="AdamW",
            lr=0.0003,
            lr_random=0.001,
            anchor=48,
            ema=0.999,
        ),
        study=Study(
            network="efficientnet_v2_m",
            weights="efficientnet_v2_m",
            size=768,
            epochs=25,
            batch=16,
            lr=0.0003,
            mask_weight=1.0,
            warmup_fraction=0.05,
            ema=0.999,
        ),
        budget=Budget(hours=120),
    ),
}


def load_profile(name: str, overrides: str = "") -> Profile:
    """A profile by name, with `section.key=value` overrides separated by blanks. Raises DataFault for unknown names."""
    if name not in PROFILES:
        raise DataFault(f"PROFILE={name}: no such profile; choose one of {', '.join(PROFILES)}")
    profile = PROFILES[name]
    for item in overrides.split():
        profile = _override(profile, item)
    return profile


def _override(profile: Profile, item: str) -> Profile:
    target, equals, text = item.partition("=")
    section_name, _, key = target.partition(".")
    if not equals or not key:
        raise DataFault(f"SET: {item!r} is not of the form section.key=value, for example yolo.epochs=3")
    if section_name not in SECTIONS:
        raise DataFault(f"SET: {item!r} names no section; choose one of {', '.join(SECTIONS)}")
    section = getattr(profile, section_name)
    known = {f.name: getattr(section, f.name) for f in dataclasses.fields(section)}
    if key not in known:
        raise DataFault(f"SET: {section_name} has no {key!r}; choose one of {', '.join(known)}")
    return replace(profile, **{section_name: replace(section, **{key: _convert(text, known[key], item)})})


def _convert(text: str, old: Any, item: str) -> Any:
    """Read `text` as the type that the field has now."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()] if isinstance(old, bool) else type(old)(text)
    except (ValueError, KeyError):
        raise DataFault(f"SET: {item!r} needs a value like {old!r}") from None


ModelSettings = Yolo | FasterRcnn | Study


def settings_of(profile: Profile, model: str) -> ModelSettings:
    """The section that a model of the spine reads; models are called as their folders are."""
    return {"yolo": profile.yolo, "faster_rcnn": profile.faster_rcnn, "studies": profile.study}[model]


def section_values(profile: Profile, names: list[str]) -> dict[str, dict[str, Any]]:
    """The named sections as plain values, for stamps and run.json."""
    return {name: dataclasses.asdict(getattr(profile, name)) for name in names}
