"""NIH ChestX-ray14 (Wang et al., CVPR 2017): 112 120 frontal PNGs of 30 805 patients, 14 findings mined from reports.

The folder as Kaggle mounts it (slug `data`): `Data_Entry_2017.csv`, or `Data_Entry_2017_v2020.csv` of the later
release, which wins where both lie there; `train_val_list.txt` and `test_list.txt`, the official split by patient;
`images_001/images/<patient>_<number>.png` and so on. What can be lived with comes back as findings, one line each.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cxr.data.ages import whole_years
from cxr.data.draw import hold_out
from cxr.faults import DataFault
from cxr.tables import read_csv

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "No Finding",
)  # fmt: skip
ALIASES = {"Infiltrate": "Infiltration"}  # BBox_List_2017.csv spells it so
ENTRIES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")  # the later release corrects ages and numbers
PARTS = ("train_val", "test")
TEST_SHARE = 0.2  # of the patients, where the official lists are missing
COLUMNS = ("image_id", "study_id", "patient_id", "source", "path", "part", "age", "sex", "view", *FINDINGS)
GET = "get nih-chest-xrays/data again"


def read_nih(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """One row for every labelled image that has a file: COLUMNS, in the order of the file of labels; and findings.

    image_id is the file's name without .png, path relative to `folder`; patient and study begin with `nih-`, so that
    they never equal those of another set; part is `train_val` or `test`; age in years, NaN where unknown; sex (M, F)
    and view (PA, AP) as written; a finding is 1 or 0. Raises DataFault for labels that cannot be trusted, and without
    any picture.
    """
    table, findings = labelled_images(folder)
    files = _files(folder, findings)
    paths = table["image_id"].map(files)
    missing, unknown = table["image_id"][paths.isna()], set(files) - set(table["image_id"])
    if len(missing) == len(table):
        raise DataFault(f"{folder}: none of {len(table)} labelled images lies in images*/; unpack the archives there")
    if len(missing):
        findings.append(f"{folder}: labelled images without a file are left out: {some(missing)}")
    if unknown:
        findings.append(f"{folder}: pictures without a row in the labels are left out: {some(unknown)}")
    table = table.assign(path=paths)[paths.notna()].reset_index(drop=True)
    findings += [f"{folder}: no picture is in the part {part}" for part in PARTS if part not in set(table["part"])]
    return table[list(COLUMNS)], findings


def _files(folder: Path, findings: list[str]) -> dict[str, str]:
    """Path of every PNG by its stem: images_001/images/x.png as on Kaggle, images/x.png as in the NIH's archives."""
    found = [path for pattern in ("images*/*.png", "images*/*/*.png") for path in folder.glob(pattern)]
    files, twice = {}, set()
    for path in sorted(path.relative_to(folder).as_posix() for path in found if not path.name.startswith(".")):
        stem = Path(path).stem
        twice |= {stem} & files.keys()
        files.setdefault(stem, path)
    if twice:
        findings.append(f"{folder}: pictures that lie there more than once, the first path is used: {some(twice)}")
    return files


