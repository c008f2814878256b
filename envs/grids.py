"""What the small maps of ma-gym's tasks have in common: cells in rows, and agents that go to the next one.

Cells are numbered row by row, from the top left one; a joint position is an agent's cell for each agent.
"""

import numpy as np

from coopgym.envs.rendering import GREY, INK, VERMILLION, Canvas, agent_colour, mixed

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


def draw_last_steps(canvas: Canvas, width: int, before: np.ndarray, cell: np.ndarray, action: np.ndarray) -> None:
    """The way that each agent has come in the last step, a bar at what has stopped it, or a dot for the no-op.

    width: of the map; before, cell, action: [N].
    """
    for i, (start, end, (down, right)) in enumerate(zip(before, cell, (MOVES[a] for a in action), strict=True)):
        (y0, x0), (y1, x1), colour = (
            divmod(int(start), width),
            divmod(int(end), width),
            mixed(agent_colour(i), INK, 0.2),
        )
        if start != end:
            canvas.line(x0 + 0.5, y0 + 0.5, x1 + 0.5, y1 + 0.5, colour, 5, 0.6)
            canvas.circle(x0 + 0.5, y0 + 0.5, 0.08, colour, 0.6)
        elif down or right:
            x, y = x1 + 0.5 + 0.43 * right, y1 + 0.5 + 0.43 * down
            canvas.line(x - 0.2 * down, y - 0.2 * right, x + 0.2 * down, y + 0.2 * right, VERMILLION, 5)
        else:
            canvas.circle(x1 + 0.9, y1 + 0.1, 0.05, GREY)
