"""Damage small DICOM files in every way and see that each ends as an image or as a listed failure.

`python tests/images/fuzz.py --count 20000` (`make fuzz`) prints what came of them. Seeds are synthetic files of every
encoding that can be written here, and real ones below 150 kB where they are. Mutation i of a seed number is the same on
every machine. Exit code 1 if any file gave half a picture or ended in a fault of ours.
"""

import argparse
import re
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import tee
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from synthetic import build_dicom, build_lut, real_files
from tqdm import tqdm

from cxr.images.child import Limits
from cxr.images.jobs import Done, Job
from cxr.images.pool import run_jobs
from cxr.phantom.dicoms import encode_with_gdcm, jpeg_lossless

LIMITS = Limits(seconds=5, memory_mb=400)
LARGEST_SEED = 150_000  # bytes
ABSURD = (0, 1, 2, 255, 256, 4095, 32767, 65535)
BAD = ("half", "ours")  # half a picture of a file that was cut off; an exception that nobody foresaw


def seeds() -> list[bytes]:
    """Small files of every encoding."""
    ramp = (np.arange(64 * 48).reshape(64, 48) % 4096).astype(np.uint16)
    small = (ramp >> 4).astype(np.uint8)
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    plain = [build_dicom(ramp, syntax=syntax, WindowCenter=2000, WindowWidth=3000) for syntax in syntaxes]
    luts = build_dicom(
        ramp.astype(np.int16), VOILUTSequence=build_lut(np.arange(4096), 0, 12), PixelPaddingValue=7,
        ModalityLUTSequence=build_lut(np.arange(4096), 0, 12),
    )  # fmt: skip
    rescaled = build_dicom(small, 8, RescaleSlope=2, RescaleIntercept=-9, PhotometricInterpretation="MONOCHROME1")
    colour = build_dicom(np.dstack([small] * 3).reshape(64, -1), 8, Columns=48, SamplesPerPixel=3,
                         PlanarConfiguration=0, PhotometricInterpretation="RGB")  # fmt: skip
    frames = [
        (JPEGLosslessSV1, jpeg_lossless(ramp, 12), ramp), (JPEGLSLossless, encode_with_gdcm(ramp, 12, "JPEG-LS"), ramp),
        (JPEGBaseline8Bit, cv2.imencode(".jpg", small)[1].tobytes(), small),
        (JPEG2000Lossless, encode_with_gdcm(ramp, 12, "JPEG 2000"), ramp),
    ]  # fmt: skip
    packed = [pack(values, syntax, frame) for syntax, frame, values in frames] + [pack(ramp, RLELossless)]
    real = [file.read_bytes() for file in real_files() if file.stat().st_size <= LARGEST_SEED]
    return [*plain, luts, rescaled, colour, *packed, *real]


def pack(values: np.ndarray, syntax: pydicom.uid.UID, frame: bytes | None = None) -> bytes:
    """A file with encoded pixels; without `frame` pydicom encodes them."""
    dataset = pydicom.dcmread(BytesIO(build_dicom(values, 8 if values.itemsize == 1 else 12)))
    if frame is None:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------------ mutations


def flip_bytes(data: bytearray, rng: np.random.Generator) -> bytes:
    for position in rng.integers(0, len(data), rng.integers(1, 20)):
        data[position] = rng.integers(256)
    return bytes(data)


def flip_header_bytes(data: bytearray, rng: np.random.Generator) -> bytes:
    for position in rng.integers(128, min(len(data), 1500), rng.integers(1, 6)) if len(data) > 130 else []:
        data[position] ^= 1 << rng.integers(8)
    return bytes(data)


def cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def cut_out(data: bytearray, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    del data[start : start + rng.integers(1, 200)]
    return bytes(data)


def insert(data: bytearray, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    data[start:start] = rng.bytes(rng.integers(1, 200))
    return bytes(data)


def repeat(data: bytearray, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data))
    data[start:start] = data[start : start + rng.integers(1, 400)]
    return bytes(data)


def remove_tag(data: bytearray, rng: np.random.Generator) -> bytes:
    return edited(data, rng, lambda dataset, tag: dataset.pop(tag))


def change_value(data: bytearray, rng: np.random.Generator) -> bytes:
    """A value of the right length and the wrong content."""

    def change(dataset: pydicom.Dataset, tag: int) -> None:
        value = dataset.get_item(tag).value
        if isinstance(value, bytes):
            dataset[tag] = dataset.get_item(tag)._replace(value=rng.bytes(len(value)))

    return edited(data, rng, change)


def edited(data: bytearray, rng: np.random.Generator, change: Callable[[pydicom.Dataset, int], object]) -> bytes:
    """One element changed and the file written anew; a file that pydicom cannot write is damaged by bytes instead."""
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=True)
        change(dataset, list(dataset.keys())[rng.integers(len(dataset))])
        file = BytesIO()
        dataset.save_as(file)
        return file.getvalue()
    except Exception:  # seeds that are odd already
        return flip_bytes(data, rng)


