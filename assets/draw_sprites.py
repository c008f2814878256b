"""Draws the sprites of this folder: flat shapes in the colours of the pictures, on a transparent ground.

    python assets/draw_sprites.py

Each sprite is drawn in a square of 100 units, at eight times its size, and scaled down.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

INK, PAPER = (34, 34, 34), (255, 255, 255)
ORANGE, GREEN, VERMILLION = (230, 159, 0), (0, 158, 115), (213, 94, 0)
YELLOW, PURPLE, GREY, BROWN = (240, 228, 66), (204, 121, 167), (150, 150, 150), (122, 84, 48)
SIDE, FINE = 96, 8  # pixels of a sprite; drawn pixels for each of them

Colour = tuple[int, int, int]


class Sheet:
    """A square of 100 units, y downwards."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (SIDE * FINE, SIDE * FINE), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)
        self.unit = SIDE * FINE / 100

    def _scaled(self, *values: float) -> list[float]:
        return [value * self.unit for value in values]

    def disc(self, x: float, y: float, radius: float, colour: Colour, high: float | None = None) -> None:
        """A disc or, with another height, an upright ellipse."""
        high = radius if high is None else high
        self.pen.ellipse(self._scaled(x - radius, y - high, x + radius, y + high), fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, corner: float = 0) -> None:
        self.pen.rounded_rectangle(self._scaled(left, top, right, bottom), corner * self.unit, fill=colour)

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=colour)

    def stroke(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A line with round ends and corners."""
        scaled = [(x * self.unit, y * self.unit) for x, y in points]
        self.pen.line(scaled, fill=colour, width=round(width * self.unit), joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, width / 2, colour)

    def eyes(self, y: float, apart: float, size: float, ground: Colour = PAPER, pupil: Colour = INK) -> None:
        for x in (50 - apart, 50 + apart):
            self.disc(x, y, size, ground)
            self.disc(x, y + 0.15 * size, 0.5 * size, pupil)

    def save(self, name: str) -> None:
        small = self.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        small.save(Path(__file__).parent / "sprites" / f"{name}.png", optimize=True)


def prey(s: Sheet) -> None:
    """A hare: two long ears, a round body."""
    for x, lean in ((36, -6), (64, 6)):
        s.stroke([(x, 46), (x + lean, 14)], INK, 15)
        s.stroke([(x, 42), (x + lean, 17)], GREY, 5)
    s.disc(50, 62, 32, INK, 30)
    s.eyes(56, 13, 8)
    s.shape([(45, 70), (55, 70), (50, 76)], PURPLE)


def apple(s: Sheet) -> None:
    s.stroke([(52, 34), (58, 14)], BROWN, 6)
    s.shape([(58, 26), (70, 10), (88, 12), (78, 26)], GREEN)
    s.disc(37, 60, 27, VERMILLION, 32)
    s.disc(63, 60, 27, VERMILLION, 32)
    s.disc(28, 50, 6, PAPER, 9)


def lemon(s: Sheet) -> None:
    s.shape([(4, 54), (22, 40), (22, 68)], YELLOW)
    s.shape([(96, 54), (78, 40), (78, 68)], YELLOW)
    s.disc(50, 54, 36, YELLOW, 29)
    s.shape([(62, 26), (74, 10), (92, 14), (80, 28)], GREEN)
    s.disc(34, 44, 8, PAPER, 5)


def tiger(s: Sheet) -> None:
    """A striped face."""
    for x in (22, 78):
        s.disc(x, 26, 15, ORANGE)
        s.disc(x, 26, 7, INK)
    s.disc(50, 54, 40, ORANGE, 37)
    for x in (38, 50, 62):
        s.shape([(x - 4, 17 + abs(x - 50) / 6), (x + 4, 17 + abs(x - 50) / 6), (x, 34)], INK)
    for y in (52, 66):
        s.shape([(10, y - 4), (10, y + 4), (28, y)], INK)
        s.shape([(90, y - 4), (90, y + 4), (72, y)], INK)
    s.eyes(49, 16, 7)
    s.disc(50, 74, 18, PAPER, 13)
    s.shape([(43, 66), (57, 66), (50, 75)], INK)


def treasure(s: Sheet) -> None:
    """A chest with a lock."""
    s.box(12, 22, 88, 56, BROWN, 14)
    s.box(12, 46, 88, 86, BROWN, 4)
    s.box(12, 46, 88, 53, ORANGE)
    for x in (22, 70):
        s.box(x, 22, x + 8, 86, ORANGE)
    s.box(42, 44, 58, 64, YELLOW, 4)
    s.disc(50, 53, 4, INK)


def door(s: Sheet) -> None:
    s.box(20, 4, 80, 98, INK, 6)
    s.box(26, 10, 74, 98, BROWN, 3)
    for top, bottom in ((18, 46), (56, 88)):
        s.box(34, top, 66, bottom, INK, 3)
        s.box(37, top + 3, 63, bottom - 3, BROWN, 2)
    s.disc(69, 54, 4, YELLOW)


SPRITES: tuple[Callable[[Sheet], None], ...] = (prey, apple, lemon, tiger, treasure, door)

if __name__ == "__main__":
    (Path(__file__).parent / "sprites").mkdir(exist_ok=True)
    for draw in SPRITES:
        sheet = Sheet()
        draw(sheet)
        sheet.save(draw.__name__)
