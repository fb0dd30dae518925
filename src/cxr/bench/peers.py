"""The same work by other programs: dicom2jpg and SimpleITK from an environment of their own, and DCMTK.

`make bench` runs this file with the Python of that environment (`make peers` makes it; dicom2jpg brings a GPL-3 decoder
that must not come between ours), so it imports nothing of this package. Prints {program: [ms, path of its PNG]}.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main(source: Path, window: bool, folder: Path, repeats: int) -> None:
    """Time every program that is there on one file."""
    found = {}
    for name, make in (("dicom2jpg", dicom2jpg_piece), ("DCMTK", dcmtk_piece), ("SimpleITK", simpleitk_piece)):
        piece = make(source, window, folder)
        if piece is not None:
            times = []
            for _ in range(repeats + 1):
                start = time.perf_counter()
                target = piece()
                times.append(1000 * (time.perf_counter() - start))
            found[name] = [statistics.median(times[1:]), str(target)]
    print(json.dumps(found))


def dcmtk_piece(source: Path, window: bool, folder: Path) -> Callable | None:
    """dcmj2pnm as a program: it starts anew for every file, some ten milliseconds."""
    program, target = shutil.which("dcmj2pnm"), folder / "dcmtk.png"
    if program is None:
        return None
    command = [program, "+on", *(["+Wi", "1"] if window else ["+Wm"]), str(source), str(target)]

    def piece() -> Path:
        subprocess.run(command, check=True, capture_output=True)
        return target

    return piece


def dicom2jpg_piece(source: Path, window: bool, folder: Path) -> Callable | None:
    """dicom2png of the library; it finds windows by itself and names the output."""
    try:
        import dicom2jpg
    except ImportError:
        return None

    def piece() -> Path:
        dicom2jpg.dicom2png(str(source), target_root=str(folder / "dicom2jpg"), multiprocessing=False)
        return next((folder / "dicom2jpg").rglob("*.png"))

    return piece


def simpleitk_piece(source: Path, window: bool, folder: Path) -> Callable | None:
    """Read, window or min-max to 0..255, write. It inverts MONOCHROME1 by itself."""
    try:
        import SimpleITK as sitk
    except ImportError:
        return None
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    target = folder / "simpleitk.png"

    def piece() -> Path:
        image = sitk.ReadImage(str(source))
        if window:
            centre, width = (float(image.GetMetaData(tag).split("\\")[0]) for tag in ("0028|1050", "0028|1051"))
            image = sitk.IntensityWindowing(image, centre - width / 2, centre + width / 2, 0, 255)
        else:
            image = sitk.RescaleIntensity(image, 0, 255)
        sitk.WriteImage(sitk.Cast(image, sitk.sitkUInt8), str(target))
        return target

    return piece


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "window", Path(sys.argv[3]), int(sys.argv[4]))
