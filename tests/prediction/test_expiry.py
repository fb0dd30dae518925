"""The clock may run out at any moment: a valid submission is in place, and never a worse one than before.

Networks and time are made up here, everything between them is real: order of work, clock, fusion, fallback, file,
validation, score. A network sees the truth through noise of its own, so that more of them see better.
"""

import numpy as np
import pandas as pd
import pytest

from cxr import submit as stage
from cxr.budget import Clock
from cxr.evaluation.score import score
from cxr.inputs import look_at_tests
from cxr.labels import STUDY_CLASSES
from cxr.prediction.constants import starting_constants
from cxr.prediction.feed import Block
from cxr.prediction.passes import first_passes, order_of_work
from cxr.profiles import Budget
from cxr.submission_format import read_submission, validate
from cxr.systems.competition import Competition
from cxr.tables import BOX_COLUMNS
from cxr.workspace import open_workspace, write_json

STUDIES, SIDE, FOLDS = 60, 1000, 3
SECONDS = {"quick": 0.5, "slow": 2.0, "studies": 0.25}  # an image
WORK = STUDIES * (FOLDS * sum(SECONDS.values()) + FOLDS * SECONDS["studies"])
MARGIN = 0.1
SCORES = {}  # mAP by the content of a file: most runs end alike


class FakeTime:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


class Networks(Competition):
    """The competition's system with made-up networks: each takes its seconds and sees the truth through noise."""

    def __init__(self, workspace, tests, truth, time):
        self.profile, self.members = workspace.profile, []
        self.detectors, self.classifiers = ["slow", "quick"], ["studies"]
        self.constants = starting_constants(self.profile.fusion, self.detectors, self.classifiers)
        self.truth, self.time, self.asked = truth.set_index("image_id"), time, []

    def first_passes(self):
        return first_passes(self.detectors, self.classifiers)

    def order_of_work(self, seconds):
        return order_of_work(self.detectors, ["studies"], FOLDS, ["studies"], seconds)

    def release(self, one):
        pass

    def run(self, one, images, pixels):
        self.time.seconds += SECONDS[one.model] * len(images)
        self.asked.append(one)
        rows = []
        for image_id in images["image_id"]:
            seed = [int(image_id, 16), len(one.model), one.fold, one.mirrored]
            rng, truth = np.random.default_rng(seed), self.truth.loc[image_id]
            if one.model == "studies":
                logits = 1.2 * (np.arange(4) == truth["class"]) + rng.normal(0, 1, 4)
                rows.append({"image_id": image_id, **dict(zip(STUDY_CLASSES, softmax(logits), strict=True))})
                continue
            if truth["class"] > 0 and rng.random() < 0.75:
                corners = np.array(truth["box"]) + rng.normal(0, 30, 4)
                rows.append(box(image_id, corners, 0.35 + 0.5 * rng.random()))
            low = rng.uniform(0, 600, 2)
            rows.append(box(image_id, [*low, *(low + 250)], 0.5 * rng.random()))
        return pd.DataFrame(rows)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def box(image_id, corners, value):
    corners = np.clip(corners, 0, SIDE)
    return {"image_id": image_id, "label": "opacity", "score": value, **dict(zip(BOX_COLUMNS, corners, strict=True))}


@pytest.fixture
def hidden(tmp_path):
    """A competition folder with empty test files, its solution, and a table of the truth."""
    rng, folder = np.random.default_rng(5), tmp_path / "in" / "siim-covid19-detection"
    rows, sample, solution = [], [], []
    for number in range(STUDIES):
        study, image, kind = f"{number:012x}", f"{number + 4096:012x}", int(rng.choice(4, p=[0.3, 0.4, 0.2, 0.1]))
        path = folder / "test" / study / "s" / f"{image}.dcm"
        path.parent.mkdir(parents=True)
        path.touch()
        low = rng.uniform(100, 500, 2)
        corners = [*low, *(low + rng.uniform(150, 400, 2))]
        rows.append({"image_id": image, "study_id": study, "class": kind, "box": corners})
        found = f"opacity 1 {' '.join(f'{value:.1f}' for value in corners)}" if kind else "none 1 0 0 1 1"
        solution += [(f"{study}_study", f"{STUDY_CLASSES[kind]} 1 0 0 1 1"), (f"{image}_image", found)]
        sample += [(f"{study}_study", "negative 1 0 0 1 1"), (f"{image}_image", "none 1 0 0 1 1")]
    for name, lines in (("sample_submission", sample), ("solution", solution)):
        target = folder if name == "sample_submission" else tmp_path
        pd.DataFrame(lines, columns=["id", "PredictionString"]).to_csv(target / f"{name}.csv", index=False)
    return tmp_path, folder, pd.DataFrame(rows)


def blocks(truth, size):
    """Ten studies each, decoded already; the pictures are empty."""
    for start in range(0, len(truth), 10):
        table = truth.iloc[start : start + 10][["image_id", "study_id"]].reset_index(drop=True)
        table = table.assign(patient_id=table["study_id"], height=SIDE, width=SIDE)
        yield Block(table, np.zeros((len(table), size, size), np.uint8), [])


