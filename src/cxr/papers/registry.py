"""The four systems by name. Each is a module of `systems` with the same face:

| name | what |
|---|---|
| NAME, TITLE, PAPER | what a profile section and folders, people, and the seeds call it |
| OWN | the tasks of its paper, `data.tasks.OWN_CLASSES` |
| CODE | modules that shape its trainings |
| Config | its section of the profile: every value with its paper section, or "ours" |
| lung_settings(c), rejected(mask) | its segmenter; why a mask is not believed, or "" |
| train(part, c) | learn one fold of a task into `part.folder` |
| predict(folder, c, pictures, half) | probabilities [N x classes] |
| heat(folder, c, pictures, targets) | where it looks, [N x S x S] in 0..1 in the frame of the pictures |
| networks(c, classes) | its classifiers with random weights, by name |
| variants(c) | what its paper compares it with: task and config by name |
"""

from collections.abc import Callable
from typing import Protocol

from cxr.faults import DataFault
from cxr.profiles import Profile
from cxr.systems import covid_cxnet, patch_vote, resunet_ensemble, unet_hrnet
from cxr.training.pictures import Config


class System(Protocol):
    """The face of a system's module."""

    NAME: str
    TITLE: str
    PAPER: str
    OWN: tuple[str, ...]
    CODE: tuple[str, ...]
    lung_settings: Callable
    rejected: Callable
    train: Callable
    predict: Callable
    heat: Callable
    networks: Callable
    variants: Callable


SYSTEMS: dict[str, System] = {module.NAME: module for module in (unet_hrnet, covid_cxnet, patch_vote, resunet_ensemble)}


def system_of(name: str) -> System:
    """One of SYSTEMS; DataFault for another name."""
    if name not in SYSTEMS:
        raise DataFault(f"{name}: no such system; choose one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def config_of(profile: Profile, name: str) -> Config:
    """A system's section of a profile."""
    return getattr(profile, system_of(name).NAME)
