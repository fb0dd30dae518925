"""What differs between runs, and nothing else decides a size: four profiles of frozen sections, and `SET=` overrides.

A stage reads named sections only; its stamp carries those sections, so that a changed value reruns the stages that
read it and what follows them.
"""

import dataclasses
from dataclasses import replace
from typing import Any

from cxr.faults import DataFault
from cxr.profiles.demo import DEMO
from cxr.profiles.full import FULL
from cxr.profiles.kaggle import KAGGLE
from cxr.profiles.networks import Detectors, FasterRcnn, Nih, Pseudo, Rsna, Study, Yolo
from cxr.profiles.paper import PAPER
from cxr.profiles.sections import Budget, Folds, Fusion, Images, Lungs, Phantom, Prediction, Profile
from cxr.profiles.systems import Collections, CovidCxnet, PatchVote, ResunetEnsemble, UnetHrnet

__all__ = [
    "PROFILES",
    "SECTIONS",
    "Budget",
    "Collections",
    "CovidCxnet",
    "Detectors",
    "FasterRcnn",
    "Folds",
    "Fusion",
    "Images",
    "Lungs",
    "ModelSettings",
    "Nih",
    "PatchVote",
    "Phantom",
    "Prediction",
    "Profile",
    "Pseudo",
    "ResunetEnsemble",
    "Rsna",
    "Study",
    "UnetHrnet",
    "Yolo",
    "load_profile",
    "more_detectors",
    "section_values",
    "settings_of",
]

SECTIONS = tuple(f.name for f in dataclasses.fields(Profile) if f.name != "name")

PROFILES = {profile.name: profile for profile in (DEMO, KAGGLE, PAPER, FULL)}


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
    """The section that a model of the spine reads; models are called as their folders are.

    Further torchvision detectors read that of Faster R-CNN. KeyError for a model that the profile has not.
    """
    torchvision = dict.fromkeys(("faster_rcnn", *more_detectors(profile)), profile.faster_rcnn)
    return {"yolo": profile.yolo, "studies": profile.study, **torchvision}[model]


def more_detectors(profile: Profile) -> tuple[str, ...]:
    """Names of the architectures that are trained beside YOLO and Faster R-CNN."""
    return tuple(name.strip() for name in profile.detectors.more.split(",") if name.strip())


def section_values(profile: Profile, names: list[str]) -> dict[str, dict[str, Any]]:
    """The named sections as plain values, for stamps and run.json."""
    return {name: dataclasses.asdict(getattr(profile, name)) for name in names}
