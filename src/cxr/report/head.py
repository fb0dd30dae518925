"""The top of the page: which data, which run, and the figures that people look for first."""

from datetime import UTC, datetime

from cxr.budget import SACRIFICE
from cxr.evaluation.run_files import RunFiles, read_json
from cxr.report.page import Html, bullets, paragraph
from cxr.report.results import difference_words, read_scores, score_cell, unscored_words
from cxr.report.timeline import read_events
from cxr.report.trainings import cut_folds, unique
from cxr.tables import read_csv

BANNERS = {
    "phantom": "PHANTOM data: every picture here was drawn by a program. The scores are phantom scores. They show that "
    "the pipeline works; they say nothing about patients.",
    "competition": "Competition data: real radiographs. Pictures and labels on this page are not for publication.",
}


def banner(files: RunFiles) -> list[Html]:
    """On which data this run was made."""
    words = BANNERS.get(files.inputs.get("data"), "It is not known which data this run used: inputs.json is not there.")
    return [paragraph(words, "banner")]


def headline(files: RunFiles) -> list[Html]:
    """The score in one sentence."""
    scores = read_scores(files)
    if scores is None:
        return [paragraph(f"No score: {unscored_words(files)}.", "lead")]
    kind = "Phantom score" if files.inputs.get("data") == "phantom" else "Score"
    words = f"{kind}: mAP {score_cell(scores['run'], 'mAP')}, baseline {score_cell(scores['baseline'], 'mAP')}."
    return [paragraph(words, "lead"), paragraph(difference_words(scores["run"]))]


def facts(files: RunFiles) -> list[Html]:
    """Identity and costs of the run, a line each."""
    return [bullets([*identity(files), *costs(files)])]


def identity(files: RunFiles) -> list[str]:
    """Profile, overrides, data, commit, date."""
    overrides = (read_json(files.places.record) or {}).get("overrides") or "none"
    records = [record for runs in files.trainings.values() for record in runs.values()]
    lines = [f"Profile {files.profile.name}, overrides: {overrides}."]
    if files.inputs:
        lines.append(
            f"{files.inputs.get('train_images', 'unknown')} training images and "
            f"{files.inputs.get('test_images', 'unknown')} test images in the input."
        )
    lines.append(f"Commit of the trainings: {unique(records, 'commit')} (a + means uncommitted changes).")
    if files.stages:
        last = max(files.stages, key=lambda record: record["finished"])
        when = datetime.fromtimestamp(last["finished"], UTC)
        lines.append(f"Last stage finished {when:%Y-%m-%d %H:%M} UTC: {last['stage']}.")
    return lines


def costs(files: RunFiles) -> list[str]:
    """Time, memory, what was cut, what failed."""
    lines = []
    if files.stages:
        minutes = sum(record["seconds"] for record in files.stages) / 60
        memory = max(record["peak_memory_gb"] for record in files.stages)
        lines.append(f"{len(files.stages)} stages, {minutes:.1f} minutes, peak memory {memory:.1f} GB.")
    cut = sum(len(cut_folds(runs)) for runs in files.trainings.values())
    if cut:
        lines.append(f"Trainings cut short by the clock: {cut}.")
    given_up = int((read_events(files)["kind"] == SACRIFICE).sum())
    if given_up:
        lines.append(f"Left out for lack of time: {given_up}, which the time line names.")
    tables = [files.places.failures_table, files.places.test_failures_table]
    failed = sum(len(read_csv(path)) for path in tables if path.is_file())
    if failed:
        lines.append(f"Files that could not be used: {failed}.")
    return lines
