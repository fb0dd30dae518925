"""The JSON interface's answers, for its documentation and as its contract."""

from pydantic import BaseModel, Field

Probability = Field(ge=0, le=1)


class Error(BaseModel):
    """Every answer but 200."""

    error: str = Field(description="what is wrong, what was found, what to do")


class Box(BaseModel):
    """An opacity, in pixels of the file's picture, x to the right and y down from its upper left corner."""

    label: str
    score: float = Probability
    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Said(BaseModel):
    """What one model says: boxes and none, or study classes, or all of them."""

    boxes: list[Box] | None = None
    none: float | None = Field(None, ge=0, le=1, description="probability that there is no opacity")
    study: dict[str, float] | None = Field(None, description="negative, typical, indeterminate, atypical")


class Source(BaseModel):
    """The models that the answer's boxes (and none) and study classes come from."""

    boxes: str
    study: str


class Found(BaseModel):
    """What the models say of a file."""

    name: str
    token: str = Field(description="asks again about the same file without sending it, for some minutes")
    width: int
    height: int
    boxes: list[Box]
    none: float = Probability
    study: dict[str, float]
    source: Source
    by_model: dict[str, Said]
    facts: dict[str, str] = Field(description="technical facts of the header; none of the patient")
    submission: dict[str, str] = Field(description="rows of a submission: id to PredictionString")


class Refused(BaseModel):
    """A file that cannot be looked at, among others that can."""

    name: str
    error: str


class Predictions(BaseModel):
    """The answer of POST /predict."""

    notice: str
    seconds: float = Field(description="from the files' arrival to this answer")
    files: list[Found | Refused]


class ModelInfo(BaseModel):
    """A model that can be asked."""

    name: str
    title: str
    boxes: bool
    study: bool


class Health(BaseModel):
    """The answer of GET /health."""

    status: str
    run: str
    data: str = Field(description="what the run learned from: phantom, or siim")
    busy: int
    files: int = Field(description="at most so many in a request")
    request_mb: int = Field(description="at most so much in a request")
    models: list[ModelInfo]


class Lungs(BaseModel):
    """The outline of the lungs in pixels of the file; reason: why the mask is not believed, empty where it is."""

    outlines: list[list[tuple[float, float]]]
    reason: str
