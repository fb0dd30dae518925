"""How a multi-label net does, finding by finding."""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score


def label_scores(truth: pd.DataFrame, scores: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Area under the ROC curve and average precision (scikit-learn's, a step function) of each finding.

    truth and scores: the same rows, 1 / 0 / NaN and probabilities in `columns`. A finding that nobody or everybody has
    gets NaN and is left out of the mean in the last row. Not the competition's metric: that one is for boxes.
    """
    rows = {}
    for name in columns:
        known = truth[name].notna().to_numpy()
        true, score = truth[name].to_numpy()[known].astype(int), scores[name].to_numpy()[known]
        both = 0 < true.sum() < len(true)
        rows[name] = {
            "images with it": int(true.sum()),
            "AUC": roc_auc_score(true, score) if both else np.nan,
            "AP": average_precision_score(true, score) if both else np.nan,
        }
    table = pd.DataFrame(rows).T
    table.loc["mean"] = table.mean()
    return table.round(3)
