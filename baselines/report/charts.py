"""Charts as inline SVG, drawn for the width of a phone. Colours and strokes are the page's: `style.css` names them.

Every series differs from the others by colour and by dash, so that no reader needs to tell colours apart.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 330, 220  # of a chart with two axes, in units of its own: about as many pixels on a phone
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 38  # what the axes' numbers and names take
ROW, LETTERS = 34, 38  # in a chart of rows: the height of one, and how much of a label fits it
ROOM = 0.15  # of the axis, for intervals that reach farther than all lines
COLOURS, DASHES = 6, 6  # in style.css


class Line(NamedTuple):
    """A series with a band around it. k: its number, which gives its colour and dash."""

    label: str
    k: int
    x: np.ndarray  # [P]
    y: np.ndarray  # [P]
    low: np.ndarray  # [P]
    high: np.ndarray  # [P]


class Thin(NamedTuple):
    """A series without a band that belongs to the line of number k."""

    k: int
    x: np.ndarray
    y: np.ndarray


class Row(NamedTuple):
    """A figure with its interval, above which its label stands. k: of its series; None for a reference."""

    label: str
    k: int | None
    value: float
    low: float
    high: float
    words: str  # the figure as text
    points: Sequence[float] = ()  # those of single runs


class Mark(NamedTuple):
    """A level that is drawn across a chart, with its name."""

    label: str
    value: float


def series_class(k: int) -> str:
    """The classes that give a series its colour and its dash; with more than COLOURS series, pairs of them are new."""
    return f"c{k % COLOURS} d{(k + k // COLOURS) % DASHES}"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two bounds, at most so many and one."""
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    return [round(k * step, 10) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def tick_words(value: float) -> str:
    """A number beside an axis, thousands and millions shortened."""
    size, unit = next(((size, unit) for size, unit in ((1e6, "M"), (1e3, "k")) if abs(value) >= size), (1, ""))
    return f"{value / size:.10g}{unit}".replace("-", "\N{MINUS SIGN}")


def key(label: str, k: int) -> str:
    """An entry of a legend: a piece of the line and its name."""
    line = f'<svg viewBox="0 0 28 10" aria-hidden="true"><path class="line {series_class(k)}" d="M0 5H28"/></svg>'
    return f"<li>{line}{escape(label)}</li>"


class Axes:
    """A rectangle of the chart with numbers along its left and lower edges."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], x_name: str, y_name: str) -> None:
        self.x0, self.x1 = _widened(*x)
        self.y0, self.y1 = _widened(*y)
        self.parts: list[str] = []
        for value in ticks(self.y0, self.y1):
            self.parts.append(f'<path class="grid" d="M{LEFT} {self.down(value)}H{WIDTH - RIGHT}"/>')
            self.parts.append(_text(LEFT - 5, self.down(value), tick_words(value), "end middle"))
        for value in ticks(self.x0, self.x1, 4):
            self.parts.append(f'<path class="grid" d="M{self.across(value)} {HEIGHT - BOTTOM}v4"/>')
            self.parts.append(_text(self.across(value), HEIGHT - BOTTOM + 15, tick_words(value), "centre"))
        self.parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
        self.parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_name, "centre name"))
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turned = f'transform="rotate(-90 10 {_short(middle)})"'
        self.parts.append(f'<text class="centre name" x="10" y="{_short(middle)}" {turned}>{escape(y_name)}</text>')

    def across(self, x: float) -> str:
        return _short(LEFT + (x - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT))

    def down(self, y: float) -> str:
        return _short(HEIGHT - BOTTOM - (y - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM))

    def path(self, x: np.ndarray, y: np.ndarray) -> str:
        return "L".join(f"{self.across(a)} {self.down(b)}" for a, b in zip(x, y, strict=True))


def line_chart(
    title: str,
    lines: Sequence[Line],
    thin: Sequence[Thin],
    marks: Sequence[Mark],
    x_name: str,
    y_name: str,
    y_bounds: tuple[float, float] | None = None,
) -> str:
    """Series over an axis. y_bounds: of the axis; without them, it reaches as far as the lines, and a little farther
    for their intervals, which are cut off there: those of two or three runs would leave the lines no room.
    """
    drawn: list[Line | Thin] = [*lines, *thin]
    x = np.concatenate([one.x for one in drawn])
    y = np.concatenate([*(one.y for one in drawn), [mark.value for mark in marks]])
    room = ROOM * (y.max() - y.min())
    all_y = np.concatenate([y, *(line.low for line in lines), *(line.high for line in lines)])
    reach = (max(all_y.min(), y.min() - room), min(all_y.max(), y.max() + room))
    axes = Axes((x.min(), x.max()), y_bounds or reach, x_name, y_name)
    for mark in marks:
        axes.parts.append(f'<path class="mark" d="M{LEFT} {axes.down(mark.value)}H{WIDTH - RIGHT}"/>')
        above = float(axes.down(mark.value)) > TOP + 14
        axes.parts.append(
            _text(WIDTH - RIGHT - 3, float(axes.down(mark.value)) + (-4 if above else 12), mark.label, "end note")
        )
    opacity = f"{min(0.16, 0.6 / max(len(lines), 1)):.2f}"  # many bands lie over each other
    for line in lines:
        edge = np.concatenate([line.low, line.high[::-1]]).clip(axes.y0, axes.y1)
        band = axes.path(np.concatenate([line.x, line.x[::-1]]), edge)
        axes.parts.append(f'<path class="band {series_class(line.k)}" fill-opacity="{opacity}" d="M{band}Z"/>')
    for one in thin:
        axes.parts.append(f'<path class="thin {series_class(one.k)}" d="M{axes.path(one.x, one.y)}"/>')
    for line in lines:
        path = axes.path(line.x, line.y)
        of, name = series_class(line.k), escape(line.label)
        axes.parts.append(f'<path class="line {of}" d="M{path}"><title>{name}</title></path>')
        if len(line.x) == 1:
            place = f'cx="{axes.across(line.x[0])}" cy="{axes.down(line.y[0])}"'
            axes.parts.append(f'<circle class="dot {of}" {place} r="4"/>')
    return _svg(title, HEIGHT, axes.parts)


def row_chart(
    title: str, rows: Sequence[Row], name: str, reach: Sequence[float] = (), level: float | None = None
) -> str:
    """Figures with their intervals, row by row. reach: values to which the axis goes; level: one across all rows."""
    values = [*reach, *(value for row in rows for value in (row.value, row.low, row.high, *row.points))]
    finite = [value for value in values if math.isfinite(value)]
    low, high = _widened(min(finite), max(finite))
    bottom = ROW * len(rows) + 6

    def across(x: float) -> str:
        return _short(12 + (min(max(x, low), high) - low) / (high - low) * (WIDTH - 24))

    parts = []
    for value in ticks(low, high):
        parts.append(f'<path class="grid" d="M{across(value)} 4V{bottom}"/>')
        parts.append(_text(across(value), bottom + 15, tick_words(value), "centre"))
    if level is not None:
        parts.append(f'<path class="mark" d="M{across(level)} 4V{bottom}"/>')
    parts.append(f'<path class="axis" d="M12 {bottom}H{WIDTH - 12}"/>')
    parts.append(_text(WIDTH / 2, bottom + 32, name, "centre name"))
    for k, row in enumerate(rows):
        parts += _row(row, ROW * k + 4, across)
    return _svg(title, bottom + 38, parts)


def _row(row: Row, top: float, across: Callable[[float], str]) -> list[str]:
    of = "reference" if row.k is None else series_class(row.k)
    y = top + 24
    label = row.label if len(row.label) <= LETTERS else f"{row.label[: LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    parts = [_text(12, top + 11, label, "label"), _text(WIDTH - 12, top + 11, row.words, "end label")]
    parts += [f'<circle class="seed {of}" cx="{across(point)}" cy="{y}" r="2.5"/>' for point in row.points]
    if math.isfinite(row.low) and row.low < row.high:
        parts.append(f'<path class="interval {of}" d="M{across(row.low)} {y}H{across(row.high)}"/>')
    if row.k is None:
        x = float(across(row.value))
        parts.append(f'<path class="diamond" d="M{_short(x - 5)} {y}l5 -5l5 5l-5 5Z"/>')
    else:
        parts.append(f'<circle class="dot {of}" cx="{across(row.value)}" cy="{y}" r="5"/>')
    return parts


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    name = escape(title, quote=True)
    return f'<svg class="chart" role="img" aria-label="{name}" viewBox="0 0 {WIDTH} {_short(height)}">{inside}</svg>'


def _text(x: float | str, y: float | str, words: str, classes: str) -> str:
    place = f'x="{x if isinstance(x, str) else _short(x)}" y="{y if isinstance(y, str) else _short(y)}"'
    return f'<text class="{classes}" {place}>{escape(words)}</text>'


def _widened(low: float, high: float) -> tuple[float, float]:
    """Bounds that are some way apart."""
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
