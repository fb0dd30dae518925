"""A submission file: read it, write it, list every fault in it.

`submission.csv` has the header and the ids of the sample file. Its PredictionStrings hold study classes on `_study`
rows, `none` and `opacity` on `_image` rows (`cxr.labels` describes the groups). The order of rows is free.
"""

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.faults import DataFault
from cxr.labels import (
    CLASSES,
    IMAGE_CLASSES,
    IMAGE_SUFFIX,
    STUDY_CLASSES,
    STUDY_SUFFIX,
    UNIT_BOX,
    Prediction,
    format_prediction_string,
    parse_prediction_string,
)
from cxr.tables import BOX_COLUMNS, write_csv

ID, TEXT = "id", "PredictionString"
NO_AREA = (
    "the box has no area; it must be xmin ymin xmax ymax with xmin < xmax and ymin < ymax, corners and not width and "
    "height: convert or remove it"
)
SHOWN = 5  # row numbers in a message, the first row of data being 1
Source = pd.DataFrame | str | Path  # a table, or the file that holds it


def read_submission(source: Source) -> pd.DataFrame:
    """Columns `id` and `PredictionString`, both text, rows in file order; an empty cell is "".

    The header may say `id` or `Id` (the evaluation page prints the latter), further columns are dropped. Raises
    DataFault when the file is missing, is no CSV or lacks one of the two. `validate` looks at what the rows say.
    """
    table = _read_cells(source)
    table = table.rename(columns={"Id": ID}) if ID not in table.columns else table
    if any(list(table.columns).count(column) != 1 for column in (ID, TEXT)):
        hint = "; columns are parted by commas" if ";" in "".join(table.columns) else "; write that as the first line"
        raise DataFault(f"{_name(source)}: header {','.join(table.columns)!r}: it must be id,PredictionString{hint}")
    return table[[ID, TEXT]].fillna("").astype(str).reset_index(drop=True)


