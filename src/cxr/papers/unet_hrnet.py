"""Tables and figures of paper 000: per fold, best and worst confusion matrix, with and without segmentation."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE
from cxr.evaluation.classification import by_fold, confusion
from cxr.figures.pictures import Picture
from cxr.figures.systems import confusion_pair
from cxr.papers.run import Outcome, run_variant
from cxr.workspace import Workspace


def fold_table(outcome: Outcome) -> pd.DataFrame:
    """Table 6: accuracy, sensitivity and specificity of each fold and their means."""
    return by_fold(outcome.truth, outcome.chances, outcome.folds, outcome.task.classes).round(4)


def best_and_worst(outcome: Outcome) -> Picture:
    """Figure 13: confusion matrices of the folds with the lowest and the highest accuracy."""
    folds, right = np.unique(outcome.folds), outcome.chances.argmax(1) == outcome.truth
    order = sorted(folds, key=lambda fold: right[outcome.folds == fold].mean())
    pairs = {}
    for word, fold in (("worst", order[0]), ("best", order[-1])):
        here = outcome.folds == fold
        found = outcome.chances[here].argmax(1)
        pairs[f"{word}, fold {fold}"] = confusion(outcome.truth[here], found, outcome.task.classes)
    return confusion_pair(pairs)


def without_segmentation(workspace: Workspace, outcome: Outcome) -> Outcome:
    """The same networks on whole pictures (figure 9), tested on the very pictures of `outcome`."""
    whole = replace(outcome.config, lungs=WHOLE)
    return run_variant(workspace, outcome.system.NAME, "whole, same pictures", whole, outcome.task)
