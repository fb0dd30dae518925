"""Conversion of many files: two workers against one, memory at its worst, and cost as the number of files grows."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cxr.bench.radiographs import draw, write_radiograph
from cxr.bench.timing import alternating_ms
from cxr.images.jobs import Job
from cxr.images.pool import run_jobs
from cxr.phantom.datasets import make_phantom

SIZE = (2544, 3056)  # px
MANY_LARGE = 16  # files of one measurement of memory
LARGEST = (6400, 5000)  # px: 32 megapixels, the most that is accepted
AT_ONCE = 64  # files of one measurement of speed
COUNTS = (100, 1000, 6334)  # images; the last is the real train set
REAL_MEGAPIXELS, REAL_IMAGES = 53_800, 6334  # of the real train set
CACHES = (512, 1024)  # px


def main(repeats: int) -> None:
    """Print the three parts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scaling(folder / "scaling", repeats)
        memory(folder / "memory")
        growth(folder / "growth")


def scaling(folder: Path, repeats: int) -> None:
    """Two workers against one, and what that makes of the real train set."""
    picture, millions = draw(*SIZE), SIZE[0] * SIZE[1] / 1e6
    print(f"\n{AT_ONCE} files of {SIZE[0]}x{SIZE[1]}: ms an image with one worker, with two, ratio; the real train set")
    for syntax in ("Explicit VR Little Endian", "JPEG Lossless SV1"):
        source = folder / f"{syntax}.dcm"
        folder.mkdir(parents=True, exist_ok=True)
        write_radiograph(source, picture, syntax)
        for name, png, thumbnail in (("PNG", folder / "out.png", None), ("1024 px cache", None, 1024)):
            jobs = [Job(source, str(i), png and png.with_name(f"{i}.png"), thumbnail=thumbnail) for i in range(AT_ONCE)]
            one, two = alternating_ms([lambda n=n, jobs=jobs: list(run_jobs(jobs, n)) for n in (1, 2)], repeats)
            minutes = two / AT_ONCE / millions * REAL_MEGAPIXELS / 60_000
            line = f"{name + ', ' + syntax:54}{one / AT_ONCE:10.1f}{two / AT_ONCE:10.1f}{one / two:8.2f}"
            print(f"{line}{minutes:8.1f} min", flush=True)
    share = (folder / "0.png").stat().st_size / (SIZE[0] * SIZE[1])
    disk = ", ".join(f"{size} px cache {REAL_IMAGES * size**2 / 1e9:.2f} GB" for size in CACHES)
    print(f"disk for the real train set: PNGs about {share * REAL_MEGAPIXELS / 1000:.0f} GB, {disk}")


def memory(folder: Path) -> None:
    """Resident memory of the command with all its processes, on the largest files that it accepts."""
    picture = draw(*LARGEST)
    print(
        f"\npeak memory, `convert --workers 2`, {MANY_LARGE} files of {LARGEST[0]}x{LARGEST[1]}, PNG and 1024 px cache"
    )
    for syntax in ("Explicit VR Little Endian", "JPEG Lossless SV1"):
        source = folder / syntax / "source"
        source.mkdir(parents=True)
        write_radiograph(source / "0.dcm", picture, syntax)
        for i in range(1, MANY_LARGE):
            os.link(source / "0.dcm", source / f"{i}.dcm")
        _, peak = convert(source, folder / syntax / "out", 1024)
        print(f"{syntax:54}{peak / 2**20:10.0f} MB", flush=True)


def growth(folder: Path) -> None:
    """ms an image for more and more phantom images, as files of their own names with the same content."""
    print("\n`convert --workers 2`, phantom images (540 px or so), 512 px cache and PNG: ms an image, peak memory")
    make_phantom(folder / "phantom", studies=COUNTS[0], nih=8, rsna=8)
    pictures = sorted((folder / "phantom" / "input" / "siim-covid19-detection" / "train").rglob("*.dcm"))
    for count in COUNTS:
        source = folder / f"{count}"
        source.mkdir()
        for i in range(count):
            os.link(pictures[i % len(pictures)], source / f"{i:012x}.dcm")
        seconds, peak = convert(source, folder / f"out_{count}", 512)
        print(f"{count:54}{1000 * seconds / count:10.2f}{peak / 2**20:10.0f} MB", flush=True)


def convert(source: Path, out: Path, cache: int) -> tuple[float, int]:
    """Seconds and peak resident memory (bytes, all processes of it) of the command."""
    words = [source, out, "--workers", 2, "--cache", cache, "--public"]
    command = [sys.executable, "-m", "cxr", "convert", *map(str, words)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        peak = max(_resident(process), default=0)
        errors = process.stderr.read().decode()
    if process.returncode:
        raise RuntimeError(f"convert failed: {errors[-500:]}")
    return time.perf_counter() - start, peak


def _resident(process: subprocess.Popen) -> Iterator[int]:
    """Resident bytes of a process and its children, every 20 ms until it ends; pages that they share count twice."""
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        with _vanishing():
            yield sum(one.memory_info().rss for one in [tree, *tree.children(recursive=True)])
        time.sleep(0.02)


@contextmanager
def _vanishing() -> Iterator[None]:
    """A process may end while it is looked at."""
    try:
        yield
    except psutil.NoSuchProcess:
        return
