"""The JSON interface: good files, bad ones, huge ones, many at once."""

import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import cv2
import httpx
import numpy as np
import pytest

from cxr.app.limits import Limits
from cxr.labels import STUDY_CLASSES, parse_prediction_string
from made_server import PATIENT, TellingModels, dicom, picture, png, serving, upload


@pytest.fixture(scope="module")
def client():
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def small():
    """A server with narrow limits."""
    with serving(limits=Limits(file_mb=1, request_mb=2, files=3, kept=2)) as one:
        yield one


def test_a_png_is_answered(client):
    answer = client.post("/predict", files=[upload(png(102), "chest.png")]).json()
    one = answer["files"][0]
    assert (one["name"], one["width"], one["height"]) == ("chest.png", 96, 80)
    assert one["boxes"] == [{"label": "opacity", "score": 0.4, "x_min": 24, "y_min": 20, "x_max": 72, "y_max": 60}]
    assert one["none"] == 0.6 and sum(one["study"].values()) == pytest.approx(1, abs=1e-5)
    assert set(one["study"]) == set(STUDY_CLASSES) and one["study"]["typical"] == 0.4
    assert "not for diagnosis" in answer["notice"]


def test_the_rows_of_a_submission_can_be_read_again(client):
    one = client.post("/predict", files=[upload(png(102), "chest.png")]).json()["files"][0]
    assert list(one["submission"]) == ["chest_study", "chest_image"]
    none, box = parse_prediction_string(one["submission"]["chest_image"])
    assert none.label == "none" and none.score == 0.6
    assert (box.score, box.x_min, box.y_max) == (0.4, 24, 60)
    assert [group.label for group in parse_prediction_string(one["submission"]["chest_study"])] == list(STUDY_CLASSES)


def test_models_are_chosen_and_the_rest_comes_from_the_fused(client):
    one = client.post("/predict", files=[upload(png(102))], data={"models": ["yolo"]}).json()["files"][0]
    assert one["boxes"][0]["score"] == pytest.approx(0.32)
    assert one["source"] == {"boxes": "yolo", "study": "fused"} and list(one["by_model"]) == ["yolo"]
    several = client.post("/predict", files=[upload(png(102))], data={"models": "faster_rcnn,studies"}).json()["files"][
        0
    ]
    assert several["source"] == {"boxes": "faster_rcnn", "study": "studies"}
    assert "study" not in several["by_model"]["faster_rcnn"] and "boxes" not in several["by_model"]["studies"]


def test_an_unknown_model_is_named(client):
    answer = client.post("/predict", files=[upload(png(9))], data={"models": "resnet"})
    assert answer.status_code == 400 and "'resnet' is not known" in answer.json()["error"]
    other = client.post("/predict", files=[upload(png(9))], data={"models": "patch_vote"})
    assert other.status_code == 400 and "make systems" in other.json()["error"]


def test_files_of_one_study_share_its_classes(client, tmp_path):
    dark, bright = (dicom(tmp_path, ramp(share)) for share in (0.2, 0.8))
    one, two = client.post("/predict", files=[upload(dark, "a.dcm"), upload(bright, "b.dcm")]).json()["files"]
    assert one["study"] == two["study"] and one["boxes"] != two["boxes"]
    assert list(one["submission"]) == ["a_study", "a_image"] and list(two["submission"]) == ["a_study", "b_image"]
    apart = client.post("/predict", files=[upload(dark, "a.dcm")]).json()["files"][0]
    assert apart["study"] != one["study"]


def ramp(share):
    """Grey levels from 0 to 1, `share` of them above the middle."""
    values = np.zeros((80, 96))
    values[:, : int(96 * share)] = 1.0
    return values


