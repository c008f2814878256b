"""How `dec_pomdp_v1` is drawn and told: doors and a tiger, a grid, or for any other problem its names, some lit."""

import math
from typing import Any

import numpy as np

from coopgym.envs.core import Scene
from coopgym.envs.rendering import (
    FAINT,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    PAPER,
    STRIP,
    VERMILLION,
    YELLOW,
    Canvas,
    Colour,
    agent_colour,
    mixed,
)

SIZE = 560  # of the world in which doors and names are drawn


def draw(env: Any, canvas: Canvas, scene: Scene) -> None:
    """env: a DecPOMDP."""
    if env.params.problem == "dec_tiger":
        _draw_doors(env, canvas, scene)
    elif env.params.problem in MEETING_CELLS:
        _draw_grid(env, canvas, scene)
    else:
        _draw_names(env, canvas, scene)


def describe(env: Any, scene: Scene) -> str:
    problem, arrays, e = env.problem, scene.arrays, scene.e
    state, previous = int(arrays.state[e]), int(arrays.previous[e])
    before = "" if previous < 0 else f", before it {problem.states[previous]}"
    lines = [f"state {problem.states[state]}{before} (hidden from the agents)"]
    for i, agent in enumerate(env.agents):
        done = "" if scene.action is None else f"does {problem.actions[i][scene.action[i]]}, then "
        lines.append(f"{agent} {done}sees {_sight(env, scene, i)}")
    lines.append(f"step {scene.steps} of {env.horizon}, reward {scene.reward:g}, return {scene.team_return:g}")
    return "\n".join(lines)


def _sight(env: Any, scene: Scene, i: int) -> str:
    """What agent i has seen last, in words."""
    seen = int(scene.arrays.seen[scene.e, i])
    return "nothing yet" if seen == env.n_seen else env.problem.observations[i][seen]


# Dec-Tiger: above the doors as they were for the last step, below as they are now.

DOORS = (130, 430)  # the middles, left and right
WOOD = mixed(PAPER, ORANGE, 0.35)


def _draw_doors(env: Any, canvas: Canvas, scene: Scene) -> None:
    canvas.view(0, 0, SIZE, SIZE)
    tiger, previous = int(scene.arrays.state[scene.e]), int(scene.arrays.previous[scene.e])
    canvas.line(0, 290, SIZE, 290, LINE, 1)
    if scene.action is None:
        canvas.text(280, 140, "last step: none yet", 18, FAINT)
    else:
        canvas.text(280, 10, "last step", 17, FAINT)
        opened = {int(a) - 1 for a in scene.action} - {-1}
        for side in range(2):
            _draw_door(canvas, side, 30, side in opened, side == previous)
        for i, a in enumerate(scene.action.tolist()):
            alone = sum(scene.action == a) == 1
            x = 280 if a == 0 else DOORS[a - 1]
            x += 0 if alone else 90 * i - 45
            canvas.agent(x, 226, 20, i)
            canvas.text(x, 262, env.problem.actions[i][a], 16, fit=88)
    canvas.text(280, 306, "now: the tiger is hidden from the agents", 17, FAINT)
    for side in range(2):
        _draw_door(canvas, side, 326, False, side == tiger)
    for i in range(2):
        x = 235 + 90 * i
        canvas.agent(x, 510, 20, i)
        canvas.text(x, 546, _sight(env, scene, i), 16, fit=88)


def _draw_door(canvas: Canvas, side: int, top: float, opened: bool, tiger: bool) -> None:
    """A door of 120 x 160 and what is behind it: plain to see if it is open, faintly if not, since we may look."""
    x, y = DOORS[side], top + 85
    behind = STRIP if opened else WOOD
    canvas.rectangle(x - 60, top, x + 60, top + 160, behind, corner=4)
    if tiger:
        plain = 1.0 if opened else 0.4
        _draw_tiger(canvas, x, y, mixed(behind, VERMILLION, plain), mixed(behind, INK, plain))
    elif opened:
        _draw_treasure(canvas, x, y)
    canvas.rectangle(x - 60, top, x + 60, top + 160, INK, width=4 if opened else 2, corner=4)
    if not opened:
        canvas.circle(x + 46, y, 5, INK)
        return
    out = 2 * side - 1  # the leaf is swung outwards
    edge = x + 60 * out
    leaf = [(edge, top), (edge + 34 * out, top + 14), (edge + 34 * out, top + 174), (edge, top + 160)]
    canvas.polygon(leaf, WOOD)
    for (x0, y0), (x1, y1) in zip(leaf, leaf[1:] + leaf[:1], strict=True):
        canvas.line(x0, y0, x1, y1, INK, 2)


