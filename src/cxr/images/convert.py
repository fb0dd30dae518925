"""Convert folders of DICOM files: PNGs of full size, one uint8 cache for training, a table of images, one of failures.

`python -m cxr convert SRC DST` writes

    DST/<folders of SRC>/<name>.png   .dcm becomes .png, other names get it appended, clashes become <name>_2.png
    DST/images.csv                    the images table; `path` is relative to DST, `source_path` to SRC
    DST/failures.csv                  path relative to SRC, reason; only the header line if nothing failed
    DST/cache_<PX>.npy                with --cache: uint8 [N x PX x PX], row i belongs to row i of images.csv

An image is done by `convert_one`, a function of plain values without shared state, so that any pool can run it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from cxr.faults import DataFault
from cxr.images.dicom import read_dicom
from cxr.images.files import bare_name, find_files, png_name, unique_names
from cxr.images.outputs import CacheWriter, write_png
from cxr.tables import FAILURES, IMAGES, check_table, write_table

COLUMNS = (
    *IMAGES.text, "source_path", *IMAGES.numbers, "photometric", "bits_stored", "transfer_syntax", "modality", "sex",
    "age", "body_part", "has_window", "has_voi_lut", "has_rescale", "note", "pixel_sha256",
)  # fmt: skip


class Job(NamedTuple):
    """One file to convert; `png` and `thumbnail` are what to make of it."""

    file: Path
    image_id: str
    png: Path | None = None  # where to write the picture
    size: int | None = None  # longest side of that PNG, None: as it is
    thumbnail: int | None = None  # side of the row for the cache


class Done(NamedTuple):
    """What came of a job: header and perhaps a thumbnail, or the reason why not."""

    header: dict | None = None
    thumbnail: np.ndarray | None = None
    reason: str = ""


def to_cache_size(pixels: np.ndarray, size: int) -> np.ndarray:
    """The one resize of training, prediction and app: uint8 [H x W] to [size x size], INTER_AREA, sides stretched."""
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)


def fit_within(pixels: np.ndarray, size: int) -> np.ndarray:
    """Shrink so that the long side is at most `size` pixels, keeping proportions; never enlarges."""
    height, width = pixels.shape
    scale = size / max(height, width)
    if scale >= 1:
        return pixels
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)


def convert_one(job: Job) -> Done:
    """Read one file and make of it what the job asks for. A file that cannot be used is a reason, not an exception."""
    try:
        pixels, header = read_dicom(job.file)
    except DataFault as fault:
        return Done(reason=str(fault).removeprefix(f"{job.file}: "))
    except Exception as error:  # a fault of ours, but one file must not cost the run: it is listed like the others
        return Done(reason=f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}; please report it")
    if job.png:
        write_png(job.png, fit_within(pixels, job.size) if job.size else pixels)
    header["image_id"] = job.image_id
    # folds keep patients together: without an id each study counts as a patient, each image as a study of its own
    header["study_id"] = header["study_id"] or f"unknown-{job.image_id}"
    header["patient_id"] = header["patient_id"] or f"unknown-{header['study_id'].removeprefix('unknown-')}"
    return Done(header, to_cache_size(pixels, job.thumbnail) if job.thumbnail else None)


def convert_files(
    files: list[Path],
    root: Path,
    destination: Path | None = None,
    cache_file: Path | None = None,
    cache_size: int = 512,
    workers: int = 1,
    png: bool = True,
    size: int | None = None,
    source: str = "siim",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Convert files below `root`; returns the images table and the failures table, in the order of `files`.

    png: write PNGs below `destination`, mirroring the folders, with a long side of at most `size` px; `path` is
    relative to `destination`. Without, `path` repeats `source_path`, relative to `root`.
    cache_file: write uint8 [N x cache_size x cache_size], rows as in the images table. source: name of the data set.
    Image ids are file names; where a name occurs twice the later one gets _2.
    """
    inner = [file.relative_to(root) for file in files]
    if png and destination is None:
        raise ValueError("png=True needs a destination")
    targets = unique_names(path.with_name(png_name(path)).as_posix() for path in inner) if png else None
    ids = unique_names(bare_name(path) for path in inner)
    jobs = [
        Job(file, ids[i], destination / targets[i] if targets else None, size, cache_size if cache_file else None)
        for i, file in enumerate(files)
    ]
    rows, failures = [], []
    with CacheWriter(cache_file, cache_size) as cache:
        for i, done in enumerate(tqdm(run_jobs(jobs, workers), total=len(jobs), desc="convert", unit="image")):
            if done.header is None:
                failures.append({"path": inner[i].as_posix(), "reason": done.reason})
                continue
            place = {"source": source, "source_path": inner[i].as_posix()}
            rows.append({**done.header, **place, "path": targets[i] if targets else place["source_path"]})
            cache.append(done.thumbnail)
    images = pd.DataFrame(rows, columns=list(COLUMNS))
    return check_table(images, IMAGES, root), pd.DataFrame(failures, columns=list(FAILURES.columns))


