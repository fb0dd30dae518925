"""The one training loop (Lightning), for every network but YOLO."""

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lightning
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cxr.tables import write_csv

Losses = Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How to train: AdamW, linear warm-up, cosine to a twentieth."""

    epochs: int
    lr: float
    weight_decay: float
    warmup_fraction: float
    loss_weights: dict[str, float]
    seed: int
    ema: float = 0.0
    max_seconds: float = math.inf


def fit(
    network: nn.Module, losses: Losses, train: DataLoader, validation: DataLoader, recipe: Recipe, folder: Path
) -> dict:
    """Train `network` in place and write `metrics.csv`, a row an epoch. Returns {'epochs', 'seconds', 'clock_bound'}.

    The last epoch's weights are kept (averaged ones with `ema`), not the best validation epoch's: out-of-fold scores
    then owe nothing to a choice made on the same fold. A non-finite loss raises FloatingPointError naming the losses
    and the images.
    """
    quiet_lightning()
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    table = MetricsTable(folder / "metrics.csv", recipe.epochs)
    average = [_weight_average(recipe.ema)] if recipe.ema else []
    started = time.monotonic()
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        max_time=timedelta(seconds=recipe.max_seconds) if math.isfinite(recipe.max_seconds) else None,
        accelerator="auto",
        precision=precision(),
        deterministic="warn",
        callbacks=[table, *average],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
    )
    trainer.fit(Trainee(network, losses, recipe, len(train) * recipe.epochs), train, validation)
    network.cpu().eval()
    done = len(table.rows)
    return {"epochs": done, "seconds": round(time.monotonic() - started, 1), "clock_bound": done < recipe.epochs}


def precision() -> str:
    """Mixed precision where the machine has it: bf16 from Ampere on and on CPUs with AVX512-BF16, fp16 before (T4)."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability()[0] >= 8 else "16-mixed"
    # without the instructions PyTorch emulates bf16, slower than float32
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


class Trainee(lightning.LightningModule):
    """Network, losses and optimiser as Lightning wants them."""

    def __init__(self, network: nn.Module, losses: Losses, recipe: Recipe, steps: int):
        super().__init__()
        self.network, self.losses, self.recipe, self.steps = network, losses, recipe, steps

    def _step(self, batch: dict, prefix: str) -> Tensor:
        named = self.losses(self.network(batch["pixels"]), batch)
        bad = [name for name, value in named.items() if not torch.isfinite(value)]
        if bad:
            raise FloatingPointError(
                f"loss {', '.join(bad)} is not finite on images {', '.join(batch['image_id'])}; "
                "lower the learning rate or look at these images"
            )
        self.log_dict(
            {f"{prefix}_{name}": value for name, value in named.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["image_id"]),
        )
        return sum(self.recipe.loss_weights.get(name, 1.0) * value for name, value in named.items())

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
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.lr)
        warmup = max(1, round(self.recipe.warmup_fraction * self.steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, warmup, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(step: int, warmup: int, steps: int) -> float:
    """Share of the full learning rate: up linearly over `warmup` steps, then half a cosine down to a twentieth."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))


class MetricsTable(lightning.Callback):
    """Writes every epoch's losses to a CSV and prints one line for each."""

    def __init__(self, path: Path, epochs: int):
        self.path, self.epochs, self.rows = path, epochs, []
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        numbers = {name: round(float(value), 5) for name, value in trainer.callback_metrics.items()}
        seconds = round(time.monotonic() - self.started, 1)
        self.rows.append(
            {
                "epoch": len(self.rows) + 1,
                **numbers,
                "lr": module.optimizers().param_groups[0]["lr"],
                "seconds": seconds,
            }
        )
        write_csv(pd.DataFrame(self.rows), self.path)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"  epoch {len(self.rows):2d}/{self.epochs}  {shown}  {seconds:.0f} s", flush=True)


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
