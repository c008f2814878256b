"""Boards of square cells: where a move leads, who stands where, and the windows that agents see.

Cells are numbered row by row; the number after the last, size * size, stands for "off the board". Where somebody stands
is kept twice: by the actor, and by the cell in the array `grid`, in which every actor of a family has its own number.

Windows are cut from a painted board: the board with a margin as wide as the sight, in which each row of a window is one
run of features. On a torus the margin shows the opposite edge, so a cell has up to four places on the painted board.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.rng import integer

EMPTY, OUTSIDE = -1, -2  # what the grid holds in a cell without an actor, and off the board

RIGHT, DOWN, LEFT, UP, STAY = (0, 1), (1, 0), (0, -1), (-1, 0), (0, 0)  # moves: rows down, columns to the right
MOVES = {"right": RIGHT, "down": DOWN, "left": LEFT, "up": UP, "stay": STAY}
BESIDE = (RIGHT, DOWN, LEFT, UP)  # the order of the cells beside a cell


def targets(size: int, moves: Sequence[tuple[int, int]], toroidal: bool) -> np.ndarray:
    """The cell to which each move leads from each cell, [cells + 1, moves] int16; into a wall means off the board."""
    off = size**2
    row, column = np.divmod(np.arange(off), size)
    table = np.full((off + 1, len(moves)), off, np.int16)
    for move, (down, right) in enumerate(moves):
        to_row, to_column = row + down, column + right
        if toroidal:
            to_row, to_column = to_row % size, to_column % size
        on_board = (to_row % size == to_row) & (to_column % size == to_column)
        table[:-1, move] = np.where(on_board, to_row * size + to_column, off)
    return table


def destinations(size: int, moves: Sequence[tuple[int, int]]) -> np.ndarray:
    """The cell to which each move leads on a board with walls, its own where that is a wall, [cells, moves]."""
    leads = targets(size, moves, toroidal=False)[:-1].astype(int)
    return np.where(leads == size**2, np.arange(size**2)[:, None], leads)


def are_beside(size: int) -> np.ndarray:
    """Whether two cells of a board with walls share an edge, [cells, cells]."""
    row, column = np.divmod(np.arange(size**2), size)
    return np.asarray(np.abs(row[:, None] - row) + np.abs(column[:, None] - column) == 1)


@kernel
def move(s, e, actor, k, number, target):
    """Takes actor k, which has this number on the grid, to another cell. actor: [E, actors], their cells."""
    s.grid[e, actor[e, k]] = EMPTY
    s.grid[e, target] = number
    actor[e, k] = target


@kernel
def remove(s, e, actor, k):
    """Takes an actor off the board."""
    s.grid[e, actor[e, k]] = EMPTY
    actor[e, k] = s.grid.shape[1] - 1


@kernel
def none_left(actor, e, off):
    """Whether all actors are off the board."""
    left = 0
    for k in range(actor.shape[1]):
        left += actor[e, k] < off
    return left == 0


@kernel
def next_in_order(order, rng, e, place):
    """One of order[e, place:], each with the same chance, moved to this place: a step of Fisher and Yates's shuffle."""
    drawn = place + integer(rng, e, order.shape[1] - place)
    order[e, place], order[e, drawn] = order[e, drawn], order[e, place]
    return order[e, place]


class Painting(NamedTuple):
    """Where things are on a painted board; features are counted along its rows, some for each cell."""

    marks: np.ndarray  # [cells, 1 or 4] uint64, the first feature of each cell: on a torus, in the margin again
    corner: np.ndarray  # [cells] uint64, where the window around a cell begins
    width: int  # features in a row
    blank: np.ndarray  # [features] int8, the board without actors


def painting(size: int, sight: int, channels: int, toroidal: bool, walls: int | None) -> Painting:
    """Tables for windows of 2 sight + 1 cells to a side. walls: the channel in which cells beyond a wall are 1."""
    side = size + 2 * sight
    row, column = np.divmod(np.arange(size**2), size)
    width = channels * side
    places = [_places(one, size, sight, toroidal) for one in (row, column)]
    blank = np.zeros((side, side, channels), np.int8)
    if walls is not None:
        blank[:, :, walls] = 1
        blank[sight : sight + size, sight : sight + size, walls] = 0
    return Painting(
        marks=np.stack([r * width + channels * c for r in places[0] for c in places[1]], axis=1).astype(np.uint64),
        corner=(row * width + channels * column).astype(np.uint64),
        width=width,
        blank=blank.ravel(),
    )


def _places(place: np.ndarray, size: int, sight: int, toroidal: bool) -> list[np.ndarray]:
    """Where a row or column is on the painted board: in one place; on a torus near an edge, in two."""
    shifted = place + sight
    if not toroidal:
        return [shifted]
    return [shifted, shifted + size * (place < sight) - size * (place >= size - sight)]
