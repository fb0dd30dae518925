"""The competition's folder and label files: where they lie, what they must hold, and the table of training images.

Faults that make the labels worthless stop the run (`DataFault`). What can be lived with is returned as findings: a list
of one-line strings that stages print and store.
"""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from cxr.faults import DataFault
from cxr.labels import IMAGE_SUFFIX, STUDY_CLASSES, STUDY_COLUMNS, STUDY_SUFFIX, parse_boxes
from cxr.paths import KAGGLE_INPUT
from cxr.tables import read_csv

SLUG = "siim-covid19-detection"
SENTINELS = ("sample_submission.csv", "train_image_level.csv")
UNPACK = f"unpack the whole archive {SLUG}.zip again"


def _roots(input_dir: Path | None) -> list[Path]:
    """Folders below which data sets are mounted: the user's, and Kaggle's when we run there."""
    if input_dir is None:
        return [KAGGLE_INPUT]
    input_dir = Path(input_dir)
    return [input_dir, KAGGLE_INPUT] if KAGGLE_INPUT.parent in input_dir.absolute().parents else [input_dir]


def _mounts(input_dir: Path | None, slug: str) -> Iterator[Path]:
    """Where Kaggle mounts a data set: `<slug>` in older notebooks, by kind and owner today. Always in this order."""
    for root in _roots(input_dir):
        yield root / slug
        yield root / "competitions" / slug
        yield from sorted(root.glob(f"datasets/*/{glob.escape(slug)}"))


def find_competition(input_dir: Path | None = None) -> Path:
    """The folder with the competition's CSVs, known by `sample_submission.csv` or `train_image_level.csv`.

    Tries input_dir itself, the mounts below it, and last the one folder in it that holds a `train_image_level.csv`.
    Without an input_dir only Kaggle's mounts. DataFault lists what was tried.
    """
    tried = [*([Path(input_dir)] if input_dir else []), *_mounts(input_dir, SLUG)]
    for folder in dict.fromkeys(tried):
        if any((folder / name).is_file() for name in SENTINELS):
            return folder
    others = sorted({path.parent for root in _roots(input_dir) for path in root.glob("*/train_image_level.csv")})
    if len(others) == 1:
        return others[0]
    if others:
        raise DataFault(
            f"{_roots(input_dir)[0]}: several folders hold a train_image_level.csv "
            f"({', '.join(path.name for path in others)}); name the one to use"
        )
    halves = [folder for folder in tried if (folder / "train").is_dir() or (folder / "test").is_dir()]
    remedy = f"{halves[0]} is half unpacked, {UNPACK}" if halves else f"unpack {SLUG}.zip into one of them"
    raise DataFault(f"no {' or '.join(SENTINELS)} found in {', '.join(map(str, dict.fromkeys(tried)))}; {remedy}")


def find_dataset(input_dir: Path | None, slug: str, sentinel: str) -> Path | None:
    """A companion data set: the first of its mounts with `sentinel`, a relative path or glob; None when absent."""
    return next((folder for folder in _mounts(input_dir, slug) if any(folder.glob(sentinel))), None)


def find_weights(input_dir: Path | None, name: str) -> Path | None:
    """The weight file `<name>*.pth` or `<name>*.pt` in input_dir/weights, else in a mounted data set; None when absent.

    The first place that has one decides. There the exact name wins, then the shortest, then the alphabet: `yolo11n.pt`
    goes before `yolo11n-seg.pt`. An empty name asks for nothing.
    """
    places = ("weights", "*/weights", "*", "datasets/*/*", "datasets/*/*/weights")
    for root in _roots(input_dir) if name else ():
        for place in places:
            found = [path for suffix in (".pth", ".pt") for path in root.glob(f"{place}/{glob.escape(name)}*{suffix}")]
            if found:
                return min(found, key=lambda path: (len(path.stem), path.suffix != ".pth", str(path)))
    return None


def find_dicoms(folder: Path) -> list[Path]:
    """Paths `folder/<study>/<series>/<image>.dcm`, sorted. Hidden files (`._x.dcm` of macOS archives) are no images."""
    return sorted(path for path in Path(folder).glob("*/*/*.dcm") if not path.name.startswith("."))


