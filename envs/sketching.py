"""Episodes as drawings: what a family draws, written down as commands that a page in a browser obeys.

Commands are lists that JSON can hold, in drawn pixels of the canvas (`FINE` for each pixel). Colours are "rrggbb".

    ["disc", x, y, radius, thick, colour, alpha]                   a disc; a ring inside its radius where it is thick
    ["panel", left, top, width, height, thick, corner, colour, alpha]  a rectangle, or its outline where it is thick
    ["shape", colour, alpha, x0, y0, x1, y1, ...]                  a polygon
    ["words", x, y, size, width, colour, words]                    a text from x on, its feet on y, at most so wide
    ["image", left, top, size, name, alpha]                        a sprite, so wide and high
    ["clip", left, top, width, height]                             what follows is cut off at the edges of this
    ["clip"]                                                       and no more
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from coopgym.envs.core import Batch, Environment
from coopgym.envs.recording import scenes
from coopgym.envs.rendering import Canvas, Colour, Place
from coopgym.envs.teams import Policy

SIDE, MARGIN = 540, 8  # of a drawing, pixels; it has no strips of numbers
LETTER = 0.6875  # pygame's own font has letters of this part of the size that it is asked for
Command = list[Any]


class Sketch(Canvas):
    """A canvas that writes down what is drawn on it. Texts are as wide as on any other canvas."""

    def _begin(self, width: int, height: int) -> None:
        self.commands: list[Command] = []
        self._clipped = False

    def finished(self) -> list[Command]:
        """The commands so far."""
        return self.commands

    def _clip(self, box: Place | None) -> None:
        if box is not None or self._clipped:
            self.commands.append(["clip", *(box or ())])
        self._clipped = box is not None

    def _disc(self, centre: tuple[float, float], size: float, thick: int, colour: Colour, alpha: float) -> None:
        self.commands.append(["disc", *map(round, centre), round(size), thick, _hexadecimal(colour), _short(alpha)])

    def _panel(self, box: Place, thick: int, corner: int, colour: Colour, alpha: float) -> None:
        self.commands.append(["panel", *box, thick, corner, _hexadecimal(colour), _short(alpha)])

    def _polygon(self, points: list[tuple[float, float]], colour: Colour, alpha: float) -> None:
        places = [round(number) for point in points for number in point]
        self.commands.append(["shape", _hexadecimal(colour), _short(alpha), *places])

    def _words(self, corner: tuple[int, int], size: int, width: int, words: str, colour: Colour) -> None:
        feet = corner[1] + round(0.56 * size)
        self.commands.append(["words", corner[0], feet, round(LETTER * size), width, _hexadecimal(colour), words])

    def _image(self, corner: tuple[int, int], size: int, name: str, alpha: float) -> None:
        self.commands.append(["image", *corner, size, name, _short(alpha)])


def _hexadecimal(colour: Colour) -> str:
    return "".join(f"{int(part):02x}" for part in colour)


def _short(alpha: float) -> float:
    return round(float(min(alpha, 1.0)), 2)


class Drawn(NamedTuple):
    """An episode of T steps, drawn."""

    drawings: list[list[Command]]  # [T + 1], the start and what each step led to
    actions: list[list[int]]  # [T, N]
    rewards: list[float]  # [T], of the team
    returns: list[float]  # [T], of the episode so far
    terminated: bool  # the rules ended it; otherwise time was up


def drawn_episode(env: Environment, policy: Policy, seed: int) -> Drawn:
    """Plays the game of this seed and draws it. Raises ImportError without pygame."""
    drawn = Drawn([], [], [], [], False)
    batch = Batch(env, 1, seed, autoreset="disabled")
    for scene in scenes(batch, policy):
        canvas = Sketch(SIDE, SIDE)
        canvas.within(MARGIN, MARGIN, SIDE - MARGIN, SIDE - MARGIN)
        env.draw(canvas, scene)
        drawn.drawings.append(canvas.commands)
        if scene.action is not None:
            drawn.actions.append(scene.action.tolist())
            drawn.rewards.append(scene.reward)
            drawn.returns.append(scene.team_return)
    return drawn._replace(terminated=scene.terminated)


class Reel:
    """The commands of many drawings, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # by the command as JSON

    @property
    def commands(self) -> list[Command]:
        return [json.loads(command) for command in self._numbers]

    def packed(self, drawings: Sequence[Sequence[Command]]) -> list[list[int]]:
        """For each drawing, how many commands it has in common with the one before, at its beginning and at its end,
        and the numbers of those between.
        """
        frames: list[list[int]] = []
        before: list[int] = []
        for drawing in drawings:
            numbers = [self._number(command) for command in drawing]
            head = _in_common(before, numbers)
            tail = _in_common(before[head:][::-1], numbers[head:][::-1])
            frames.append([head, tail, *numbers[head : len(numbers) - tail]])
            before = numbers
        return frames

    def _number(self, command: Command) -> int:
        return self._numbers.setdefault(json.dumps(command), len(self._numbers))


def _in_common(one: list[int], other: list[int]) -> int:
    """How many numbers two lists share at their beginning."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
