"""What a multi-label net is worth on pictures that it does not learn from: by epoch, and by class at the end."""

from collections.abc import Iterable, Sequence

import lightning
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader

from cxr.models.precision import best_device
from cxr.training import ranks

THRESHOLD = 0.5  # of a probability (paper 004, section 4.1)


class LabelMeasures(lightning.Callback):
    """Logs of a validation what paper 004 shows in figure 13 (precision, recall, F1, accuracy), and mean AP, AUC."""

    def __init__(self) -> None:
        self.found: list[tuple[np.ndarray, np.ndarray]] = []
        self.hook: torch.utils.hooks.RemovableHandle | None = None
        self.logits: Tensor | None = None

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.found = []
        self.hook = module.network.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, __: tuple, logits: Tensor) -> None:
        self.logits = logits.detach()

    def on_validation_batch_end(self, trainer: object, module: object, outputs: object, batch: dict, *_: int) -> None:
        self.found.append((self.chances(self.logits.float()).cpu().numpy(), batch["target"].cpu().numpy()))

    def chances(self, logits: Tensor) -> Tensor:
        """Logits [B x C] to probabilities: each label by itself."""
        return logits.sigmoid()

    def measures(self, chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """What is logged, by name; both [N x C]."""
        return {**macro_measures(chances, truth), **mean_areas(chances, truth)}

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.hook.remove()
        chances, truth = (np.concatenate(parts) for parts in zip(*_of_all_ranks(self.found), strict=True))
        values = self.measures(chances, truth)
        # an area that no finding has is left out: 0 would be a figure
        module.log_dict({f"val_{name}": float(value) for name, value in values.items() if np.isfinite(value)})


class ClassMeasures(LabelMeasures):
    """Logs accuracy and macro F1 where an image has one class: what papers 002 and 003 stop by."""

    def chances(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)

    def measures(self, chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        found, true = chances.argmax(1), truth.argmax(1)
        return {
            "accuracy": float(accuracy_score(true, found)),
            "F1": float(f1_score(true, found, average="macro", zero_division=0)),
        }


def _of_all_ranks(found: list) -> list:
    if ranks.count() == 1:
        return found
    parts: list = [None] * ranks.count()
    distributed.all_gather_object(parts, found)
    return [one for part in parts for one in part]


def macro_measures(chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Means over the classes at THRESHOLD, and the share of images whose labels are all right (paper 004, section 4.1).

    chances, truth: [N x C], NaN in truth for unknown, which counts for nothing. A class that is never found has
    precision 0, one that nobody has recall 0, as scikit-learn takes them.
    """
    known, found, true = np.isfinite(truth), chances > THRESHOLD, truth == 1
    hits = (found & true).sum(0)
    precision = hits / np.maximum(1, (found & known).sum(0))
    recall = hits / np.maximum(1, true.sum(0))
    f1 = 2 * precision * recall / np.maximum(1e-12, precision + recall)
    exact = ((found == true) | ~known).all(1)
    return {
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "F1": float(f1.mean()),
        "accuracy": float(exact.mean()),
    }


def class_areas(chances: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """A row a class: images whose label is known, positives, AP and AUC; NaN where all or none are positive."""
    rows = []
    for column, name in enumerate(classes):
        known = np.isfinite(truth[:, column])
        true, scores = truth[known, column], chances[known, column]
        both = 0 < true.sum() < len(true)
        rows.append(
            {
                "class": name,
                "images": len(true),
                "positives": int(true.sum()),
                "AP": average_precision_score(true, scores) if both else np.nan,
                "AUC": roc_auc_score(true, scores) if both else np.nan,
            }
        )
    return pd.DataFrame(rows)


def mean_areas(chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean AP and AUC over the classes that have both; NaN where none has."""
    table = class_areas(chances, truth, [str(number) for number in range(truth.shape[1])])
    return {"mean_AP": table["AP"].mean(), "mean_AUC": table["AUC"].mean()}


@torch.inference_mode()
def score_classes(network: nn.Module, parts: Iterable[tuple[str, DataLoader]], classes: Sequence[str]) -> pd.DataFrame:
    """`class_areas` of a trained network on parts of a data set, with a column `part`."""
    device = best_device()
    network, tables = network.to(device).eval(), []
    for part, loader in parts:
        found = [(network(batch["pixels"].to(device)).float().sigmoid().cpu(), batch["target"]) for batch in loader]
        chances, truth = (torch.cat(one).numpy() for one in zip(*found, strict=True))
        tables.append(class_areas(chances, truth, classes).assign(part=part))
    network.cpu()
    return pd.concat(tables, ignore_index=True)
