"""Parts on what a run is worth: the score of its submission, the gain of each blending step, of pretraining."""

import pandas as pd

from cxr.evaluation.intervals import interval_table
from cxr.evaluation.run_files import RunFiles, read_json, title_of
from cxr.figures.charts import score_bars
from cxr.figures.report import gains
from cxr.labels import CLASSES
from cxr.report.page import Html, Number, absent, bullets, estimate, figure, heading, number, paragraph, table
from cxr.workspace import file_digests

KEYS = (*CLASSES, "mAP")
CHOICE = ("chosen", "origin", "published_by", "fallback")  # of a step, where it has them


def score(files: RunFiles) -> list[Html]:
    """AP of the submission beside the trivial baseline's, with the paired difference, and the run's own out of fold."""
    scores, inside = read_scores(files), fused_estimates(files)
    blocks = [] if scores else absent(f"Not scored: {unscored_words(files)}.")
    columns = {f"test set, {name}": [score_cell(scores[name], key) for key in KEYS] for name in scores or ()}
    if inside is not None:
        columns["training set, out of fold"] = [estimate(*inside.loc[key]) for key in KEYS]
    if columns:
        blocks.append(table(["AP", *columns], list(zip(KEYS, *columns.values(), strict=True))))
    if inside is not None:
        blocks.append(paragraph("Out of fold: all steps of stage 10, their constants chosen on the other folds."))
    if scores:
        alt = f"Average precision by class of run and baseline; mAP {score_cell(scores['run'], 'mAP')}."
        blocks += [paragraph(difference_words(scores["run"])), figure(score_bars(scores, KEYS), alt)]
    return blocks


def fused_estimates(files: RunFiles) -> pd.DataFrame | None:
    """AP, low and high of the six classes and mAP, out of fold after stage 10; None where a part of it is absent."""
    matches = files.fused_matches()
    return None if matches is None else interval_table({"fused": matches}, files.ground, by_fold=True)["fused"]


def read_scores(files: RunFiles) -> dict | None:
    """score.json with `run` and `baseline`; None where the run was not scored."""
    scores = read_json(files.places.score) or {}
    return {name: scores[name] for name in ("run", "baseline")} if {"run", "baseline"} <= scores.keys() else None


def unscored_words(files: RunFiles) -> str:
    """Why there is no score."""
    if files.inputs.get("solution"):
        return "stage 11 has not finished, or its score.json was removed"
    return "the truth of the test set was not given (SOLUTION=...); submit the file to know"


def difference_words(run: dict) -> str:
    """The paired difference to the baseline as a sentence."""
    words = estimate(run.get("difference"), run.get("difference_low"), run.get("difference_high"), signed=True)
    return f"Run less baseline: {words} mAP (95 % interval, paired, by patient)."


def score_cell(values: dict, key: str) -> Number:
    """Estimate of one class, or `absent` for a class that the solution does not hold."""
    if values.get(key) is None:
        return Number("absent")
    low, high = (values.get(f"{key}_{end}", values.get(end)) for end in ("low", "high"))
    return estimate(values[key], low, high)


def blend(files: RunFiles) -> list[Html]:
    """What stage 10 chose: gain of each step, comparisons, constants, members, notes."""
    found = read_json(files.places.blend)
    if found is None:
        return absent("Stage 10 has not run: fusion used the profile's constants, and no step has a measured gain.")
    steps = found.get("steps") or []
    blocks = gain_blocks(pd.DataFrame(steps), ["step", "metric"], "before", "after")
    if steps:
        blocks += [heading("chosen on all folds"), choices(steps)]
    if found.get("comparisons"):
        rows = pd.DataFrame(found["comparisons"])
        blocks += [heading("all steps against"), *gain_blocks(rows, ["against", "metric"], "other", "own")]
    if found.get("opacity"):
        rows = [[title_of(str(row.get("boxes"))), score_cell(row, "AP")] for row in found["opacity"]]
        blocks += [heading("opacity, mean over folds"), table(["boxes", "AP"], rows)]
    if found.get("calibration"):
        blocks += [heading("calibration before fusion"), calibration_table(found["calibration"])]
    for key, words in (("constants", "constants"), ("members", "foreign members")):
        if found.get(key):
            blocks += [heading(words), anything(found[key])]
    if found.get("notes"):
        blocks += [heading("notes"), bullets(found["notes"])]
    return blocks


