"""How hard the phantom is beside real radiographs: the same measures, by the same code, on both.

    python -m cxr.phantom.difficulty [--real DIR] [--pictures N] [--out docs/difficulty_card.md]

`--real` names a folder with images.csv (path, rsna_class), boxes.csv (path, kind, x, y, width, height in px) and the
pictures; only means over all pictures leave it.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from cxr.boxes import iou_xyxy, scale_xyxy, xywh_to_xyxy
from cxr.faults import DataFault
from cxr.phantom.anatomy import draw_patient, draw_view, render
from cxr.phantom.lesions import draw_disease
from cxr.tables import read_csv

SIDE = 320  # px of the square to which every picture is stretched before it is measured
BANDS = {"fine": (0.7, 1.6), "middle": (1.6, 5.0), "coarse": (5.0, 14.0)}  # px of SIDE: the two Gaussians' sigmas
STUDY_SHARES = {"negative": 0.28, "typical": 0.47, "indeterminate": 0.17, "atypical": 0.08}  # SIIM train set
SIIM_LABELS = {  # from the label files of the SIIM train set alone, boxless duplicates dropped (6117 images)
    "pictures": 6117,
    "with boxes, %": 70.2,
    "one box, %": 22.7,
    "two boxes, %": 72.5,
    "three or more, %": 4.8,
    "box width": 0.218,
    "box width, SD": 0.075,
    "box height": 0.372,
    "box height, SD": 0.162,
    "box area": 0.088,
    "box area, SD": 0.060,
    "mean boxes hit, %": 16.8,
}
MEANING = {
    "with boxes, %": "pictures with at least one box; in the two columns of real pictures a choice of that set",
    "one box, %": "of the pictures with boxes; likewise two, three or more",
    "box width": "share of the picture's width; height likewise; area is their product; SD over boxes",
    "mean boxes hit, %": "boxes with IoU > .5 against the mean box of their half of the picture",
    "ring contrast": "mean inside the box minus mean in a frame around it of a quarter of its sides, over the standard "
    "deviation in that frame; median over boxes. The frame holds chest wall and mediastinum",
    "brightness, d": "mean grey inside boxes, pictures standardised to mean 0 and SD 1, against the same boxes laid on "
    "boxless pictures: difference of means over pooled SD (Cohen's d)",
    "fine texture, d": "the same for the log of the mean squared band-pass (difference of Gaussians with sigmas "
    ".7 and 1.6 px at 320 px); noise, thin lines",
    "middle texture, d": "the same with 1.6 and 5 px: mottle, vessels, ribs",
    "coarse texture, d": "the same with 5 and 14 px",
    "thumbnail, d": "mean unsigned d over the cells of a 16 x 16 thumbnail, pictures with boxes against those without",
    "between pictures": "SD over pictures of the mean grey (0..1): exposure, habitus, window",
    "things a picture": "bright lines and spots narrower than 6 px at 320 px that stand out by over .12 of full scale, "
    "counted as connected components: leads, tubes, wires, letters, but sharp bones too",
}

Sample = tuple[np.ndarray, np.ndarray]  # pixels [H x W], uint8 or float 0..1, and boxes_xyxy [N x 4] in px


class Prepared(NamedTuple):
    pixels: np.ndarray  # float32 [SIDE x SIDE], mean 0, standard deviation 1
    power: dict[str, np.ndarray]  # squared band-pass, same shape
    boxes: np.ndarray  # boxes_xyxy [N x 4] in px of SIDE
    grey: float  # mean, 0..1
    things: int


def measure(samples: Iterable[Sample]) -> dict[str, float]:
    """The measures of a set in the card's order. Raises DataFault unless pictures with and without boxes are there."""
    prepared = [_prepare(pixels, boxes_xyxy) for pixels, boxes_xyxy in samples]
    boxed = [item for item in prepared if len(item.boxes)]
    free = [item for item in prepared if not len(item.boxes)]
    if not boxed or not free:
        raise DataFault(f"{len(boxed)} pictures with boxes and {len(free)} without: the card compares them, give both")
    counts = np.array([len(item.boxes) for item in boxed])
    values = {"pictures": len(prepared), "with boxes, %": 100 * len(boxed) / len(prepared)}
    for name, chosen in (("one box, %", counts == 1), ("two boxes, %", counts == 2), ("three or more, %", counts > 2)):
        values[name] = 100 * chosen.mean()
    boxes = np.concatenate([item.boxes for item in boxed]) / SIDE
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    for name, part in (("box width", width), ("box height", height), ("box area", width * height)):
        values[name], values[f"{name}, SD"] = part.mean(), part.std()
    values["mean boxes hit, %"] = 100 * _mean_box_hits(boxes)
    values |= _lesion_contrast(boxed, free)
    values["between pictures"] = np.std([item.grey for item in prepared])
    values["things a picture"] = np.mean([item.things for item in prepared])
    return {name: float(value) for name, value in values.items()}


