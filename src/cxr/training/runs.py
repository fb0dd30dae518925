"""Run folders that explain themselves: `weights.pt` (a state dict), `config.json`, `metrics.csv`, `run.json`.

`run.json` is written last: a folder that has one is finished, and is not trained again while its configuration and
data stay the same.
"""

import json
import platform
import resource
import shutil
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.provenance import commit, package_versions
from cxr.training.checkpoint import RESUME, partial_of, save_atomically
from cxr.workspace import write_json

BEST = "best.pt"  # weights of the epoch with the lowest validation loss; those of the end are in weights.pt


def is_finished(folder: Path, config: dict) -> bool:
    """Whether this very configuration (data included) was already trained to its end in this folder."""
    return _config(folder) == _as_read(config) and (folder / "run.json").is_file()


def _config(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "config.json").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _as_read(config: dict) -> dict:
    return json.loads(json.dumps(config))


def start_run(folder: Path, config: dict) -> None:
    """Make the folder ready: an older `run.json` goes first, so that a half-trained folder never looks finished.

    The checkpoint of a training that was killed stays, unless it was one of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = (folder / "run.json").is_file()
    for name in ("run.json", "absent.json"):
        (folder / name).unlink(missing_ok=True)
    if finished or _config(folder) != _as_read(config):
        drop_checkpoint(folder)
        (folder / BEST).unlink(missing_ok=True)
    write_json(config, folder / "config.json")


def finish_run(folder: Path, state: dict[str, Tensor], record: dict) -> None:
    """Save the weights, then `run.json` with `record` and what the machine was; then the checkpoint may go."""
    save_atomically({name: tensor.detach().cpu() for name, tensor in state.items()}, folder / "weights.pt")
    write_json({**record, **environment()}, folder / "run.json")
    drop_checkpoint(folder)


def drop_checkpoint(folder: Path) -> None:
    """Remove what only an interrupted training needs, or left."""
    for path in (folder / RESUME, partial_of(folder / RESUME), partial_of(folder / "weights.pt")):
        path.unlink(missing_ok=True)


def leave_absent(folder: Path, reason: str) -> None:
    """Say that this training is left out and why, and leave `absent.json` in place of an older result."""
    print(f"{folder.name} is left out: {reason}; the run goes on without it", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    write_json({"reason": reason}, folder / "absent.json")


def load_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a .pt or .pth file, loaded with `weights_only=True`. Raises DataFault for anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataFault(
            f"{path}: not a readable weight file ({_first_line(error)}); remove it or copy it again"
        ) from None
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":
            raise DataFault(f"{path}: holds more than tensors and is refused; save its state dict instead") from None
        raise
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataFault(f"{path}: no state dict of tensors in it; save model.state_dict()")
    return state


def load_weights(network: nn.Module, folder: Path, description: str) -> nn.Module:
    """Fill a network with the weights of its run folder. Raises DataFault when they do not fit `description`."""
    try:
        network.load_state_dict(load_state(folder / "weights.pt"))
    except RuntimeError as error:
        raise DataFault(
            f"{folder / 'weights.pt'}: does not fit the network of {description} "
            f"({str(error).splitlines()[-1].strip()[:80]}); train the fold again"
        ) from None
    return network


def environment() -> dict:
    """Commit, packages, device, peak memory of this process."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": device,
        "threads": torch.get_num_threads(),
        "peak_memory_gb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6), 2
        ),
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
