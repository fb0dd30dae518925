"""Which stages are out of date, and why: a stamp file for each, rewritten only when its fingerprint changes.

A fingerprint holds the input's identity, the profile's name, the profile sections that the Makefile's line names, and
the code: the notebook and every `cxr` module that it imports, directly or not. The code counts without comments and
docstrings, and `profiles` does not count, since its values do. Make compares the stamp's time with the stage's record
`runs/NN.ipynb`; a kill between the two reruns the stage.

Command: `python -m cxr stamp RUNS --stage "NAME:SECTION ..." [...]`. Standard library only: it runs at every `make`.
"""

import argparse
import ast
import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

from cxr.paths import Places, find_places
from cxr.profiles import Profile, load_profile, section_values

PACKAGE = Path(__file__).resolve().parent
NOT_CODE = ("cxr.profiles", "cxr.__main__")  # and what lies inside of them
# folders of the input that some late stages read and name: a new file there must not send the whole run to its start
MEMBERS, COLLECTED = "members", "collected"
APART = {MEMBERS: "members", COLLECTED: "collections"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`RUNS` is the folder of the stage records."""
    parser.add_argument("--notebooks", type=Path, required=True, help="folder of the notebooks")
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--overrides", default="")
    parser.add_argument("--input", default="")
    parser.add_argument("--solution", default="")
    parser.add_argument("--working", default="")
    parser.add_argument("--stage", action="append", required=True, metavar="NAME:SECTION ...")


def main(args: argparse.Namespace) -> int:
    """Rewrite the stamps that changed; say which and why."""
    profile = load_profile(args.profile, args.overrides)
    places = find_places(args.profile, args.input, args.working)
    data = input_identity(places, args.solution)
    for stage in args.stage:
        name, _, sections = stage.partition(":")
        values = stage_values(profile, places, sections.split())
        code = code_identity(args.notebooks / f"{name}.ipynb")
        update_stamp(
            places.runs / f"{name}.stamp", {"input": data, "profile": args.profile, "settings": values, "code": code}
        )
    return 0


def stage_values(profile: Profile, places: Places, sections: list[str]) -> dict[str, object]:
    """Values of profile sections; for the words of APART what lies in those folders of the input."""
    values = section_values(profile, [name for name in sections if name not in APART])
    for word in (word for word in APART if word in sections):
        files = sorted(path for path in (places.input / APART[word]).glob("*") if path.suffix in (".csv", ".json"))
        values[word] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}
    return values


def update_stamp(path: Path, fingerprint: dict) -> bool:
    """Write the stamp if it differs from the one on disk, and print why; returns whether it was written."""
    try:
        old = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        old = None
    if old == fingerprint:
        return False
    record = path.with_suffix(".ipynb")
    if old is not None and record.is_file():
        print(f"[{path.stem}] runs again: {'; '.join(differences(old, fingerprint))}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(fingerprint, indent=1))
    os.replace(partial, path)
    return True


def differences(old: dict, new: dict, name: str = "") -> list[str]:
    """Leaves that differ, in words: `settings yolo epochs 20 -> 3`."""
    found = []
    for key in sorted({*old, *new}):
        before, after, label = old.get(key), new.get(key), f"{name} {key}".strip()
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, label)
        elif before != after:
            changed = label.startswith("code") and before and after
            found.append(f"{label} changed" if changed else f"{label} {_short(before)} -> {_short(after)}")
    return found


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def input_identity(places: Places, solution: str = "") -> dict:
    """What the input is: its folder, the label files' content, and names and sizes of the DICOMs; `phantom` if empty.

    The pictures' content is not read: 108 GB would take minutes at every `make`.
    """
    files = {}
    if places.input.is_dir():
        for folder, _, names in sorted(os.walk(places.input, followlinks=True)):
            for name in sorted(names):
                _add_file(files, Path(folder, name), places.input)
    identity = {
        "solution": hashlib.sha256(Path(solution).read_bytes()).hexdigest()[:16]
        if solution and Path(solution).is_file()
        else solution
    }
    if not files:
        return {"data": "phantom", **identity}
    return {
        "data": str(places.input),
        "files": len(files),
        "content": _digest(json.dumps(files, sort_keys=True)),
        **identity,
    }


def _add_file(files: dict, path: Path, root: Path) -> None:
    apart = path.parent in [root / folder for folder in APART.values()]
    if path == root / "README.md" or path.name.startswith(".") or apart:
        return
    small = path.suffix == ".csv" and path.stat().st_size < 50e6
    files[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest() if small else path.stat().st_size


def code_identity(notebook: Path) -> dict[str, str]:
    """Digest of the notebook's code cells and of every module of this package that they reach by import."""
    cells = json.loads(notebook.read_text())["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return {notebook.name: _digest(source), **reached_modules(imported(ast.parse(source), ""))}


def reached_modules(start: set[str]) -> dict[str, str]:
    """Digest of every module of this package that the modules in `start` reach by import, themselves included."""
    found, queue = {}, set(start)
    while queue:
        module = queue.pop()
        if module not in found and not _is_settings(module):
            found[module], imports = _module(module)
            queue |= imports
    return dict(sorted(found.items()))


def _is_settings(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_CODE)


def modules_digest(module: str) -> str:
    """One digest for a module and all it reaches."""
    return _digest(json.dumps(reached_modules({module})))


def own_digests(modules: tuple[str, ...]) -> dict[str, str]:
    """Digest of each module alone, without what it imports."""
    return {module: _module(module)[0] for module in modules}


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    """Digest and imports of one of our modules."""
    tree = ast.parse(_file(name).read_text())
    return _digest(ast.dump(without_docstrings(tree))), frozenset(imported(tree, name))


def _file(module: str) -> Path:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def imported(tree: ast.AST, inside: str) -> set[str]:
    """Modules of this package that a syntax tree imports, also inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if re.match(r"cxr(\.|$)", name) and name != inside and _file(name).is_file()}


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree less the first string of every module, class and function."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return tree


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
