"""Two runs side by side: what differs in settings, code and data, what that did to the scores, and what it cost.

`python -m cxr compare RUN_A RUN_B [--solution CSV] [--json]`. Differences are B less A, paired: both runs are scored on
the same resamples of patients (`evaluation.intervals`). Nothing is written.
"""

import argparse
import json
from pathlib import Path

from cxr.budget import Clock
from cxr.evaluation.bootstrap import RESAMPLES
from cxr.evaluation.run_files import RunFiles, read_json
from cxr.faults import DataFault
from cxr.paths import find_places
from cxr.profiles import load_profile
from cxr.report.compare_scores import kept_digest, out_of_fold, submission_scores
from cxr.report.compare_text import text_of
from cxr.report.manifest import file_digest, input_digest, settings
from cxr.stamps import differences
from cxr.workspace import Workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`RUN_A RUN_B`: folders of two runs."""
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="folder of a run, such as working/demo")
    parser.add_argument("--solution", type=Path, help="truth of the test set (default: the one that run A was given)")
    parser.add_argument(
        "--bootstrap", type=_count, default=RESAMPLES, metavar="N", help="resamples (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of resamples; give 1 or more")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Print the comparison."""
    found = compare_runs(*map(read_run, args.runs), args.solution, args.bootstrap)
    print(json.dumps(found, indent=1) if args.json else text_of(found))
    return 0


def read_run(folder: Path) -> RunFiles:
    """A run's files, by its folder `working/<profile>` or a copy of it. Raises DataFault where there is none."""
    folder = folder.resolve()
    record = read_json(folder / "profile.json")
    if record is None:
        raise DataFault(f"{folder}: no run there (profile.json is missing); name a folder such as working/demo")
    stamps = (read_json(path) or {} for path in sorted((folder / "runs").glob("[0-9][0-9]_*.stamp")))
    # a copy may have another name than its profile, which the stamps still know
    name = next((stamp["profile"] for stamp in stamps if stamp.get("profile")), folder.name)
    profile = load_profile(name, record.get("overrides") or "")
    places = find_places(folder.name, record.get("input") or "", str(folder.parent), record.get("submissions") or "")
    return RunFiles(Workspace(profile, places, Clock(places.budget, profile.budget)))


def compare_runs(a: RunFiles, b: RunFiles, solution: Path | None = None, resamples: int = RESAMPLES) -> dict:
    """All of the comparison as plain values; what cannot be compared has a `note` that says why.

    Keys: runs, facts, settings, packages and constants (what differs), out_of_fold and test ({'note', 'rows'}; a row:
    key, a, b, a_low, ..., difference, low, high), stages.
    """
    return {
        "runs": {"a": str(a.places.root), "b": str(b.places.root)},
        "settings": differences(settings(a), settings(b)),
        "facts": [{"what": name, "a": one, "b": other} for (name, one), other in _paired(facts(a), facts(b))],
        "packages": differences(packages(a), packages(b)),
        "constants": differences(constants(a), constants(b)),
        "out_of_fold": out_of_fold(a, b, resamples),
        "test": submission_scores(a, b, solution, resamples),
        "stages": stages(a, b),
    }


def _paired(one: dict[str, str], other: dict[str, str]) -> list[tuple[tuple[str, str], str]]:
    return [(item, other[item[0]]) for item in one.items()]


def facts(files: RunFiles) -> dict[str, str]:
    """What identifies a run, in words."""
    records = [record for runs in files.trainings.values() for record in runs.values()]
    named = {key: sorted({str(each[key]) for each in records if each.get(key)}) for key in ("commit", "device")}
    return {
        "profile": files.profile.name,
        "overrides": (read_json(files.places.record) or {}).get("overrides") or "none",
        "data": files.inputs.get("data", "unknown"),
        "input": input_digest(files) or "unknown",
        "commit of the trainings": ", ".join(named["commit"]) or "unknown",
        "commit of the report": (read_json(files.places.manifest) or {}).get("commit", "unknown"),
        "device": ", ".join(named["device"]) or "unknown",
        "submission": (kept_digest(files) or file_digest(files.places.submission) or {}).get("sha256", "unknown")[:12],
    }


def packages(files: RunFiles) -> dict[str, str]:
    """Versions that the trainings used."""
    found: dict[str, str] = {}
    for runs in files.trainings.values():
        for record in runs.values():
            found |= record.get("packages") or {}
    return found


def constants(files: RunFiles) -> dict:
    """What stage 10 chose; empty before it ran."""
    return (read_json(files.places.blend) or {}).get("constants") or {}


def stages(a: RunFiles, b: RunFiles) -> list[dict]:
    """Seconds and peak memory of each stage of either run; None where a run lacks it."""
    records = [{record["stage"]: record for record in files.stages} for files in (a, b)]
    rows = []
    for stage in sorted({*records[0], *records[1]}):
        one, other = (each.get(stage, {}) for each in records)
        rows.append({"stage": stage, "a_seconds": one.get("seconds"), "b_seconds": other.get("seconds")})
        rows[-1] |= {"a_gb": one.get("peak_memory_gb"), "b_gb": other.get("peak_memory_gb")}
    return rows
