"""What the small maps of ma-gym's tasks have in common: cells in rows, and agents that go to the next one.

Cells are numbered row by row, from the top left one; a joint position is an agent's cell for each agent.
"""

import numpy as np

from coopgym.envs.rendering import GREY, VERMILLION, Canvas

DOWN, LEFT, UP, RIGHT, NOOP = range(5)
ACTIONS = ("down", "left", "up", "right", "noop")
MOVES = ((1, 0), (0, -1), (-1, 0), (0, 1), (0, 0))  # (rows, columns) of each action
KEYS = {"down": DOWN, "left": LEFT, "up": UP, "right": RIGHT, "space": NOOP}


def cells_beside(floor: np.ndarray) -> np.ndarray:
    """Where each action leads from each cell: [cells, 5] int64; the cell itself where no floor is.

    floor: [rows, columns] bool, whether agents can stand there.
    """
    rows, columns = floor.shape
    beside = np.repeat(np.arange(floor.size)[:, None], len(MOVES), axis=1)
    row, column = np.divmod(np.arange(floor.size), columns)
    for move, (down, right) in enumerate(MOVES):
        to_row, to_column = row + down, column + right
        inside = (to_row >= 0) & (to_row < rows) & (to_column >= 0) & (to_column < columns)
        open_ = inside & floor[np.clip(to_row, 0, rows - 1), np.clip(to_column, 0, columns - 1)]
        beside[:, move] = np.where(open_, to_row * columns + to_column, beside[:, move])
    return beside


def places_of(rows: int, columns: int, per_row: int, per_column: int) -> np.ndarray:
    """Each cell's row divided by per_row and column divided by per_column: [cells, 2] float64."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([row / per_row, column / per_column], axis=1)


def rounded(places: np.ndarray) -> np.ndarray:
    """The places with two digits after the point, rounded as Python does."""
    return np.array([[round(x, 2) for x in place] for place in places.tolist()])


def draw_rests(canvas: Canvas, places: np.ndarray, before: np.ndarray, cell: np.ndarray, action: np.ndarray) -> None:
    """Beside each agent that has not moved in the last step: a bar at what has stopped it, or a dot for the no-op.

    places: [N, 2], x and y; before, cell, action: [N].
    """
    for (x, y), moved, (down, right) in zip(places, before != cell, (MOVES[a] for a in action), strict=True):
        if down or right:
            at_x, at_y = x + 0.43 * right, y + 0.43 * down
            if not moved:
                canvas.line(at_x - 0.2 * down, at_y - 0.2 * right, at_x + 0.2 * down, at_y + 0.2 * right, VERMILLION, 5)
        else:
            canvas.circle(x + 0.4, y - 0.4, 0.05, GREY)


def middles(cell: np.ndarray, width: int) -> np.ndarray:
    """The middles of cells in a picture of a map so wide, x and y: [N, 2]. cell: [N]."""
    return np.stack((cell % width, cell // width), axis=1) + 0.5
