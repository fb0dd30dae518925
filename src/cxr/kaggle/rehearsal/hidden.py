"""The hidden test set of a rehearsal: drawn studies that nobody has seen, two of their files broken."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from joblib import Parallel, cpu_count, delayed
from pydicom.uid import UID, UID_dictionary

from cxr.data.siim import find_dicoms, read_sample
from cxr.faults import DataFault
from cxr.images.dicom import read_header
from cxr.phantom import siim
from cxr.phantom.plan import MINIMUM_STUDIES, TEST_SHARE, plan_siim

SEED = 7001  # any but the one of the run's own phantom: ids follow from it
META_BYTES = 2048  # a file's meta group, where the transfer syntax stands, ends well before


@dataclass(frozen=True)
class Planted:
    """A file that was broken, and what a submission must say about it: its fallback."""

    fault: str
    study_id: str
    image_id: str


def make_hidden(folder: Path, test_studies: int, seed: int = SEED) -> Path:
    """Draw about `test_studies` studies into `folder`: `test/` and `sample_submission.csv`, in Kaggle's layout.

    Only the test part of a phantom is drawn; a rerun swaps nothing else. Same arguments: same bytes.
    """
    plan = plan_siim(max(MINIMUM_STUDIES, round(test_studies / TEST_SHARE)), seed)
    plan = plan[plan["part"] == "test"].reset_index(drop=True)
    jobs = [delayed(siim.write_image)(row, folder, seed) for row in plan.to_dict("records")]
    boxes = Parallel(n_jobs=min(4, cpu_count()))(jobs)
    siim.write_tables(plan, boxes, folder, folder / "solution.csv")
    for name in ("train_image_level.csv", "train_study_level.csv", "solution.csv"):
        (folder / name).unlink()
    return folder


def plant_faults(folder: Path) -> list[Planted]:
    """Cut one DICOM of `folder/test` short and give another a transfer syntax that does not exist.

    Studies of one image are taken, so that a study row without any readable image is tried too. Raises DataFault for
    a test set that has no two of them.
    """
    files = pd.DataFrame({"path": find_dicoms(folder / "test")})
    files["study_id"] = [path.parent.parent.name for path in files["path"]]
    alone = files[~files["study_id"].duplicated(keep=False)]
    if len(alone) < 2:
        raise DataFault(f"{folder}: {len(alone)} studies of one image; the faults need two, draw more studies")
    planted = []
    for path, (fault, spoil) in zip(alone["path"], FAULTS.items(), strict=False):
        spoil(path)
        planted.append(Planted(fault, path.parent.parent.name, path.stem))
    return planted


def truncate(path: Path) -> None:
    """Leave the header and half of the pixels, as a broken copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def unknown_transfer_syntax(path: Path) -> None:
    """Another last digit in the transfer syntax UID of the meta group (PS3.10, section 7.1), of the same length."""
    known = read_header(path)["transfer_syntax"]
    wrong = next(known[:-1] + digit for digit in "987654321" if not is_known(known[:-1] + digit))
    content = path.read_bytes()
    head = content[:META_BYTES].replace(known.encode(), wrong.encode())
    path.write_bytes(head + content[META_BYTES:])


def is_known(uid: str) -> bool:
    """Whether the DICOM dictionary (PS3.6) has this UID."""
    return UID(uid) in UID_dictionary


FAULTS = {"truncated": truncate, "unknown transfer syntax": unknown_transfer_syntax}


def ids_of(sample_csv: Path) -> set[str]:
    """All row ids of a sample submission."""
    return set(read_sample(sample_csv)["id"])
