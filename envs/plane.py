"""Pictures and texts of worlds on an unbounded plane, and the pushing of scripted teams there."""

import math

import numpy as np

from coopgym.envs.rendering import FOG, INK, LINE, PAPER, STRIP, Canvas, agent_colour

TICK = 0.2  # seconds of its way: how long a body's velocity is drawn
MAP_ROWS, MAP_COLUMNS = 21, 41  # a character is about twice as high as wide


def begin(canvas: Canvas, reach: float, radius: float) -> float:
    """Shows the plane as far as bodies of this radius are out, with the starting square; returns half its side.

    The scale changes in steps, so that pictures seldom change it.
    """
    half = 1.2
    while half < reach + radius:
        half *= 1.25
    canvas.view(-half, half, half, -half, below=40)
    canvas.crop(-half, half, half, -half)
    canvas.rectangle(-1, 1, 1, -1, STRIP)
    return half


def fog(canvas: Canvas, half: float, place: np.ndarray, sight: float) -> None:
    """Covers the plane but for what lies within sight of a place [2], before anything is drawn on it."""
    if sight < math.inf:
        canvas.rectangle(-half, half, half, -half, FOG)
        canvas.circle(place[0], place[1], sight, PAPER)


def end(canvas: Canvas, half: float) -> float:
    """Frames the plane; the world becomes the foot below it, in pixels. Returns the foot's width."""
    canvas.rectangle(-half, half, half, -half, LINE, width=1)
    return canvas.foot(40)


def draw_sight(canvas: Canvas, place: np.ndarray, sight: float, i: int) -> None:
    """How far agent i sees from its place [2]."""
    if sight < math.inf:
        canvas.circle(place[0], place[1], sight, agent_colour(i), 0.12)
        canvas.ring(place[0], place[1], sight, agent_colour(i), 1.5)


def draw_velocity(canvas: Canvas, place: np.ndarray, velocity: np.ndarray, radius: float) -> None:
    """A line from a body's edge along its way. place, velocity: [2]."""
    (x, y), (vx, vy) = place, velocity
    along = radius / max(math.hypot(vx, vy), 1e-9)  # seconds to the edge of the disc
    canvas.line(x + along * vx, y + along * vy, x + (along + TICK) * vx, y + (along + TICK) * vy, INK, 3)


def in_view(places: np.ndarray, here: np.ndarray, sight: float, nearest: int = 0) -> np.ndarray:
    """Which places [K, 2] can be seen from here [2]: the nearest ones, of those within sight, by number."""
    distance = np.hypot(places[:, 0] - here[0], places[:, 1] - here[1])
    order = distance.argsort(kind="stable")[: nearest or len(places)]
    return np.sort(order[distance[order] <= sight])


def letter(k: int) -> str:
    """The name of the k-th thing that is no agent."""
    return chr(ord("a") + k % 26)


def text_map(marks: list[tuple[np.ndarray, str]], reach: float) -> list[str]:
    """The plane as lines of text. marks: places [2] and the characters there; later ones hide earlier ones."""
    reach = max(1.0, reach)
    cells = [[" "] * MAP_COLUMNS for _ in range(MAP_ROWS)]
    for (x, y), mark in marks:
        row = round((reach - y) / (2 * reach) * (MAP_ROWS - 1))
        column = round((reach + x) / (2 * reach) * (MAP_COLUMNS - 1))
        cells[row][column] = mark
    edge = "+" + "-" * MAP_COLUMNS + "+"
    return [edge, *("|" + "".join(row) + "|" for row in cells), f"{edge} side {2 * reach:.2f}"]


def pushes(way: np.ndarray, short: float) -> np.ndarray:
    """The actions that push along the longer axis of each way, or none where it is short. way: [..., 2].

    0 is no push, 1 one to the left, 2 to the right, 3 down, 4 up.
    """
    x, y = way[..., 0], way[..., 1]
    along_x, along_y = np.where(x > 0, 2, 1), np.where(y > 0, 4, 3)
    actions = np.where(np.abs(y) > np.abs(x), along_y, along_x)
    return np.where(np.abs(way).max(axis=-1) < short, 0, actions)


def pushes_along(way: np.ndarray, whole: float) -> np.ndarray:
    """Continuous actions [..., 5] that push along both axes, fully where the way is as long as `whole` or longer."""
    x, y = np.moveaxis(np.clip(way / max(whole, 1e-12), -1.0, 1.0), -1, 0)
    return np.stack([np.zeros_like(x), *(np.maximum(one, 0.0) for one in (-x, x, -y, y))], axis=-1)
