"""Scores of groups of patients: who is served worse, by sex, device, age, source.

Average precision depends on how common a class is, so groups with different shares of it cannot be compared by AP; the
area under the ROC curve does not, and `difference` compares by it: a group's AUC minus that of everybody else on the
same resamples of patients. Of many groups some differ by chance; `differs` is a two-sided test at 5 % divided by the
number of differences (Bonferroni), with an error that is at least what so many patients must have. Boxes have no AUC:
there is no fixed number of chances for a false alarm.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxr.evaluation.auc import expected_error, pair_auc, patient_weights, spread, widen
from cxr.evaluation.intervals import STUDIES, draw, estimate
from cxr.evaluation.out_of_fold import Ground, match_none, match_opacity, match_studies
from cxr.evaluation.voc import Matches, restrict
from cxr.labels import CLASSES, STUDY_CLASSES

KEYS = (STUDIES, "opacity", "none")
FIELDS = ("sex", "age", "modality", "photometric", "body_part", "view_position", "source")
AGES = {0: "under 40", 40: "40 to 59", 60: "60 to 79", 80: "80 and over"}
UNKNOWN, OTHER, COMMONEST = "unknown", "other", 8
FEWEST_PATIENTS, FEWEST_POSITIVES = 10, 5
LEVEL, RESAMPLES = 0.05, 500
COUNTS = ("field", "group", "patients", "images", "key", "positives")
FIGURES = ("AP", "AP_low", "AP_high", "AUC", "AUC_low", "AUC_high", "difference", "difference_low", "difference_high")
COLUMNS = (*COUNTS, *FIGURES, "differs", "note")
EVERYBODY = "all"


def groups_of(images: pd.DataFrame) -> pd.DataFrame:
    """A column a field of FIELDS that has at least two values, as text, rows as in the images table.

    An empty value is `unknown`, and values beyond the eight commonest are `other`. Ages stand as in DICOM, `045Y`.
    """
    fields = {}
    for name in FIELDS:
        if name not in images:
            continue
        values = images[name].map(_age_group, na_action="ignore") if name == "age" else images[name]
        values = values.astype(object).where(values.notna(), UNKNOWN).astype(str)
        counts = values.value_counts()
        commonest = sorted(counts.index, key=lambda value: (-counts[value], value))[:COMMONEST]
        values = values.where(values.isin(commonest), OTHER)
        if values.nunique() > 1:
            fields[name] = values
    return pd.DataFrame(fields, index=images.index)


def _age_group(age: str) -> str:
    """PS3.5 table 6.2-1: three digits and D, W, M or Y; what is counted in days, weeks or months is a child."""
    text = str(age)
    if not (text[:3].isdecimal() and len(text) == 4):
        return UNKNOWN
    years = int(text[:3]) if text[3] == "Y" else 0
    return AGES[max(least for least in AGES if least <= years)]


def subgroup_scores(
    ground: Ground,
    images: pd.DataFrame,
    boxes: pd.DataFrame | None,
    none: pd.Series | None,
    studies: pd.DataFrame | None,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row a field, group and key (`studies` the mean of the study classes, `opacity`, `none`): columns COLUMNS.

    images: images table with header columns, of which `ground` was made. boxes, none, studies: out-of-fold predictions
    as in `out_of_fold.match_all`; keys without any are left out. Intervals are 95 %, by patient. `positives` are true
    boxes, images without one, or studies of the rarest class that counts. Groups of under FEWEST_PATIENTS patients or
    FEWEST_POSITIVES positives have NaN and a note; where a study class is too rare in a group, AUC is the mean over the
    others (in `difference` too) and AP is NaN: a mean over fewer classes is another figure. The first rows are of
    everybody.
    """
    system = _System(ground, boxes, none, studies, resamples)
    rows = [system.row(EVERYBODY, EVERYBODY, np.ones(ground.rows, bool), key) for key in system.keys]
    for field, values in _by_row(ground, images).items():
        for group in sorted(values.unique(), key=lambda value: (value in (UNKNOWN, OTHER), value)):
            rows += [system.row(field, group, (values == group).to_numpy(), key) for key in system.keys]
    table = pd.DataFrame(rows, columns=[*COUNTS, *FIGURES, "error", "note"])
    tests = max(int(table["error"].notna().sum()), 1)
    table["differs"] = table["difference"].abs() > norm.ppf(1 - LEVEL / (2 * tests)) * table["error"]
    return table[list(COLUMNS)]


def _by_row(ground: Ground, images: pd.DataFrame) -> pd.DataFrame:
    """Groups of each row of `ground`: of a study those of its first image that counts."""
    groups = groups_of(images)
    first = (
        images.assign(place=images["role"] != "train").sort_values("place", kind="stable").drop_duplicates("study_id")
    )
    by_study = groups.loc[first.index].set_index(first["study_id"].to_numpy())
    by_image = groups.set_index(images["image_id"].to_numpy())
    return pd.concat([by_study.loc[ground.studies], by_image.loc[ground.images]], ignore_index=True)


