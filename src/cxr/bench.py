"""`make bench`: every speed that we claim, beside the usual way of doing it, in one run. Medians; ratios hold.

Timed here and nowhere else: performance never lives in a test.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cxr.images.convert import to_cache_size
from cxr.images.dicom import read_dicom
from cxr.images.outputs import write_png
from cxr.metrics import average_precision, match_detections
from cxr.phantom.dicoms import write_dicom
from cxr.phantom.quirks import draw_quirks

HEIGHT, WIDTH = 2544, 3056  # px, a common size of the real set
IMAGES, BOXES, RESAMPLES = 1263, 100, 1000  # the visible test set, a generous detector, a usual bootstrap
STUDY_SIZE, BATCH = 160, 16  # the demo's study classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How often each piece is timed."""
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each piece (default %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Print the tables."""
    cv2.setNumThreads(1)
    print(f"{'one core, ' + str(HEIGHT) + 'x' + str(WIDTH) + ', 12 bit':44}{'usual ms':>10}{'ours ms':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for window in ("none", "window"):
            for name, usual, ours in conversions(Path(folder), window):
                print_pair(name, median_ms(usual, args.repeats), median_ms(ours, args.repeats))
    print_pair("study classifier, training step, ms an image", *study_steps(args.repeats))
    print_pair("Faster R-CNN, training step, ms an image", *detector_steps(args.repeats))
    for name, piece in metric_pieces():
        print(f"{name:54}{median_ms(piece, args.repeats):10.1f}")
    return 0


def print_pair(name: str, usual: float, ours: float) -> None:
    """One line: usual, ours, how many times faster."""
    print(f"{name:44}{usual:10.1f}{ours:10.1f}{usual / ours:8.2f}", flush=True)


def median_ms(piece: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of a call, after one that warms caches up."""
    piece()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        piece()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def conversions(folder: Path, window: str) -> list[tuple[str, Callable, Callable]]:
    """(name, usual recipe, ours) for one DICOM to PNG and to the 1024 px cache; the pixels are checked to be equal."""
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.random((HEIGHT, WIDTH), np.float32), (0, 0), 1.0)
    quirks = draw_quirks(rng, 1).iloc[0].to_dict() | {
        "photometric": "MONOCHROME1",
        "bits_stored": 12,
        "transfer_syntax": "Explicit VR Little Endian",
        "voi": window,
        "rescale": "absent",
    }
    source, target = folder / f"{window}.dcm", str(folder / "out.png")
    tags = {"SOPInstanceUID": "1", "StudyInstanceUID": "2", "SeriesInstanceUID": "3"}
    write_dicom(source, cv2.normalize(grain, None, 0, 1, cv2.NORM_MINMAX), quirks, tags)
    if not np.array_equal(usual_pixels(source), read_dicom(source).pixels):
        raise AssertionError("ours and the usual recipe differ; a speed-up of something else is none")

    def usual_cache() -> None:
        cv2.imwrite(target, cv2.resize(usual_pixels(source), (1024, 1024), interpolation=cv2.INTER_AREA))

    def our_png() -> None:
        write_png(Path(target), read_dicom(source).pixels)

    def our_cache() -> None:
        to_cache_size(read_dicom(source).pixels, 1024)

    name = "no window" if window == "none" else "window"
    return [
        (f"DICOM to PNG, {name}", lambda: cv2.imwrite(target, usual_pixels(source)), our_png),
        (f"DICOM to 1024 px (usual: as PNG), {name}", usual_cache, our_cache),
    ]


def usual_pixels(path: Path) -> np.ndarray:
    """What most notebooks of the challenge do: pydicom, VOI LUT, inversion, min-max to 0..255, in float64."""
    dataset = pydicom.dcmread(path)
    pixels = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    pixels -= pixels.min()
    return (pixels / pixels.max() * 255).astype(np.uint8)


def study_steps(repeats: int) -> tuple[float, float]:
    """ms an image of the demo's study classifier, as `training_steps` times it."""
    import torch

    from cxr.models.classifiers import StudyNet

    pixels = torch.randint(0, 255, (BATCH, 1, STUDY_SIZE, STUDY_SIZE), dtype=torch.uint8)
    network = StudyNet("mobilenet_v2", 0.2, mask_head=True)

    def losses() -> list:
        return [value.float().square().mean() for value in network(pixels).values()]

    return training_steps(network, losses, BATCH, repeats)


def detector_steps(repeats: int) -> tuple[float, float]:
    """ms an image of the demo's Faster R-CNN."""
    import torch

    from cxr.models.detectors import FasterRcnnNet
    from cxr.profiles import PROFILES
    from cxr.training.losses import detection_losses

    settings = PROFILES["demo"].faster_rcnn
    count, size = settings.batch, settings.size
    batch = {
        "pixels": torch.randint(0, 255, (count, 1, size, size), dtype=torch.uint8),
        "boxes_xyxy": [torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.6, 0.2, 0.8, 0.6]]) * size] * count,
        "labels": [torch.ones(2, dtype=torch.long)] * count,
    }
    network = FasterRcnnNet(settings)
    return training_steps(network, lambda: list(detection_losses(network, batch).values()), count, repeats)


def training_steps(network, losses: Callable[[], list], batch: int, repeats: int) -> tuple[float, float]:
    """ms an image on the CPU: float32 as PyTorch lays it out, then the precision and layout that trainings choose."""
    import torch

    from cxr.training.fit import precision

    optimizer = torch.optim.AdamW(network.train().parameters())

    def step(mixed: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = sum(losses())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    usual = median_ms(lambda: step(False), repeats) / batch
    network.to(memory_format=torch.channels_last)
    mixed = precision() == "bf16-mixed"
    return usual, median_ms(lambda: step(mixed), repeats) / batch


def metric_pieces() -> list[tuple[str, Callable]]:
    """The metric and a bootstrap at the size of the visible test set, one class."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(IMAGES), BOXES)
    corners = np.sort(rng.random((len(image), 2, 2)), axis=1).reshape(-1, 4) * 1000
    truth = np.repeat(np.arange(IMAGES), 2)
    true_corners = np.sort(rng.random((len(truth), 2, 2)), axis=1).reshape(-1, 4) * 1000
    arguments = (image, rng.random(len(image)), corners, truth, true_corners, IMAGES)
    matches = match_detections(*arguments)
    weights = rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), RESAMPLES)
    return [
        (f"AP, {IMAGES} images x {BOXES} boxes, ms", lambda: average_precision(match_detections(*arguments))),
        (f"{RESAMPLES} bootstrap resamples of it, ms", lambda: [average_precision(matches, w) for w in weights]),
    ]
