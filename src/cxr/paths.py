"""Every place the pipeline reads or writes, and nothing else knows one."""

from dataclasses import dataclass
from pathlib import Path

KAGGLE_INPUT, KAGGLE_WORKING = Path("/kaggle/input"), Path("/kaggle/working")
REPOSITORY = Path(__file__).resolve().parents[2]


def on_kaggle() -> bool:
    """Kaggle mounts its data at /kaggle/input, read-only, and gives one writable folder."""
    return KAGGLE_INPUT.is_dir() and KAGGLE_WORKING.is_dir()


def home() -> Path:
    """The checkout when the package lies in one, else Kaggle's working folder, else the current folder."""
    if (REPOSITORY / "notebooks").is_dir():
        return REPOSITORY
    return KAGGLE_WORKING if on_kaggle() else Path.cwd()


def default_input() -> Path:
    """Where data is looked for when nobody names a place."""
    return KAGGLE_INPUT if on_kaggle() else home() / "input"


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
    def priors(self) -> Path:
        """Class frequencies and mean boxes of the training labels: what is predicted where a model cannot."""
        return self.tables / "priors.json"

    def cache(self, size: int) -> Path:
        """uint8 [N, size, size]; row i is row i of the images table."""
        return self.root / "cache" / f"train_{size}.npy"

    @property
    def coco(self) -> Path:
        return self.root / "annotations" / "coco" / "train.json"

    def yolo(self, fold: int) -> Path:
        return self.root / "annotations" / "yolo" / f"fold_{fold}"

    def model(self, name: str, fold: int) -> Path:
        return self.root / "models" / name / f"fold_{fold}"

    def predictions(self, name: str) -> Path:
        return self.root / "predictions" / name

    @property
    def submission(self) -> Path:
        return self.submissions / self.profile / "submission.csv"

    @property
    def baseline(self) -> Path:
        return self.submissions / self.profile / "baseline.csv"

    @property
    def score(self) -> Path:
        return self.root / "score.json"


def find_places(profile: str, input_dir: str = "", working_dir: str = "", submissions_dir: str = "") -> Places:
    """Places from what the user named; an empty name means Kaggle's folders there and the checkout's elsewhere."""
    base = home()
    return Places(
        input=Path(input_dir or default_input()).resolve(),
        working=Path(working_dir or (base if on_kaggle() else base / "working")).resolve(),
        submissions=Path(submissions_dir or base / "submissions").resolve(),
        profile=profile,
    )
