"""Kill -9 the run at random moments, give the same command again, and see that the same submission comes out.

`python tests/kills.py --count 30 --seed 0` (`make kills`) runs `make all` on a small phantom twice: once in peace,
which tells when each stage began, and once with kills. Moments are drawn over the length of the first run; the second
gets each at the same stage and the same seconds into it, and goes on with the same command after each. Every process of
the run is killed: make, the runner, the notebook's kernel, its workers. Trainings save after every epoch. Exit code
1 if submission, out-of-fold predictions, weights or tables differ.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
SETTINGS = (
    "phantom.studies=48 nih.epochs=3 rsna.yolo_epochs=2 rsna.faster_rcnn_epochs=2 lungs.epochs=5 yolo.epochs=3 "
    "yolo.resume=yes faster_rcnn.epochs=3 study.epochs=4 fusion.resamples=100"
)
STAGE = re.compile(r"^\[(\d\d_\w+)\]$")
RESUMED = "goes on after epoch"
LATER = 4.0  # s
MARK = "CXR_KILLS"  # in the environment of every process of the run
COMPARED = ("submissions/**/submission.csv", "demo/predictions/**/*.csv", "demo/models/**/weights.pt",
            "demo/tables/*.csv", "demo/tables/*.json", "demo/blend.json", "demo/cache/*.npy",
            "demo/lungs/*.png")  # fmt: skip


class Moment(NamedTuple):
    """So many seconds into a stage; stage "" is what make does before the first."""

    stage: str
    seconds: float


class Run:
    """`make all` in a working folder, with what it printed so far."""

    def __init__(self, working: Path, arguments: argparse.Namespace):
        self.mark = uuid.uuid4().hex
        places = {"WORKING": working, "SUBMISSIONS": working / "submissions", "INPUT": working / "input"}
        places["INPUT"].mkdir(parents=True, exist_ok=True)  # empty: the phantom
        variables = [f"{name}={path}" for name, path in places.items()]
        self.process = subprocess.Popen(
            ["make", "all", *variables, f"SET={arguments.settings}", *arguments.make],
            cwd=REPOSITORY,
            env={**os.environ, MARK: self.mark, "CXR_CHECKPOINT_SECONDS": "0"},  # small trainings have short epochs
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.begun: list[tuple[str, float]] = [("", time.monotonic())]  # stages and when
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said.append(line)
            found = STAGE.match(line.strip())
            if found:
                self.begun.append((found[1], time.monotonic()))

    def wait(self) -> int:
        code = self.process.wait()
        self._reader.join(10)
        return code

    def wait_for(self, moment: Moment) -> bool:
        """Whether the moment came, or a later stage, before the run ended."""
        while self.process.poll() is None:
            stage, began = self.begun[-1]
            # a stage that was quicker this time: some seconds into the one that follows, not always at its very start
            seconds = moment.seconds if stage == moment.stage else moment.seconds % LATER
            if stage >= moment.stage and time.monotonic() - began >= seconds:
                return True
            time.sleep(0.02)
        return False

    def kill(self) -> int:
        """SIGKILL to every process of the run; returns how many there were."""
        killed = set()
        while living := [process for process in psutil.process_iter() if self._is_mine(process)]:
            for process in living:
                killed.add(process.pid)
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue  # ended meanwhile
            psutil.wait_procs(living, timeout=5)
        self.wait()
        return len(killed)

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def draw_moments(begun: list[tuple[str, float]], end: float, count: int, seed: int) -> list[Moment]:
    """`count` moments evenly over an uninterrupted run, as seconds into the stage that ran then, in order."""
    rng = random.Random(seed)
    start = begun[0][1]
    moments = []
    for at in sorted(rng.uniform(start, end) for _ in range(count)):
        stage, began = max((pair for pair in begun if pair[1] <= at), key=lambda pair: pair[1])
        moments.append(Moment(stage, round(at - began, 2)))
    return sorted(moments)


def differences(one: Path, other: Path) -> list[str]:
    """Files of two working folders that are not the same, the folders' own names aside."""
    names = sorted({path.relative_to(root) for root in (one, other) for glob in COMPARED for path in root.glob(glob)})
    contents = [[_content(root / name, root) for name in names] for root in (one, other)]
    return [f"{name}: {_words(a, b)}" for name, a, b in zip(names, *contents, strict=True) if a != b]


def _content(path: Path, root: Path) -> bytes | None:
    return path.read_bytes().replace(str(root).encode(), b"ROOT") if path.is_file() else None


def _words(one: bytes | None, other: bytes | None) -> str:
    absent = [name for name, content in (("uninterrupted", one), ("killed", other)) if content is None]
    return f"missing in the {absent[0]} run" if absent else "differs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30, help="kills (default 30)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", default=SETTINGS, help="SET= of both runs")
    parser.add_argument("--out", type=Path, help="folder for both runs, kept; default: a temporary one")
    parser.add_argument("--make", nargs="*", default=[], metavar="NAME=VALUE", help="further variables for make")
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="cxr-kills-"))
    whole, killed = out.absolute() / "whole", out.absolute() / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    print(f"uninterrupted run in {whole}", flush=True)
    run = Run(whole, arguments)
    if run.wait():
        print("".join(run.said[-20:]), "the uninterrupted run failed", sep="")
        return 1
    end = time.monotonic()
    print(f"done in {end - run.begun[0][1]:.0f} s; {arguments.count} kills follow", flush=True)
    failed = kill_and_go_on(killed, arguments, draw_moments(run.begun, end, arguments.count, arguments.seed))
    found = [*failed, *differences(whole, killed)]
    print("\n".join(found) or f"{arguments.count} kills, and every compared file is the same")
    if not arguments.out:
        shutil.rmtree(out)
    return 1 if found else 0


def kill_and_go_on(working: Path, arguments: argparse.Namespace, moments: list[Moment]) -> list[str]:
    """One chain of runs, each but the last killed; prints a line a kill. Returns what went wrong otherwise."""
    resumed = []
    print(f"{'kill':>4}  {'drawn':35}  {'hit':35}  processes", flush=True)
    for number, moment in enumerate(moments, 1):
        run = Run(working, arguments)
        came = run.wait_for(moment)
        stage, began = run.begun[-1]
        seconds, processes = time.monotonic() - began, run.kill()
        resumed += [line.strip() for line in run.said if RESUMED in line]
        drawn = f"{moment.stage or 'make'} + {moment.seconds:.1f} s"
        hit = f"{stage or 'make'} + {seconds:.1f} s" if came else "nothing: the run had ended"
        print(f"{number:4}  {drawn:35}  {hit:35}  {processes}", flush=True)
        if not came and run.process.returncode not in (0, -9):
            return [f"kill {number}: the run ended by itself with {run.process.returncode}:\n{''.join(run.said[-20:])}"]
    run = Run(working, arguments)
    code = run.wait()
    resumed += [line.strip() for line in run.said if RESUMED in line]
    print(f"{len(resumed)} trainings went on where they were: {'; '.join(resumed)}", flush=True)
    return [f"the last run failed with {code}:\n{''.join(run.said[-20:])}"] if code else []


if __name__ == "__main__":
    sys.exit(main())
