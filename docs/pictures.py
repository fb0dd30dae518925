"""The README's pictures: `.venv/bin/python docs/pictures.py` after a `make all` on the phantom (never on real data)."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from cxr.data.prepare import load_training
from cxr.evaluation.out_of_fold import pick_examples
from cxr.figures.pictures import Picture, predictions_beside_truth
from cxr.labels import STUDY_CLASSES
from cxr.workspace import open_run_folder

IMAGES = Path(__file__).resolve().parent / "images"
DATA, LEARNED, MODELS, OUT = "#dfe7ef", "#e8ddf0", "#ffe3ab", "#cfe8cf"
BOXES = [  # x, y, text, color
    (0, 1.5, "00 inputs\nDICOM or phantom", DATA),
    (1, 2.3, "01 DICOM to pixels\n02 exploration", DATA),
    (1, 0.5, "04 NIH: backbone", LEARNED),
    (2, 2.3, "03 folds\npatients stay together", DATA),
    (2, 1.25, "05 RSNA: detectors", LEARNED),
    (2, 3.05, "06 lung masks", LEARNED),
    (3, 2.6, "07 YOLO\na model a fold", MODELS),
    (3, 1.55, "08 Faster R-CNN\na model a fold", MODELS),
    (3, 0.5, "09 study classifier\n+ box masks, a model a fold", MODELS),
    (4, 1.55, "10 fusion and blend\ntuned out of fold", OUT),
    (5, 2.0, "11 submission.csv\nscore", OUT),
    (5, 1.1, "12 report.html", OUT),
]
ARROWS = [(0, 1), (0, 2), (1, 3), (1, 5), (2, 4), (3, 6), (3, 7), (4, 7), (4, 6), (2, 8), (3, 8)]
ARROWS += [(6, 9), (7, 9), (8, 9), (9, 10), (9, 11)]
WIDTH, HEIGHT = 0.86, 0.5


def pipeline() -> Picture:
    """The stages and what flows between them."""
    figure = Picture(12.5, 4.2)
    axes = figure.add_subplot()
    for x, y, text, color in BOXES:
        axes.add_patch(
            FancyBboxPatch((x, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0.02", fc=color, ec="#555")
        )
        axes.text(x + WIDTH / 2, y, text, ha="center", va="center", fontsize=8)
    for start, end in ARROWS:
        (x, y, *_), (to_x, to_y, *_) = BOXES[start], BOXES[end]
        tip = (x + WIDTH + 0.03, y), (to_x - 0.03, to_y)
        axes.add_patch(FancyArrowPatch(*tip, arrowstyle="-|>", mutation_scale=10, color="#555"))
    axes.set_xlim(-0.08, 5.95)
    axes.set_ylim(0.1, 3.4)
    axes.axis("off")
    return figure


def predictions(folder: Path) -> Picture:
    """Eight phantom pictures with truth and out-of-fold boxes."""
    run = open_run_folder(folder)
    if not run.is_phantom:
        raise SystemExit(f"{folder} was made on real data: its pictures never go into the README")
    images, truth, pixels = load_training(run)
    found = pd.read_csv(run.places.fused / "out_of_fold.csv")
    rows = pick_examples(images, 8)
    titles = [max(STUDY_CLASSES, key=lambda name, row=row: images[name].iat[row]) for row in rows]
    return predictions_beside_truth(images.iloc[rows], np.asarray(pixels[rows]), truth, found, titles, at_most=2)


def page(folder: Path) -> None:
    """The web page with a phantom, wide and as a phone has it: a server of the run, and an installed Chromium."""
    from playwright.sync_api import sync_playwright

    server = subprocess.Popen(
        [sys.executable, "-m", "cxr", "serve", "--run", str(folder), "--port", "8011"],
        text=True,
        stdout=subprocess.PIPE,
    )
    wide = {"viewport": {"width": 1280, "height": 900}}
    phone = {"viewport": {"width": 390, "height": 1000}, "color_scheme": "dark", "is_mobile": True, "has_touch": True}
    try:
        while "open http" not in (line := server.stdout.readline()):
            print(line, end="")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, kind, layer in (("page", wide, "#show-lungs"), ("page_phone", phone, "#show-heat")):
                one = browser.new_context(**kind).new_page()
                one.goto("http://localhost:8011")
                one.click("[data-example=typical]")
                one.wait_for_selector("#save-csv:enabled")
                one.check(layer)
                one.wait_for_timeout(8000)
                one.evaluate("scrollTo(0, 0)")
                one.screenshot(path=IMAGES / f"{name}.png")
            browser.close()
    finally:
        server.terminate()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    pipeline().savefig(IMAGES / "pipeline.png", dpi=110)
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "working/demo")
    predictions(run).savefig(IMAGES / "phantom_predictions.png", dpi=75)
    page(run)
