"""The comparison of two runs as a text that people read in a terminal."""

from collections.abc import Sequence

from cxr.report.page import estimate

UNSAFE = {code: " " for code in (*range(32), 127, *range(128, 160))}  # control characters could act on a terminal


def text_of(found: dict) -> str:
    """What `compare_runs` found, in blocks; a dash stands for what a run has not."""
    blocks = [
        f"A {found['runs']['a']}\nB {found['runs']['b']}\nDifferences are B - A, intervals are 95 %.",
        "what identifies them\n" + columns(["", "A", "B"], [_fact(row) for row in found["facts"]]),
        bullets("settings that differ, A -> B", found["settings"]),
        bullets("packages that differ, A -> B", found["packages"]),
        bullets("constants of fusion and blending that differ, A -> B", found["constants"]),
        scores("out of fold, AP after all steps of stage 10", found["out_of_fold"]),
        scores("test set, AP", found["test"]),
        "costs\n" + costs(found["stages"]),
    ]
    return "\n\n".join(blocks).translate({code: sign for code, sign in UNSAFE.items() if code != 10})


def _fact(row: dict) -> list[str]:
    same = row["a"] == row["b"]
    return [row["what"], row["a"], "the same" if same and row["a"] != "unknown" else row["b"]]


def bullets(title: str, lines: Sequence[str]) -> str:
    """A title and its lines, or that there are none."""
    return "\n".join([title, *(f"  {line}" for line in lines or ["none"])])


def scores(title: str, part: dict) -> str:
    """A row a class: A, B, difference."""
    head = f"{title}\n  {part['note']}"
    if not part["rows"]:
        return head
    rows = [
        [
            row["key"],
            estimate(row["a"], row["a_low"], row["a_high"]),
            estimate(row["b"], row["b_low"], row["b_high"]),
            estimate(row["difference"], row["low"], row["high"], signed=True),
        ]
        for row in part["rows"]
    ]
    return f"{head}\n{columns(['', 'A', 'B', 'B - A'], rows)}"


def costs(stages: Sequence[dict]) -> str:
    """Seconds and memory of each stage."""
    if not stages:
        return "  no stage of either run has left its record"
    keys = ("a_seconds", "b_seconds", "a_gb", "b_gb")
    total = {"stage": "all", **{key: sum(row[key] or 0 for row in stages) for key in keys[:2]}}
    total |= {key: max(row[key] or 0 for row in stages) for key in keys[2:]}
    rows = [[row["stage"], *(_plain(row[key]) for key in keys)] for row in [*stages, total]]
    return columns(["", "A seconds", "B seconds", "A peak GB", "B peak GB"], rows)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns, two blanks apart."""
    lines = [[str(cell).replace("\n", " ") for cell in line] for line in [head, *rows]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(f"  {line}".rstrip() for line in padded)
