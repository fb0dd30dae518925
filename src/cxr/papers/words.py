"""What the comparison of systems says, and what it cannot."""

import pandas as pd

from cxr.papers.compare import SPINE_TITLE


def conclusion(table: pd.DataFrame, is_phantom: bool, gains: pd.DataFrame) -> str:
    """A paragraph on what holds: every sentence follows from the table's intervals."""
    if table.empty:
        return "No system has predicted the four classes yet: run the notebooks 21 to 24."
    parts = []
    if is_phantom:
        parts.append(
            "These are synthetic radiographs: which system is ahead here says nothing about patients, only that all of "
            "them run, learn and are measured alike."
        )
    best = table.sort_values("study AP", ascending=False).iloc[0]
    rivals = table[(table["study AP_high"] >= best["study AP_low"]) & (table["system"] != best["system"])]
    ahead = f"{best['title']} has the highest study AP, {_span(best, 'study AP')}"
    if len(rivals):
        parts.append(f"{ahead}; its interval meets those of {_join(rivals['title'])}, so the order among them is open.")
    else:
        parts.append(f"{ahead}, and no other interval reaches it.")
    clear = gains[(gains["low"] > 0) | (gains["high"] < 0)] if len(gains) else gains
    if len(gains):
        told = [f"{row.system} {row.gain:+.3f} ({row.low:+.3f} to {row.high:+.3f})" for row in _renamed(clear)]
        outside = _join(told) if told else "of none"
        parts.append(f"Of the paired differences in accuracy to {SPINE_TITLE} zero lies outside: {outside}.")
    if "heat in lungs" in table:
        led = table[table["heat in lungs_low"] > table["even"]]
        others = table[~table["system"].isin(led["system"])]
        parts.append(
            f"More heat than even heat has lies in the lungs for {_join(led['title']) or 'none'}"
            + (f"; for {_join(others['title'])} it is not told from chance." if len(others) else ".")
            + " Grad-CAM has few cells, so heat spills over outlines, of masked pictures too."
        )
    parts.append(
        "The papers' own figures belong to other tasks and pictures and, in papers 000 and 001, to folds and sources "
        "that give the answer away; none of them can be set beside this table. Times are of this machine, with the "
        "networks loaded anew; the networks see the pixels of this profile, not the published ones."
    )
    return " ".join(parts)


def _span(row: pd.Series, figure: str) -> str:
    return f"{row[figure]:.3f} ({row[f'{figure}_low']:.3f} to {row[f'{figure}_high']:.3f})"


def _renamed(gains: pd.DataFrame) -> list:
    return list(gains.rename(columns={"accuracy less the spine's": "gain"}).itertuples())


def _join(words: pd.Series | list[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
