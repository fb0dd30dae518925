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


@dataclass(frozen=True)
class Images:
    """DICOM to pixels."""

    cache_size: int = 512  # px, edge of the square uint8 cache that trainings read
    png: bool = False  # keep full-size PNGs in working/images (25 GB for the real train set)
    train_limit: int = 0  # 0 = all labelled images; otherwise a stratified choice of this many
    workers: int = 0  # 0 = one a core


@dataclass(frozen=True)
class Folds:
    """Cross-validation."""

    count: int = 5
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
    seed: int = 2021


@dataclass(frozen=True)
class Study:
    """The study classifier."""

    network: str = "resnext101_32x8d"  # a torchvision classification network
    weights: str = "resnext101_32x8d"
    size: int = 224  # px
    epochs: int = 58
    batch: int = 15
    lr: float = 0.0005  # for a backbone that was trained before
    lr_random: float = 0.002  # for one with random weights, which has further to go
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.0  # share of all steps in which the rate rises linearly
    dropout: float = 0.5
    mask_weight: float = 0.0  # > 0 adds a segmentation head on box masks (what the winners share)
    ema: float = 0.0  # decay of the averaged weights; 0 = off
    flip_at_test: bool = True
    seed: int = 2021


@dataclass(frozen=True)
class Fusion:
    """From the models' predictions to rows of the submission. Constants are those of the 8th and 11th place."""

    wbf_iou: float = 0.55
    wbf_skip: float = 0.001
    none_from_negative: float = 0.5  # none' = (1 - w) none + w negative
    negative_from_none: float = 0.3  # negative' = (1 - w) negative + w none
    max_boxes: int = 30  # an image row


@dataclass(frozen=True)
class Budget:
    """One clock for the whole run; shares are of the hours that are left when a stage starts."""

    hours: float = 9.0
    reserve: float = 0.05  # of the hours, kept for the submission
    yolo_share: float = 0.5
    study_share: float = 0.7


@dataclass(frozen=True)
class Profile:
    """All settings of a run."""

    name: str
    phantom: Phantom = field(default_factory=Phantom)
    images: Images = field(default_factory=Images)
    folds: Folds = field(default_factory=Folds)
    yolo: Yolo = field(default_factory=Yolo)
    study: Study = field(default_factory=Study)
    fusion: Fusion = field(default_factory=Fusion)
    budget: Budget = field(default_factory=Budget)


SECTIONS = tuple(f.name for f in dataclasses.fields(Profile) if f.name != "name")

PROFILES = {
    # Two CPU cores, minutes. Networks that learn from random weights on a few hundred pictures.
    "demo": Profile(
        "demo",
        images=Images(cache_size=320, png=True, train_limit=340),
        folds=Folds(count=2),
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
        ),
        study=Study(
            network="mobilenet_v2",
            weights="mobilenet_v2",
            size=160,
            epochs=26,
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
        images=Images(cache_size=512),
        folds=Folds(count=5),
        yolo=Yolo(model="yolo11m", weights="yolo11m", epochs=20, batch=16, nominal_batch=64, mixup=0.2),
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
    ),
    # Paper 004 as far as this release goes: detector and study head with its numbers (sections 4.3 and 4.4).
    "paper": Profile("paper", images=Images(cache_size=1024, png=True), folds=Folds(count=5)),
    # The winners' recipe, several GPUs.
    "full": Profile(
        "full",
        images=Images(cache_size=1024),
        folds=Folds(count=5),
        yolo=Yolo(model="yolo11x", weights="yolo11x", size=768, epochs=40, batch=16, mixup=0.3),
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


def section_values(profile: Profile, names: list[str]) -> dict[str, dict[str, Any]]:
    """The named sections as plain values, for stamps and run.json."""
    return {name: dataclasses.asdict(getattr(profile, name)) for name in names}
