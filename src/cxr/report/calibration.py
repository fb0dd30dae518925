"""The part on calibration: whether a score of .8 is right in eight of ten cases, out of fold."""

import pandas as pd

from cxr.evaluation.calibration import calibration_summary, expected_calibration_error, is_hit, reliability
from cxr.evaluation.run_files import RunFiles, title_of
from cxr.evaluation.voc import Matches
from cxr.figures.report import reliability_diagrams
from cxr.report.curves import class_matches
from cxr.report.page import Html, Number, absent, figure, heading, number, paragraph, table

COLUMNS = ["class", "scores", "mean score", "share right", "ECE", "Brier", "Brier of guessing"]


def calibration(files: RunFiles) -> list[Html]:
    """Reliability diagrams of the six classes by model, and errors of the fused system."""
    found = class_matches(files)
    if not found:
        return absent("No out-of-fold predictions yet.")
    diagrams = {
        label: {
            title_of(name): reliability(each.scores, is_hit(each)) for name, each in models.items() if len(each.scores)
        }
        for label, models in found.items()
    }
    alt = f"Share of right scores over mean score, one panel each for {', '.join(diagrams)}."
    caption = (
        "On the dotted line a score is the probability that it is right; below it the model is too sure. A point is a "
        "bin of scores, its bar the 95 % interval of the share (Wilson). A box is right if it is a hit of the metric."
    )
    blocks = [figure(reliability_diagrams(diagrams), alt, caption)]
    matches = files.fused_matches()
    if matches is not None:
        blocks += [heading("fused"), table(COLUMNS, summary_rows(calibration_summary(matches)))]
        words = (
            "ECE: mean distance of a bin from the dotted line, weighted by its scores. Brier: mean squared error, to "
            "be compared with that of a constant score. Average precision asks for order alone and does not see this."
        )
        blocks.append(paragraph(words))
    return [*blocks, heading("expected calibration error of each model"), error_table(found)]


def error_table(found: dict[str, dict[str, Matches]]) -> Html:
    """ECE: classes in rows, models in columns; a dash where a model says nothing of a class."""
    # the longest list first: it ends with the fused system
    names = list(dict.fromkeys(name for models in sorted(found.values(), key=len, reverse=True) for name in models))
    rows = [
        [
            label,
            *(
                number(
                    expected_calibration_error(models[name].scores, is_hit(models[name])) if name in models else None
                )
                for name in names
            ),
        ]
        for label, models in found.items()
    ]
    return table(["class", *map(title_of, names)], rows)


def summary_rows(summary: pd.DataFrame) -> list[list[object]]:
    """Cells of `calibration_summary`."""
    return [
        [label, Number(int(row["scores"])), *(number(value) for value in row.drop("scores"))]
        for label, row in summary.iterrows()
    ]