def _draw_tiger(canvas: Canvas, x: float, y: float, fur: Colour, dark: Colour) -> None:
    for side in (-1, 1):
        canvas.circle(x + 27 * side, y - 30, 13, fur)
    canvas.circle(x, y, 40, fur)
    for side in (-1, 1):
        canvas.circle(x + 15 * side, y - 6, 5, dark)
        canvas.line(x, y + 18, x + 13 * side, y + 27, dark, 3)
        for k in range(3):  # stripes
            canvas.line(x + 38 * side, y + 14 * k - 8, x + 24 * side, y + 11 * k - 4, dark, 4)
    for k in (-1, 0, 1):
        canvas.line(x + 8 * k, y - 38, x + 6 * k, y - 24, dark, 4)
    canvas.polygon([(x - 8, y + 10), (x + 8, y + 10), (x, y + 19)], dark)


def _draw_treasure(canvas: Canvas, x: float, y: float) -> None:
    for dx, dy in ((-22, 26), (0, 30), (22, 26), (-11, 8), (11, 8), (0, -10)):
        canvas.circle(x + dx, y + dy, 15, YELLOW)
        canvas.ring(x + dx, y + dy, 15, mixed(YELLOW, INK, 0.5), 2)
        canvas.text(x + dx, y + dy, "$", 15, mixed(YELLOW, INK, 0.7))


# Meeting on a grid.

MEETING_CELLS = {"grid_meeting_2x2": (0, 1, 2, 3), "grid_meeting_3x3": (0, 8)}  # where a meeting pays
AGENT_RADIUS = 0.16


def places(env: Any, scene: Scene) -> np.ndarray | None:
    """Where the agents stand on a grid, [N, 2]; None in other problems."""
    if env.params.problem not in MEETING_CELLS:
        return None
    return _places(env, int(scene.arrays.state[scene.e]))


def _places(env: Any, state: int) -> np.ndarray:
    """[N, 2], x and y: the middles of the agents' cells, or beside each other in one."""
    cells = np.array(np.divmod(state, _n_cells(env)))
    rows, columns = np.divmod(cells, math.isqrt(_n_cells(env)))
    aside = np.array([-0.2, 0.2]) if cells[0] == cells[1] else 0.0
    return np.stack([columns + 0.5 + aside, rows + 0.5], axis=1)


def _n_cells(env: Any) -> int:
    return math.isqrt(len(env.problem.states))


def _draw_grid(env: Any, canvas: Canvas, scene: Scene) -> None:
    """The grid, framed in green where a meeting pays; the agents, and faintly where they were before.

    Where an agent may be by what it sees, the cell is tinted.
    """
    cells, state = _n_cells(env), int(scene.arrays.state[scene.e])
    side, met = math.isqrt(cells), state // cells == state % cells
    canvas.view(-0.02, -0.02, side + 0.02, side + 0.02, below=60)
    canvas.rectangle(0, 0, side, side, STRIP)
    for i in range(2) if scene.show_sight else [] if scene.viewer is None else [scene.viewer]:
        for cell in _may_be_in(env, i, int(scene.arrays.seen[scene.e, i])):
            row, column = divmod(cell, side)
            canvas.rectangle(column, row, column + 1, row + 1, agent_colour(i), 0.2)
    for k in range(side + 1):
        canvas.line(0, k, side, k, GREY if k in (0, side) else LINE, 2)
        canvas.line(k, 0, k, side, GREY if k in (0, side) else LINE, 2)
    for cell in MEETING_CELLS[env.params.problem]:
        row, column = divmod(cell, side)
        lit = met and cell == state % cells and scene.viewer is None
        canvas.rectangle(column + 0.03, row + 0.03, column + 0.97, row + 0.97, GREEN, width=6 if lit else 1.5)
    if scene.viewer is None:
        _draw_agents(env, canvas, scene)
    width = canvas.foot(60)
    for i in range(2) if scene.viewer is None else [scene.viewer]:
        done = "" if scene.action is None else f"{env.problem.actions[i][scene.action[i]]}, then "
        canvas.agent(width * i / 2 + 16, 36, 12, i)
        words = f"{done}sees {_sight(env, scene, i)}"
        canvas.text(width * i / 2 + 36, 36, words, 16, FAINT, "left", fit=width / 2 - 44)


