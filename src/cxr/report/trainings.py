"""Parts on how a run was made: learning curves, what each model learned from, what failed."""

from pathlib import Path, PurePosixPath

from cxr.evaluation.run_files import RunFiles, title_of
from cxr.figures.charts import training_curves
from cxr.figures.schedule import learning_rates
from cxr.report.page import Html, Number, absent, bullets, figure, heading, number, paragraph, table
from cxr.tables import read_csv
from cxr.training.recipe import rates_by_epoch

SHOWN = 30  # rows of a table of files
PROVENANCE = {"pretraining": "pretraining", "weights": "starting weights", "training_sources": "learned from"}

MEASURES = ("dice", "jaccard", "lowest_dice")


def learning(files: RunFiles) -> list[Html]:
    """Losses and learning rate of every run folder."""
    folders = files.run_folders("metrics.csv")
    if not folders:
        return absent("No training has written its metrics.csv yet.")
    blocks = []
    for model, tables in folders.items():
        alt = f"Losses and learning rate by epoch of {title_of(model)}: {', '.join(tables)}."
        blocks += [heading(title_of(model)), figure(training_curves(tables), alt)]
    return [*blocks, heading("learning rates of the settings"), *schedules(files)]


def schedules(files: RunFiles) -> list[Html]:
    """The course of the rate that the settings ask for, beside equation 1 of paper 004."""
    sections = {name: getattr(files.profile, name) for name in ("nih", "yolo", "faster_rcnn", "study")}
    rates = {"equation 1, a step every other epoch": rates_by_epoch(35, 2), "a step an epoch": rates_by_epoch(35, 1)}
    rates |= {name: rates_by_epoch(s.epochs, s.step_every) for name, s in sections.items()}
    alt = "Share of the full learning rate by epoch, without warm-up: " + ", ".join(rates)
    return [figure(learning_rates(rates), alt)]


def provenance(files: RunFiles) -> list[Html]:
    """What every model learned from, for how long, and with which packages."""
    left_out = [f"Left out: {title_of(name)}: {reason}." for name, reason in files.left_out.items()]
    if not files.trainings:
        return [*absent("No training has finished yet."), bullets(left_out)]
    columns = ["model", "runs", *PROVENANCE.values(), "epochs", "seconds", "peak GB", "held-out", "cut by the clock"]
    records = [record for runs in files.trainings.values() for record in runs.values()]
    facts = [(name, unique(records, name)) for name in ("commit", "python", "device", "threads", "seed", "profile")]
    return [
        table(columns, [training_row(model, runs) for model, runs in files.trainings.items()]),
        bullets(left_out),
        heading("software and machine"),
        table(["what", "value"], facts),
        heading("packages"),
        packages(records),
    ]


def training_row(model: str, runs: dict[str, dict]) -> list[object]:
    """One model; values that its folds share stand once."""
    records = list(runs.values())
    seconds = sum(record.get("seconds") or 0 for record in records)
    memory = max(record.get("peak_memory_gb") or 0 for record in records)
    return [
        title_of(model),
        Number(len(records)),
        *(unique(records, key) for key in PROVENANCE),
        unique(records, "epochs"),
        Number(f"{seconds:.0f}"),
        Number(f"{memory:.1f}"),
        measures(records),
        ", ".join(cut_folds(runs)) or "no",
    ]


def unique(records: list[dict], key: str) -> str:
    """The different values of a field in words, a dash where no record has it."""
    found = [words(record[key]) for record in records if record.get(key) not in (None, "", [], {})]
    return "; ".join(dict.fromkeys(found)) or "–"


def measures(records: list[dict]) -> str:
    """What a training measured itself on what it held out, where it did."""
    known = [(key, record[key]) for key in MEASURES for record in records if key in record]
    return ", ".join(f"{key.replace('_', ' ')} {number(value)}" for key, value in known) or "–"


def words(value: object) -> str:
    """A field of run.json: lists and objects flat, files by their last name (the page may leave this machine)."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(words, value))
    return PurePosixPath(value).name if isinstance(value, str) and value.startswith("/") else str(value)


def packages(records: list[dict]) -> Html:
    """Versions; several where trainings used several."""
    versions: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in (record.get("packages") or {}).items():
            versions.setdefault(name, {})[str(version)] = None
    return table(["package", "version"], [[name, "; ".join(found)] for name, found in versions.items()])


def cut_folds(runs: dict[str, dict]) -> list[str]:
    """The folds whose training the clock ended."""
    return [fold for fold, record in runs.items() if record.get("clock_bound")]


def failures(files: RunFiles) -> list[Html]:
    """Files that could not be used, pictures that stand there twice, and what stage 00 remarked."""
    findings = files.inputs.get("findings")
    none = "None." if files.inputs else "Stage 00 has left no inputs.json."
    return [
        heading("training files"),
        first_rows(files.places.failures_table, "Every file could be used."),
        heading("test files"),
        first_rows(files.places.test_failures_table, "Every file could be used."),
        heading("training images that show the same picture"),
        first_rows(files.places.duplicates_table, "None."),
        heading("pictures of other collections that the competition has too"),
        first_rows(files.places.refused_table, "None was refused."),
        heading("remarks of stage 00 on the input"),
        bullets(findings) if findings else paragraph(none),
    ]


def first_rows(path: Path, nothing: str) -> Html:
    """The first rows of a table, or a sentence."""
    if not path.is_file():
        return paragraph("No such table: its stage has not run.", "absent")
    rows = read_csv(path)
    if rows.empty:
        return paragraph(nothing)
    first = rows.head(SHOWN).astype(object)
    shown = table(list(rows.columns), first.where(first.notna(), "").to_numpy().tolist())
    rest = len(rows) - SHOWN
    return Html(shown + paragraph(f"{rest} more stand in {path.name}.")) if rest > 0 else shown
