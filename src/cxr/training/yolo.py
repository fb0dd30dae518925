"""YOLO behind one adapter: ultralytics trains, and a run folder like everybody else's comes out.

Nothing of ultralytics is imported before `prepare` has set its environment: it reads that once, at import, and without
it reaches for the network.
"""

import atexit
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.models.precision import best_device, half_type
from cxr.profiles import Yolo
from cxr.tables import write_csv
from cxr.training import ranks
from cxr.training.checkpoint import RESUME, training_key
from cxr.training.runs import load_state, load_weights
from cxr.training.start import Start
from cxr.training.yolo_resume import YoloCheckpoints
from cxr.workspace import write_json

QUIET = {name: False for name in ("sync", "mlflow", "wandb", "comet", "clearml", "dvc", "raytune", "tensorboard")}


def prepare(config_dir: Path) -> None:
    """Environment, font and settings for a training without network. Call before anything imports ultralytics.

    Where `config_dir` cannot be written, as in a run that is mounted read-only, a temporary folder takes its place.
    """
    config_dir = _writable(config_dir)
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_CONFIG_DIR=str(config_dir),
        ULTRALYTICS_SAFE_LOAD="true",
        YOLO_VERBOSE="false",
    )
    font = config_dir / "Ultralytics" / "Arial.ttf"  # asked for at every train(), offline or not
    if not font.is_file():
        import matplotlib

        font.parent.mkdir(parents=True, exist_ok=True)
        partial = font.with_name(f".{font.name}.{os.getpid()}")
        shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", partial)
        os.replace(partial, font)
    from ultralytics import settings

    if any(settings.get(name) for name in QUIET):
        settings.update(QUIET)


def _writable(folder: Path) -> Path:
    """The folder, made if need be, or one in the place of it that ends with this process."""
    with suppress(OSError):  # read-only, or somebody else's
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    other = Path(tempfile.mkdtemp(prefix="cxr-ultralytics-"))
    atexit.register(shutil.rmtree, other, ignore_errors=True)
    return other


def train_yolo(
    settings: Yolo,
    data_yaml: Path,
    folder: Path,
    start: Start,
    max_seconds: float,
    label: str,
    keep_data: bool = True,
) -> tuple[dict[str, Tensor], dict]:
    """Train one detector; leaves `model.json`, `metrics.csv` in `folder`. Returns its state dict and what to record.

    The weights are the averaged ones of the last epoch, for the reason given in `fit`. A weight file is an ultralytics
    checkpoint (read by allow-list); tensors are taken over where name and shape fit. `max_seconds` ends the training
    between two batches; ultralytics' own `time=` would stretch the schedule to fill it, and no two runs would be equal.
    A non-finite loss raises DataFault naming the losses and the images. With `settings.resume` a training that was
    killed in this folder goes on after its last checkpoint (see `yolo_resume`), and `resumed_after_epoch` says so;
    otherwise it begins again. Without `keep_data` the pictures beside `data_yaml` go when the training is over.
    """
    check_prepared()
    if ranks.count() > 1:
        raise DataFault(
            f"{label}: YOLO trains in one process; give each GPU or machine a fold of its own (docs/machines.md)"
        )
    from ultralytics import YOLO

    from cxr.training.yolo_losses import take_box_loss, trainer_of

    model = YOLO(f"{settings.model}.yaml")
    # ultralytics seeds itself later, too late for what a checkpoint leaves random: the head
    torch.manual_seed(settings.seed)
    model.model = build_detector({**model.model.yaml, "nc": 1})
    taken = take_weights(model, start)
    started, clock = time.monotonic(), {"bound": False}
    checkpoints = YoloCheckpoints(folder / RESUME, training_key(folder, settings)) if settings.resume else None
    earlier = checkpoints.seconds if checkpoints else 0.0
    resumed = checkpoints.resumed_after if checkpoints else 0
    if resumed:
        print(f"  {label} goes on after epoch {resumed} of {settings.epochs}", flush=True)

    def watch(trainer: object) -> None:
        bad = [name for name, value in trainer.loss_items.items() if not torch.isfinite(value).all()]
        if bad:
            raise DataFault(
                f"{label}: loss {', '.join(bad)} is not finite on images {', '.join(trainer.image_ids)}; "
                "lower yolo.lr or look at these images"
            )
        if time.monotonic() - started > max_seconds:
            trainer.stop = clock["bound"] = True

    def say(trainer: object) -> None:
        losses = "  ".join(f"{name} {float(value):.2f}" for name, value in trainer.tloss.items())
        print(
            f"  {label} epoch {trainer.epoch + 1:2d}/{trainer.epochs}  {losses}  "
            f"{earlier + time.monotonic() - started:.0f} s",
            flush=True,
        )

    threads = torch.get_num_threads()
    # on a CPU ultralytics leaves torch one thread less than there are cores
    model.add_callback("on_train_start", lambda trainer: torch.set_num_threads(threads))
    model.add_callback("on_train_start", lambda trainer: take_box_loss(trainer, settings))
    model.add_callback("on_train_batch_end", watch)
    model.add_callback("on_train_epoch_end", say)
    if checkpoints:
        checkpoints.add_to(model)
    scratch = folder / "ultralytics"
    shutil.rmtree(scratch, ignore_errors=True)
    places = {"data": str(data_yaml), "project": str(folder), "name": scratch.name, "exist_ok": True}
    model.train(trainer=trainer_of(settings), **places, **train_arguments(settings))
    torch.set_num_threads(threads)
    trained = model.trainer.ema.ema
    write_json({"model": settings.model, "yaml": trained.yaml}, folder / "model.json")
    epochs = keep_metrics(scratch / "results.csv", folder / "metrics.csv")
    shutil.rmtree(scratch)  # optimiser states and plots, several times the size of the weights
    if not keep_data:
        shutil.rmtree(data_yaml.parent)
    record = {
        "epochs": epochs,
        "seconds": round(earlier + time.monotonic() - started, 1),
        "clock_bound": clock["bound"],
        "tensors_from_weights": taken,
        **({"resumed_after_epoch": resumed} if resumed else {}),
    }
    return trained.float().state_dict(), record