def calibration_table(lines: list[dict]) -> Html:
    """What maps of scores to probabilities, fitted on the other folds, do to each model, and whether they are used."""
    rows = [
        [
            title_of(str(line.get("model"))),
            line.get("of"),
            *(cell(line.get(name)) for name in ("cases", "ece_before", "ece_after")),
            cell(bool(line.get("used"))),
            cell(line.get("map") or {}),
        ]
        for line in lines
    ]
    return table(["model", "scores of", "cases", "ECE before", "ECE after", "used", "map"], rows)


def pretraining(files: RunFiles) -> list[Html]:
    """Out-of-fold scores with and without pretraining."""
    found, reason = measured(files, "pretraining", "trains each model once more without pretraining")
    return reason or gain_blocks(pd.DataFrame(found.get("rows") or []), ["model", "metric"], "without", "with")


def measured(files: RunFiles, part: str, words: str) -> tuple[dict, list[Html]]:
    """What `make ablations` found of a part; or, if it was not measured or is about other models, why there is none.

    words: what it does for that part.
    """
    found = (read_json(files.places.ablations) or {}).get(part)
    if found is None:
        return {}, absent(f"Not measured in this run: make ablations PARTS={part} {words}.")
    kept = found.get("of") or {}
    if kept != file_digests(files.places.fused.parent / name for name in kept):
        return {}, absent(
            f"The models were trained again since this was measured: make ablations PARTS={part} measures it anew."
        )
    return found, []


def gain_blocks(rows: pd.DataFrame, names: list[str], before: str, after: str) -> list[Html]:
    """Table and figure of rows with `gain`, `low`, `high`; `names` are a column of models or steps, and of metrics."""
    if rows.empty:
        return absent("No step was measured.")
    numbers = [before, after, "gain", "low", "high"]
    rows = rows.reindex(columns=[*names, *numbers])
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce")
    rows[names[0]] = [title_of(str(value)) for value in rows[names[0]]]
    rows["name"] = [", ".join(map(str, pair)) for pair in rows[names].to_numpy()]
    cells = [
        [
            *(str(row[name]) for name in names),
            number(row[before]),
            number(row[after]),
            estimate(row["gain"], row["low"], row["high"], signed=True),
        ]
        for row in rows.to_dict("records")
    ]
    blocks = [table([*names, before, after, "gain (95 %)"], cells)]
    measured = rows.dropna(subset=["gain", "low", "high"])
    if len(measured):
        blocks.append(figure(gains(measured), "Gain of each row of the table above, with its interval."))
    return blocks


def choices(steps: list[dict]) -> Html:
    """What each step chose on all folds, and where that comes from."""
    shown = [name for name in CHOICE if any(step.get(name) for step in steps)]
    rows = [[step.get("step"), *(cell(step.get(name) or "") for name in shown)] for step in steps]
    return table(["step", *(name.replace("_", " ") for name in shown)], rows)


def anything(value: object) -> Html:
    """Constants, members, comparisons: a table where there are fields, a list otherwise."""
    if isinstance(value, dict):
        return table(["name", "value"], [[key, cell(item)] for key, item in value.items()])
    if all(isinstance(item, dict) for item in value):
        columns = list(dict.fromkeys(key for item in value for key in item))
        return table(columns, [[cell(item.get(column)) for column in columns] for item in value])
    return bullets(cell(item) for item in value)


def cell(value: object) -> object:
    """A value of a JSON file as a cell: numbers to the right, lists and objects in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return Number(value)
    if isinstance(value, float):
        # three decimals, but a threshold of .0001 is not zero
        return number(value) if value == 0 or abs(value) >= 0.001 else Number(f"{value:.2g}")
    if value == {} or value == []:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(item)}" for key, item in value.items())
    return ", ".join(str(cell(item)) for item in value) if isinstance(value, list) else value
