"""Tables and figures of paper 003: every classifier and both ensembles, nine measures, confusion, ROC."""

import json

import numpy as np
import pandas as pd

from cxr.evaluation.classification import confusion, measures_by_class, overall, roc_points
from cxr.figures.pictures import Picture
from cxr.figures.report import Panel, roc_curves
from cxr.figures.systems import confusion_pair
from cxr.papers.registry import config_of, system_of
from cxr.papers.run import Outcome, run_variant
from cxr.systems.resunet_ensemble import MAJORITY, NAME, WEIGHTED, majority, member_chances, members
from cxr.workspace import Workspace

ENSEMBLES = {WEIGHTED: "weighted average", MAJORITY: "majority voting"}


class Members:
    """What each classifier says of a split's validation and test pictures, and both ensembles of them."""

    def __init__(self, outcome: Outcome):
        self.outcome, self.classes = outcome, outcome.task.classes
        fold = outcome.task.folds[0]
        _, validation, test = outcome.task.parts(fold)
        folder, c = outcome.folders[fold], outcome.config
        weights = json.loads((folder / "ensemble.json").read_text())["weights"]
        self.weights, self.parts = weights, {"validation": validation.targets, "test": test.targets}
        self.chances: dict[str, dict[str, np.ndarray]] = {}
        for part, pictures in (("validation", validation), ("test", test)):
            each = {name: member_chances(folder, c, name, pictures) for name in members(c)}
            together = np.stack(list(each.values()))
            each[ENSEMBLES[WEIGHTED]] = np.tensordot([weights[name] for name in members(c)], together, 1)
            each[ENSEMBLES[MAJORITY]] = majority(together)
            self.chances[part] = each

    def accuracies(self) -> pd.DataFrame:
        """Tables 6 and 7: validation and test accuracy of each, and the weights found on validation."""
        rows = {
            name: {
                part: overall(self.parts[part], found[name], self.classes)["accuracy"]
                for part, found in self.chances.items()
            }
            for name in self.chances["test"]
        }
        return pd.DataFrame(rows).T.assign(weight=pd.Series(self.weights)).round(3)

    def nine_measures(self) -> pd.DataFrame:
        """Tables 8 to 11: nine measures by class of both ensembles on the test part."""
        tables = {
            words: measures_by_class(self.parts["test"], self.chances["test"][words], self.classes)
            for words in ENSEMBLES.values()
        }
        return pd.concat(tables).round(3)

    def matrices(self) -> Picture:
        """Figures 6 to 9."""
        pairs = {
            words: confusion(self.parts["test"], self.chances["test"][words].argmax(1), self.classes)
            for words in ENSEMBLES.values()
        }
        return confusion_pair(pairs)

    def curves(self) -> dict[str, tuple]:
        """ROC of the weighted average, by class (figure 10)."""
        return roc_points(self.parts["test"], self.chances["test"][ENSEMBLES[WEIGHTED]], self.classes)


def with_and_without(workspace: Workspace, outcome: Outcome) -> dict[str, Outcome]:
    """DenseNet-201 alone on lungs and on whole pictures of the same task (figure 11)."""
    variants = system_of(NAME).variants(config_of(workspace.profile, NAME))
    return {words: run_variant(workspace, NAME, words, config, outcome.task) for words, (_, config) in variants.items()}


def roc_figure(tasks: dict[str, Members]) -> Picture:
    """Figure 10: a panel a task."""
    return roc_curves([Panel(name, one.curves()) for name, one in tasks.items()])