def _bare(ids: pd.Series, path: Path, *suffixes: str) -> pd.Series:
    """Ids without their suffix; DataFault when there is none, or one is empty, has no suffix or stands there twice."""
    if ids.empty:
        raise DataFault(f"{path}: no rows below the header; {UNPACK}")
    pattern = f"(?:{'|'.join(suffixes)})$"
    wrong = ids.isna() | ~ids.fillna("").str.contains(f".{pattern}")
    if wrong.any():
        raise DataFault(
            f"{path}: {wrong.sum()} id(s) do not end in {' or '.join(suffixes)}, the first is "
            f"{ids[wrong].iloc[0]!r}; take the file of the competition"
        )
    if ids.duplicated().any():
        raise DataFault(
            f"{path}: id {ids[ids.duplicated()].iloc[0]!r} stands there more than once; keep one row for each"
        )
    return ids.str.replace(pattern, "", regex=True)


def read_image_level(csv: Path) -> pd.DataFrame:
    """train_image_level.csv as image_id, study_id, boxes_xywh (float [N x 4], original pixels), has_box, label."""
    table = read_csv(_needed(csv), ["id", "boxes", "label", "StudyInstanceUID"])
    image_ids, boxes = _bare(table["id"], csv, IMAGE_SUFFIX), []
    if table["StudyInstanceUID"].isna().any():
        first = image_ids[table["StudyInstanceUID"].isna()].iloc[0]
        raise DataFault(f"{csv}: image {first} has no StudyInstanceUID; take the file of the competition")
    for image_id, text in zip(image_ids, table["boxes"], strict=True):
        try:
            boxes.append(parse_boxes(text))
        except DataFault as fault:
            raise DataFault(f"{csv}: image {image_id}: {fault}") from None
    return pd.DataFrame(
        {
            "image_id": image_ids,
            "study_id": table["StudyInstanceUID"],
            "boxes_xywh": pd.Series(boxes, dtype=object),
            "has_box": [len(found) > 0 for found in boxes],
            "label": table["label"],
        }
    )


def read_study_level(csv: Path) -> pd.DataFrame:
    """train_study_level.csv as study_id and the four classes, each 1 or 0, exactly one 1 in a row."""
    table = read_csv(_needed(csv), ["id", *STUDY_COLUMNS])
    study_ids = _bare(table["id"], csv, STUDY_SUFFIX)
    classes = table[list(STUDY_COLUMNS)].apply(pd.to_numeric, errors="coerce").rename(columns=STUDY_COLUMNS)
    wrong = ~(classes.isin([0, 1]).all(axis=1) & (classes.sum(axis=1) == 1))
    if wrong.any():
        values = ", ".join(map(str, table.loc[wrong, list(STUDY_COLUMNS)].iloc[0]))
        raise DataFault(
            f"{csv}: {wrong.sum()} row(s) without exactly one 1 and three 0, the first is study "
            f"{study_ids[wrong].iloc[0]} ({values}); correct the row or take the file of the competition"
        )
    return pd.concat([study_ids.rename("study_id"), classes.astype(int)], axis=1)


def read_sample(csv: Path) -> pd.DataFrame:
    """sample_submission.csv in its own order: id as written, kind `study` or `image`, bare item_id."""
    table = read_csv(_needed(csv), ["id", "PredictionString"])
    if table.empty:
        raise DataFault(f"{csv}: no rows, so the test set is empty; {UNPACK}")
    item_ids = _bare(table["id"], csv, STUDY_SUFFIX, IMAGE_SUFFIX)
    kinds = table["id"].str.endswith(STUDY_SUFFIX).map({True: "study", False: "image"})
    return pd.DataFrame({"id": table["id"], "kind": kinds, "item_id": item_ids})


def _needed(path: Path) -> Path:
    if not Path(path).is_file():
        raise DataFault(f"{path}: no such file, the input is half unpacked; {UNPACK}")
    return Path(path)


def _some(ids: Iterable[str]) -> str:
    """`3 (a, b, c)` or `7 (a, b, c, ...)`."""
    ids = sorted(ids)
    return f"{len(ids)} ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})"


