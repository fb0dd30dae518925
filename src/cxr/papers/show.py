"""The heat maps that the comparison kept, as a figure."""

import numpy as np

from cxr.evaluation.run_files import RunFiles
from cxr.figures.pictures import Picture
from cxr.figures.systems import heat_rows
from cxr.papers.compare import SPINE_TITLE
from cxr.papers.registry import SYSTEMS
from cxr.workspace import Workspace


def shown_heat(workspace: Workspace) -> Picture | None:
    """Each system's heat of the class that it found, over the same pictures; None where none was kept."""
    path, files = workspace.places.systems_heat, RunFiles(workspace)
    if not path.is_file() or files.pixels is None:
        return None
    with np.load(path, allow_pickle=False) as kept:
        maps = {name: kept[name] / 255 for name in kept.files if name != "image_id"}
        ids = [str(name) for name in kept["image_id"]]
    row_of = {name: row for row, name in enumerate(files.images["image_id"])}
    pictures = [np.asarray(files.pixels[row_of[name]]) for name in ids]
    titles = {name: system.TITLE for name, system in SYSTEMS.items()}
    return heat_rows(pictures, {titles.get(name, SPINE_TITLE): heat for name, heat in maps.items()}, ids)