class Run:
    """One run of stage 11 with so many seconds, and every submission that it put in place."""

    def __init__(self, hidden, monkeypatch, seconds, name="run"):
        root, self.folder, truth = hidden
        self.solution, self.time, self.files = root / "solution.csv", FakeTime(), []
        places = (str(root / "in"), str(root / name / "w"), str(root / name / "s"))
        self.workspace = open_workspace("demo", f"folds.count={FOLDS} images.cache_size=8", *places)
        # 1 / (1 - margin): the seconds that stage 11 may use
        settings = Budget(hours=seconds / 3600 / (1 - MARGIN), margin=MARGIN)
        self.workspace.clock = Clock(self.workspace.places.budget, settings, self.time)
        shares = truth["class"].value_counts(normalize=True)
        studies = {label: float(shares.get(number, 0)) for number, label in enumerate(STUDY_CLASSES)}
        write_json({"studies": studies, "none": studies["negative"], "boxes": []}, self.workspace.places.priors)
        look_at_tests(self.workspace)
        self.keep()
        self.system = None

        def make(workspace, tests):
            self.system = Networks(workspace, tests, truth, self.time)
            return self.system

        written = stage.write_submission
        monkeypatch.setattr(stage, "Competition", make)
        monkeypatch.setattr(stage, "decoded_blocks", lambda *_: blocks(truth, 8))
        monkeypatch.setattr(stage, "write_submission", lambda *given: (written(*given), self.keep()))
        stage.submit(self.workspace, self.folder, self.workspace.places.submission, self.workspace.clock)
        monkeypatch.setattr(stage, "write_submission", written)

    def keep(self):
        path = self.workspace.places.submission
        content = path.read_bytes()
        if content not in SCORES:
            assert validate(path, self.folder / "sample_submission.csv") == []
            SCORES[content] = score(path, self.solution)["mAP"]
        self.files.append((self.time.seconds, SCORES[content]))

    @property
    def events(self):
        table = pd.read_csv(self.workspace.places.timeline)
        return list(zip(table["kind"], table["text"], strict=True))


def test_at_every_moment_a_valid_submission_stands_and_none_is_worse_than_the_one_before(hidden, monkeypatch):
    scores = [value for _, value in Run(hidden, monkeypatch, 10 * WORK, "whole").files]
    assert len(scores) >= 5 and scores == sorted(scores), "a run that is killed at any moment leaves one of these"
    last, used = [], []
    for number, seconds in enumerate(np.linspace(0, 1.15 * WORK, 56)):
        run = Run(hidden, monkeypatch, seconds, f"expiry_{number}")
        values = [value for _, value in run.files]
        assert values == sorted(values), f"with {seconds:.0f} s a worse submission replaced a better one"
        first_block = 10 * sum(SECONDS.values())  # before it nobody knows how long anything takes
        assert run.time.seconds <= max(seconds, first_block), "nothing uses the margin"
        last.append(values[-1])
        used.append(run.time.seconds)
    assert last[0] == scores[0] and last[-1] == scores[-1], "from the class frequencies to everything"
    assert len({round(value, 6) for value in last}) >= 5 and used[-1] == pytest.approx(WORK)


def test_time_is_saved_in_the_written_order_and_said(hidden, monkeypatch):
    quick, slow, studies = (STUDIES * SECONDS[name] for name in ("quick", "slow", "studies"))
    mirrors, folds = FOLDS * studies, (FOLDS - 1) * (quick + slow + studies)
    slack = 20  # for the first look at the clock and for writing
    everything = Run(hidden, monkeypatch, WORK + slack, "everything")
    assert [kind for kind, _ in everything.events if kind == "sacrifice"] == []
    for number, (seconds, left_out) in enumerate(
        [
            (WORK - mirrors / 2, "mirror images"),
            (WORK - mirrors - folds / 2 + slack, "mirror images; fold 2 of all models ("),
            (quick + slow + studies + slack, "mirror images; fold 2 of all models; fold 1 of all models ("),
            (quick + studies + slow / 2, "mirror images; fold 2 of all models; fold 1 of all models; one fold of slow"),
        ]
    ):
        run = Run(hidden, monkeypatch, seconds, f"short_{number}")
        told = [text for kind, text in run.events if kind == "sacrifice"]
        assert any(f"left out for lack of time: {left_out}" in text for text in told), told
        assert len(run.files) > 1


def test_when_most_images_are_not_reached_what_stands_is_kept(hidden, monkeypatch):
    first_level = STUDIES * (SECONDS["quick"] + SECONDS["studies"])
    short, longer = (Run(hidden, monkeypatch, share * first_level + 15, f"r{share}") for share in (0.3, 0.8))
    assert len(short.files) == 1 and "what stands is kept" in short.events[-1][1]
    assert len(longer.files) == 2 and longer.files[1][1] > longer.files[0][1]
    assert any("images get the fallback" in text for _, text in longer.events)
    rows = read_submission(longer.workspace.places.submission)["PredictionString"]
    assert 1 < rows.nunique() < len(rows), "some rows by networks, the others all alike"