def _draw_agents(env: Any, canvas: Canvas, scene: Scene) -> None:
    here = _places(env, int(scene.arrays.state[scene.e]))
    canvas.trail(scene.trail, AGENT_RADIUS / 3)
    if scene.action is not None:
        before = _places(env, int(scene.arrays.previous[scene.e]))
        for i, ((x, y), (to_x, to_y)) in enumerate(zip(before, here, strict=True)):
            canvas.circle(x, y, AGENT_RADIUS, agent_colour(i), 0.25)
            if scene.trail is None:
                canvas.line(x, y, to_x, to_y, agent_colour(i), 4, 0.5)
    for i, (x, y) in enumerate(here):
        canvas.agent(x, y, AGENT_RADIUS, i)


def _may_be_in(env: Any, i: int, seen: int) -> list[int]:
    """The cells in which agent i can see this; none before it has seen anything."""
    if seen == env.n_seen:
        return []
    chance = env.problem.observation[0, 0].sum(axis=2 - i)  # [S, Oi]
    of_others = _n_cells(env) if i == 0 else 1  # states that a step of this agent to the next cell passes
    return [cell for cell in range(_n_cells(env)) if chance[cell * of_others, seen] > 0]


# Any problem: the names of states, and of each agent's actions and observations.

MOST_CELLS = 16  # of states, 4 in a row
MOST_ROWS = 6  # of agents
MOST_NAMES = 5  # of an agent's actions, or observations


def _draw_names(env: Any, canvas: Canvas, scene: Scene) -> None:
    canvas.view(0, 0, SIZE, SIZE)
    problem, arrays = env.problem, scene.arrays
    state, previous = int(arrays.state[scene.e]), int(arrays.previous[scene.e])
    canvas.text(0, 10, "state, hidden from the agents; framed: before the last step", 17, FAINT, "left", fit=SIZE)
    bottom = _draw_cells(canvas, problem.states, state, previous, 0, SIZE, 24, MOST_CELLS, 4, YELLOW)
    shown = min(env.n_agents, MOST_ROWS)
    canvas.text(46, bottom + 34, "last action", 17, FAINT, "left")
    canvas.text(310, bottom + 34, "seen since", 17, FAINT, "left")
    top, room = bottom + 48, min(110.0, (SIZE - bottom - 48 - 20 * (shown < env.n_agents)) / shown)
    for i in range(shown):
        y = top + i * room
        canvas.agent(18, y + room / 2, min(16, 0.4 * room), i)
        action = -1 if scene.action is None else int(scene.action[i])
        seen = -1 if scene.action is None else int(arrays.seen[scene.e, i])
        for names, lit, left in ((problem.actions[i], action, 46), (problem.observations[i], seen, 310)):
            _draw_column(canvas, names, lit, left, left + 240, y + 0.04 * room, y + 0.96 * room, agent_colour(i))
    if shown < env.n_agents:
        canvas.text(SIZE, SIZE - 10, f"and {env.n_agents - shown} agents more", 16, FAINT, "right")


def _draw_cells(
    canvas: Canvas,
    names: tuple[str, ...],
    lit: int,
    framed: int,
    left: float,
    right: float,
    top: float,
    most: int,
    columns: int,
    colour: Colour,
) -> float:
    """Names in rows of cells, one of them lit; of many, those around it. Returns where they end."""
    first = min(max(lit - most // 2, 0), max(len(names) - most, 0)) if len(names) > most else 0
    shown = range(first, min(first + most, len(names)))
    columns = min(columns, len(shown))
    width, height = (right - left) / columns, 44.0
    for k, name in enumerate(shown):
        x, y = left + k % columns * width, top + k // columns * height
        canvas.cell(x, y, x + width, y + height, names[name], 18, colour if name == lit else PAPER)
        if name == framed:
            canvas.rectangle(x + 2, y + 2, x + width - 2, y + height - 2, INK, width=2)
    bottom = top + -(-len(shown) // columns) * height
    if len(shown) < len(names):
        canvas.text(right, bottom + 12, f"{lit} of 0 to {len(names) - 1}", 15, FAINT, "right")
    return bottom


def _draw_column(
    canvas: Canvas,
    names: tuple[str, ...],
    lit: int,
    left: float,
    right: float,
    top: float,
    bottom: float,
    colour: Colour,
) -> None:
    """Names under each other, one of them lit; of many, those around it."""
    first = min(max(lit - MOST_NAMES // 2, 0), max(len(names) - MOST_NAMES, 0))
    shown = range(first, min(first + MOST_NAMES, len(names)))
    height = min(30.0, (bottom - top) / len(shown))
    top = (top + bottom - height * len(shown)) / 2
    for k, name in enumerate(shown):
        y = top + k * height
        canvas.cell(left, y, right, y + height, names[name], 0.6 * height, colour if name == lit else PAPER)
