"""What the command says of a bundle: sizes, notes, commands, faults."""

import sys
from pathlib import Path


def tell(out: Path, missing: list[str], notes: list[str]) -> None:
    """Sizes, notes and commands of a bundle; wheels that are missing go to the error stream."""
    print(f"{'part':<12}{'files':>7}{'MB':>9}")
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        files = [path for path in folder.rglob("*") if path.is_file()]
        print(f"{folder.name:<12}{len(files):>7}{sum(path.stat().st_size for path in files) / 1e6:>9.1f}")
    for note in notes:
        print(f"note: {note}")
    print((out / "commands.txt").read_text())
    for line in missing:
        print(f"error: {line}", file=sys.stderr)
    if missing:
        rest = "the rest of the bundle is there; run again with a network, or put these wheels into the cache"
        print(f"error: {rest}", file=sys.stderr)


def refuse(faults: list[str], partial: Path, out: Path) -> None:
    """Name every broken rule, with places inside the bundle."""
    for fault in faults:
        print(f"error: {fault.replace(f'{partial}/', '').replace(str(partial), '')}", file=sys.stderr)
    print(f"error: {len(faults)} rule(s) broken, no bundle was put into {out}", file=sys.stderr)
