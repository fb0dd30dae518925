"""A radiograph with boxes as SVG over a PNG, and class probabilities as bars: pieces of HTML for a notebook.

The picture is encoded once and boxes are text, so that a layer switches without a picture being drawn. Whatever comes
from files is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import cv2
import numpy as np

from cxr.figures.pictures import TRUE

COLORS = ("#ffb300", "#29b6f6", "#ff6ec7", "#b388ff", "#ff7043", "#c6ff00", "#1de9b6")  # all far from the truth's green
PLATE = (26, 14)  # screen pixels behind a score
FLATTEST, TALLEST = 0.5, 2.0  # height over width of a picture as it is shown


class Layer(NamedTuple):
    """Boxes of one model, or the true ones (without scores), in original pixels."""

    name: str
    color: str
    boxes_xyxy: np.ndarray  # [N x 4]
    scores: Sequence[float] | None = None


def png_address(pixels: np.ndarray) -> str:
    """Gray uint8 [H x W] as a data address."""
    png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


def radiograph_svg(picture: str | None, size: tuple[float, float], layers: Sequence[Layer], width: int = 420) -> str:
    """One radiograph in the proportions of its file, with every layer's boxes; predicted ones are dashed.

    picture: `png_address`, None for a gray plate that says so; size: (height, width) of the original in pixels; width:
    on the screen, in pixels.
    """
    high, wide = size
    shown = round(width * min(max(high / wide, FLATTEST), TALLEST))
    # boxes are drawn in screen pixels: strokes and letters keep their size at any resolution
    scale = np.array([width / wide, shown / high, width / wide, shown / high])
    plate = (
        f'<image href="{picture}" width="{width}" height="{shown}" preserveAspectRatio="none"/>'
        if picture
        else f'<rect width="{width}" height="{shown}" fill="#333"/>'
        f'<text x="{width / 2}" y="{shown / 2}" fill="#ccc" text-anchor="middle" font-size="13">'
        "no picture in the cache</text>"
    )
    groups = "".join(_group(layer, scale, width, corner) for corner, layer in enumerate(layers))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{shown}" viewBox="0 0 {width} {shown}" '
        f'style="display:block" font-family="sans-serif" role="img">{plate}{groups}</svg>'
    )


def _group(layer: Layer, scale: np.ndarray, width: int, corner: int) -> str:
    """`corner`: which of a box's four corners holds its score, so that models that agree do not hide each other's."""
    color, shapes = escape(layer.color), []
    dash = "" if layer.scores is None else ' stroke-dasharray="6 3"'
    for index, (x_min, y_min, x_max, y_max) in enumerate(np.asarray(layer.boxes_xyxy, float).reshape(-1, 4) * scale):
        score = "" if layer.scores is None else f"{layer.scores[index]:.2f}"
        told = f"<title>{escape(' '.join((layer.name, score)).strip())}</title>"
        shapes.append(
            f'<rect x="{x_min:.1f}" y="{y_min:.1f}" width="{max(x_max - x_min, 0):.1f}" '
            f'height="{max(y_max - y_min, 0):.1f}" fill="transparent" stroke="{color}" stroke-width="2"{dash}>{told}'
            "</rect>"
        )
        if score:
            x = np.clip(x_max - PLATE[0] if corner % 2 else x_min, 0, width - PLATE[0])
            y = max(y_max - PLATE[1] if corner // 2 % 2 else y_min, 0)
            shapes.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{PLATE[0]}" height="{PLATE[1]}" fill="rgba(0,0,0,.65)"/>'
                f'<text x="{x + 2:.1f}" y="{y + 11:.1f}" font-size="11" fill="{color}">{score}</text>'
            )
    return f"<g>{''.join(shapes)}</g>"


def chip(color: str, dashed: bool = True) -> str:
    """A short stroke in a layer's colour, as its boxes have it."""
    dash = ' stroke-dasharray="6 3"' if dashed else ""
    return (
        f'<svg width="26" height="12"><line x1="1" y1="6" x2="25" y2="6" stroke="{escape(color)}" '
        f'stroke-width="3"{dash}/></svg>'
    )


def class_bars(probabilities: Mapping[str, Mapping[str, float]], true: str | None) -> str:
    """Bars of the class probabilities, a block a model; the true class is green, its name bold."""
    return "".join(_bars(name, values, true) for name, values in probabilities.items())


def _bars(name: str, values: Mapping[str, float], true: str | None) -> str:
    rows = []
    for kind, value in values.items():
        color, weight = (TRUE, "bold") if kind == true else ("#8aa4c2", "normal")
        rows.append(
            f'<div style="display:flex;align-items:center;line-height:17px;font-weight:{weight}">'
            f'<span style="width:100px">{escape(kind)}</span>'
            f'<span style="width:130px;background:rgba(128,128,128,.2)"><span style="display:block;height:10px;'
            f'width:{130 * min(max(value, 0), 1):.0f}px;background:{color}"></span></span>'
            f'<span style="margin-left:6px">{value:.2f}</span></div>'
        )
    return f'<div style="margin:0 24px 8px 0"><i>{escape(name)}</i>{"".join(rows)}</div>'


def fact_table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Facts of several images side by side, a column an image; what one lacks is a dash."""
    names = list(dict.fromkeys(name for facts in columns.values() for name in facts))
    head = "".join(f'<th style="text-align:left;padding-right:16px">{escape(title)}</th>' for title in columns)
    body = "".join(
        f'<tr><td style="padding-right:16px;opacity:.7">{escape(name)}</td>'
        + "".join(f'<td style="padding-right:16px">{escape(facts.get(name, "–"))}</td>' for facts in columns.values())
        + "</tr>"
        for name in names
    )
    return f'<table style="font-size:12px;line-height:16px"><tr><th></th>{head}</tr>{body}</table>'
