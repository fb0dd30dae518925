"""`python -m cxr grid` (`make grid`): every combination of a small grid, trained out of fold, in one table.

Paper 004, section 3.4: "altering the training script to read in all parameters from a configuration file and creating a
couple of reasonable combinations ... executed all configurations within a script and compared results later on". The
grid stands in `grid.toml` here, or in a file of yours; what came out in `tables/grid.csv`, the best first.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cxr.ablations.compare import TRAININGS, value_of
from cxr.faults import DataFault
from cxr.paths import find_places
from cxr.profiles import PROFILES, settings_of
from cxr.systems.competition import FASTER_RCNN, STUDIES, YOLO
from cxr.tables import write_csv
from cxr.workspace import Workspace, open_run_folder

GRID = Path(__file__).with_name("grid.toml")
SECTIONS = {"study": STUDIES, "yolo": YOLO, "faster_rcnn": FASTER_RCNN}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, which grid."""
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--working", default="")
    parser.add_argument("--submissions", default="")
    parser.add_argument("--grid", type=Path, default=GRID, metavar="TOML", help="lists of values by section")


def main(args: argparse.Namespace) -> int:
    """Train what is not trained yet, write and print the table."""
    workspace = open_run_folder(find_places(args.profile, "", args.working, args.submissions).root)
    table = search_grid(workspace, read_grid(args.grid))
    path = workspace.places.root / "tables" / "grid.csv"
    write_csv(table, path)
    print(table.to_string(index=False))
    print(f"in {path}")
    return 0


def read_grid(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Combinations (model, values) of a grid file. Raises DataFault, naming file and value, for what no section has."""
    try:
        sections = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise DataFault(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataFault(f"{path}: no TOML ({error}); see {GRID.name} for one") from None
    found = [one for section, lists in sections.items() for one in _combinations(path, section, lists)]
    if not found:
        raise DataFault(f"{path}: no combination in it; see {GRID.name} for one")
    return found


def _combinations(path: Path, section: str, lists: object) -> Iterator[tuple[str, dict[str, object]]]:
    if section not in SECTIONS or not isinstance(lists, dict):
        raise DataFault(f"{path}: section {section!r} is none of {', '.join(SECTIONS)}")
    settings = settings_of(PROFILES["demo"], SECTIONS[section])
    known = dataclasses.asdict(settings)
    for name, values in lists.items():
        fits = name in known and isinstance(values, list) and values and all(_fits(one, known[name]) for one in values)
        if not fits:
            raise DataFault(f"{path}: {section}.{name} = {values!r}: a list of values of a setting is needed")
    for values in itertools.product(*lists.values()):
        yield SECTIONS[section], dict(zip(lists, values, strict=True))


def _fits(value: object, example: object) -> bool:
    """Whether a value may stand where `example` does; a whole number may stand for any."""
    if isinstance(value, bool) or isinstance(example, bool):
        return isinstance(value, bool) and isinstance(example, bool)
    return isinstance(value, (int, float) if isinstance(example, float) else type(example))


def search_grid(workspace: Workspace, combinations: list[tuple[str, dict[str, object]]]) -> pd.DataFrame:
    """A row a combination: model, its values, metric, out-of-fold value with a 95 % interval, epochs, seconds.

    A combination that was trained before is kept; best first within a model.
    """
    rows = []
    for number, (model, values) in enumerate(combinations, 1):
        print(f"{number} of {len(combinations)}: {model} {values}", flush=True)
        name = "grid_" + hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
        table = TRAININGS[model][0](workspace, name, **values)
        folders = [workspace.places.model(f"{model}_{name}", fold) for fold in range(workspace.profile.folds.count)]
        records = [json.loads((folder / "run.json").read_text()) for folder in folders]
        rows.append(
            {
                "model": model,
                **values,
                **value_of(workspace, model, table),
                "epochs": min(record["epochs"] for record in records),
                "seconds": round(sum(record["seconds"] for record in records)),
            }
        )
    return pd.DataFrame(rows).sort_values(["model", "value"], ascending=[True, False], ignore_index=True)
