"""The page in a real Chromium, headless: what a visitor does, and what must not happen to one."""

import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from cxr.app.examples import example
from cxr.submission_format import group_faults, read_groups, read_submission
from made_server import png, serving

HOSTILE = """<img src=x onerror="document.title='taken'">.png"""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, to try the page in one")
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox for root
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *sandbox])
        yield one
        one.close()


@pytest.fixture(scope="module")
def address():
    with serving() as client:
        yield str(client.base_url)


@pytest.fixture
def page(browser, address):
    """A fresh page; a script error or a breach of the policy fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, accept_downloads=True)
    one, faults = context.new_page(), []
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    one.goto(address)
    one.faults = faults
    yield one
    context.close()
    unexpected = [words for words in faults if "Failed to load resource" not in words]  # answers of 4xx are asked for
    assert not unexpected


def send(page, name, content):
    page.set_input_files("#input", {"name": name, "mimeType": "application/octet-stream", "buffer": content})


def opened(page, label="typical"):
    """The page after a phantom was uploaded as a file."""
    send(page, "chest.dcm", example(label))
    page.wait_for_selector("#save-csv:enabled")
    until(page, "#count", "of 1 boxes")
    return page


def until(page, place, words):
    """Wait until an element's text holds these words; the page's policy forbids waiting by a script of one's own."""
    page.locator(place).filter(has_text=words).wait_for()


