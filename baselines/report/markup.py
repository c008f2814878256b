"""Pieces of HTML. Whatever is a text here is escaped; whatever is called `inside` is HTML already."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a table; its lines stand under each other."""

    text: str
    classes: str = ""
    badge: str = ""


def paragraph(text: str, classes: str = "") -> str:
    unbroken = escape(text).replace(" %", "\N{NO-BREAK SPACE}%")
    return f"<p{_classes(classes)}>{unbroken}</p>" if text else ""


def listing(texts: Iterable[str], classes: str) -> str:
    return f"<ul{_classes(classes)}>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def details(summary: str, inside: str) -> str:
    """What a reader can unfold."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def figure(title: str, note: str, inside: str) -> str:
    return f"<figure><figcaption><h3>{escape(title)}</h3>{paragraph(note)}</figcaption>{inside}</figure>"


def section(anchor: str, title: str, badge: str, inside: str) -> str:
    heading = f'<h2 id="{anchor}-title">{escape(title)}{_badge(badge)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-title">{heading}{inside}</section>'


def table(name: str, header: Sequence[str], rows: Iterable[Iterable[Cell | str]]) -> str:
    """A table whose first column names its rows; where it is too wide, it scrolls by itself."""
    head = "".join(f'<th scope="col">{escape(word)}</th>' for word in header)
    body = "".join(_row([Cell(cell) if isinstance(cell, str) else cell for cell in row]) for row in rows)
    opening = f'<div class="table" role="region" tabindex="0" aria-label="{escape(name)}">'
    return f"{opening}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _row(cells: Sequence[Cell]) -> str:
    first, *others = cells
    inside = "".join(f"<td{_classes(cell.classes)}>{_lines(cell.text)}</td>" for cell in others)
    return f'<tr><th scope="row"{_classes(first.classes)}>{_lines(first.text)}{_badge(first.badge)}</th>{inside}</tr>'


def _badge(text: str) -> str:
    return f' <span class="badge">{escape(text)}</span>' if text else ""


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.split("\n")))


def _classes(classes: str) -> str:
    return f' class="{classes}"' if classes else ""
