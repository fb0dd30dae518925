"""Convert folders of DICOM files: PNGs of full size, one uint8 cache for training, a table of images, one of failures.

`python -m cxr convert SRC DST` writes

    DST/<folders of SRC>/<name>.png   .dcm becomes .png, other names get it appended, clashes become <name>_2.png
    DST/images.csv                    the images table; `path` is relative to DST, `source_path` to SRC
    DST/failures.csv                  path relative to SRC, reason; only the header line if nothing failed
    DST/cache_<PX>.npy                with --cache: uint8 [N x PX x PX], row i belongs to row i of images.csv
    DST/.convert/                     what is done, so that the same command later does the rest (`ledger`)
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm
from xxhash import xxh3_64_hexdigest

from cxr.faults import DataFault
from cxr.images.files import STATE, bare_name, find_files, png_name, unique_names, written_name
from cxr.images.jobs import Job, convert_one
from cxr.images.ledger import Ledger
from cxr.images.pool import run_jobs
from cxr.images.pseudonyms import is_public, pseudonym, user_salt
from cxr.stamps import modules_digest
from cxr.tables import FAILURES, IMAGES, check_table, write_table

COLUMNS = (
    *IMAGES.text, "source_path", *IMAGES.numbers, "photometric", "bits_stored", "transfer_syntax", "modality", "sex",
    "age", "body_part", "has_window", "has_voi_lut", "has_rescale", "note", "pixel_hash",
)  # fmt: skip


class Wanted(NamedTuple):
    """What to make of the files, beside the two tables."""

    png_root: Path | None = None  # PNGs below it, mirroring the folders of the source
    png_size: int | None = None  # px, longest side of the PNGs at most; None: as they are
    cache_file: Path | None = None  # uint8 [N x cache_size x cache_size], rows as in the images table
    cache_size: int = 512  # px
    salt: str = ""  # key of the pseudonyms of patients; '' keeps their ids, for known public sets


class Converted(NamedTuple):
    """Two tables in the order of the files, and how many images an earlier conversion had made."""

    images: pd.DataFrame
    failures: pd.DataFrame
    kept: int


def convert_files(
    files: list[Path],
    root: Path,
    state: Path,
    wanted: Wanted,
    source: str = "siim",
    workers: int = 1,
    scheduler: str | None = None,
) -> Converted:
    """Convert files below `root`, but for those that `state`, a `Ledger`'s folder, knows to be done already.

    `path` of the images table is relative to wanted.png_root; without PNGs it repeats `source_path`, relative to
    `root`. Image ids are file names; where a name occurs twice the later one gets _2. source: name of the data set.
    workers, scheduler: as in `pool.run_jobs`. Raises DataFault if another conversion holds `state`.
    """
    inner = unique_names(written_name(file.relative_to(root)) for file in files)
    targets = unique_names(Path(path).with_name(png_name(Path(path))).as_posix() for path in inner)
    ids = unique_names(bare_name(Path(path)) for path in inner)
    rows, failures, kept = [], [], 0
    with Ledger(state, settings_digest(wanted), wanted.png_root, wanted.cache_file, wanted.cache_size) as ledger:
        jobs = _jobs(files, inner, targets, ids, wanted, ledger)
        results = run_jobs(jobs, workers, convert_one, scheduler=scheduler)
        for i, done in enumerate(tqdm(results, total=len(files), desc="convert", unit="image")):
            if done.reason:
                failures.append({"path": inner[i], "reason": done.reason})
                continue
            if done.header is None:
                kept += 1
            else:
                png = targets[i] if wanted.png_root else None
                ledger.add(inner[i], done.digest, done.header, png, done.thumbnail)
            place = {"source": source, "source_path": inner[i], "path": targets[i] if wanted.png_root else inner[i]}
            rows.append({**ledger.header(inner[i]), **place})
        ledger.finish([row["source_path"] for row in rows])
    images = pd.DataFrame(rows, columns=list(COLUMNS))
    return Converted(check_table(images, IMAGES, root), pd.DataFrame(failures, columns=list(FAILURES.columns)), kept)


def _jobs(
    files: list[Path], inner: list[str], targets: list[str], ids: list[str], wanted: Wanted, ledger: Ledger
) -> Iterator[Job]:
    """A job a file, made when its turn comes: what is known of it is looked at then."""
    for i, file in enumerate(files):
        target = targets[i] if wanted.png_root else None
        yield Job(
            file,
            ids[i],
            png=wanted.png_root / target if target else None,
            size=wanted.png_size,
            thumbnail=wanted.cache_size if wanted.cache_file else None,
            salt=wanted.salt,
            unless=ledger.digest(inner[i], ids[i], target),
        )


def settings_digest(wanted: Wanted) -> str:
    """Digest of all that decides a result beside the source's bytes: settings and code."""
    sizes = [bool(wanted.png_root), wanted.png_size, wanted.cache_size if wanted.cache_file else 0]
    salt = wanted.salt and pseudonym("", wanted.salt)  # tells salts apart, and nothing about them
    return xxh3_64_hexdigest(json.dumps([*sizes, salt, modules_digest("cxr.images.jobs")]).encode())


