"""A file in memory that a process of `isolate` fills: the number of the job begun last, and pixels."""

import os
import tempfile

import numpy as np

from cxr.images.child import PIXELS_AT
from cxr.images.replies import Lost


class Shared:
    """This side of it; nothing that lies there is trusted."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):  # Linux
            self._file = os.fdopen(os.memfd_create("pixels"), "r+b", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by `close`

    def fileno(self) -> int:
        """The descriptor that the process inherits."""
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def begun(self) -> int:
        """Number of the job that was begun last; 0 for none."""
        return int.from_bytes(os.pread(self.fileno(), 8, 0), "little")

    def pixels(self, side: int) -> np.ndarray:
        """uint8 [side x side]. Raises Lost if there are fewer."""
        pixels = np.empty((side, side), np.uint8)
        if os.preadv(self.fileno(), [pixels], PIXELS_AT) != pixels.size:
            raise Lost("answered with garbage")
        return pixels