class _System:
    """Predictions beside the truth, so that any rows of it can be scored."""

    def __init__(self, ground: Ground, boxes, none, studies, resamples: int):
        self.ground, self.resamples = ground, resamples
        self.weights = patient_weights(ground.patient, ground.fold, resamples)
        self.nothing = Matches(np.empty(0), np.empty(0, int), np.empty(0, int), np.zeros(ground.rows, int))
        self.matches = dict.fromkeys(CLASSES, self.nothing)
        self.scores: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # rows, scores, positive, by class
        if studies is not None:
            self.matches |= dict(zip(STUDY_CLASSES, match_studies(ground, studies), strict=True))
            rows, table = np.arange(len(ground.studies)), studies.set_index("study_id")
            for k, name in enumerate(STUDY_CLASSES):
                self.scores[name] = (rows, table.loc[ground.studies, name].to_numpy(float), ground.classes == k)
        if none is not None:
            self.matches["none"] = match_none(ground, none)
            self.scores["none"] = (ground.image_rows.to_numpy(), none.loc[ground.images].to_numpy(float), ground.empty)
        if boxes is not None:
            self.matches["opacity"] = match_opacity(ground, boxes)
        given = {STUDIES: studies, "opacity": boxes, "none": none}
        self.keys = [key for key in KEYS if given[key] is not None]
        self.is_image = np.arange(ground.rows) >= len(ground.studies)

    def row(self, field: str, group: str, rows: np.ndarray, key: str) -> dict:
        """The figures of one group, bool [R], in one key."""
        counts = self._positives(rows, key)
        counted = [name for name, count in counts.items() if count >= FEWEST_POSITIVES]
        patients = len(np.unique(self.ground.patient[rows]))
        row = {"field": field, "group": group, "patients": patients, "images": int((rows & self.is_image).sum())}
        row |= {"key": key, "positives": min((counts[name] for name in counted), default=max(counts.values()))}
        row |= dict.fromkeys((*FIGURES, "error"), np.nan)
        if patients < FEWEST_PATIENTS:
            return row | {"note": f"not scored: under {FEWEST_PATIENTS} patients"}
        if not counted:
            return row | {"note": f"not scored: under {FEWEST_POSITIVES} positives"}
        rare = [name for name in counts if name not in counted]
        row["note"] = f"no AP, AUC without {', '.join(rare)}: under {FEWEST_POSITIVES} studies" if rare else ""
        return row | ({} if rare else self._precision(rows, key)) | self._area(rows, counted)

    def _positives(self, rows: np.ndarray, key: str) -> dict[str, int]:
        names = STUDY_CLASSES if key == STUDIES else (key,)
        return {name: int(self.matches[name].truths[rows].sum()) for name in names}

    def _precision(self, rows: np.ndarray, key: str) -> dict[str, float]:
        """AP as everywhere in the report: the mean over folds."""
        own = STUDY_CLASSES if key == STUDIES else (key,)  # the others would only take time
        six = [_keep(self.matches[name] if name in own else self.nothing, rows) for name in CLASSES]
        drawn = draw([six], self.ground.patient[rows], self.resamples, self.ground.fold[rows])
        return dict(zip(("AP", "AP_low", "AP_high"), estimate(drawn, 0, key), strict=True))

    def _area(self, rows: np.ndarray, counted: list[str]) -> dict[str, float]:
        """AUC, and what it has over everybody else's; a mean over classes is one over the same classes in both."""
        if not set(counted) <= set(self.scores):
            return {}
        (own, ours), (others, theirs) = (self._areas(part, counted) for part in (rows, ~rows))
        if np.isnan(own):  # no fold holds both
            return {}
        low, high = widen(*spread(ours)[:2], own, self._least_error(rows, counted, own))
        figures = {"AUC": own, "AUC_low": low, "AUC_high": high}
        if np.isnan(others) or len(np.unique(self.ground.patient[~rows])) < FEWEST_PATIENTS:
            return figures
        low, high, error = spread(ours - theirs)
        figures |= {"difference": own - others, "difference_low": low, "difference_high": high}
        return figures | {"error": max(error, self._least_error(rows, counted, others))}

    def _least_error(self, rows: np.ndarray, names: list[str], area: float) -> float:
        """Standard error of a mean AUC of this size with as many patients as these rows have."""
        errors = []
        for name in names:
            numbers, _, positive = self.scores[name]
            owners, mine = self.ground.patient[numbers], rows[numbers]
            counts = [len(np.unique(owners[mine & part])) for part in (positive, ~positive)]
            errors.append(expected_error(area, *counts) if min(counts) else np.nan)
        return float(np.sqrt(np.sum(np.square(errors))) / len(errors))

    def _areas(self, part: np.ndarray, names: list[str]) -> tuple[float, np.ndarray]:
        """Mean AUC over classes of these rows, plain and on each resample; NaN where one class has none."""
        plain, drawn = [], []
        for name in names:
            rows, scores, positive = self.scores[name]
            here = part[rows]
            known = (scores[here], positive[here], self.ground.fold[rows[here]])
            plain.append(pair_auc(*known))
            drawn.append(pair_auc(*known, self.weights[:, rows[here]]))
        return float(np.mean(plain)), np.mean(drawn, axis=0)


def _keep(matches: Matches, rows: np.ndarray) -> Matches:
    """What concerns these rows (bool [R]), with the numbers that they have among themselves."""
    kept = restrict(matches, rows)
    rank = np.cumsum(rows) - 1
    return Matches(kept.scores, rank[kept.image], kept.hits, kept.truths[rows])
