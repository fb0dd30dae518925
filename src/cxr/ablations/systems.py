"""What the four papers compare their systems with, each on its own task, once: networks, patches, masks, segmenters,
smaller training sets, repeats, text removed, one histogram, children, another test set.

Pictures are those of `input/collections`, or the phantom's. Figures are of the pictures that a task tests, with 95 %
intervals by patient; a split of some twenty test pictures tells only large differences.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from cxr.data.tasks import Pictures, Task, changed_pictures, share_of_patients
from cxr.data.text import without_text
from cxr.evaluation.classification import overall, with_intervals
from cxr.faults import DataFault
from cxr.images.enhance import match_histogram
from cxr.papers.patch_vote import without_under_segmented
from cxr.papers.registry import SYSTEMS, config_of
from cxr.papers.run import Outcome, run_own, run_variant
from cxr.papers.tasks import own_task, study_task
from cxr.tables import write_csv
from cxr.training.pictures import Config
from cxr.workspace import Workspace

SHARES = (0.5, 0.3, 0.1)  # paper 002, figure 12 and table XV
SEEDS = (1, 2, 3)  # paper 001 has ten
COVID, PATCH = "covid_cxnet", "patch_vote"
ORDER = (COVID, PATCH, "resunet_ensemble", "unet_hrnet")  # the quick ones first: what is measured is kept
Change, Run = Callable[[Task], Task], Callable[[], Outcome]


def measure(workspace: Workspace) -> dict:
    """Rows: system, task, what, pictures, accuracy with low and high, F1, sensitivity, specificity, AUC; left_out: what
    could not be trained, and why. Raises DataFault where nothing could."""
    rows, left_out, path = [], {}, workspace.places.tables / "systems_ablations.csv"
    for what, run in _trainings(workspace):
        try:
            rows.append(row_of(workspace, what, run()))
        except DataFault as fault:  # the others go on
            print(f"{what}: left out, {fault}", flush=True)
            left_out[what] = str(fault)
            continue
        print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
        write_csv(pd.DataFrame(rows), path)
    if not rows:
        raise DataFault(f"none of {len(left_out)} trainings went through; the first: {next(iter(left_out.values()))}")
    rows += repeats(rows)
    write_csv(pd.DataFrame(rows), path)
    return {"rows": rows, "left_out": left_out}


def row_of(workspace: Workspace, what: str, outcome: Outcome) -> dict[str, object]:
    """One training's figures."""
    found = overall(outcome.truth, outcome.chances, outcome.task.classes)
    resamples = workspace.profile.fusion.resamples
    spread = with_intervals(outcome.truth, outcome.chances, outcome.patients, outcome.folds, resamples)["accuracy"]
    return {
        "system": outcome.system.NAME,
        "task": outcome.task.name,
        "what": what,
        "pictures": len(outcome.truth),
        "accuracy": round(spread.value, 3),
        "low": round(spread.low, 3),
        "high": round(spread.high, 3),
        **{name: round(float(found[name]), 3) for name in ("F1", "sensitivity", "specificity", "AUC")},
    }