def labelled_images(competition: Path) -> tuple[pd.DataFrame, list[str]]:
    """Both label files as one row an image; needs no pixels. Returns the table and its findings.

    Columns image_id, study_id, negative typical indeterminate atypical (1 or 0, of the study), boxes_xywh, has_box,
    and role: `train`, or `duplicate` for a boxless image of a study that has boxed ones. There the organisers drew
    boxes on one image only; the others would teach that opacities are background. They leave training, not prediction.
    """
    image_csv, study_csv = competition / "train_image_level.csv", competition / "train_study_level.csv"
    images, studies = read_image_level(image_csv), read_study_level(study_csv)
    unknown = set(images["study_id"]) - set(studies["study_id"])
    if unknown:
        raise DataFault(
            f"{image_csv}: studies without a row in {study_csv.name}: {_some(unknown)}; "
            "take both files of the same download"
        )
    findings = []
    bare = set(studies["study_id"]) - set(images["study_id"])
    if bare:
        findings.append(f"{study_csv.name}: studies without an image in {image_csv.name}, ignored: {_some(bare)}")
    groups = images["label"].fillna("").str.count(r"\bopacity\b")
    differ = images["image_id"][groups != images["boxes_xywh"].map(len)]
    if len(differ):
        findings.append(f"{image_csv.name}: columns boxes and label count differently, boxes is used: {_some(differ)}")
    table = images.drop(columns="label").merge(studies, on="study_id", validate="many_to_one")
    spared = table.groupby("study_id")["has_box"].transform("any") & ~table["has_box"]
    table["role"] = spared.map({True: "duplicate", False: "train"})
    return table[["image_id", "study_id", *STUDY_CLASSES, "boxes_xywh", "has_box", "role"]], findings


def _dicom_table(competition: Path, part: str, findings: list[str]) -> pd.DataFrame:
    """image_id, study_id, path relative to the competition of every DICOM of `train` or `test`; one a picture."""
    folder = competition / part
    files = find_dicoms(folder)
    if not files:
        state = "holds no <study>/<series>/<image>.dcm" if folder.is_dir() else "is missing"
        raise DataFault(f"{folder}: the folder {state}, the input is half unpacked; {UNPACK}")
    table = pd.DataFrame(
        {
            "image_id": [path.stem for path in files],
            "study_id": [path.parent.parent.name for path in files],
            "path": [path.relative_to(competition).as_posix() for path in files],
        }
    )
    twice = table["image_id"].duplicated()
    if twice.any():
        findings.append(
            f"{part}: images that lie there more than once, the first path is used: "
            f"{_some(set(table['image_id'][twice]))}"
        )
    return table[~twice]


def training_table(competition: Path) -> tuple[pd.DataFrame, list[str]]:
    """`labelled_images` with `path`, the DICOM relative to the competition folder, and what was found on the way.

    An image without a DICOM is left out and reported, a DICOM without a row likewise. DataFault when more than half of
    the images are missing.
    """
    labels, findings = labelled_images(competition)
    files, folder = _dicom_table(competition, "train", findings), competition / "train"
    missing = set(labels["image_id"]) - set(files["image_id"])
    report = f"{folder}: of {len(labels)} images in train_image_level.csv these have no DICOM: {_some(missing)}"
    if len(missing) > len(labels) / 2:
        raise DataFault(f"{report}; the input is half unpacked, {UNPACK}")
    if missing:
        findings.append(f"{report}; they are left out of training")
    unknown = set(files["image_id"]) - set(labels["image_id"])
    if unknown:
        findings.append(f"{folder}: DICOMs without a row in train_image_level.csv, ignored: {_some(unknown)}")
    table = labels.merge(files, on="image_id", suffixes=("", "_folder"))
    moved = table["image_id"][table["study_id"] != table["study_id_folder"]]
    if len(moved):
        findings.append(f"{folder}: images in the folder of another study, the CSV is believed: {_some(moved)}")
    first = ["image_id", "study_id", "path"]
    return table[first + [column for column in labels.columns if column not in first]], findings


def prediction_table(competition: Path) -> tuple[pd.DataFrame, list[str]]:
    """DICOMs to predict: image_id, study_id, path relative to the competition folder, and findings.

    The sample file decides the rows of a submission. An image stays when it or its study is named there; what is named
    without a DICOM gets the fallback prediction. DataFault when the test set is empty.
    """
    csv, folder, findings = competition / "sample_submission.csv", competition / "test", []
    sample, files = read_sample(csv), _dicom_table(competition, "test", findings)
    for kind in ("study", "image"):
        named, there = set(sample["item_id"][sample["kind"] == kind]), set(files[f"{kind}_id"])
        if there - named:
            findings.append(
                f"{folder}: {kind} ids unknown to {csv.name}, which decides the rows of a submission: "
                f"{_some(there - named)}"
            )
        if named - there:
            findings.append(
                f"{csv}: {kind} ids without a DICOM in {folder.name}/, they get the fallback prediction: "
                f"{_some(named - there)}"
            )
    images, studies = (sample["item_id"][sample["kind"] == kind] for kind in ("image", "study"))
    return files[files["image_id"].isin(images) | files["study_id"].isin(studies)].reset_index(drop=True), findings