def set_slider(page, name, value):
    page.locator(name).evaluate("(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value)


def shown_boxes(page):
    return page.locator("#marks > rect").count()


def test_a_phantom_is_uploaded_and_its_boxes_are_seen(page):
    opened(page)
    assert shown_boxes(page) == 1 and page.locator("#boxes tbody tr").count() == 1
    width = int(page.locator("#facts dd").nth(1).inner_text().split()[0])
    corner = float(page.locator("#boxes tbody td").nth(1).inner_text())
    assert corner == round(width / 4), "pixels of the file, not of the screen"
    assert "DICOM" in page.locator("#facts").inner_text() and "typical" in page.locator("#study").inner_text()


def test_the_slider_hides_boxes(page):
    opened(page)
    set_slider(page, "#least", "0.99")
    assert shown_boxes(page) == 0 and page.inner_text("#count") == "0 of 1 boxes"
    set_slider(page, "#least", "0")
    assert shown_boxes(page) == 1


def test_models_are_switched(page):
    opened(page)
    before = float(page.inner_text("#boxes tbody td >> nth=0"))
    page.select_option("#boxes-by", "yolo")
    assert float(page.inner_text("#boxes tbody td >> nth=0")) == pytest.approx(before * 0.8, abs=0.002)


def test_layers_and_grey_levels(page):
    opened(page)
    page.check("#show-lungs")
    page.wait_for_selector("#marks polygon")
    page.check("#show-heat")
    page.wait_for_selector("#heat[width='64']")
    assert "Grad-CAM of typical" in page.inner_text("#layer-note")
    middle = (
        "(() => { const c = document.querySelector('#picture'), x = c.width / 2, y = c.height / 2;"
        " return c.getContext('2d').getImageData(x, y, 1, 1).data[0]; })()"
    )
    before = page.evaluate(middle)
    page.focus("#view")
    page.keyboard.press("i")
    assert abs(page.evaluate(middle) - (255 - before)) <= 1
    assert page.get_attribute("#invert", "aria-pressed") == "true"
    page.keyboard.press("0")
    set_slider(page, "#level", "255")
    assert page.evaluate(middle) < before
    page.click("#fit")
    assert page.evaluate(middle) == before


def test_zoom_by_keys_keeps_the_boxes_on_their_places(page):
    opened(page)
    place = (
        "(() => { const b = document.querySelector('#marks > rect').getBoundingClientRect(),"
        " p = document.querySelector('#picture').getBoundingClientRect(); return [(b.x - p.x) / p.width, p.width]; })()"
    )
    before = page.evaluate(place)
    page.focus("#view")
    for _ in range(3):
        page.keyboard.press("+")
    share, width = page.evaluate(place)
    assert width > 1.8 * before[1] and share == pytest.approx(before[0], abs=0.01) == pytest.approx(0.25, abs=0.01)


def download(page, button):
    with page.expect_download() as waiting:
        page.click(button)
    path = waiting.value.path()
    return waiting.value.suggested_filename, path.read_bytes()


def test_downloads(page):
    opened(page)
    name, picture = download(page, "#save-png")
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    assert name == "chest.png" and ((pixels[..., 0] - pixels[..., 2]) > 150).any(), "amber boxes are drawn"
    name, rows = download(page, "#save-csv")
    table = read_submission(io_table(rows))
    groups, faults = read_groups(table)
    assert name == "submission.csv" and list(table["id"]) == ["chest_study", "chest_image"]
    assert not faults and group_faults(groups, table["id"]).empty
    name, answer = download(page, "#save-json")
    told = json.loads(answer)
    assert name == "chest.json" and told["name"] == "chest.dcm" and "token" not in told


def io_table(content):
    import pandas as pd

    return pd.read_csv(io.BytesIO(content), dtype=str)


def test_several_files_and_one_that_cannot_be_read(page):
    page.set_input_files(
        "#input",
        [
            {"name": "a.png", "mimeType": "image/png", "buffer": png(200)},
            {"name": "b.dcm", "mimeType": "application/dicom", "buffer": b"no radiograph"},
            {"name": "c.png", "mimeType": "image/png", "buffer": png(120)},
        ],
    )
    page.wait_for_selector("#list .bad")
    assert "b.dcm: neither DICOM nor PNG nor JPEG" in page.inner_text("#list .bad")
    page.wait_for_selector("#list button[aria-current=true]")
    assert page.locator("#list button").count() == 2
    page.focus("#view")
    page.keyboard.press("n")
    until(page, "#facts dd >> nth=0", "c.png")
    assert len(download(page, "#save-csv")[1].splitlines()) == 5


def test_a_bad_file_alone_is_told(page):
    send(page, "x.dcm", b"\0" * 200)
    page.wait_for_selector("#list .bad")
    assert "neither DICOM" in page.inner_text("#message")


def test_a_name_is_text(page):
    send(page, HOSTILE, png(150))
    page.wait_for_selector("#list button[aria-current=true]")
    assert HOSTILE.split("/")[-1] in page.inner_text("#list") and page.locator("#list img").count() == 1
    assert page.title() == "Chest X-ray models"


def test_an_example_by_the_keyboard(page):
    page.focus("[data-example=atypical]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#save-csv:enabled")
    assert page.inner_text("#facts dd >> nth=0") == "phantom_atypical.dcm"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(browser, address, scheme):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(address)
    opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert (red < 60) == (scheme == "dark")
    page.click("#theme")
    page.click("#theme")
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert red < 60, "dark by choice"
    context.close()


def test_the_interface_page_describes_the_prediction(page, address):
    page.goto(f"{address}/docs")
    page.wait_for_selector("text=POST /predict")
    assert "too many files, bytes or pixels" in page.inner_text("body")


def test_the_notice_and_the_source_are_there(page):
    assert "not for diagnosis" in page.inner_text(".notice")
    until(page, ".notice", "synthetic phantoms alone")  # the server tells this once the page is there
    assert page.get_attribute("footer a", "href") == "/source"


def test_a_file_chosen_at_once_waits_for_the_models(browser, address):
    context = browser.new_context()
    page, held = context.new_page(), []
    page.route("**/health", lambda route: held.append(route))
    with page.expect_request("**/health"):
        page.goto(address)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    send(page, "chest.dcm", example("typical"))
    page.wait_for_timeout(200)
    assert not [url for url in asked if url.endswith("/predict")]
    with page.expect_request("**/predict") as sent:
        held[0].continue_()
    assert b"yolo" in sent.value.post_data_buffer
    until(page, "#count", "of 1 boxes")
    context.close()
