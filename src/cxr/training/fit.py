"""The one training loop (Lightning), for every network but YOLO."""

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cxr.faults import DataFault
from cxr.training.best_epoch import TOTAL, BestEpoch
from cxr.training.checkpoint import RESUME, training_key
from cxr.training.losses import Losses
from cxr.training.metrics_table import MetricsTable
from cxr.training.plateau import Plateau
from cxr.training.resume import Checkpoints, Files

FLOOR = 0.05  # of the learning rate, where the cosine ends (paper 004, equation 1)
SCHEDULES = ("cosine", "constant", "plateau")


@dataclass(frozen=True)
class Stage:
    """A part of a training: so many epochs with this top learning rate.

    trainable: prefixes of the names of the parameters that learn (`("classifier", "mask_head")`); empty means all. The
    rest stands still, running means of its batch norms included.
    """

    epochs: int
    lr: float
    trainable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How to train. In each stage the rate rises linearly for a share of the steps and falls by half a cosine.

    schedule: `cosine`; `constant`; or `plateau`, a tenth whenever the training loss stalls (one stage, no warm-up).
    patience: 0 keeps the last epoch's weights; more stops after so many validations without a lower loss and keeps the
    best one's, which must not be validated on the pictures that the network is then scored on.
    """

    stages: tuple[Stage, ...]
    seed: int
    optimizer: str = "AdamW"  # or SGD: with Nesterov momentum .9
    weight_decay: float = 1e-4
    warmup_fraction: float = 0.0
    loss_weights: Mapping[str, float] = field(default_factory=dict)  # 1 for a loss that is not named
    ema: float = 0.0
    max_seconds: float = math.inf
    validate_every: int = 1  # epochs
    schedule: str = "cosine"
    patience: int = 0  # validations

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise DataFault(f"schedule={self.schedule}: not known; choose one of {', '.join(SCHEDULES)}")
        if self.schedule == "plateau" and len(self.stages) > 1:
            raise DataFault(f"schedule=plateau: {len(self.stages)} stages, and it knows no second rate; take cosine")
        if self.patience and self.ema:
            raise DataFault(
                "patience keeps the weights of one epoch and ema averages all of them; set one of them to 0"
            )

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)


def stages_of(settings: object, lr: float, head: tuple[str, ...], frozen: bool = False) -> tuple[Stage, ...]:
    """Stages from a profile section: `head_epochs` with only the `head` learning, then `epochs` with everything.

    `frozen`: only the head learns to the end.
    """
    first = Stage(settings.head_epochs, lr, head)
    second = Stage(settings.epochs, lr, head if frozen else ())
    return tuple(stage for stage in (first, second) if stage.epochs)


def fit(
    network: nn.Module,
    losses: Losses,
    train: DataLoader,
    validation: DataLoader | None,
    recipe: Recipe,
    folder: Path,
) -> dict:
    """Train `network` in place and write `metrics.csv`, a row an epoch. Returns {'epochs', 'seconds', 'clock_bound'},
    with `patience` also 'best_epoch'.

    The last epoch's weights are kept (averaged ones with `ema`), not the best validation epoch's unless the recipe has
    `patience`: out-of-fold scores then owe nothing to a choice made on the same fold. A non-finite loss raises
    DataFault naming the losses and the images. A training that was killed in this folder goes on after its last
    checkpoint, to the same weights as without the kill, and says so in `resumed_after_epoch`; `max_seconds` are those
    of this call.
    """
    quiet_lightning()
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    folder.mkdir(parents=True, exist_ok=True)
    table = MetricsTable(folder / "metrics.csv", recipe.epochs)
    average = [_weight_average(recipe.ema)] if recipe.ema else []
    best = [BestEpoch(recipe.patience)] if recipe.patience else []
    plateau = [Plateau()] if recipe.schedule == "plateau" else []
    loaders = [loader for loader in (train, validation) if loader is not None]
    key = training_key(folder, replace(recipe, max_seconds=0))
    checkpoints = Checkpoints(folder / RESUME, key, loaders, table.rows)
    if checkpoints.resumed_after:
        print(f"  goes on after epoch {checkpoints.resumed_after} of {recipe.epochs}", flush=True)
        table.go_on()
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        # a clock that has run out still leaves one batch: a run folder without metrics would stop what reads it
        max_time=timedelta(seconds=max(recipe.max_seconds, 1e-3)) if math.isfinite(recipe.max_seconds) else None,
        accelerator="auto",
        precision=precision(),
        deterministic="warn",
        callbacks=[Freezer(recipe.stages), *best, *plateau, table, *average, checkpoints],
        plugins=[Files()],
        check_val_every_n_epoch=recipe.validate_every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
    )
    network.to(memory_format=torch.channels_last)  # faster convolutions: make bench shows by how much
    trainee = Trainee(network, losses, recipe, len(train))
    trainer.fit(trainee, train, validation, ckpt_path=checkpoints.file, weights_only=True)
    network.cpu().eval().requires_grad_(True)
    done = len(table.rows)
    more = {"resumed_after_epoch": checkpoints.resumed_after} if checkpoints.resumed_after else {}
    more |= {"best_epoch": best[0].epoch} if best else {}
    early = bool(best) and best[0].stopped_early
    return {
        "epochs": done,
        "seconds": round(table.seconds, 1),
        "clock_bound": done < recipe.epochs and not early,
        **more,
    }


def precision() -> str:
    """Mixed precision where the machine has it: bf16 from Ampere on and on CPUs with AVX512-BF16, fp16 before (T4)."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability()[0] >= 8 else "16-mixed"
    # without the instructions PyTorch emulates bf16, slower than float32
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