def _read_cells(source: Source) -> pd.DataFrame:
    """Every cell as the text that stands in the file.

    Not `tables.read_csv`: that turns an id `NA` into a missing value, and takes the ids for row names where the rows
    have one cell more than the header.
    """
    if isinstance(source, pd.DataFrame):
        return source.rename(columns=str)
    if not Path(source).is_file():
        raise DataFault(f"{source}: no such file; give the path of a CSV")
    try:
        cells = pd.read_csv(source, header=None, dtype=str, keep_default_na=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataFault(f"{source}: no readable CSV ({error}); save it as UTF-8 text") from None
    except (ValueError, OSError, zipfile.BadZipFile) as error:  # pandas' own faults are ValueErrors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataFault(f"{source}: no readable CSV ({reason}); a row is an id, a comma, a PredictionString") from None
    return cells[1:].set_axis(cells.iloc[0].fillna("").tolist(), axis=1)


def _name(source: Source) -> str:
    return "table" if isinstance(source, pd.DataFrame) else str(source)


def read_groups(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """All groups of all rows, and a line for each that cannot be read.

    Columns: row (position in `table`), label, score, x_min, y_min, x_max, y_max; the order is that of the file, row by
    row. Numbers may still be NaN or infinite, labels unknown: see `group_faults`.
    """
    rows, groups, faults = [], [], []
    for row, (identifier, text) in enumerate(zip(table[ID], table[TEXT], strict=True)):
        try:
            found = parse_prediction_string(text)
        except DataFault:
            found, lines = _readable_groups(text)
            place = f"{identifier} (row {row + 1})"
            faults += [f"{place}: {line}; write a class and five numbers, or remove it" for line in lines]
        groups += found
        rows += [row] * len(found)
    columns = ["label", "score", *BOX_COLUMNS]
    frame = pd.DataFrame.from_records(groups, columns=columns).astype(dict.fromkeys(columns[1:], float))
    frame.insert(0, "row", np.array(rows, dtype=np.intp))
    return frame, faults


def _readable_groups(text: str) -> tuple[list[Prediction], list[str]]:
    """The groups of a faulty PredictionString one by one, with a line for each fault."""
    tokens, found, lines = text.split(), [], []
    for start in range(0, len(tokens) if len(tokens) % 6 == 0 else 1, 6):
        group = text if len(tokens) % 6 else " ".join(tokens[start : start + 6])
        try:
            found += parse_prediction_string(group)
        except DataFault as fault:
            lines.append(str(fault))
    return found, lines


def id_faults(table: pd.DataFrame, expected: pd.DataFrame, expected_name: str = "sample") -> list[str]:
    """A line for each id of `table` that is duplicated, unknown to `expected` or missing. Order is free."""
    counts, wanted = table[ID].value_counts(sort=False), dict.fromkeys(expected[ID])
    lines = []
    for identifier in counts.index[counts > 1]:
        rows = (np.flatnonzero(table[ID] == identifier) + 1).tolist()
        shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
        lines.append(f"{_say(identifier)}: duplicate id, {len(rows)} rows have it (rows {shown}); keep one")
    lines += [
        f"{_say(identifier)}: unknown id, not in the {expected_name}{_suffix_hint(identifier)}; correct or remove it"
        for identifier in counts.index
        if identifier not in wanted
    ]
    present = set(table[ID])
    return lines + [
        f"{_say(identifier)}: missing id, the {expected_name} has it; add its row"
        for identifier in wanted
        if identifier not in present
    ]


def _say(identifier: str) -> str:
    return identifier or "(empty id)"


def _suffix_hint(identifier: str) -> str:
    return (
        "" if identifier.endswith((STUDY_SUFFIX, IMAGE_SUFFIX)) else f" (ids end in {STUDY_SUFFIX} or {IMAGE_SUFFIX})"
    )


def suffix_faults(identifiers: pd.Series) -> list[str]:
    """A line for each id that is neither a study's nor an image's."""
    return [
        f"{_say(identifier)}: the id ends neither in {STUDY_SUFFIX} nor in {IMAGE_SUFFIX}; add the one that it is"
        for identifier in identifiers
        if not identifier.endswith((STUDY_SUFFIX, IMAGE_SUFFIX))
    ]


def group_faults(groups: pd.DataFrame, identifiers: pd.Series) -> pd.DataFrame:
    """What is wrong with single groups, in the order of their rows: columns row, line, fatal.

    `groups` as from `read_groups`; `identifiers` are the ids of its rows. A fatal fault leaves the group without a
    meaning for the metric: an unknown class or a number that is not finite.
    """
    row, label, score = groups["row"].to_numpy(), groups["label"].to_numpy(dtype=str), groups["score"].to_numpy()
    boxes_xyxy = groups[BOX_COLUMNS].to_numpy()
    known, located = np.isin(label, CLASSES), label == "opacity"
    finite_score, finite_box = np.isfinite(score), np.isfinite(boxes_xyxy).all(axis=1)
    on_study = identifiers.str.endswith(STUDY_SUFFIX).to_numpy()[row] & np.isin(label, IMAGE_CLASSES)
    on_image = identifiers.str.endswith(IMAGE_SUFFIX).to_numpy()[row] & np.isin(label, STUDY_CLASSES)
    inverted = (boxes_xyxy[:, 2:] <= boxes_xyxy[:, :2]).any(axis=1)
    rules = (
        (~known, True, f"the class must be one of {' '.join(CLASSES)}; rename or remove it"),
        (on_study, False, f"a study row takes {' '.join(STUDY_CLASSES)} only; move the group"),
        (on_image, False, f"an image row takes {' '.join(IMAGE_CLASSES)} only; move the group"),
        (~finite_score, True, "the confidence must be a finite number; correct or remove the group"),
        (
            finite_score & ((score < 0) | (score > 1)),
            False,
            "the confidence must be between 0 and 1; rescale all alike",
        ),
        (~finite_box, True, "the box must hold finite numbers; correct or remove the group"),
        (located & finite_box & inverted, False, NO_AREA),
        (
            known & ~located & finite_box & (boxes_xyxy != UNIT_BOX).any(axis=1),
            False,
            "only opacity has a place; the box must be 0 0 1 1, write that",
        ),
    )
    ids = identifiers.tolist()
    found = [
        (at, f"{ids[at]} (row {at + 1}): {show_group(*group)}: {rule}", fatal)
        for broken, fatal, rule in rules
        for at, *group in groups[broken].itertuples(index=False)
    ]
    return pd.DataFrame(found, columns=["row", "line", "fatal"]).sort_values("row", kind="stable")


def unit_faults(groups: pd.DataFrame) -> list[str]:
    """A line where every opacity box lies within one pixel, as fractions of an image do; 0 0 1 1 may mean no box."""
    boxes_xyxy = groups.loc[groups["label"] == "opacity", BOX_COLUMNS].to_numpy()
    boxes_xyxy = boxes_xyxy[(boxes_xyxy != UNIT_BOX).any(axis=1)]
    if not len(boxes_xyxy) or not ((boxes_xyxy >= 0) & (boxes_xyxy <= 1)).all():
        return []
    return [
        f"all {len(boxes_xyxy)} opacity box(es) lie within 0..1; boxes must be pixels of the original image: multiply "
        "by its width and height"
    ]


def show_group(label: str, *numbers: float) -> str:
    """A group as messages quote it."""
    return repr(" ".join([label, *(f"{number:.10g}" for number in numbers)]))


def validate(submission: Source, sample: Source) -> list[str]:
    """Every fault of a submission, one line each; an empty list means valid.

    Raises DataFault only for a sample that cannot be used; a submission that cannot be read is a fault like others.
    """
    header_rule, expected = _read_sample(sample)
    try:
        header, table = list(_read_cells(submission).columns), read_submission(submission)
    except DataFault as fault:
        return [str(fault)]
    faults = []
    if header != header_rule:
        faults.append(f"header {','.join(header)!r}: it must be {','.join(header_rule)} as in the sample; write that")
    faults += id_faults(table, expected)
    faults += [
        f"{identifier} (row {row}): the PredictionString is empty; name its classes"
        for row, (identifier, text) in enumerate(zip(table[ID], table[TEXT], strict=True), 1)
        if not text.strip()
    ]
    groups, unreadable = read_groups(table)
    return faults + unreadable + group_faults(groups, table[ID])["line"].tolist() + unit_faults(groups)


def _read_sample(sample: Source) -> tuple[list[str], pd.DataFrame]:
    """Header and rows of the sample file; raises DataFault when it is not one."""
    header, table = list(_read_cells(sample).columns), read_submission(sample)
    strange = table[ID][[not identifier.endswith((STUDY_SUFFIX, IMAGE_SUFFIX)) for identifier in table[ID]]]
    if header[1:] != [TEXT] or not len(table) or len(strange):
        found = f"id {strange.iloc[0]!r}" if len(strange) else f"header {','.join(header)!r} and {len(table)} rows"
        raise DataFault(
            f"{_name(sample)}: {found} in the sample; its columns are id and PredictionString, its ids end "
            f"in {STUDY_SUFFIX} or {IMAGE_SUFFIX}. Take sample_submission.csv of the competition"
        )
    return header, table


def write_submission(rows: dict[str, list[Prediction]], sample: Source, path: str | Path) -> Path:
    """Write a submission with the sample's header and row order; ids carry their suffix, `<image_id>_image`.

    It is checked first and then put in place in one step, so that a faulty one never replaces a valid file. Raises
    DataFault with the number of faults and the first of them: ids missing in `rows` or unknown, boxes without area, ...
    """
    header, expected = _read_sample(sample)
    wanted = dict.fromkeys(expected[ID])
    ids = [identifier for identifier in wanted if identifier in rows]
    ids += [identifier for identifier in rows if identifier not in wanted]
    table = pd.DataFrame({ID: ids, TEXT: [format_prediction_string(rows[identifier]) for identifier in ids]})
    table = table.set_axis(header, axis=1)
    faults = validate(table, sample)
    if faults:
        raise DataFault(f"{path}: not written, the submission has {len(faults)} fault(s), the first: {faults[0]}")
    return write_csv(table, path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("submission", type=Path, metavar="SUBMISSION", help="CSV to check")
    parser.add_argument("sample", type=Path, metavar="SAMPLE", help="sample_submission.csv of the same images")


def main(args: argparse.Namespace) -> int:
    """List every fault on stdout and return 1, or say what is there and return 0."""
    faults, name = validate(args.submission, args.sample), f"{args.submission}: "
    if faults:
        print(*(name + fault.removeprefix(name) for fault in faults), sep="\n")
        return 1
    ids = read_submission(args.submission)[ID]
    studies = int(ids.str.endswith(STUDY_SUFFIX).sum())
    print(f"valid: {studies} study rows, {len(ids) - studies} image rows")
    return 0