def repeats(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """One row of the repeats: mean accuracy, and as its ends the lowest and the highest (paper 001, table 6)."""
    own = pd.DataFrame([row for row in rows if str(row["what"]).startswith("seed ")])
    if own.empty:
        return []
    means = own[["accuracy", "F1", "sensitivity", "specificity", "AUC"]].mean().round(3)
    ends = {"low": own["accuracy"].min(), "high": own["accuracy"].max()}
    return [{**own.iloc[0].to_dict(), "what": f"{len(own)} seeds: mean, lowest, highest", **means, **ends}]


def _trainings(workspace: Workspace) -> Iterator[tuple[str, Run]]:
    """What is compared, in words, and how to train it."""
    more = {COVID: _of_covid_cxnet, PATCH: _of_patch_vote}
    for name in ORDER:
        system, c = SYSTEMS[name], config_of(workspace.profile, name)
        for task_name in system.OWN:
            yield "as published", partial(run_own, workspace, name, task_name)
        if name in more:
            yield from more[name](workspace)
        for words, (task_name, config) in system.variants(c).items():
            yield words, partial(_variant, workspace, name, words, config, partial(_plain, workspace, name, task_name))


def _variant(
    workspace: Workspace,
    name: str,
    words: str,
    config: Config,
    task: Callable[[], Task],
    change: Change | None = None,
) -> Outcome:
    return run_variant(workspace, name, words, config, task(), change)


def _plain(workspace: Workspace, name: str, task_name: str) -> Task:
    return own_task(workspace, task_name, config_of(workspace.profile, name).folds)


def _smaller(workspace: Workspace, name: str, share: float, ways: dict[str, dict]) -> Iterator[tuple[str, Run]]:
    """Fewer patients to learn from (figure 9 of paper 001, figure 12 of paper 002)."""
    system, c = SYSTEMS[name], config_of(workspace.profile, name)
    for words, changes in ways.items():
        what, task = f"{share:.0%} of the patients{words}", partial(_plain, workspace, name, system.OWN[0])
        change = partial(share_of_patients, share=share)
        yield what, partial(_variant, workspace, name, what, replace(c, **changes), task, change)


def _of_covid_cxnet(workspace: Workspace) -> Iterator[tuple[str, Run]]:
    """Paper 001 alone: repeats (table 6), text removed (figure 17), one histogram, children (table 1), another set."""
    c, two = config_of(workspace.profile, COVID), partial(own_task, workspace, "two")
    train = partial(_variant, workspace, COVID)
    for share in SHARES:
        yield from _smaller(workspace, COVID, share, {"": {}})
    for seed in SEEDS:
        yield f"seed {seed}", partial(train, f"seed {seed}", replace(c, seed=seed), two)
    whole = replace(c, lungs="whole")
    # beside "without lungs (v1)", which has the text
    words = "without lungs, text removed"
    yield words, partial(train, words, whole, two, partial(changed_pictures, change=without_text))
    words = "one histogram for all"
    yield words, partial(train, words, c, partial(own_task, workspace, "three"), one_histogram)
    base = SYSTEMS[COVID].variants(c)["base model"][1]
    words = "base model, normals to learn from are children"
    yield words, partial(train, words, base, partial(children_task, workspace))
    words = "tested on the competition's pictures"
    yield words, partial(train, words, whole, lambda: external_task(workspace, two()))


def _of_patch_vote(workspace: Workspace) -> Iterator[tuple[str, Run]]:
    """Paper 002 alone: fewer patients, both ways, COVID-Net's three classes (table XII), under-segmented pictures
    left out (section V-F.3)."""
    words, c = "COVID-Net's classes", config_of(workspace.profile, PATCH)
    yield words, partial(_variant, workspace, PATCH, words, c, partial(own_task, workspace, "three"))
    for share in SHARES:
        yield from _smaller(workspace, PATCH, share, {"": {}, ", global": {"approach": "global"}})
    words, plain = "under-segmented left out", partial(_plain, workspace, PATCH, "four")
    yield words, partial(_variant, workspace, PATCH, words, c, plain, without_under_segmented)


def one_histogram(task: Task) -> Task:
    """Every picture with the histogram of the first one (section 5.3)."""
    base = task.pictures.picture(0)
    return changed_pictures(task, partial(match_histogram, base=base))


def children_task(workspace: Workspace) -> Task:
    """Table 1: normal pictures to learn from are children's, tested ones adults'; COVID-19 as it is."""
    task = own_task(workspace, "two", children=True)
    normal, young = task.pictures.targets == 0, (task.pictures.images["age"] < 18).to_numpy()
    tested = np.where((task.fold == 0) & ~(normal & young), 0, np.where(normal & ~young, 0, -1))
    return task._replace(fold=tested, usable=task.usable & (~normal | young), validation=task.validation & (tested < 0))


def external_task(workspace: Workspace, own: Task) -> Task:
    """Learn from the collection, test on the competition's negative and typical training pictures: another source."""
    spine = study_task(workspace)
    kept = np.flatnonzero(np.isin(spine.pictures.targets, (0, 1)))
    there = spine.pictures.take(kept)
    images = pd.concat([own.pictures.images, there.images], ignore_index=True)
    pixels = np.concatenate([np.asarray(own.pictures.pixels), np.asarray(there.pixels)[there.rows]])
    targets = np.concatenate([own.pictures.targets, there.targets])
    both = Pictures(images, targets, pixels)
    count = len(there)
    return Task(
        "two_external",
        own.classes,
        both,
        np.concatenate([np.full(len(own.fold), -1), np.zeros(count, int)]),
        np.concatenate([own.validation, np.zeros(count, bool)]),
        np.concatenate([own.usable & (own.fold < 0), np.zeros(count, bool)]),
        own.sources,
    )
