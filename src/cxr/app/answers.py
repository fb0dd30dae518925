"""What the models say as JSON: a row of a submission, boxes, `none` and study classes of each file."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cxr.app.models import FUSED, Answer, Models
from cxr.app.uploads import Refusal, Upload, image_table, plain_ids
from cxr.labels import IMAGE_SUFFIX, STUDY_CLASSES, STUDY_SUFFIX, format_prediction_string
from cxr.submit import format_rows
from cxr.tables import BOX_COLUMNS

DIGITS = 6  # of a probability
NOTICE = "For research and teaching. Not a medical device; not for diagnosis."


def ask(models: Models, uploads: Sequence[Upload], names: Sequence[str]) -> list[dict]:
    """One object a file, in their order; files of one DICOM study share its classes, as on the leaderboard.

    names: of `Models.chosen`. The boxes and `none` of a file are those of the first named model that says any, its
    study classes those of the first that says any; what no named model says comes from FUSED. `source` tells which.
    """
    images, pixels = image_table(list(uploads))
    sources = {
        "boxes": next((name for name in names if name in models.boxes_by), FUSED),
        "study": next((name for name in names if name in models.studies_by), FUSED),
    }
    answers = models.predict(images, pixels, list(dict.fromkeys([*names, *sources.values()])))
    rows = prediction_strings(images, uploads, answers, sources)
    found = []
    for upload in uploads:
        said = {name: _said(answers[name], upload) for name in answers}
        boxes, study = said[sources["boxes"]], said[sources["study"]]
        found.append(
            {
                "name": upload.name,
                "token": upload.token,
                "width": upload.width,
                "height": upload.height,
                "boxes": boxes["boxes"],
                "none": boxes["none"],
                "study": study["study"],
                "source": sources,
                "by_model": {name: said[name] for name in names},
                "facts": upload.facts,
                "submission": rows[upload.token],
            }
        )
    return found


def refused(refusal: Refusal) -> dict:
    """A file that is not looked at, among others that are."""
    return {"name": refusal.name, "error": refusal.reason}


def _said(answer: Answer, upload: Upload) -> dict:
    found = {}
    if answer.boxes is not None:
        own = answer.boxes[answer.boxes["image_id"] == upload.token]
        found["boxes"] = [
            {"label": row.label, "score": round(float(row.score), DIGITS), **_corners(row)} for row in own.itertuples()
        ]
        found["none"] = round(float(answer.none[upload.token]), DIGITS)
    if answer.studies is not None:
        row = answer.studies.set_index("study_id").loc[upload.study]
        found["study"] = {name: round(float(row[name]), DIGITS) for name in STUDY_CLASSES}
    return found


def _corners(row: tuple) -> dict[str, float]:
    return {name: round(float(getattr(row, name)), 2) for name in BOX_COLUMNS}


def prediction_strings(
    images: pd.DataFrame, uploads: Sequence[Upload], answers: Mapping[str, Answer], sources: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Rows of a submission, id to PredictionString, by token: the file's own and its study's.

    Ids are made of file names, a study's of its first file's: what a header calls them stays out of it.
    """
    where, which = answers[sources["boxes"]], answers[sources["study"]]
    by_id = format_rows(images, where.boxes, where.none, which.studies)
    ids = dict(zip(images["image_id"], plain_ids([one.name for one in uploads]), strict=True))
    first = images.groupby("study_id", sort=False)["image_id"].first()
    found = {}
    for row in images.itertuples():
        found[row.image_id] = {
            f"{ids[first[row.study_id]]}{STUDY_SUFFIX}": format_prediction_string(
                by_id[f"{row.study_id}{STUDY_SUFFIX}"]
            ),
            f"{ids[row.image_id]}{IMAGE_SUFFIX}": format_prediction_string(by_id[f"{row.image_id}{IMAGE_SUFFIX}"]),
        }
    return found