class Trainee(lightning.LightningModule):
    """Network, losses and optimiser as Lightning wants them."""

    def __init__(self, network: nn.Module, losses: Losses, recipe: Recipe, steps_an_epoch: int):
        super().__init__()
        self.network, self.losses, self.recipe, self.steps_an_epoch = network, losses, recipe, steps_an_epoch

    def _step(self, batch: dict, prefix: str) -> Tensor:
        named = self.losses(self.network, batch)
        bad = [name for name, value in named.items() if not torch.isfinite(value)]
        if bad:
            raise DataFault(
                f"loss {', '.join(bad)} is not finite on images {', '.join(batch['image_id'])}; "
                "lower the learning rate or look at these images"
            )
        total = sum(self.recipe.loss_weights.get(name, 1.0) * value for name, value in named.items())
        shown = {**named, TOTAL: total} if self.recipe.patience or self.recipe.schedule == "plateau" else named
        self.log_dict(
            {f"{prefix}_{name}": value for name, value in shown.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["image_id"]),
        )
        return total

    def training_step(self, batch: dict, _: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: dict, _: int) -> None:
        self._step(batch, "val")

    def configure_optimizers(self) -> dict:
        # no decay for biases and norms: they have no scale to keep small
        groups = [
            {"params": [p for p in self.parameters() if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in self.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # the rate comes from the schedule alone, since it differs from stage to stage
        if self.recipe.optimizer == "SGD":
            optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True)
        elif self.recipe.optimizer == "AdamW":
            optimizer = torch.optim.AdamW(groups, lr=1.0)
        else:
            raise DataFault(f"optimizer={self.recipe.optimizer}: not known; choose AdamW or SGD")
        if self.recipe.schedule == "plateau":
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.stages[0].lr
            return {"optimizer": optimizer}
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Learning rate of a step: the schedule of the stage that it lies in."""
        for stage in self.recipe.stages:
            steps = stage.epochs * self.steps_an_epoch
            if step < steps or stage is self.recipe.stages[-1]:
                if self.recipe.schedule == "constant":
                    return stage.lr
                return stage.lr * rate(step, round(self.recipe.warmup_fraction * steps), steps)
            step -= steps
        raise ValueError("a recipe needs at least one stage")


def rate(step: int, warmup: int, steps: int) -> float:
    """Share of the full learning rate: up linearly over `warmup` steps, then half a cosine down to `FLOOR`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


class Freezer(lightning.Callback):
    """Lets learn in each stage what it names, and holds the rest still."""

    def __init__(self, stages: tuple[Stage, ...]):
        self.of_epoch = [stage for stage in stages for _ in range(stage.epochs)]

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Trainee) -> None:
        names = self.of_epoch[trainer.current_epoch].trainable
        learning = [name for name, _ in module.network.named_parameters() if name.startswith(names or "")]
        if not learning:
            raise DataFault(f"no parameter of {type(module.network).__name__} begins with {' or '.join(names)}")
        for name, parameter in module.network.named_parameters():
            parameter.requires_grad_(name.startswith(names or ""))
        for name, part in module.network.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train(name.startswith(names or ""))


def _weight_average(decay: float) -> lightning.Callback:
    """Exponential moving average of the weights, put in place of the last ones when training ends."""
    from lightning.pytorch.callbacks import EMAWeightAveraging

    return EMAWeightAveraging(decay=decay)


def quiet_lightning() -> None:
    """Lightning's hints about loaders, devices and its shop say nothing here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
