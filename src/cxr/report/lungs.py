"""The part on lungs: how well they are found, which masks are believed, which network learns them best."""

import pandas as pd

from cxr.evaluation.lungs import masks_by_class
from cxr.evaluation.run_files import RunFiles, read_json
from cxr.figures.segmenters import dice_by_network, dice_by_share
from cxr.report.page import Html, Number, absent, estimate, figure, heading, number, paragraph, table
from cxr.report.results import gain_blocks, measured
from cxr.tables import read_csv

SEGMENTERS = "trains each lung segmenter on two folds of the pictures with masks"
VIEWS = "trains each model once more on the lungs alone"


def lungs(files: RunFiles) -> list[Html]:
    """Overlap on held-out pictures, masks of the training images by class, and what `make ablations` measured."""
    record = read_json(files.places.lungs_model / "run.json")
    if record is None:
        away = read_json(files.places.lungs_model / "absent.json") or {}
        return absent(f"No lung segmenter: {away.get('reason', 'stage 06 has not run')}.")
    return [
        *_overlap(record),
        heading("masks of the training images"),
        *_masks(files),
        heading("what the models gain by looking at lungs alone"),
        *_views(files),
        heading("lung segmenters side by side"),
        *_segmenters(files),
    ]


def _overlap(record: dict) -> list[Html]:
    tested = record.get("tested_by_source") or {}
    sources = [
        (f"Dice, {name}{f' ({tested[name]})' if name in tested else ''}", number(value))
        for name, value in (record.get("dice_by_source") or {}).items()
    ]
    parts = [
        (f"Dice, {name}", number(record[f"dice_{name}"]))
        for name in ("right", "left", "heart")
        if f"dice_{name}" in record
    ]
    rows = [
        ("Dice, mean", number(record.get("dice"))),
        ("Jaccard, mean", number(record.get("jaccard"))),
        ("Dice, mean, cleaned up", number(record.get("dice_cleaned"))),
        ("Dice, lowest", number(record.get("lowest_dice"))),
        *sources,
        *parts,
        ("over a quarter of the lungs wrong", Number(record.get("under_segmented", "–"))),
    ]
    return [
        paragraph(f"On {record.get('held_out')} held-out pictures with masks, of {record.get('images')}:"),
        table(["measure", "value"], rows),
    ]


def _masks(files: RunFiles) -> list[Html]:
    if not files.places.lungs_table.is_file() or files.images is None:
        return absent("Stage 06 has left no masks.")
    lungs_table = read_csv(files.places.lungs_table, ["image_id", "accepted", "deformed"])
    found = masks_by_class(lungs_table, files.images)
    rows = [
        (
            row["class"],
            Number(row["images"]),
            Number(row["believed"]),
            Number(row["under_segmented"]),
            number(row["share"]),
        )
        for row in found.to_dict("records")
    ]
    return [
        table(["class", "images", "believed", "deformed", "share"], rows),
        paragraph(
            "Deformed: a quarter of the lungs' convex hulls is missing, or one lung is; estimated from the mask."
        ),
    ]


def _views(files: RunFiles) -> list[Html]:
    found, reason = measured(files, "views", VIEWS)
    rows = pd.DataFrame(found.get("rows") or [], columns=None)
    if reason or rows.empty:
        return reason or absent("Nothing was compared.")
    rows["metric"] = rows["view"] + ", " + rows["metric"]
    return gain_blocks(rows, ["model", "metric"], "run", "with view")


def _segmenters(files: RunFiles) -> list[Html]:
    found, reason = measured(files, "segmenters", SEGMENTERS)
    if reason:
        return reason
    blocks = [table(NETWORK_COLUMNS, [_network_row(row) for row in found["networks"]])]
    words = "p: paired Wilcoxon test against the first network, by patient; Holm: corrected for their number."
    blocks.append(paragraph(words))
    blocks += _boxes(files)
    shares = [(f"{row['share']:.0%}", Number(row["n"]), _dice(row)) for row in found["shares"]]
    blocks += [heading("with less data"), table(["of the patients", "tested", "Dice"], shares)]
    blocks.append(figure(dice_by_share(found["shares"]), "Mean Dice over the share of patients to learn from."))
    sets = [(row["trained on"], row["tested on"], Number(row["n"]), _dice(row)) for row in found["sets"]]
    return [
        *blocks,
        heading("from one data set on another"),
        table(["trained on", "tested on", "tested", "Dice"], sets),
    ]


def _boxes(files: RunFiles) -> list[Html]:
    path = files.places.tables / "segmenters.csv"
    if not path.is_file():
        return []  # measured elsewhere, and only the tables were brought here
    singles = read_csv(path, ["compared", "name", "dice"])
    networks = singles[singles["compared"] == "networks"].groupby("name", sort=False)
    dice = {name: group["dice"].to_numpy() for name, group in networks}
    return [figure(dice_by_network(dice), "Dice of every tested picture by network.")]


NETWORK_COLUMNS = ["network", "parameters", "tested", "Dice", "Jaccard", "difference", "p", "p, Holm"]


def _network_row(row: dict) -> list[object]:
    return [
        row["network"],
        Number(f"{row['parameters'] / 1e6:.2f} M"),
        Number(row["n"]),
        _dice(row),
        number(row["jaccard"]),
        number(row["difference"], signed=True),
        number(row.get("p")),
        number(row.get("p_holm")),
    ]


def _dice(row: dict) -> Number:
    return estimate(row["dice"], row.get("low"), row.get("high"))
