"""V7 Darwin's annotation files, versions 1 and 2 (https://docs.v7labs.com, "Darwin JSON"), as far as lungs need them.

Version 1 has `image` (filename, width, height) and a polygon's `path`, a list of {x, y}; a complex polygon has a list
of such lists. Version 2 has `item` (name, slots with width and height) and a polygon's `paths`, always a list of lists.
Tags are annotations without a shape, `name` alone.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cxr.faults import DataFault


class Annotated(NamedTuple):
    """What one file says: the picture it is about, its size, the names of its shapes and tags."""

    filename: str
    height: int
    width: int
    shapes: list[str]
    tags: list[str]


def read_annotated(path: Path) -> Annotated:
    """Raises DataFault for what is no annotation file of either version."""
    content = _load(path)
    try:
        if "image" in content:
            image = content["image"]
            name, height, width = image["filename"], image["height"], image["width"]
        else:
            slot = content["item"]["slots"][0]
            name, height, width = content["item"]["name"], slot["height"], slot["width"]
        annotations = content["annotations"]
        shapes = [str(each["name"]) for each in annotations if _paths(each)]
        tags = [str(each["name"]) for each in annotations if not _paths(each)]
        return Annotated(str(name), int(height), int(width), shapes, tags)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
        raise DataFault(
            f"{path}: no Darwin annotation (it needs image or item, and annotations); export it again"
        ) from None


def read_polygons(path: Path, name: str, shape: tuple[int, int]) -> list[list[np.ndarray]]:
    """The shapes of that name, each a list of outlines int [N x 1 x 2] (x, y) in pixels of `shape`."""
    annotated, found = read_annotated(path), []
    scale = np.array([shape[1] / annotated.width, shape[0] / annotated.height])
    for annotation in _load(path)["annotations"]:
        if annotation["name"] == name and _paths(annotation):
            try:
                points = [np.array([(p["x"], p["y"]) for p in outline], float) for outline in _paths(annotation)]
                if not all(np.isfinite(outline).all() for outline in points):  # JSON as Python reads it knows NaN
                    raise ValueError
            except (KeyError, TypeError, ValueError):
                raise DataFault(f"{path}: a point of {name} is no {{x, y}} of numbers; export it again") from None
            found.append([np.rint(outline * scale).astype(np.int32)[:, None] for outline in points if len(outline)])
    return found


def _load(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise DataFault(f"{path}: no readable JSON; export it again") from None
    if not isinstance(content, dict):
        raise DataFault(f"{path}: no Darwin annotation (a list or value, not an object); export it again")
    return content


def _paths(annotation: dict) -> list[list[dict]]:
    polygon = annotation.get("polygon") or annotation.get("complex_polygon") or {}
    paths = polygon.get("paths") or polygon.get("path") or []
    return [paths] if paths and isinstance(paths[0], dict) else paths
