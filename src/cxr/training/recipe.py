"""How to train, as data: stages, optimiser, the course of the learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cxr.faults import DataFault

FLOOR = 0.05  # of the learning rate, where the cosine ends (paper 004, equation 1)
DROP = 0.1  # what a rate is multiplied with at each of its `drops`
SCHEDULES = ("cosine", "constant", "plateau", "steps")


@dataclass(frozen=True)
class Stage:
    """A part of a training: so many epochs with this top learning rate.

    trainable: prefixes of the names of the parameters that learn (`("classifier", "mask_head")`); empty means all. The
    rest stands still, running means of its batch norms included.
    frozen_norms: the running means of all batch norms stand still, also where weights learn (paper 003, section 3.3).
    """

    epochs: int
    lr: float
    trainable: tuple[str, ...] = ()
    frozen_norms: bool = False


@dataclass(frozen=True)
class Recipe:
    """How to train. In each stage the rate rises linearly for a share of the steps and falls by half a cosine.

    schedule: `cosine`; `constant`; `steps`, a tenth after each of `drops`; or `plateau`, a tenth whenever the training
    loss stalls (one stage, no warm-up).
    step_every: 0 lets the cosine fall with every batch; more is equation 1 of paper 004 with a step every so often.
    patience: 0 keeps the last epoch's weights; more stops after so many validations without a lower loss and keeps the
    best one's, which must not be validated on the pictures that the network is then scored on.
    monitor: with `patience`, what a validation must raise in place of lowering the loss: the name of a measure.
    keep_best: leave the weights of the epoch with the lowest validation loss as `best.pt`, whatever is kept.
    """

    stages: tuple[Stage, ...]
    seed: int
    optimizer: str = "AdamW"  # or Adam, whose weight decay is an L2 penalty, or SGD
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.0
    loss_weights: Mapping[str, float] = field(default_factory=dict)  # 1 for a loss that is not named
    ema: float = 0.0
    max_seconds: float = math.inf
    validate_every: int = 1  # epochs
    schedule: str = "cosine"
    patience: int = 0  # validations
    step_every: int = 0  # epochs
    momentum: float = 0.9
    accumulate: int = 1  # batches whose gradients make one step
    keep_best: bool = False
    drops: tuple[int, ...] = ()  # epochs of a stage after which the rate falls
    monitor: str = ""
    nesterov: bool = True  # momentum of SGD

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise DataFault(f"schedule={self.schedule}: not known; choose one of {', '.join(SCHEDULES)}")
        if self.schedule == "plateau" and len(self.stages) > 1:
            raise DataFault(f"schedule=plateau: {len(self.stages)} stages, and it knows no second rate; take cosine")
        if self.patience and self.ema:
            raise DataFault(
                "patience keeps the weights of one epoch and ema averages all of them; set one of them to 0"
            )
        if self.accumulate < 1 or self.step_every < 0:
            raise DataFault(
                f"accumulate={self.accumulate}, step_every={self.step_every}: at least 1 batch and 0 epochs are needed"
            )

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    def rate(self, step: int, steps_an_epoch: int) -> float:
        """Learning rate of an optimiser's step, counted from 0: by the schedule of the stage that it lies in."""
        for stage in self.stages:
            steps = stage.epochs * steps_an_epoch
            if step < steps or stage is self.stages[-1]:
                warmup = round(self.warmup_fraction * steps)
                if self.schedule == "constant":
                    return stage.lr
                epoch = min(step // steps_an_epoch, stage.epochs - 1)
                if self.schedule == "steps":
                    return stage.lr * DROP ** sum(epoch >= drop for drop in self.drops)
                if step >= warmup and self.step_every:
                    return stage.lr * stepped_rate(epoch, stage.epochs, self.step_every)
                return stage.lr * rate(step, warmup, steps)
            step -= steps
        raise ValueError("a recipe needs at least one stage")


def stages_of(settings: object, lr: float, head: tuple[str, ...], frozen: bool = False) -> tuple[Stage, ...]:
    """Stages from a profile section: `head_epochs` with only the `head` learning, then `epochs` with everything.

    `frozen`: only the head learns to the end.
    """
    first = Stage(settings.head_epochs, lr, head)
    second = Stage(settings.epochs, lr, head if frozen else ())
    return tuple(stage for stage in (first, second) if stage.epochs)


def recipe_of(settings: object, stages: tuple[Stage, ...], seconds: float, **more: object) -> Recipe:
    """A recipe from a section of `profiles.networks`; more: what such a section does not hold."""
    s = settings
    return Recipe(
        stages,
        s.seed,
        s.optimizer,
        s.weight_decay,
        s.warmup_fraction,
        ema=s.ema,
        max_seconds=seconds,
        step_every=s.step_every,
        momentum=s.momentum,
        accumulate=s.accumulate,
        keep_best=s.keep_best,
        **more,
    )


def rate(step: int, warmup: int, steps: int) -> float:
    """Share of the full learning rate: up linearly over `warmup` steps, then half a cosine down to `FLOOR`."""
    if step < warmup:
        return (step + 1) / warmup
    return cosine((step - warmup) / max(1, steps - warmup))


def stepped_rate(epoch: int, epochs: int, step_every: int) -> float:
    """Share of the full learning rate in an epoch, counted from 0 (paper 004, equation 1).

    t is the number of steps that the schedule has made, T the number of epochs. With a step every epoch it ends at the
    floor of .05 (figure 7), with one every other epoch (the text) at .546 after 35 epochs.
    """
    return cosine(epoch // step_every / epochs)


def rates_by_epoch(epochs: int, step_every: int) -> list[float]:
    """Share of the full learning rate at the start of each epoch; with 0 the cosine falls by batch."""
    return [
        stepped_rate(epoch, epochs, step_every) if step_every else cosine(epoch / epochs) for epoch in range(epochs)
    ]


def cosine(progress: float, floor: float = FLOOR) -> float:
    """Half a cosine from 1 down to the floor, progress in 0..1."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