def labelled_images(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """`read_nih` from the text files alone: without `path`, and with the images that have no file."""
    csv = next((folder / name for name in ENTRIES if (folder / name).is_file()), None)
    if csv is None:
        raise DataFault(f"{folder}: no {' or '.join(ENTRIES)} there; {GET}")
    # rows of the first release end with a comma, and brackets in the header hold some: only the first seven columns,
    # all before those brackets, are sure to stand where their names say
    raw = read_csv(csv, ["Image Index", "Finding Labels", "Follow-up #", "Patient ID"])
    names, findings = raw["Image Index"].astype(str), []
    wrong = names[names.duplicated() | ~names.str.fullmatch(r".+\.png")]
    if raw.empty or len(wrong):
        raise DataFault(f"{csv}: {len(raw)} rows, each must name a .png of its own; these do not: {some(wrong)}; {GET}")
    patients, visits = (_whole(raw[name], name, csv) for name in ("Patient ID", "Follow-up #"))
    table = pd.DataFrame({"image_id": names.str.removesuffix(".png"), "patient_id": "nih-" + patients, "source": "nih"})
    table["study_id"] = table["patient_id"] + "-" + visits
    table["part"] = _parts(table, folder, findings)
    table["age"] = _ages(raw, csv, findings)
    for column, name in {"sex": "Patient Gender", "view": "View Position"}.items():
        table[column] = raw[name].fillna("").astype(str).str.strip() if name in raw else ""
    return pd.concat([table, _labels(raw["Finding Labels"], names, csv)], axis=1), findings


def _whole(values: pd.Series, name: str, csv: Path) -> pd.Series:
    """Whole numbers as text without leading zeros."""
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers.isna() | (numbers % 1 != 0) | (numbers < 0)
    if wrong.any():
        raise DataFault(f"{csv}: {name} '{values[wrong].iloc[0]}' is no whole number; {GET}")
    return numbers.astype("int64").astype(str)


def _labels(texts: pd.Series, names: pd.Series, csv: Path) -> pd.DataFrame:
    """`Cardiomegaly|Effusion` as 15 columns of 1 and 0."""
    words, known = texts.fillna("").astype(str).str.split("|"), set(FINDINGS)
    found = [{ALIASES.get(word.strip(), word.strip()) for word in row} for row in words]
    for name, labels in zip(names, found, strict=True):
        if not labels <= known:
            unknown = ", ".join(map(repr, sorted(labels - known)))
            raise DataFault(f"{csv}: {name} has the label {unknown}; known are {', '.join(FINDINGS)}; {GET}")
        if "No Finding" in labels and len(labels) > 1:
            raise DataFault(f"{csv}: {name} has No Finding beside {', '.join(sorted(labels))}; correct that row")
    return pd.DataFrame({name: [int(name in labels) for labels in found] for name in FINDINGS}, index=texts.index)


def _ages(raw: pd.DataFrame, csv: Path, findings: list[str]) -> pd.Series:
    """Years as float. The first release writes 058Y, 011M or 003D, the later one 58."""
    if "Patient Age" not in raw:
        return pd.Series(float("nan"), index=raw.index)
    years = whole_years(raw["Patient Age"])
    if years.isna().any():
        odd = raw["Patient Age"][years.isna()].astype(str).str.strip()
        findings.append(f"{csv.name}: ages that cannot be are taken as unknown: {some(odd)}")
    return years


def _parts(table: pd.DataFrame, folder: Path, findings: list[str]) -> pd.Series:
    """`train_val` or `test` for every row, whole patients: by the official lists, else by a hash."""
    lists = {part: folder / f"{part}_list.txt" for part in PARTS}
    absent = [path.name for path in lists.values() if not path.is_file()]
    if absent:
        tested = set(table["patient_id"][hold_out(table["patient_id"], TEST_SHARE)])
        findings.append(
            f"{folder}: {' and '.join(absent)} missing, so {TEST_SHARE:.0%} of the patients, drawn by a hash, are test"
        )
    else:
        listed = {part: {Path(line.strip()).stem for line in _lines(path)} for part, path in lists.items()}
        by_patient = {part: set(table["patient_id"][table["image_id"].isin(ids)]) for part, ids in listed.items()}
        tested, crossing = by_patient["test"], by_patient["test"] & by_patient["train_val"]
        if crossing:
            findings.append(f"{folder}: patients in both lists are moved to test: {some(crossing)}")
        unlisted = set(table["image_id"]) - listed["test"] - listed["train_val"]
        if unlisted:
            findings.append(
                f"{folder}: images in neither list go with their patient, else to train_val: {some(unlisted)}"
            )
    return table["patient_id"].isin(tested).map({True: "test", False: "train_val"})


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except UnicodeDecodeError:
        raise DataFault(f"{path}: no text file; {GET}") from None


def some(ids: Iterable[str]) -> str:
    """`3 (a, b, c)` or `7 (a, b, c, ...)`."""
    ids = sorted(map(str, ids))
    return f"{len(ids)} ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})"
