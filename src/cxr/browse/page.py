"""The page in Jupyter: filters, layers and a place among the studies that fit; all it shows comes from `Studies`."""

from functools import lru_cache
from html import escape

import ipywidgets as w
import numpy as np

from cxr.browse.studies import Filters, Studies
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.figures.browse import COLORS, Layer, chip, class_bars, fact_table, png_address, radiograph_svg
from cxr.figures.pictures import TRUE
from cxr.workspace import Workspace

ALL = "all"  # also its value: a Dropdown shows nothing for None
WIDTHS = {1: 520, 2: 430, 3: 320}  # screen pixels of a picture, by number of images
NARROW = 260
KEPT_PICTURES = 64


def browse(workspace: Workspace) -> w.VBox:
    """The page for a run. Raises DataFault before stage 03."""
    return Page(Studies(RunFiles(workspace))).view


class Page:
    """Widgets and what happens when they are used. `view` is what a notebook shows."""

    def __init__(self, studies: Studies):
        self.studies = studies
        self.found = list(studies.ids)
        self._turning = False  # while the widgets of the place are set together
        self.encoded = lru_cache(KEPT_PICTURES)(self._encode)
        self._make_filters()
        self._make_layers()
        self._make_pager()
        self.pictures, self.bars, self.facts = w.HTML(layout=w.Layout(flex="0 1 auto")), w.HTML(), w.HTML()
        beside = w.VBox([self.bars, self.facts], layout=w.Layout(flex="1 1 300px"))  # below where the window is narrow
        study = w.HBox([self.pictures, beside], layout=w.Layout(flex_flow="row wrap"))
        choices = [self.label, self.source, self.fold, self.error, self.model, self.text]
        filters = w.HBox(choices, layout=w.Layout(flex_flow="row wrap"))
        pager = w.HBox([self.previous, self.place, self.count, self.next, self.title])
        self.view = w.VBox([self._notes(), filters, self._layer_box(), pager, study])
        self._watch()
        self.refilter()

    def _make_filters(self) -> None:
        options = self.studies.options()
        self.label, self.source, self.fold = (
            _dropdown(name, [(ALL, ALL), *((str(value), value) for value in options[name])])
            for name in ("label", "source", "fold")
        )
        self.model = _dropdown("errors of", [(title_of(name), name) for name in self.studies.models if is_main(name)])
        self.error = _dropdown("error", [(ALL, ALL)])
        self.text = w.Text(description="id has", placeholder="part of an id", layout=w.Layout(width="230px"))
        self.model.value = self.studies.files.best_of(dict.fromkeys(name for _, name in self.model.options))
        self._offer_errors()

    def _offer_errors(self) -> None:
        """The errors that the judged model can make; the one that was chosen stays if it is among them."""
        kept, kinds = self.error.value, self.studies.error_kinds(self.model.value)
        self.error.options = [(ALL, ALL), *((kind, kind) for kind in kinds)]
        self.error.value = kept if kept in kinds else ALL
        self.model.disabled = self.error.disabled = not kinds

    def _make_layers(self) -> None:
        self.truth = w.Checkbox(value=True, description="truth", indent=False, layout=w.Layout(width="210px"))
        self.colors = {name: COLORS[k % len(COLORS)] for k, name in enumerate(self.studies.boxes)}
        self.shown, self.thresholds = {}, {}
        best = self.studies.files.best_of(self.studies.boxes)  # all at once would hide the lungs
        for name in self.studies.boxes:
            self.shown[name] = w.Checkbox(
                value=name == best, description=title_of(name), indent=False, layout=w.Layout(width="210px")
            )
            self.thresholds[name] = w.FloatSlider(
                value=self.studies.best_threshold(name), min=0, max=1, step=0.01, readout_format=".2f",
                description="score from", layout=w.Layout(width="330px"),
            )  # fmt: skip

    def _make_pager(self) -> None:
        self.previous, self.next = (
            w.Button(description=name, icon=icon, layout=w.Layout(width="110px"))
            for name, icon in (("previous", "arrow-left"), ("next", "arrow-right"))
        )
        self.place = w.BoundedIntText(value=1, min=1, max=1, layout=w.Layout(width="80px"))
        self.count, self.title = w.Label(), w.HTML()

    def _notes(self) -> w.HTML:
        """What is absent or broken, so that an empty page does not look like a quiet one."""
        studies, notes = self.studies, list(self.studies.faults)
        if studies.pixels is None:
            notes.append("No pictures: the cache is not there (stage 01 makes it).")
        if not studies.models:
            notes.append("No predictions yet: only the truth is shown, and there are no errors to filter by.")
        return w.HTML("".join(f"<div style='color:#c62828'>{escape(note)}</div>" for note in notes))

    def _layer_box(self) -> w.VBox:
        rows = [w.HBox([w.HTML(chip(TRUE, dashed=False)), self.truth])]
        rows += [
            w.HBox([w.HTML(chip(self.colors[name])), self.shown[name], self.thresholds[name]]) for name in self.shown
        ]
        return w.VBox(rows)

    def _watch(self) -> None:
        for widget in (self.label, self.source, self.fold, self.error, self.text):
            widget.observe(lambda _: self.refilter(), "value")
        self.model.observe(lambda _: self._judge_another(), "value")
        for name in self.shown:
            self.shown[name].observe(lambda _: self.draw(), "value")
            self.thresholds[name].observe(lambda _, name=name: self._move_threshold(name), "value")
        self.truth.observe(lambda _: self.draw(), "value")
        self.place.observe(lambda _: None if self._turning else self.show(), "value")
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))

    def _judge_another(self) -> None:
        self._offer_errors()
        self.refilter()

    def _move_threshold(self, name: str) -> None:
        # only the judged model's threshold decides which studies are errors
        if name == self.model.value and self.error.value != ALL:
            self.refilter()
        else:
            self.draw()

    @property
    def study(self) -> str | None:
        """The study that is shown; None where no study fits."""
        return self.found[self.place.value - 1] if self.found else None

    def filters(self) -> Filters:
        """What the widgets say."""
        model = self.model.value
        threshold = self.thresholds[model].value if model in self.thresholds else 0.0
        chosen = (widget.value for widget in (self.label, self.source, self.fold, self.error))
        return Filters(*(None if value == ALL else value for value in chosen), model, threshold, self.text.value)

    def refilter(self) -> None:
        """Find the studies that fit; the one that is shown stays if it is among them."""
        before = self.study
        self.found = self.studies.select(self.filters())
        number = len(self.found)
        self._turning = True
        try:  # smaller ends may move the place by themselves
            self.place.max = max(number, 1)
            self.place.value = self.found.index(before) + 1 if before in self.found else 1
        finally:
            self._turning = False
        self.count.value = f"of {number} studies" if number else "no study fits these filters"
        self.show()

    def step(self, by: int) -> None:
        """Turn pages; stays at the ends."""
        self.place.value = int(np.clip(self.place.value + by, 1, max(len(self.found), 1)))

    def show(self) -> None:
        """Everything about the study at this place."""
        study = self.study
        self.previous.disabled = self.place.value <= 1
        self.next.disabled = self.place.value >= len(self.found)
        if study is None:
            self.title.value = self.bars.value = self.facts.value = ""
        else:
            true, fold = self.studies.kinds[study], self.studies.folds[study]
            true = true if isinstance(true, str) else None
            self.title.value = f"<b>{escape(true or 'unknown')}</b>, fold {fold}, study {escape(str(study))}"
            named = {title_of(name): values for name, values in self.studies.probabilities(study).items()}
            self.bars.value = f"<div style='display:flex;flex-wrap:wrap'>{class_bars(named, true)}</div>"
            rows = self.studies.image_rows(study)
            ids = self.studies.images["image_id"]
            self.facts.value = fact_table({str(ids.iat[row]): self.studies.facts(row) for row in rows})
        self.draw()

    def draw(self) -> None:
        """The study's images with the layers that are switched on."""
        rows = [] if self.study is None else self.studies.image_rows(self.study)
        width = WIDTHS.get(len(rows), NARROW)
        cards = "".join(f"<div style='margin:0 8px 8px 0'>{self._card(row, width)}</div>" for row in rows)
        self.pictures.value = f"<div style='display:flex;flex-wrap:wrap'>{cards}</div>"

    def _card(self, row: int, width: int) -> str:
        image = self.studies.images.iloc[row]
        picture = None if self.studies.pixels is None else self.encoded(row)
        svg = radiograph_svg(picture, (image["height"], image["width"]), self.layers(row), width)
        copy = ", boxless copy: not judged" if image["role"] == "duplicate" else ""
        return f"{svg}<div style='font-size:12px'>{escape(str(image['image_id']))}{copy}</div>"

    def layers(self, row: int) -> list[Layer]:
        """The layers of one image that are switched on, truth last and so on top."""
        found = []
        for name in [name for name, box in self.shown.items() if box.value]:
            boxes = self.studies.image_boxes(row, name, self.thresholds[name].value)
            found.append(Layer(title_of(name), self.colors[name], boxes.corners, boxes.scores))
        if self.truth.value:
            found.append(Layer("truth", TRUE, self.studies.image_boxes(row).corners))
        return found

    def _encode(self, row: int) -> str:
        return png_address(np.asarray(self.studies.pixels[row]))


def _dropdown(name: str, options: list[tuple[str, object]]) -> w.Dropdown:
    return w.Dropdown(options=options, description=name, layout=w.Layout(width="230px"))
