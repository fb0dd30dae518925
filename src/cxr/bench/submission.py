"""Stage 11 with the models of a finished run, on files of real size: decoding alone, networks alone, both together."""

import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cxr.bench.radiographs import draw, write_radiograph

IMAGES, SIZE = 64, (2544, 3056)
SYNTAXES = ("Explicit VR Little Endian", "JPEG Lossless SV1")  # the real set holds about half of each
TEST_SETS = {"visible test set": 1263, "hidden test set": 6334}
ROUNDS = 3  # a round takes a minute on two cores


def main(repeats: int, run: Path) -> None:
    """Print images a second, and the minutes that test sets of Kaggle's sizes would take; without a run, say so."""
    if not (run / "blend.json").is_file():
        print(f"\nsubmission: left out, {run} holds no finished run; run `make all` or name one with --run")
        return
    print(f"\nstage 11 on {IMAGES} files of {SIZE[0]}x{SIZE[1]} with the models of {run}: images a second")
    with tempfile.TemporaryDirectory() as folder:
        competition = write_competition(Path(folder))
        for name, rate in rates(run, competition, min(repeats, ROUNDS)).items():
            minutes = ", ".join(f"{count} images {count / rate / 60:.1f} min" for count in TEST_SETS.values())
            print(f"{name:54}{rate:10.2f}   {minutes}", flush=True)


def write_competition(folder: Path) -> Path:
    """A competition folder whose test set is two pictures over and over: decoding does not know the difference."""
    picture, files = draw(*SIZE), []
    for number, syntax in enumerate(SYNTAXES):
        files.append(folder / f"{number}.dcm")
        write_radiograph(files[-1], picture, syntax, "none")
    lines = ["id,PredictionString"]
    for number in range(IMAGES):
        path = folder / "test" / f"{number:012x}" / "s" / f"{number + IMAGES:012x}.dcm"
        path.parent.mkdir(parents=True)
        os.link(files[number % len(files)], path)
        lines += [f"{number:012x}_study,negative 1 0 0 1 1", f"{path.stem}_image,none 1 0 0 1 1"]
    (folder / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    return folder


def rates(run: Path, competition: Path, rounds: int) -> dict[str, float]:
    """Images a second, medians over rounds in which the pieces take turns."""
    from cxr.budget import endless
    from cxr.data.siim import prediction_table
    from cxr.images.pool import worker_count
    from cxr.prediction.feed import Feed, decoded_blocks
    from cxr.prediction.schedule import Schedule
    from cxr.submit import Writer, submit
    from cxr.workspace import open_run_folder

    workspace = open_run_folder(run)
    settings, (files, _) = workspace.profile, prediction_table(competition)
    workers, out = worker_count(settings.images.workers), competition / "out.csv"

    def decode() -> list:
        return list(decoded_blocks(competition, files, settings.prediction.block, settings.images.cache_size, workers))

    blocks = decode()

    def predict() -> None:
        writer = Writer(workspace, competition, files, out, endless())
        Schedule(writer.system, len(files), endless(), writer.write).run(Feed(blocks))

    pieces: dict[str, Callable[[], object]] = {
        f"decoding alone ({workers} workers)": decode,
        "networks, fusion and file alone": predict,
        "end to end": lambda: submit(workspace, competition, out),
    }
    seconds = {name: [] for name in pieces}
    for _ in range(rounds):
        for name, piece in pieces.items():
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                piece()
            seconds[name].append(time.perf_counter() - started)
    return {name: len(files) / statistics.median(taken) for name, taken in seconds.items()}