def worker_count(wanted: int = 0) -> int:
    """`wanted` processes, or one a core; at least two, since a decoder that crashes would take this process along."""
    return max(2, wanted or joblib.cpu_count())


def run_jobs(jobs: list[Job], workers: int, convert: Callable[[Job], Done] = convert_one) -> Iterator[Done]:
    """Results in the order of the jobs. Processes, because gdcm and pydicom hold the GIL; one worker is this process.

    A damaged file can crash gdcm and with it the worker. Then the jobs that were under way are done again, each by
    itself, so that the one at fault becomes a failure and the others do not.
    """
    if workers == 1:
        yield from map(convert, jobs)
        return
    position = 0
    while position < len(jobs):
        try:
            for done in _in_pool(jobs[position:], workers, convert):
                position += 1
                yield done
        except TerminatedWorkerError:
            for job in jobs[position : position + 3 * workers]:
                position += 1
                yield _alone(job, convert)


def _in_pool(jobs: list[Job], workers: int, convert: Callable[[Job], Done]) -> Iterator[Done]:
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch=2 * workers)
        yield from pool(joblib.delayed(_in_worker)(convert, job) for job in jobs)


def _in_worker(convert: Callable[[Job], Done], job: Job) -> Done:
    cv2.setNumThreads(1)  # as many processes as cores, each with a pool of its own, would be slower
    return convert(job)


def _alone(job: Job, convert: Callable[[Job], Done]) -> Done:
    try:
        return next(_in_pool([job], 2, convert))
    except TerminatedWorkerError:
        return Done(reason="crashed the decoder or ran out of memory; get the file again")


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


def main(args: argparse.Namespace) -> int:
    """Convert and report; 0 if anything was converted, 1 if nothing. DataFault if SRC is missing or DST unusable."""
    if not args.src.exists():
        raise DataFault(f"{args.src}: no such file or folder; give the folder that holds the DICOM files")
    root, files = (args.src, find_files(args.src)) if args.src.is_dir() else (args.src.parent, [args.src])
    start = time.perf_counter()
    cache_file = args.dst / f"cache_{args.cache}.npy" if args.cache else None
    try:
        images, failures = convert_files(
            files, root, args.dst, cache_file, args.cache or 0, args.workers, size=args.size,
            source=root.resolve().name or "dicom",
        )  # fmt: skip
        write_table(images, args.dst / "images.csv", IMAGES)
        write_table(failures, args.dst / "failures.csv", FAILURES)
    except OSError as error:
        raise DataFault(f"{args.dst}: cannot be written ({error.strerror or error}); choose another DST") from None
    seconds = time.perf_counter() - start
    unnamed = int(images["patient_id"].str.startswith("unknown-").sum())
    remark = f", {unnamed} without a PatientID got unknown-<study_id>" if unnamed else ""
    print(f"{len(images)} images, {len(failures)} failures, {seconds:.1f} s, in {args.dst}{remark}")
    return 0 if len(images) else 1
