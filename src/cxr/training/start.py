"""What a training starts from: an earlier training of ours, a weight file of the user's, or random weights."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from cxr.data.siim import find_weights
from cxr.workspace import Workspace

SIIM, NIH, RSNA, LUNGS = "SIIM-FISABIO-RSNA train", "NIH ChestX-ray14", "RSNA pneumonia", "lung masks"


WEIGHT_FILE = "weight file "  # how a source begins that is one


class Start(NamedTuple):
    """`folder`: a run folder to go on from; `file`: a weight file; neither: random weights."""

    folder: Path | None
    file: Path | None
    sources: tuple[str, ...]  # what it learned from

    @property
    def is_random(self) -> bool:
        return not (self.folder or self.file)

    @property
    def began_random(self) -> bool:
        """No weight file at the bottom of it: what our own pretraining alone has shaped still has far to go."""
        return not any(source.startswith(WEIGHT_FILE) for source in self.sources)

    @property
    def words(self) -> str:
        if self.folder:
            return f"from {self.folder.name} ({', '.join(self.sources)})"
        return f"weights from {self.file}" if self.file else "from RANDOM weights"

    @property
    def identity(self) -> str:
        """Changes whenever the training would begin elsewhere."""
        path = self.folder / "weights.pt" if self.folder else self.file
        return f"{path.name}, {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" if path else "random"

    def record(self) -> dict[str, str]:
        """For run.json."""
        return {
            "weights": str(self.folder or self.file or "random"),
            "pretraining": self.folder.name if self.folder else "none",
        }


def find_start(workspace: Workspace, weights: str, *pretrained: str) -> Start:
    """The first of `pretrained` (stages 04 and 05, `Places.pretrained`) that is there, else a file of `weights`."""
    for name in pretrained:
        folder = workspace.places.pretrained(name)
        if (folder / "run.json").is_file():
            sources = json.loads((folder / "run.json").read_text())["training_sources"]
            return Start(folder, None, tuple(sources))
    file = find_weights(workspace.places.input, weights)
    return Start(None, file, (f"{WEIGHT_FILE}{file.name}",) if file else ())


def source_name(workspace: Workspace, data_set: str) -> str:
    """Name of a data set in a record of training sources; the phantom never passes for the real one."""
    return f"phantom of {data_set}" if workspace.is_phantom else data_set
