"""The raw pictures of JSRT (Shiraishi et al. 2000): 2048 x 2048 pixels of two bytes, big-endian, 12 bits of them used,
no header, bright where the film was dark."""

from pathlib import Path

import numpy as np

from cxr.faults import DataFault

SIDE, BITS = 2048, 12


def is_jsrt(path: Path) -> bool:
    """By its ending, `JPCLN001.IMG`."""
    return path.suffix.lower() == ".img"


def read_jsrt(path: Path) -> np.ndarray:
    """uint8 [2048 x 2048], bright = dense, minimum to maximum. Raises DataFault for a file of another size."""
    size = path.stat().st_size
    if size != 2 * SIDE**2:
        raise DataFault(f"{path}: {size} bytes, a raw picture of JSRT has {2 * SIDE**2}; download it again")
    stored = np.fromfile(path, ">u2").reshape(SIDE, SIDE) & (2**BITS - 1)
    low, high = int(stored.min()), int(stored.max())
    scale = 255 / max(1, high - low)
    return np.rint((high - stored.astype(np.float32)) * scale).astype(np.uint8)