def test_nothing_of_the_patient_leaves_a_header(client, tmp_path, caplog):
    answer = client.post("/predict", files=[upload(dicom(tmp_path, ramp(0.5), study="1.2.840.99.7"), "a.dcm")])
    facts = answer.json()["files"][0]["facts"]
    assert facts["photometric"] == "MONOCHROME2" and facts["bits stored"] == "12" and facts["modality"] == "CR"
    assert facts["transfer syntax"] == "Explicit VR Little Endian"
    for secret in (PATIENT, "1961", "1.2.840.99.7"):
        assert secret not in answer.text and secret not in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text", "neither DICOM nor PNG nor JPEG"),
        (png(80)[:60], "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "damaged"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 64, ""),
        (b"GIF89a" + b"\0" * 40, "neither DICOM nor PNG nor JPEG"),
    ],
)
def test_what_cannot_be_decoded_is_told(client, content, words):
    answer = client.post("/predict", files=[upload(content, "bad.dcm")])
    assert answer.status_code == 400 and words in answer.json()["error"]
    assert "/" not in re.sub("/docs", "", answer.json()["error"]), "no path of the server"


def test_a_truncated_dicom_is_told(client, tmp_path):
    content = dicom(tmp_path, ramp(0.5))
    answer = client.post("/predict", files=[upload(content[: len(content) // 2], "cut.dcm")])
    assert answer.status_code == 400 and "cut off" in answer.json()["error"]


def test_a_bad_file_among_good_ones_costs_itself_alone(client):
    answer = client.post(
        "/predict", files=[upload(png(51), "a.png"), upload(b"no", "b.png"), upload(png(102), "c.png")]
    )
    first, bad, last = answer.json()["files"]
    assert answer.status_code == 200 and first["boxes"][0]["score"] == 0.2 and last["boxes"][0]["score"] == 0.4
    assert bad["name"] == "b.png" and "neither DICOM" in bad["error"]


def test_no_file_is_told(client):
    answer = client.post("/predict", data={"models": "yolo"})
    assert answer.status_code == 400 and "field `file`" in answer.json()["error"]
    nothing = client.post("/predict", content=b"")
    assert nothing.status_code == 400 and "error" in nothing.json()


def test_too_many_bytes_files_or_pixels(small):
    too_large = small.post("/predict", files=[upload(b"\x89PNG\r\n\x1a\n" + b"0" * 2**20)])
    assert too_large.status_code == 413 and "larger than 1 MB" in too_large.json()["error"]
    too_many = small.post("/predict", files=[upload(png(9), f"{k}.png") for k in range(4)])
    assert too_many.status_code == 413 and "at most 3" in too_many.json()["error"]
    vast = cv2.imencode(".png", np.zeros((8000, 8000), np.uint8))[1].tobytes()
    bomb = small.post("/predict", files=[upload(vast)])
    assert len(vast) < 2**20 and bomb.status_code == 413 and "32,000,000 pixels" in bomb.json()["error"]


def test_a_dicom_that_claims_too_many_pixels_is_too_large(client, tmp_path):
    import pydicom

    content = pydicom.dcmread(BytesIO(dicom(tmp_path, ramp(0.5))))
    content.Rows = content.Columns = 30000
    stream = BytesIO()
    content.save_as(stream)
    answer = client.post("/predict", files=[upload(stream.getvalue(), "x.dcm")])
    assert answer.status_code == 413 and "megapixels" in answer.json()["error"]


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_beyond_the_limit_is_refused_and_answered(small, stated):
    """With its length told beforehand, and in chunks."""
    body = (
        b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + b"0" * (5 * 2**20) + b"\r\n--x--\r\n"
    )
    content = body if stated else (body[start : start + 2**18] for start in range(0, len(body), 2**18))
    answer = small.post("/predict", content=content, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413 and "more than 2 MB" in answer.json()["error"]
    assert small.get("/health").json()["status"] == "ok"


def test_a_busy_server_says_so():
    models = TellingModels()
    with serving(models, Limits(waiting=1)) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: client.post("/predict", files=[upload(png(k))]), range(8)))
    states = {answer.status_code for answer in answers}
    assert states == {200, 503} and all("error" in answer.json() for answer in answers if answer.status_code == 503)


def test_a_fault_of_ours_is_told_without_its_words(capfd, caplog):
    class Broken(TellingModels):
        def predict(self, images, pixels, names):
            raise ValueError(f"of {PATIENT}")

    with serving(Broken()) as client:
        answer = client.post("/predict", files=[upload(png(9))])
    assert answer.status_code == 500 and answer.json() == {"error": "unexpected ValueError; please report it"}
    said = capfd.readouterr()
    assert PATIENT not in said.out + said.err + caplog.text and "unexpected ValueError" in caplog.text


def test_200_requests_of_8_clients(client):
    """None is lost, none is mixed up: name and score of each answer follow from what was sent."""

    def ask(first):
        with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as own:
            for number in range(first, 200, 8):
                level, name = 5 + number, f"{number}.png"
                one = own.post("/predict", files=[upload(png(level), name)]).json()["files"][0]
                yield one["name"] == name and one["boxes"][0]["score"] == round(level / 255, 6)

    with ThreadPoolExecutor(8) as pool:
        right = [each for found in pool.map(lambda first: list(ask(first)), range(8)) for each in found]
    assert right == [True] * 200
    assert client.get("/health").json()["busy"] == 0


def test_a_file_can_be_asked_about_again(client):
    token = client.post("/predict", files=[upload(png(102), "chest.png")]).json()["files"][0]["token"]
    again = client.post("/predict", data={"token": token, "models": "yolo"}).json()["files"][0]
    assert again["name"] == "chest.png" and again["boxes"][0]["score"] == pytest.approx(0.32)
    shown = client.get(f"/pictures/{token}")
    assert shown.headers["content-type"] == "image/png"
    assert (cv2.imdecode(np.frombuffer(shown.content, np.uint8), -1) == picture(102)).all()
    outlines = client.get(f"/lungs/{token}").json()["outlines"]
    assert len(outlines) == 2 and max(x for points in outlines for x, _ in points) < 96
    heat = client.get(f"/heat/{token}", params={"model": "fused", "label": "typical"})
    assert cv2.imdecode(np.frombuffer(heat.content, np.uint8), -1).max() == 255


def test_a_file_that_is_no_longer_kept(small):
    tokens = [small.post("/predict", files=[upload(png(k))]).json()["files"][0]["token"] for k in (1, 2, 3)]
    gone = small.post("/predict", data={"token": tokens[0]})
    assert gone.status_code == 404 and "send it again" in gone.json()["error"]
    assert small.post("/predict", data={"token": tokens[2]}).status_code == 200
    assert small.get("/pictures/..%2f..%2fetc%2fpasswd").status_code == 404


@pytest.mark.parametrize("label", STUDY_CLASSES)
def test_examples_are_dicoms_that_can_be_sent_back(client, label):
    content = client.get(f"/examples/{label}").content
    one = client.post("/predict", files=[upload(content, "phantom.dcm")]).json()["files"][0]
    assert one["facts"]["format"] == "DICOM" and one["width"] > 500


def test_an_example_of_another_word_is_refused(client):
    wrong = client.get("/examples/lateral")
    assert wrong.status_code == 400 and "there is one of negative" in wrong.json()["error"]


def test_other_sites_and_other_names_are_refused(client):
    foreign = client.post("/predict", files=[upload(png(9))], headers={"Origin": "https://example.com"})
    assert foreign.status_code == 403 and "error" in foreign.json()
    rebound = client.get("/health", headers={"Host": "evil.example:8000"})
    assert rebound.status_code == 421 and "error" in rebound.json()
    own = str(client.base_url).rstrip("/")
    assert client.post("/predict", files=[upload(png(9))], headers={"Origin": own}).status_code == 200


def test_the_page_may_load_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"https?://", page.text) and "onclick" not in page.text


def test_the_interface_describes_itself(client):
    api = client.get("/openapi.json").json()
    assert {"/predict", "/health", "/source"} <= set(api["paths"])
    assert {"200", "400", "413", "503"} <= set(api["paths"]["/predict"]["post"]["responses"])
    assert client.get("/docs").status_code == 200


def test_health_names_the_models(client):
    health = client.get("/health").json()
    assert health["status"] == "ok" and health["data"] == "phantom"
    assert [one["name"] for one in health["models"]] == ["fused", "yolo", "faster_rcnn", "studies"]


def test_the_source_is_offered_without_data(client):
    with tarfile.open(fileobj=BytesIO(client.get("/source").content)) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert "cxr/src/cxr/app/server.py" in names and "cxr/LICENSE" in names
    assert not [name for name in names if name.endswith((".dcm", ".pt", ".npy", ".pyc")) or "/working/" in name]
    assert all(member.uname == "" and member.uid == 0 for member in members)
