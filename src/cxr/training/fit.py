"""The one training loop (Lightning), for every network but YOLO."""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cxr.faults import DataFault
from cxr.models.precision import best_device, half_type
from cxr.training import ranks
from cxr.training.best_epoch import TOTAL, BestEpoch, BestFile
from cxr.training.checkpoint import RESUME, training_key
from cxr.training.losses import Losses
from cxr.training.metrics_table import MetricsTable
from cxr.training.plateau import Plateau
from cxr.training.ranks import shared, with_batch
from cxr.training.recipe import Recipe, Stage
from cxr.training.resume import Checkpoints, Files
from cxr.training.runs import BEST


def fit(
    network: nn.Module,
    losses: Losses,
    train: DataLoader,
    validation: DataLoader | None,
    recipe: Recipe,
    folder: Path,
    measures: Sequence[lightning.Callback] = (),
) -> dict:
    """Train `network` in place and write `metrics.csv`, a row an epoch. Returns {'epochs', 'seconds', 'clock_bound'},
    with `patience` also 'best_epoch'.

    The last epoch's weights are kept (averaged ones with `ema`), not the best validation epoch's unless the recipe has
    `patience`: out-of-fold scores then owe nothing to a choice made on the same fold. A non-finite loss raises
    DataFault naming the losses and the images. A training that was killed in this folder goes on after its last
    checkpoint, to the same weights as without the kill, and says so in `resumed_after_epoch`; `max_seconds` are those
    of this call. Where a GPU has too little memory the batch is halved, which is said, and as many more gradients are
    added up before a step, so that a step still learns from the nominal batch. measures: callbacks that log more about
    an epoch's validation.
    """
    quiet_lightning()
    before = {name: value.detach().clone() for name, value in network.state_dict().items()}
    batch = nominal = train.batch_size
    while True:
        try:
            record = _fit(network, losses, shared(train, True), shared(validation, False), recipe, folder, measures)
            return record if batch == nominal else {**record, "batch": batch, "accumulate": recipe.accumulate}
        except torch.OutOfMemoryError as error:
            if batch == 1 or ranks.count() > 1:
                raise DataFault(
                    f"{folder.name}: the GPU has too little memory for a batch of {batch} ({str(error)[:80]}); "
                    "choose a smaller size or batch"
                ) from None
        batch = math.ceil(batch / 2)
        recipe = replace(recipe, accumulate=2 * recipe.accumulate)
        print(
            f"note: {folder.name}: the GPU has too little memory; the batch is {batch} now, and a step takes "
            f"{recipe.accumulate} of them",
            flush=True,
        )
        network.cpu().load_state_dict(before)
        torch.cuda.empty_cache()
        train = with_batch(train, batch)
        validation = with_batch(validation, min(batch, validation.batch_size)) if validation is not None else None


def _fit(
    network: nn.Module,
    losses: Losses,
    train: DataLoader,
    validation: DataLoader | None,
    recipe: Recipe,
    folder: Path,
    measures: Sequence[lightning.Callback],
) -> dict:
    """`fit` on this rank's loaders, with as much memory as it takes."""
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    folder.mkdir(parents=True, exist_ok=True)
    table = MetricsTable(folder / "metrics.csv", recipe.epochs)
    average = [_weight_average(recipe.ema)] if recipe.ema else []
    best = [BestEpoch(recipe.patience, recipe.monitor)] if recipe.patience else []
    kept = [BestFile(folder / BEST, recipe.loss_weights)] if recipe.keep_best and validation is not None else []
    plateau = [Plateau()] if recipe.schedule == "plateau" else []
    loaders = [loader for loader in (train, validation) if loader is not None]
    key = training_key(folder, replace(recipe, max_seconds=0), train.batch_size)
    checkpoints = Checkpoints(folder / RESUME, key, loaders, table.rows)
    if checkpoints.resumed_after:
        print(f"  goes on after epoch {checkpoints.resumed_after} of {recipe.epochs}", flush=True)
        table.go_on()
    # deterministic algorithms fill all new memory with NaN, to show who reads it unwritten: up to a sixth of a step
    torch.utils.deterministic.fill_uninitialized_memory = False
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        # a clock that has run out still leaves one batch: a run folder without metrics would stop what reads it
        max_time=timedelta(seconds=max(recipe.max_seconds, 1e-3)) if math.isfinite(recipe.max_seconds) else None,
        **_processes(recipe),
        precision=precision(),
        deterministic="warn",
        callbacks=[Freezer(recipe.stages), *measures, *kept, *best, *plateau, table, *average, checkpoints],
        plugins=[Files()],
        accumulate_grad_batches=recipe.accumulate,
        check_val_every_n_epoch=recipe.validate_every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
    )
    network.to(memory_format=torch.channels_last)  # faster convolutions: make bench shows by how much
    trainee = Trainee(network, losses, recipe, math.ceil(len(train) / recipe.accumulate))
    trainer.fit(trainee, train, validation, ckpt_path=checkpoints.file, weights_only=True)
    network.cpu().eval().requires_grad_(True)
    done = len(table.rows)
    more = {"resumed_after_epoch": checkpoints.resumed_after} if checkpoints.resumed_after else {}
    more |= {"best_epoch": best[0].epoch} if best else {}
    more |= {"lowest_validation_loss_epoch": kept[0].epoch} if kept and kept[0].epoch else {}
    early = bool(best) and best[0].stopped_early
    return {
        "epochs": done,
        "seconds": round(table.seconds, 1),
        "clock_bound": done < recipe.epochs and not early,
        **more,
    }


