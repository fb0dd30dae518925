"""The source code of the running program, as AGPL-3.0 section 13 has a served program offer it."""

import io
import tarfile
from functools import lru_cache
from pathlib import Path

from cxr.paths import REPOSITORY

FOLDERS = ("src", "notebooks", "tests", "docs")
FILES = ("*.md", "*.txt", "*.toml", "*.lock", "*.sh", "LICENSE", "Makefile", "Dockerfile", "input/README.md")
PACKAGE = Path(__file__).resolve().parents[1]


@lru_cache(1)
def source_archive() -> bytes:
    """A .tar.gz of the checkout's code, never of data or results; of the package alone where there is no checkout."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for root, path in _files():
            archive.add(path, f"cxr/{path.relative_to(root)}", recursive=False, filter=_nameless)
    return stream.getvalue()


def _files() -> list[tuple[Path, Path]]:
    if not (REPOSITORY / "notebooks").is_dir():
        return [(PACKAGE.parent, path) for path in _below(PACKAGE)]
    found = [path for name in FOLDERS for path in _below(REPOSITORY / name)]
    found += [path for pattern in FILES for path in sorted(REPOSITORY.glob(pattern)) if path.is_file()]
    return [(REPOSITORY, path) for path in found]


def _below(folder: Path) -> list[Path]:
    hidden = ("__pycache__", ".")
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(hidden) for part in path.relative_to(folder).parts)
    ]


def _nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the owner's name and times."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member