def change_length(data: bytearray, rng: np.random.Generator) -> bytes:
    """The length field before a two-letter value representation's value: 16 or 32 bits."""
    places = [match.end() for match in re.finditer(rb"[\x02\x08\x10\x18\x20\x28\xe0]\x00..[A-Z]{2}", bytes(data))]
    if not places:
        return flip_bytes(data, rng)
    position = places[rng.integers(len(places))]
    size = 4 if bytes(data[position - 2 : position]) in (b"OB", b"OW", b"SQ", b"UN", b"UT") else 2
    position += 2 * (size == 4)
    length = rng.choice([0, 1, 3, 2**16 - 1, 2**31 - 1, 2**32 - 1, int(rng.integers(2**16))]) % 256**size
    data[position : position + size] = int(length).to_bytes(size, "little")
    return bytes(data)


def absurd_numbers(data: bytearray, rng: np.random.Generator) -> bytes:
    """Sizes, bits and counts of the Image Pixel module set to what nobody would write."""
    tags = [(0x28, element) for element in (0x02, 0x06, 0x08, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103)]
    for group, element in [tags[i] for i in rng.choice(len(tags), rng.integers(1, 4), replace=False)]:
        for header in (struct.pack("<HH2sH", group, element, b"US", 2), struct.pack("<HHI", group, element, 2)):
            place = bytes(data).find(header)
            if place >= 0:
                value = int(rng.choice(ABSURD))
                data[place + 8 : place + 10] = value.to_bytes(2, "little")
    if rng.random() < 0.3:
        data = bytearray(edited(data, rng, lambda dataset, tag: setattr(dataset, "NumberOfFrames", 2**31 - 1)))
    return bytes(data)


MUTATIONS = (flip_bytes, flip_header_bytes, cut, cut_out, insert, repeat, remove_tag, change_value, change_length,
             absurd_numbers)  # fmt: skip


class Damaged(NamedTuple):
    """One file to convert."""

    mutation: str
    original: int  # number of the seed file
    path: Path


def mutations(originals: list[bytes], count: int, seed: int, folder: Path) -> Iterator[Damaged]:
    """`count` damaged files below `folder`, written one after the other."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        mutate = MUTATIONS[number % len(MUTATIONS)]
        original = int(rng.integers(len(originals)))
        path = folder / f"{number}.dcm"
        path.write_bytes(mutate(bytearray(originals[original]), rng))
        yield Damaged(mutate.__name__, original, path)


# ------------------------------------------------------------------------------------------------------------- the run


def fuzz(count: int, seed: int, workers: int, keep: Path | None = None) -> Counter:
    """Convert `count` damaged files; returns how often each (mutation, outcome) came about.

    keep: a folder for files that end in a crash, a hang, want of memory or a fault of ours.
    """
    originals, found = seeds(), Counter()
    with tempfile.TemporaryDirectory() as name:
        hashes = whole_hashes(originals, Path(name))
        files = mutations(originals, count, seed, Path(name))
        # the pool takes a file when its turn comes, so few of them lie about
        ahead, behind = tee(files)
        jobs = (Job(file.path, file.path.stem, thumbnail=32) for file in ahead)
        results = tqdm(run_jobs(jobs, workers, limits=LIMITS), total=count, desc="fuzz", unit="file")
        for file, done in zip(behind, results, strict=True):
            kind = outcome(done, hashes[file.original] if file.mutation == "cut" else None)
            found[file.mutation, kind] += 1
            if keep and kind not in ("image", "refused"):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.path, keep / f"{kind}_{file.mutation}_{file.path.name}")
            file.path.unlink()
    return found


def whole_hashes(originals: list[bytes], folder: Path) -> list[str | None]:
    """`pixel_hash` of every seed file, None for one that is refused even whole."""
    paths = [folder / f"whole_{i}.dcm" for i in range(len(originals))]
    for path, data in zip(paths, originals, strict=True):
        path.write_bytes(data)
    results = run_jobs((Job(path, path.stem) for path in paths), 1, limits=LIMITS)
    return [done.header and done.header["pixel_hash"] for done in results]


def outcome(done: Done, whole: str | None = None) -> str:
    """What came of a file, in a word; `whole` is the hash that its picture must have if it has one."""
    if done.header is not None:
        assert done.reason == "" and done.thumbnail.shape == (32, 32) and done.header["height"] > 0
        return "image" if whole is None or done.header["pixel_hash"] == whole else "half"
    if not done.reason or not done.reason.isprintable():
        return "ours"
    words = {"unexpected": "ours", "took longer": "hang", "crashed": "crash", "was killed": "crash",
             "ended the decoder": "crash", "needs more memory": "memory"}  # fmt: skip
    return next((kind for start, kind in words.items() if done.reason.startswith(start)), "refused")


def main() -> int:
    parser = argparse.ArgumentParser(description="Damage DICOM files and convert them.")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for files that end in a crash, a hang or a fault of ours")
    args = parser.parse_args()
    found = fuzz(args.count, args.seed, args.workers, args.keep)
    kinds = ("image", "refused", "crash", "hang", "memory", *BAD)
    print(f"{'':20}" + "".join(f"{kind:>9}" for kind in kinds))
    for mutation in [*(mutate.__name__ for mutate in MUTATIONS), "all"]:
        counts = [sum(n for (m, k), n in found.items() if k == kind and mutation in (m, "all")) for kind in kinds]
        print(f"{mutation:20}" + "".join(f"{count:9}" for count in counts))
    bad = sum(n for (_, kind), n in found.items() if kind in BAD)
    return 1 if bad or sum(found.values()) != args.count else 0


if __name__ == "__main__":
    sys.exit(main())
