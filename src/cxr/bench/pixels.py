"""DICOM to PNG and to the training cache: the usual recipe, three other programs, ours."""

import json
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.pixels import apply_voi_lut

from cxr.bench.radiographs import Radiograph, write_radiographs
from cxr.bench.timing import alternating_ms
from cxr.images.dicom import read_dicom
from cxr.images.outputs import write_png
from cxr.images.resize import to_cache_size

PEERS = ("dicom2jpg", "DCMTK", "SimpleITK")
CACHES = (1024, 512)  # px


def main(repeats: int, peers_python: Path) -> None:
    """Print two tables: to PNG, and to the cache without a PNG."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_radiographs(folder)
        print("DICOM to PNG, one core: ms (times as fast as the usual recipe; pixels that differ from it)")
        print(f"{'':38}{'usual':>8}{'ours':>16}{'size':>7}" + "".join(f"{peer:>20}" for peer in PEERS))
        for file in files:
            print_png(file, folder, repeats, peers_python)
        print("\nDICOM to the training cache, one core: ms (times as fast as the recipe with a resize and a PNG)")
        print(f"{'':38}" + "".join(f"{f'usual {size} px':>16}{'ours':>16}" for size in CACHES))
        for file in files:
            print_cache(file, folder, repeats)


def usual_pixels(path: Path) -> np.ndarray:
    """What most notebooks of the challenge do: pydicom, VOI LUT, inversion, min-max to 0..255."""
    dataset = pydicom.dcmread(path)
    pixels = apply_voi_lut(dataset.pixel_array, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = np.amax(pixels) - pixels
    pixels = pixels - np.min(pixels)
    pixels = pixels / np.max(pixels)
    return (pixels * 255).astype(np.uint8)


def print_png(file: Radiograph, folder: Path, repeats: int, peers_python: Path) -> None:
    """One line; our pixels must be those of the recipe, or there is nothing to compare."""
    usual_file, our_file = folder / "usual.png", folder / "ours.png"
    usual, ours = alternating_ms(
        [
            lambda: cv2.imwrite(str(usual_file), usual_pixels(file.path)),
            lambda: write_png(our_file, read_dicom(file.path).pixels),
        ],
        repeats,
    )
    expected = cv2.imread(str(usual_file), cv2.IMREAD_UNCHANGED)
    if not np.array_equal(cv2.imread(str(our_file), cv2.IMREAD_UNCHANGED), expected):
        raise AssertionError(f"{file.name}: ours and the usual recipe differ; a speed-up of something else is none")
    size = our_file.stat().st_size / usual_file.stat().st_size
    line = f"{file.name:38}{usual:8.0f}{f'{ours:.0f} ({usual / ours:.2f})':>16}{size:7.2f}"
    found = time_peers(file, folder, repeats, peers_python)
    for peer in PEERS:
        if peer not in found:
            line += f"{'not installed':>20}"
            continue
        ms, target = found[peer]
        line += f"{f'{ms:.0f} ({usual / ms:.2f}; {difference(Path(target), expected)})':>20}"
    print(line, flush=True)


def difference(png: Path, expected: np.ndarray) -> str:
    """Share of the pixels that are not the expected ones."""
    picture = cv2.imread(str(png), cv2.IMREAD_GRAYSCALE)
    if picture is None or picture.shape != expected.shape:
        return "no such picture"
    share = (picture != expected).mean()
    return "exact" if share == 0 else f"{share:.0%}" if share >= 0.01 else "< 1%"


def time_peers(file: Radiograph, folder: Path, repeats: int, peers_python: Path) -> dict:
    """{program: [ms, PNG]} of `peers`, with whatever Python there is: DCMTK needs none of its own."""
    python = peers_python if peers_python.is_file() else Path("python3")
    script = Path(__file__).with_name("peers.py")
    words = [str(file.path), "window" if file.window else "none", str(folder), str(min(repeats, 3))]
    result = subprocess.run([python, "-P", script, *words], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def print_cache(file: Radiograph, folder: Path, repeats: int) -> None:
    """One line: both cache sizes."""
    line = f"{file.name:38}"
    for size in CACHES:

        def usual_cache(size: int = size) -> None:
            small = cv2.resize(usual_pixels(file.path), (size, size), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / "small.png"), small)

        def our_cache(size: int = size) -> np.ndarray:
            return to_cache_size(read_dicom(file.path).pixels, size)

        usual, ours = alternating_ms([usual_cache, our_cache], repeats)
        if not np.array_equal(cv2.imread(str(folder / "small.png"), cv2.IMREAD_UNCHANGED), our_cache()):
            raise AssertionError(f"{file.name}: ours and the usual recipe differ at {size} px")
        line += f"{usual:16.0f}{f'{ours:.1f} ({usual / ours:.2f})':>16}"
    print(line, flush=True)
