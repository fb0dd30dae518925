"""The server: a page, and the JSON interface that the page itself uses."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from fastapi import FastAPI, File, Form, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cxr import __version__
from cxr.app import schema
from cxr.app.answers import NOTICE, ask, refused
from cxr.app.examples import example
from cxr.app.guard import LOCAL, Guard
from cxr.app.limits import Limits
from cxr.app.models import Models
from cxr.app.source import source_archive
from cxr.app.uploads import Decoder, Refusal, Shelf, Upload, image_table
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES

PAGE = Path(__file__).resolve().parent / "page"
ERRORS = {
    400: "no file, an unknown model, or no file that can be decoded",
    404: "a token that is no longer kept",
    413: "too many files, bytes or pixels",
    503: "too many requests wait already",
}
log = logging.getLogger("cxr.app")


def create_app(models: Models, limits: Limits | None = None, hosts: Iterable[str] | None = LOCAL) -> Guard:
    """The ASGI application of a run's models; hosts: names that it answers to, None for any."""
    limits = limits or Limits()
    decoder, shelf = Decoder(models.size, limits), Shelf(limits.kept, limits.kept_minutes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        decoder.close()

    app = FastAPI(
        title="Chest X-ray models",
        description=f"{NOTICE} Licensed under AGPL-3.0; GET /source is the source code.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    guard = Guard(app, limits, hosts)
    _add_errors(app)
    _add_predictions(app, models, decoder, shelf, limits)
    _add_layers(app, models, shelf)
    _add_page(app, models, guard, limits)
    return guard


def _add_errors(app: FastAPI) -> None:
    """Every fault as {error}; what nobody expected is logged by its kind alone, since its words may quote a header."""

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return JSONResponse({"error": f"{place}: {first['msg']}; see /docs"}, 400)

    @app.exception_handler(DataFault)
    async def fault(_: Request, error: DataFault) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected %s", type(error).__name__)
        return JSONResponse({"error": f"unexpected {type(error).__name__}; please report it"}, 500)


def _add_predictions(app: FastAPI, models: Models, decoder: Decoder, shelf: Shelf, limits: Limits) -> None:
    @app.post(
        "/predict",
        response_model=schema.Predictions,
        response_model_exclude_none=True,
        responses={status: {"model": schema.Error, "description": words} for status, words in ERRORS.items()},
    )
    async def predict(
        file: Annotated[list[UploadFile], File(description="DICOM, PNG or JPEG; repeatable")] = [],  # noqa: B006
        models_: Annotated[
            list[str], Form(alias="models", description="of GET /health; repeatable, or parted by commas")
        ] = [],  # noqa: B006
        token: Annotated[
            list[str], Form(description="a file of an earlier answer, instead of sending it; repeatable")
        ] = [],  # noqa: B006
    ) -> dict:
        """Boxes, the probability of no opacity, and study classes of each file, in the order of the files."""
        start, names = time.perf_counter(), models.chosen(models_)
        count = len(file) + len(token)
        if not count:
            raise HTTPException(400, "no file: send at least one as multipart field `file`")
        if count > limits.files:
            raise HTTPException(413, f"{count} files in one request; send at most {limits.files} at a time")
        known = [_kept(shelf, one) for one in token]
        sent = await asyncio.gather(*(asyncio.to_thread(decoder.decode, one.filename, one.file) for one in file))
        good = [one for one in [*known, *sent] if isinstance(one, Upload)]
        if not good:
            _refuse_all(sent)
        answers = iter(await asyncio.to_thread(ask, models, good, names))
        for one in good:
            shelf.put(one)
        files = [refused(one) if isinstance(one, Refusal) else next(answers) for one in [*known, *sent]]
        seconds = round(time.perf_counter() - start, 3)
        log.info("%d of %d files, %s, %.2f s", len(good), count, "+".join(names), seconds)
        return {"notice": NOTICE, "seconds": seconds, "files": files}


def _refuse_all(refusals: list[Refusal]) -> None:
    first = refusals[0]
    words = (
        first.reason
        if len(refusals) == 1
        else f"none of {len(refusals)} files can be looked at; {first.name}: {first.reason}"
    )
    raise HTTPException(413 if all(one.too_large for one in refusals) else 400, words)


def _kept(shelf: Shelf, token: str) -> Upload:
    found = shelf.get(token)
    if found is None:
        raise HTTPException(404, "this file is no longer kept here; send it again")
    return found


def _add_layers(app: FastAPI, models: Models, shelf: Shelf) -> None:
    """What the page draws of a file, by its token."""
    missing = {404: {"model": schema.Error, "description": ERRORS[404]}}

    @app.get("/pictures/{token}", response_class=Response, responses=missing)
    def picture(token: str) -> Response:
        """The picture as the models see it, 8 bits of grey, at most 1536 px: a PNG."""
        return Response(_kept(shelf, token).preview, media_type="image/png")

    @app.get("/lungs/{token}", response_model=schema.Lungs, responses=missing)
    def lungs(token: str) -> dict:
        """Where the run's segmenter sees lungs."""
        upload = _kept(shelf, token)
        found = models.lungs(upload.pixels)
        if found is None:
            raise HTTPException(404, "this run has no lung segmenter; stage 06 trains one where there are masks")
        mask, reason = found
        scale = np.array([upload.width, upload.height]) / models.size
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        places = [((outline[:, 0] + 0.5) * scale).round(1).tolist() for outline in outlines]
        return {"outlines": places, "reason": reason}

    @app.get("/heat/{token}", response_class=Response, responses=missing)
    def heat(token: str, model: str = "fused", label: str = STUDY_CLASSES[1]) -> Response:
        """Grad-CAM of a study class, the mean of the folds: a grey PNG stretched to a square, 255 the most."""
        upload = _kept(shelf, token)
        found = models.heat(*image_table([upload]), model, label)
        png = cv2.imencode(".png", (found.clip(0, 1) * 255).round().astype(np.uint8))[1]
        return Response(png.tobytes(), media_type="image/png")

    @app.get("/examples/{label}", response_class=Response)
    def phantom(label: str) -> Response:
        """A phantom radiograph drawn with a study class, as DICOM."""
        name = f'attachment; filename="phantom_{label}.dcm"'
        return Response(example(label), media_type="application/dicom", headers={"Content-Disposition": name})


def _add_page(app: FastAPI, models: Models, guard: Guard, limits: Limits) -> None:
    infos = [
        {
            "name": name,
            "title": models.title(name),
            "boxes": name in models.boxes_by,
            "study": name in models.studies_by,
        }
        for name in models.names
    ]
    workspace = models.workspace
    data = "phantom" if workspace.is_phantom else "siim"

    @app.get("/health", response_model=schema.Health)
    async def health() -> dict:
        """Whether the server is there, which models it has, and what a request may hold."""
        run, most = workspace.places.root.name, {"files": limits.files, "request_mb": limits.request_mb}
        return {"status": "ok", "run": run, "data": data, "busy": guard.busy, **most, "models": infos}

    @app.get("/source", response_class=Response)
    def source() -> Response:
        """The source code of this program (AGPL-3.0, section 13)."""
        name = 'attachment; filename="cxr-source.tar.gz"'
        return Response(source_archive(), media_type="application/gzip", headers={"Content-Disposition": name})

    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_api_route(path, lambda name=name: FileResponse(PAGE / name), include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
