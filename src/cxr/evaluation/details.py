"""What lies behind a score, as two files: `classes.csv`, a row a class, and `curves.csv`, precision over recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cxr.evaluation.bootstrap import KEYS, Units, average_precisions, percentiles, resample
from cxr.evaluation.thresholds import at_thresholds
from cxr.evaluation.voc import Matches, boxed_only, precision_recall
from cxr.faults import DataFault
from cxr.labels import CLASSES
from cxr.tables import write_csv

OPACITY = CLASSES.index("opacity")
RATIOS = ["threshold", "precision", "recall", "F1"]


def write_details(
    folder: Path,
    matches: Sequence[Matches],
    result: Mapping[str, float],
    units: Units | None = None,
    resamples: int = 0,
    thresholds: pd.Series | None = None,
) -> None:
    """Write both files of six classes in the order of CLASSES. Raises DataFault where `folder` cannot be one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataFault(f"{folder}: no folder can be made there ({error.strerror}); name another") from None
    table = details_table(matches, result, units, resamples, thresholds)
    write_csv(table.rename_axis("class").reset_index(), folder / "classes.csv")
    write_csv(curve_table(matches), folder / "curves.csv")


def details_table(
    matches: Sequence[Matches],
    result: Mapping[str, float],
    units: Units | None = None,
    resamples: int = 0,
    thresholds: pd.Series | None = None,
) -> pd.DataFrame:
    """Six classes and mAP (rows): positives, AP, low, high from `result` (as `score` returns it), AP_boxed, boxed_low,
    boxed_high of opacity on boxed images only, and at `thresholds` precision, recall and F1. NaN: no value.
    """
    counts = [int(each.truths.sum()) for each in matches]
    table = pd.DataFrame({"positives": pd.array([*counts, None], dtype="Int64")}, index=list(KEYS))
    for column, end in (("AP", ""), ("low", "_low"), ("high", "_high")):
        table[column] = [result.get(key + end, float("nan")) for key in KEYS]
    boxed = [boxed_only(each) for each in matches]
    table.loc["opacity", "AP_boxed"] = average_precisions(boxed)[OPACITY]
    drawn = resample([boxed], units, resamples)[0, :, OPACITY] if resamples else pd.Series(dtype=float).to_numpy()
    table.loc["opacity", ["boxed_low", "boxed_high"]] = percentiles(drawn)
    return table if thresholds is None else table.join(at_thresholds(matches, thresholds)[RATIOS])


def curve_table(matches: Sequence[Matches]) -> pd.DataFrame:
    """class, score, recall, precision, envelope at each hit; between two hits recall stands still."""
    parts = []
    for label, each in zip(CLASSES, matches, strict=True):
        points = {name: values[each.hits] for name, values in precision_recall(each)._asdict().items()}
        points = {name: points[name] for name in ("scores", "recall", "precision", "envelope")}
        parts.append(pd.DataFrame({"class": label, **points}).rename(columns={"scores": "score"}))
    return pd.concat(parts, ignore_index=True)