def _prepare(pixels: np.ndarray, boxes_xyxy: np.ndarray) -> Prepared:
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    small = cv2.resize(pixels.astype(np.float32) / scale, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    level = (small - small.mean()) / max(float(small.std()), 1e-6)
    power = {
        name: (cv2.GaussianBlur(level, (0, 0), low) - cv2.GaussianBlur(level, (0, 0), high)) ** 2
        for name, (low, high) in BANDS.items()
    }
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    marks = ((small - opened) > 0.12).astype(np.uint8)
    areas = cv2.connectedComponentsWithStats(marks)[2][1:, cv2.CC_STAT_AREA]
    boxes = scale_xyxy(boxes_xyxy, pixels.shape, (SIDE, SIDE))
    return Prepared(level, power, boxes, float(small.mean()), int((areas >= 6).sum()))


def _mean_box_hits(boxes: np.ndarray) -> float:
    """Share of boxes [N x 4], in 0..1, that the mean box of their half of the picture meets with IoU > .5."""
    right = boxes[:, 0] + boxes[:, 2] > 1
    hits = [iou_xyxy(boxes[half], boxes[half].mean(axis=0)) > 0.5 for half in (right, ~right) if half.any()]
    return float(np.concatenate(hits).mean())


def _window(box: np.ndarray, margin: float = 0.0) -> tuple[slice, slice]:
    """Index of a box in px of SIDE, widened by a share of its sides, at least 2 px each way and inside the picture."""
    pad = margin * (box[2:] - box[:2])
    low = np.clip(np.floor(box[:2] - pad), 0, SIDE - 2).astype(int)
    high = np.clip(np.ceil(box[2:] + pad), low + 2, SIDE).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _ring_contrast(level: np.ndarray, box: np.ndarray) -> float:
    ring = np.zeros(level.shape, bool)
    ring[_window(box, 0.25)] = True
    ring[_window(box)] = False
    if not ring.any():
        return 0.0
    return float((level[_window(box)].mean() - level[ring].mean()) / max(level[ring].std(), 1e-6))


def _cohen_d(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(mean(one) - mean(other)) / pooled standard deviation, along the first axis."""
    return (one.mean(0) - other.mean(0)) / np.maximum(np.sqrt((one.var(0) + other.var(0)) / 2), 1e-6)


def _lesion_contrast(boxed: list[Prepared], free: list[Prepared]) -> dict[str, float]:
    """Boxes against the same places on boxless pictures; each box is laid on three of them, taken in turn."""
    inside = [(item, box) for item in boxed for box in item.boxes]
    outside = [(free[(3 * number + k) % len(free)], box) for number, (_, box) in enumerate(inside) for k in range(3)]
    values = {"ring contrast": np.median([_ring_contrast(item.pixels, box) for item, box in inside])}

    def brightness(pairs: list) -> np.ndarray:
        return np.array([item.pixels[_window(box)].mean() for item, box in pairs])

    def texture(pairs: list, band: str) -> np.ndarray:
        return np.log([item.power[band][_window(box)].mean() + 1e-9 for item, box in pairs])

    values["brightness, d"] = _cohen_d(brightness(inside), brightness(outside))
    for band in BANDS:
        values[f"{band} texture, d"] = _cohen_d(texture(inside, band), texture(outside, band))
    cells = [
        np.array([cv2.resize(item.pixels, (16, 16), interpolation=cv2.INTER_AREA) for item in part])
        for part in (boxed, free)
    ]
    values["thumbnail, d"] = np.abs(_cohen_d(*cells)).mean()
    return values


def difficulty_card(sets: dict[str, Iterable[Sample]], labels_only: dict[str, dict[str, float]] | None = None) -> str:
    """Markdown table, one column a set of (pixels, boxes_xyxy), then what each row means.

    `labels_only`: further columns that are known as numbers, because the pictures are not at hand.
    """
    columns = {name: measure(samples) for name, samples in sets.items()} | (labels_only or {})
    rows = list(next(iter(columns.values())))
    lines = [f"| measure | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = [_number(values[row]) if row in values else "" for values in columns.values()]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- **{name}**: {text}." for name, text in MEANING.items())])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def phantom_samples(pictures: int, seed: int = 0, longer_side: tuple[int, int] = (400, 560)) -> Iterator[Sample]:
    """Pictures of new patients with the class shares of the SIIM train set."""
    names, shares = list(STUDY_SHARES), list(STUDY_SHARES.values())
    for number in tqdm(range(pictures), desc="phantom"):
        rng = np.random.default_rng([seed, number])
        patient = draw_patient(rng)
        view = draw_view(rng, patient, longer_side)
        rendering = render(patient, view, draw_disease(rng, str(rng.choice(names, p=shares))))
        yield rendering.pixels, rendering.boxes_xyxy


def real_samples(folder: Path, kind: str) -> Iterator[Sample]:
    """Pictures with boxes of `kind`, and all RSNA pictures without opacity. Raises DataFault for a missing file."""
    images = read_csv(folder / "images.csv", ["path", "rsna_class"])
    boxes = read_csv(folder / "boxes.csv", ["path", "kind", "x", "y", "width", "height"])
    chosen = boxes[boxes["kind"] == kind]
    free = images[images["rsna_class"].isin(["Normal", "No Lung Opacity / Not Normal"])]["path"]
    for path in tqdm([*chosen["path"].unique(), *free], desc=kind):
        pixels = cv2.imread(str(folder / path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise DataFault(f"{folder / path}: listed in the tables but not a readable picture; copy the set again")
        yield pixels, xywh_to_xyxy(chosen[chosen["path"] == path][["x", "y", "width", "height"]].to_numpy(float))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--real", type=Path, help="folder with images.csv, boxes.csv and real radiographs")
    parser.add_argument("--pictures", type=int, default=300, help="phantom pictures to measure")
    parser.add_argument("--out", type=Path, help="write the card there instead of printing it")


def main(args: argparse.Namespace) -> int:
    sets = {"phantom": phantom_samples(args.pictures)}
    if args.real:
        sets["RSNA"] = real_samples(args.real, "rsna_opacity")
        sets["COVID-19, masks"] = real_samples(args.real, "gb_opacity")
    card = difficulty_card(sets, {"SIIM, labels only": SIIM_LABELS})
    if args.out:
        start = args.out.read_text().split(MARK)[0] if args.out.exists() else ""
        args.out.write_text(f"{start}{MARK}\n\n{card}\n")
    else:
        print(card)
    return 0


MARK = "<!-- below: python -m cxr.phantom.difficulty -->"


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    raise SystemExit(main(command.parse_args()))
