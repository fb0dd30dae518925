"""The report's building blocks of HTML: text, tables, figures, sections, and the document around them.

Whatever comes from files (ids, file names, reasons) is text and is escaped here; only `Html` passes as it stands. No
template engine: the page has five kinds of block, and each is a function of a few lines.
"""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from PIL import Image

from cxr.figures.pictures import Picture
from cxr.report.style import CSS

# the page needs nothing from anywhere, and a browser holds it to that
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
COLORS = 256
JPEG_QUALITY = 88
WIDE = 600  # px


class Html(str):
    """Markup that is ready for the page."""


class Number(str):
    """A formatted number: escaped like text, but set to the right."""


def number(value: float | None, signed: bool = False) -> Number:
    """`.568`, `-.012`, `1.000`; with `signed` also `+.012`; a dash for what has no value."""
    if value is None or math.isnan(value):
        return Number("–")
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    text = text.lstrip("+-") if float(text) == 0 else text
    return Number(text.replace("0.", ".", 1) if abs(float(text)) < 1 else text)


def estimate(value: float | None, low: float | None = None, high: float | None = None, signed: bool = False) -> Number:
    """`.568 (.527-.634)`, or `+.012 (-.003 to +.027)` where a sign matters; the interval is left out where unknown."""
    if None in (value, low, high) or math.isnan(low) or math.isnan(high):
        return number(value, signed)
    between = " to " if signed else "-"
    return Number(f"{number(value, signed)} ({number(low, signed)}{between}{number(high, signed)})")


def text(value: object) -> Html:
    """A value as escaped text; None is a dash."""
    if isinstance(value, Html):
        return value
    return Html(escape("–" if value is None else str(value)))


def paragraph(value: str, kind: str = "") -> Html:
    """A paragraph; `kind` is a class of the style sheet: look, absent, banner, lead."""
    return Html(f"<p{f' class={kind}' if kind else ''}>{text(value)}</p>")


def absent(value: str) -> list[Html]:
    """The only block of a section whose files are not there."""
    return [paragraph(value, "absent")]


def heading(value: str) -> Html:
    """A heading inside a section, with a capital."""
    return Html(f"<h3>{text(value[:1].upper() + value[1:])}</h3>")


def bullets(values: Iterable[object]) -> Html:
    """A list of lines; nothing for none."""
    values = list(values)
    return Html("") if not values else Html("<ul>" + "".join(f"<li>{text(value)}</li>" for value in values) + "</ul>")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Html:
    """A table that scrolls by itself where the window is narrow; the first column holds the names of the rows."""
    numbers = [any(isinstance(row[place], Number) for row in rows) for place in range(len(columns))]
    head = "".join(
        f"<th scope=col{' class=n' if right else ''}>{text(name)}</th>"
        for name, right in zip(columns, numbers, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, numbers)}</tr>\n" for row in rows)
    return Html(f"<div class=scroll><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>")


def _cells(row: Sequence[object], numbers: Sequence[bool]) -> str:
    first = f"<th scope=row>{text(row[0])}</th>"
    rest = zip(row[1:], numbers[1:], strict=True)
    return first + "".join(f"<td{' class=n' if right else ''}>{text(value)}</td>" for value, right in rest)


def folded(words: str, block: Html) -> Html:
    """A long block behind its title, which opens it."""
    return Html(f"<details><summary>{text(words)}</summary>{block}</details>")


def figure(picture: Picture, alt: str, caption: str | Html = "") -> Html:
    """A figure as an inline PNG. `alt` says in words what it shows."""
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    source, width, height = png_source(picture._repr_png_())
    # on a phone a wide figure scrolls, since letters shrunk to a third cannot be read
    wide = " class=wide" if width > WIDE else ""
    image = f'<img{wide} src="{source}" width={width} height={height} alt="{escape(alt)}">'
    return Html(f"<figure><div class=scroll>{image}</div>{below}</figure>")


def png_source(png: bytes) -> tuple[str, int, int]:
    """PNG bytes as a data address, with width and height; 256 colors are enough here and halve the page."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}", *picture.size


def photo_source(pixels: np.ndarray) -> tuple[str, int, int]:
    """As `png_source`, for uint8 [H x W x 3] of a radiograph: its grain makes a PNG several times as large."""
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    picture.save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}", *picture.size


@dataclass
class Section:
    """A part of the page: `look` is the sentence on what to look for."""

    anchor: str
    title: str
    look: str
    blocks: list[Html] = field(default_factory=list)

    def html(self) -> str:
        blocks = "\n".join(map(text, self.blocks))
        return (
            f"<section id={self.anchor}>\n<h2>{text(self.title)}</h2>\n{paragraph(self.look, 'look')}\n"
            f"{blocks}\n</section>"
        )


def document(title: str, head: Sequence[Html], sections: Sequence[Section], foot: str) -> str:
    """The whole page."""
    contents = "".join(f'<li><a href="#{section.anchor}">{text(section.title)}</a></li>' for section in sections)
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">\n'
        f"<title>{text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{text(title)}</h1>\n" + "\n".join(head) + "\n</header>\n"
        f"<nav aria-label=Contents><ol>{contents}</ol></nav>\n<main>\n"
        + "\n".join(section.html() for section in sections)
        + f"\n</main>\n<footer>{paragraph(foot)}</footer>\n</body>\n</html>\n"
    )