def positive(text: str) -> int:
    """An argument that counts something."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m cxr convert`."""
    parser.add_argument("src", type=Path, metavar="SRC", help="a folder of DICOM files with any names, or one file")
    parser.add_argument("dst", type=Path, metavar="DST", help="folder for PNGs, images.csv and failures.csv")
    parser.add_argument("--workers", type=positive, default=joblib.cpu_count(), metavar="N", help="processes")
    parser.add_argument("--size", type=positive, metavar="PX", help="shrink PNGs to a long side of PX")
    parser.add_argument("--cache", type=positive, metavar="PX", help="also write cache_PX.npy, uint8 [N x PX x PX]")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="let a Dask cluster do it, e.g. tls://host:8786")
    parser.add_argument("--public", action="store_true", help="keep patient ids as they are, not as salted hashes")


def main(args: argparse.Namespace) -> int:
    """Convert and report; 0 if anything was converted, 1 if nothing. DataFault if SRC is missing or DST unusable."""
    if not args.src.exists():
        raise DataFault(f"{args.src}: no such file or folder; give the folder that holds the DICOM files")
    root, files = (args.src, find_files(args.src)) if args.src.is_dir() else (args.src.parent, [args.src])
    cache_file = args.dst / f"cache_{args.cache}.npy" if args.cache else None
    public = args.public or is_public(root)
    wanted = Wanted(args.dst, args.size, cache_file, args.cache or 0, "" if public else user_salt())
    start = time.perf_counter()
    try:
        done = convert_files(
            files, root, args.dst / STATE, wanted, root.resolve().name or "dicom", args.workers, args.scheduler
        )
        write_table(done.images, args.dst / "images.csv", IMAGES)
        write_table(done.failures, args.dst / "failures.csv", FAILURES)
    except OSError as error:
        raise DataFault(f"{args.dst}: cannot be written ({error.strerror or error}); choose another DST") from None
    print(summary(done, public, time.perf_counter() - start, args.dst))
    return 0 if len(done.images) else 1


def summary(done: Converted, public: bool, seconds: float, destination: Path) -> str:
    """The last line of the command."""
    patients = done.images["patient_id"]
    unnamed = int(np.sum(patients.str.startswith("unknown-"))) if len(patients) else 0
    remarks = [
        f"{done.kept} of the images were there already" if done.kept else "",
        f"{unnamed} without a PatientID got unknown-<study_id>" if unnamed else "",
        "" if public else "patient ids are salted hashes",
    ]
    counts = f"{len(done.images)} images, {len(done.failures)} failures, {seconds:.1f} s, in {destination}"
    return "; ".join([counts, *filter(None, remarks)])
