"""The first minutes of a notebook on Kaggle: packages from the wheels, writable places, the models, an earlier session.

Until the wheels are on sys.path only the standard library, `paths` and `faults` may be imported. Nothing needs a
network, a writable HOME, or a repository. Mounts are looked for as Kaggle makes them today and as it made them before
(docs/kaggle.md): `input/datasets/<owner>/<slug>/` and `input/<slug>/`, each also one folder deeper, since a
zipped folder of an upload may keep its name.
"""

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cxr import paths
from cxr.faults import DataFault
from cxr.kaggle.unpack import MANIFEST, unpack_wheels

MOUNTS = ("*", "datasets/*/*", "*/*", "datasets/*/*/*")
# what libraries write at import or at start, each into HOME if nobody names a place
WRITABLE = {
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "YOLO_CONFIG_DIR": "ultralytics",
    "JUPYTER_RUNTIME_DIR": "j",  # short: the path of a kernel's socket may have 107 characters
    "JUPYTER_CONFIG_DIR": "jupyter",
    "IPYTHONDIR": "ipython",
    "XDG_CONFIG_HOME": "config",
    "XDG_CACHE_HOME": "cache",
    "TORCH_HOME": "torch",
}


def begin_submission(profile: str) -> str:
    """Make ready for inference alone; returns the working folder, which holds `<profile>/` with the trained models.

    The folder is a temporary one, so that of all that stage 11 writes only `submission.csv` lands in Kaggle's output.
    Raises DataFault when wheels or weights are not attached.
    """
    prepare()
    source = find_run(profile)
    working = Path(tempfile.mkdtemp(prefix="cxr-run-"))
    files = link_run(source, working / profile)
    print(f"models: {source} ({files} files)")
    return str(working)


def begin_pipeline(profile: str, overrides: str = "") -> str:
    """Make ready for the whole pipeline; returns Kaggle's working folder, with what an earlier session left in it."""
    prepare()
    # what needs packages can be imported now
    from cxr.kaggle.earlier import take_up_earlier
    from cxr.profiles import load_profile

    load_profile(profile, overrides)  # a wrong setting must fail in the first minute, not in the third stage
    take_up_earlier(profile)
    return str(paths.KAGGLE_WORKING)


def prepare() -> Path:
    """Writable places, wheels and paths of this process and its children; returns the folder of the packages."""
    if not paths.on_kaggle():
        raise DataFault(
            f"{paths.KAGGLE_INPUT} and {paths.KAGGLE_WORKING} are not both there: this notebook runs on Kaggle, "
            "or in a rehearsal (make rehearse); at home use `make all`"
        )
    scratch = Path(tempfile.mkdtemp(prefix="cxr-"))
    writable_places(scratch)
    started = time.monotonic()
    packages = scratch / "packages"
    packages.mkdir()
    wheels = find_wheels()
    taken, there = unpack_wheels(wheels, packages)
    source = Path(__file__).resolve().parents[2]
    for folder in (packages, source):  # the code first, then the packages, then the image's own
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    before = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(source), str(packages), *before]))
    print(f"code: {source}")
    print(f"packages from {wheels}: {', '.join(taken) or 'none'} ({time.monotonic() - started:.1f} s)")
    if there:
        print(f"packages that the image has already: {', '.join(there)}")
    return packages


def writable_places(scratch: Path) -> None:
    """Point every library that writes at import to a folder of ours; the kernel's own choices stay as they are."""
    for name, folder in WRITABLE.items():
        if name not in os.environ:
            (scratch / folder).mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(scratch / folder)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks PyPI for a newer version at import
    os.environ.setdefault("PYTHONHASHSEED", "0")


def mounted(sentinel: str) -> Iterator[Path]:
    """Mounted folders that hold `sentinel` (a relative path), today's and yesterday's layouts, in this order."""
    for mount in MOUNTS:
        for path in sorted(paths.KAGGLE_INPUT.glob(f"{mount}/{sentinel}")):
            yield path.parents[len(Path(sentinel).parts) - 1]


def find_wheels() -> Path:
    """The mounted wheels dataset. Raises DataFault when it is not attached."""
    folder = next(mounted(MANIFEST), None)
    if folder is None:
        raise DataFault(f"{paths.KAGGLE_INPUT}: no data set with a {MANIFEST} in it; {_attach('wheels')}")
    return folder


def find_run(profile: str) -> Path:
    """`<profile>/` of the mounted weights dataset. Raises DataFault when there is none, naming profiles that are."""
    holding = [folder / profile for folder in mounted(f"{profile}/profile.json")]
    found = [run for run in holding if (run / "models").is_dir()]
    if not found:
        others = sorted(
            {blend.parent.name for mount in MOUNTS for blend in paths.KAGGLE_INPUT.glob(f"{mount}/*/blend.json")}
        )
        known = f" (runs that are there: {', '.join(others)})" if others else ""
        raise DataFault(f"{paths.KAGGLE_INPUT}: no data set holds {profile}/profile.json{known}; {_attach('weights')}")
    return found[0]


def find_notebooks() -> Path:
    """The folder of the numbered notebooks: in the code dataset, though not always beside the code."""
    folder = next(mounted("notebooks/00_inputs.ipynb"), None)
    if folder is None:
        raise DataFault(f"{paths.KAGGLE_INPUT}: no data set holds notebooks/00_inputs.ipynb; {_attach('code')}")
    return folder / "notebooks"


def _attach(kind: str) -> str:
    return f"attach the {kind} data set to this notebook (Add Input), or push it with its kernel-metadata.json"


def link_run(source: Path, target: Path) -> int:
    """Copy the small files of a mounted run and link its weights; returns how many files there are."""
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".pt":
            place.symlink_to(path)
        else:
            shutil.copyfile(path, place)
    return len(files)
