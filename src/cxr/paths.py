"""Every place the pipeline reads or writes, and nothing else knows one."""

import os
from dataclasses import dataclass
from pathlib import Path

# `make rehearse` puts a tree of its own in the place of Kaggle's
KAGGLE_ROOT = Path(os.environ.get("CXR_KAGGLE_ROOT", "/kaggle"))
KAGGLE_INPUT, KAGGLE_WORKING = KAGGLE_ROOT / "input", KAGGLE_ROOT / "working"
REPOSITORY = Path(__file__).resolve().parents[2]


def on_kaggle() -> bool:
    """Kaggle mounts its data at /kaggle/input, read-only, and gives one writable folder."""
    return KAGGLE_INPUT.is_dir() and KAGGLE_WORKING.is_dir()


def home() -> Path:
    """Kaggle's working folder there (the package lies in a read-only mount), else the checkout, else where we are."""
    if on_kaggle():
        return KAGGLE_WORKING
    return REPOSITORY if (REPOSITORY / "notebooks").is_dir() else Path.cwd()


def default_input() -> Path:
    """Where data is looked for when nobody names a place."""
    return KAGGLE_INPUT if on_kaggle() else home() / "input"


def salt_file() -> Path:
    """Where the key of patient pseudonyms is kept: with the user, never beside the data."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cxr" / "salt"


@dataclass(frozen=True)
class Places:
    """All places of one run. `input` is only read; everything written lies below `working` and `submissions`."""

    input: Path
    working: Path
    submissions: Path
    profile: str

    @property
    def root(self) -> Path:
        return self.working / self.profile

    @property
    def phantom(self) -> Path:
        return self.working / "phantom"

    @property
    def images(self) -> Path:
        """Full-size PNGs, shared by all profiles."""
        return self.working / "images"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def record(self) -> Path:
        """Profile, overrides and input of this run: what `--run FOLDER` needs to open it again."""
        return self.root / "profile.json"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs.json"

    @property
    def budget(self) -> Path:
        return self.root / "budget.json"

    @property
    def timeline(self) -> Path:
        """What happened when: submissions put in place, trainings cut short, what was left out for lack of time."""
        return self.root / "timeline.csv"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def images_table(self) -> Path:
        return self.tables / "images.csv"

    @property
    def test_images_table(self) -> Path:
        return self.tables / "test_images.csv"

    @property
    def test_failures_table(self) -> Path:
        return self.tables / "test_failures.csv"

    @property
    def boxes_table(self) -> Path:
        return self.tables / "boxes.csv"

    @property
    def folds_table(self) -> Path:
        return self.tables / "folds.csv"

    @property
    def failures_table(self) -> Path:
        return self.tables / "failures.csv"

    @property
    def duplicates_table(self) -> Path:
        """Pairs of training images that show the same picture."""
        return self.tables / "duplicates.csv"

    @property
    def refused_table(self) -> Path:
        """Pictures of other data sets that are left out, because the competition has them too."""
        return self.tables / "refused.csv"

    @property
    def fingerprints(self) -> Path:
        """Hashes and thumbnails of the competition's pictures, train and test."""
        return self.root / "cache" / "fingerprints.npz"

    @property
    def shortcuts_table(self) -> Path:
        return self.tables / "shortcuts.csv"

    @property
    def subgroups_table(self) -> Path:
        return self.tables / "subgroups.csv"

    @property
    def thresholds_table(self) -> Path:
        return self.tables / "thresholds.csv"

    @property
    def where_table(self) -> Path:
        """How much of each model's heat lies inside the lungs and inside the boxes."""
        return self.tables / "where.csv"

    @property
    def where_maps(self) -> Path:
        """Some heat maps, for the report."""
        return self.root / "cache" / "where.npz"

    @property
    def priors(self) -> Path:
        """Class frequencies and mean boxes of the training labels: what is predicted where a model cannot."""
        return self.tables / "priors.json"

    def cache(self, size: int) -> Path:
        """uint8 [N, size, size]; row i is row i of the images table."""
        return self.root / "cache" / f"train_{size}.npy"

    def companion_cache(self, name: str, size: int) -> Path:
        """uint8 [N, size, size] of another data set's pictures."""
        return self.root / "cache" / f"{name}_{size}.npy"

    @property
    def lungs(self) -> Path:
        """Lung masks `<image_id>.png`, one bit a pixel, at cache size."""
        return self.root / "lungs"

    @property
    def lungs_table(self) -> Path:
        return self.tables / "lungs.csv"

    @property
    def coco(self) -> Path:
        return self.root / "annotations" / "coco" / "train.json"

    def yolo(self, fold: int) -> Path:
        return self.root / "annotations" / "yolo" / f"fold_{fold}"

    def model(self, name: str, fold: int) -> Path:
        return self.root / "models" / name / f"fold_{fold}"

    def pretrained(self, name: str) -> Path:
        """What stages 04 and 05 learned: `nih`, `rsna_yolo`, `rsna_faster_rcnn`."""
        return self.root / "models" / f"pretrain_{name}"

    @property
    def lungs_model(self) -> Path:
        return self.root / "models" / "lungs"

    @property
    def collections(self) -> Path:
        """Tables of `cxr collect` that the user put there, `<label map>.csv`: what the papers' systems learn their own
        tasks from."""
        return self.input / "collections"

    @property
    def phantom_collections(self) -> Path:
        """What stands in for them where there are none, shared by all profiles."""
        return self.working / "phantom_collections"

    def task_cache(self, name: str) -> Path:
        """Pictures or masks of a paper's own task."""
        return self.root / "cache" / "tasks" / f"{name}.npy"

    def own_model(self, system: str, task: str, fold: int) -> Path:
        """What a paper's system learned on its own task; four-class folds lie where every model's do."""
        return self.root / "models" / system / task / f"fold_{fold}"

    def own_predictions(self, system: str, task: str) -> Path:
        return self.root / "predictions" / system / f"{task}.csv"

    def system_lungs(self, system: str) -> Path:
        """The lung segmenter of a paper's system."""
        return self.root / "models" / f"lungs_{system}"

    @property
    def systems_table(self) -> Path:
        """All systems beside each other."""
        return self.tables / "systems.csv"

    @property
    def systems_heat(self) -> Path:
        """Some of their heat maps, for figures."""
        return self.root / "cache" / "systems.npz"

    @property
    def members(self) -> Path:
        """Predictions of foreign models that the user put there."""
        return self.input / "members"

    @property
    def fused(self) -> Path:
        return self.predictions("fused")

    @property
    def blend(self) -> Path:
        """Constants of fusion and blending that stage 10 chose, with the gain of each step."""
        return self.root / "blend.json"

    @property
    def ablations(self) -> Path:
        return self.root / "ablations.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def manifest(self) -> Path:
        """What identifies this run, digests of its files included."""
        return self.root / "manifest.json"

    @property
    def log(self) -> Path:
        """A line a run, of all profiles."""
        return self.submissions / "log.csv"

    def predictions(self, name: str) -> Path:
        return self.root / "predictions" / name

    @property
    def submission(self) -> Path:
        return self._of_profile / "submission.csv"

    @property
    def baseline(self) -> Path:
        return self._of_profile / "baseline.csv"

    @property
    def _of_profile(self) -> Path:
        """A folder for each profile; but Kaggle looks for submission.csv in its working folder and nowhere else."""
        return self.submissions if self.submissions == KAGGLE_WORKING.resolve() else self.submissions / self.profile

    @property
    def score(self) -> Path:
        return self.root / "score.json"


def find_places(profile: str, input_dir: str = "", working_dir: str = "", submissions_dir: str = "") -> Places:
    """Places from what the user named; an empty name means Kaggle's folders there and the checkout's elsewhere."""
    base = home()
    return Places(
        input=Path(input_dir or default_input()).resolve(),
        working=Path(working_dir or (base if on_kaggle() else base / "working")).resolve(),
        submissions=Path(submissions_dir or (base if on_kaggle() else base / "submissions")).resolve(),
        profile=profile,
    )