def _processes(recipe: Recipe) -> dict:
    """Lightning's words for one process, or for the ranks that torchrun started."""
    if ranks.count() == 1:
        return {"accelerator": "auto", "devices": 1}
    nodes, each = ranks.machines()
    strategy = DDPStrategy(
        # stages hold parts of the network still, which then have no gradient to wait for
        find_unused_parameters=any(stage.trainable for stage in recipe.stages),
        # ranks may validate different numbers of batches, where a copy of running means would wait for ever
        broadcast_buffers=False,
    )
    cuda = torch.cuda.is_available()
    return {
        "accelerator": "gpu" if cuda else "cpu",
        "devices": each,
        "num_nodes": nodes,
        "strategy": strategy,
        "use_distributed_sampler": False,  # `ranks.shared` has done it
        "sync_batchnorm": cuda,  # PyTorch has none for CPUs
    }


def precision() -> str:
    """Mixed precision where the machine has it, in Lightning's words."""
    words = {torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed", torch.float32: "32-true"}
    return words[half_type(best_device())]


class Trainee(lightning.LightningModule):
    """Network, losses and optimiser as Lightning wants them."""

    def __init__(self, network: nn.Module, losses: Losses, recipe: Recipe, steps_an_epoch: int):
        super().__init__()
        self.network, self.losses, self.recipe, self.steps_an_epoch = network, losses, recipe, steps_an_epoch
        self.loss_names: list[str] = []

    def _step(self, batch: dict, prefix: str) -> Tensor:
        named = self.losses(self.network, batch)
        self.loss_names = list(named)
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
            sync_dist=ranks.count() > 1,
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
        # the rate comes from the schedule alone, since it differs from stage to stage; fused: all weights in one go,
        # which SGD cannot where some of them have learned before and others have not
        if self.recipe.optimizer == "SGD":
            momentum, nesterov = self.recipe.momentum, self.recipe.nesterov
            optimizer = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=nesterov)
        elif self.recipe.optimizer == "AdamW":
            optimizer = torch.optim.AdamW(groups, lr=1.0, fused=True)
        elif self.recipe.optimizer == "Adam":
            optimizer = torch.optim.Adam(groups, lr=1.0, fused=True)
        else:
            raise DataFault(f"optimizer={self.recipe.optimizer}: not known; choose AdamW, Adam or SGD")
        if self.recipe.schedule == "plateau":
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.stages[0].lr
            return {"optimizer": optimizer}
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.recipe.rate(step, self.steps_an_epoch)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Freezer(lightning.Callback):
    """Lets learn in each stage what it names, and holds the rest still."""

    def __init__(self, stages: tuple[Stage, ...]):
        self.of_epoch = [stage for stage in stages for _ in range(stage.epochs)]

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Trainee) -> None:
        stage = self.of_epoch[trainer.current_epoch]
        names = stage.trainable
        learning = [name for name, _ in module.network.named_parameters() if name.startswith(names or "")]
        if not learning:
            raise DataFault(f"no parameter of {type(module.network).__name__} begins with {' or '.join(names)}")
        for name, parameter in module.network.named_parameters():
            parameter.requires_grad_(name.startswith(names or ""))
        for name, part in module.network.named_modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train(name.startswith(names or "") and not stage.frozen_norms)


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
    warnings.filterwarnings("ignore", message=".*find_unused_parameters=True was specified.*")
