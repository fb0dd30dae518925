"""How many pictures a profile takes of each data set, and which trainings follow: what every table here starts from."""

import os
from typing import NamedTuple

from cxr.profiles import Profile, more_detectors

CORES = 4  # of a Kaggle session


class Counts(NamedTuple):
    """Pictures in the input; the defaults are the real data sets'. 0 for a set that is not there.

    train, test: labelled and test images of the competition; nih: of NIH ChestX-ray14's train_val part (Wang et al.
    2017); rsna, rsna_boxed: of RSNA's training part, and those with a box; lungs: with lung masks (Jaeger et al. 2014).
    pixels: of a competition image in its original size (53.8 gigapixels in 6334 images). nih_test: of NIH's test part.
    """

    train: int = 6334
    test: int = 1263
    nih: int = 86_524
    rsna: int = 26_684
    rsna_boxed: int = 6012
    lungs: int = 704
    pixels: int = 8_500_000
    nih_test: int = 25_596

    def drawn(self, profile: Profile) -> "Counts":
        """What the profile leaves of them: its limits hold, and RSNA pictures without a box are drawn by number."""
        nih, rsna = profile.nih, profile.rsna
        clear = min(round(rsna.negatives * self.rsna_boxed), self.rsna - self.rsna_boxed)
        return self._replace(
            train=_at_most(self.train, profile.images.train_limit),
            nih=_at_most(self.nih, nih.train_limit) if nih.use else 0,
            nih_test=_at_most(self.nih_test, nih.train_limit) if nih.use and nih.score_test and self.nih else 0,
            rsna=_at_most(self.rsna_boxed + clear, rsna.train_limit) if rsna.use else 0,
        )


def _at_most(count: int, limit: int) -> int:
    return min(count, limit) if limit else count


def workers(profile: Profile, cores: int = 0) -> int:
    """Processes that decode pictures."""
    return profile.images.workers or cores or os.cpu_count() or 1


class Training(NamedTuple):
    """One training of a run: the folder of its model, its stage, the profile section that shapes it, how often."""

    name: str
    stage: str
    section: str
    folds: int = 1


def trainings(profile: Profile, counts: Counts) -> list[Training]:
    """The trainings that a profile asks for and the input allows, in the order of the stages.

    Further detectors count as large as Faster R-CNN, whose backbone they share.
    """
    folds, rsna, more = profile.folds.count, profile.rsna, more_detectors(profile)
    planned = [
        (counts.nih, Training("pretrain_nih", "04", "nih")),
        (counts.rsna and rsna.yolo_epochs, Training("pretrain_rsna_yolo", "05", "yolo")),
        (counts.rsna and rsna.faster_rcnn_epochs, Training("pretrain_rsna_faster_rcnn", "05", "faster_rcnn")),
        *(
            (counts.rsna and rsna.faster_rcnn_epochs, Training(f"pretrain_rsna_{name}", "05", "faster_rcnn"))
            for name in more
        ),
        (counts.lungs, Training("lungs", "06", "lungs")),
        (True, Training("yolo", "07", "yolo", folds)),
        (True, Training("faster_rcnn", "08", "faster_rcnn", folds)),
        *((True, Training(name, "08", "faster_rcnn", folds)) for name in more),
        (True, Training("studies", "09", "study", folds)),
    ]
    return [training for wanted, training in planned if wanted]


def optimizer_states(section: object) -> int:
    """Tensors of a parameter's size that the optimiser keeps: momentum for SGD, two means for AdamW."""
    return 1 if getattr(section, "optimizer", "AdamW") == "SGD" else 2


def keeps_average(section_name: str, section: object) -> bool:
    """Whether a moving average of the weights is kept: YOLO always has one."""
    return section_name == "yolo" or bool(getattr(section, "ema", 0))