def check_prepared() -> None:
    """Fail in words when `prepare` was forgotten, instead of asking the network for a font."""
    if os.environ.get("YOLO_OFFLINE") != "true":
        raise RuntimeError("call cxr.training.yolo.prepare(folder) before anything imports ultralytics")


def train_arguments(s: Yolo) -> dict:
    """Our settings in ultralytics' words."""
    cuda = torch.cuda.is_available()
    amp = ("bf16" if half_type(best_device()) == torch.bfloat16 else True) if cuda else False
    return dict(
        imgsz=s.size,
        epochs=s.epochs,
        batch=s.batch,
        nbs=s.nominal_batch,
        optimizer=s.optimizer,
        lr0=s.lr,
        momentum=s.momentum,
        weight_decay=s.weight_decay,
        box=s.box_gain,
        cls=s.class_gain,
        dfl=s.distribution_gain,
        seed=s.seed,
        deterministic=True,
        amp=amp,
        device=device_words(),
        workers=4 if cuda else 0,
        cache="ram",
        val=False,
        plots=False,
        save=False,
        verbose=False,
        rect=False,
        single_cls=True,
        patience=0,
        mosaic=s.mosaic,
        close_mosaic=max(1, s.epochs // 4),
        mixup=s.mixup,
        fliplr=s.flip_left_right,
        flipud=s.flip_up_down,
        translate=s.translate,
        scale=s.scale,
        degrees=s.degrees,
        hsv_h=s.hsv_h,
        hsv_s=s.hsv_s,
        hsv_v=s.hsv_v,
        erasing=0.0,
        augmentations=[],  # installed albumentations would add four transforms of its own
    )


def device_words() -> str | int:
    """The first GPU, or the processor."""
    return 0 if torch.cuda.is_available() else "cpu"


def take_weights(model: object, start: Start) -> int:
    """Copy what fits from where the training starts into the model; returns the number of tensors.

    Raises DataFault when less than half of them fit.
    """
    if start.is_random:
        return 0
    source = load_state(start.folder / "weights.pt") if start.folder else read_checkpoint(start.file)
    own = model.model.state_dict()
    fitting = {name: value for name, value in source.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < 0.5 * len(own):
        raise DataFault(
            f"{start.folder or start.file}: only {len(fitting)} of {len(own)} tensors fit "
            f"{model.model.yaml.get('yaml_file')}; remove it or name another yolo.model"
        )
    model.model.load_state_dict(fitting, strict=False)
    # train() builds its network anew and copies from model.model only when a checkpoint is said to be there
    model.ckpt = {"model": model.model}
    return len(fitting)


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The state dict inside an ultralytics checkpoint, read by allow-list. Raises DataFault for anything else."""
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint, _ = torch_safe_load(file, safe_only=True)
    except (TypeError, RuntimeError, OSError) as error:
        raise DataFault(
            f"{file}: not a checkpoint that can be read safely ({str(error).splitlines()[0][:100]}); "
            "remove it or copy it again"
        ) from None
    return (checkpoint.get("ema") or checkpoint["model"]).float().state_dict()


def keep_metrics(results: Path, out: Path) -> int:
    """ultralytics' results.csv under the names that the other trainings use; returns the number of epochs."""
    table = pd.read_csv(results)
    table.columns = [name.strip() for name in table.columns]
    kept = table[["epoch"]].copy()
    for name in table.columns:
        if name.startswith("train/"):
            kept[f"train_{name.removeprefix('train/').removesuffix('_loss')}"] = table[name]
    kept["lr"] = table["lr/pg0"]
    kept["seconds"] = table["time"]
    write_csv(kept, out)
    return len(kept)


def load_detector(folder: Path) -> nn.Module:
    """Build the network of a run folder and fill in its state dict; ready for prediction."""
    check_prepared()
    model = build_detector(json.loads((folder / "model.json").read_text())["yaml"])
    return load_weights(model, folder, "model.json").eval()


def build_detector(yaml: dict) -> nn.Module:
    """The network of an ultralytics model description.

    The number of classes must stand in `yaml` from the start: the width of the head follows from it, and a network
    built for 80 classes whose last layer is exchanged cannot be built again from its own description.
    """
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(yaml, verbose=False)
