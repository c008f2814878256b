"""Predator-prey on a grid: prey are caught by two predators at the same time, and trying alone may be punished.

The stag hunt of deep multi-agent reinforcement learning, a test of relative overgeneralisation. With a punishment, a
predator that calls `catch` beside a partner who does not know yet what to do loses, so teams learn never to try.

Rules
    A square board with walls (or a torus), one predator or prey to a cell. An episode starts with the predators, then
    the prey, each on a free cell drawn uniformly. In each step:

    1. The predators act in random order. A move succeeds where its cell is free at that moment; otherwise the predator
       stays where it is, at no cost.
    2. The prey follow in random order. For each, the playing predators that chose `catch` and now stand on one of the
       four cells beside it are counted. `capture_size` or more capture it: the prey and all the counted predators
       leave the board, and the predators are frozen for the rest of the episode. Fewer, but at least one, earn
       `penalty`, once for this prey. A prey that is not captured moves to one of the free cells beside it, drawn
       uniformly, or stays where there is none.

    So a predator that tries alone between two prey is punished twice, and one that has just been frozen counts no more
    for the prey that follow.

Actions
    0 right, 1 down, 2 left, 3 up, 4 stay, 5 catch. A move into a wall is unavailable; one into an occupied cell is
    available and may fail. `catch` is available beside a prey, `stay` always. A frozen predator can only stay.

Observation (of each predator)
    The window of 2 sight + 1 cells to a side around it (Chebyshev distance), row by row from the top left, for each
    cell two features: 1 where a predator stands (itself included), 1 where a prey stands. Cells beyond a wall look
    like empty ones. Last, `frozen`: 1 once it is frozen, when it sees nothing more. All in [0, 1], no units.

State
    The whole board in the same two features for each cell, row by row. In [0, 1], no units.

Reward
    `capture_reward` for each capture plus `penalty` (zero or negative) for each prey that too few tried to catch,
    summed over the prey and shared by the team. With the default numbers the best return is 40: four captures take all
    eight predators. A team that never catches earns 0.

End
    Terminated when no prey is left or all predators are frozen. The time limit `horizon` truncates.

Sources
    Boehmer, Kurin and Whiteson, "Deep Coordination Graphs", ICML 2020, in the form of the authors' code, which Rashid
    et al., "Weighted QMIX", NeurIPS 2020, and Wang et al., "QPLEX", ICLR 2021, use too. The presets `stag_p...` differ
    in the penalty alone.

Differences from the source
    There are no hares, so their channel, always zero in these presets, is left out. `frozen` is new: without it the
    observation of a frozen predator would be all zeros. On a torus the window and the captures wrap around the edges
    as the moves do; in the authors' code only the moves do, and no published setting uses a torus.

Versions
    v1: first release.
"""

import itertools
from typing import Annotated, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.parameters import Parameter
from coopgym.envs.rendering import (
    FAINT,
    GREEN,
    GREY,
    INK,
    LINE,
    VERMILLION,
    Canvas,
    Colour,
    agent_colour,
    signed,
)
from coopgym.envs.rng import integer

ACTIONS = ("right", "down", "left", "up", "stay", "catch")
STAY, CATCH = 4, 5
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # rows, columns; of the first four actions
EMPTY, PREY, OUTSIDE = -1, -2, -3  # what a cell of the grid holds; a predator stands there by its index
RADIUS = 0.38  # of a predator in a picture, cells
PREY_SIDE = 0.85  # of a prey's picture, cells


class Params(NamedTuple):
    size: Annotated[int, Parameter("side of the board", "cells", 3, 100)] = 10
    n_predators: Annotated[int, Parameter("predators, which are the agents", "predators", 1, 1000)] = 8
    n_prey: Annotated[int, Parameter("prey at the start", "prey", 1, 1000)] = 8
    sight: Annotated[int, Parameter("how far a predator sees on both axes", "cells", 1, 100)] = 2
    capture_size: Annotated[int, Parameter("predators that must catch a prey together", "predators", 1, 4)] = 2
    capture_reward: Annotated[float, Parameter("for each capture", "reward", 0, 1000)] = 10.0
    penalty: Annotated[float, Parameter("for each prey that too few try to catch; added", "reward", -1000, 0)] = 0.0
    toroidal: Annotated[bool, Parameter("whether the edges are joined instead of walled")] = False
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 200


class Rules(NamedTuple):
    """What the kernels take. Cells are numbered row by row; the number after the last stands for "off the board"."""

    beside: np.ndarray  # [cells + 1, 4] int16, the cell that each move leads to
    marks: np.ndarray  # [cells, 1 or 4] uint64, where a cell is on the painted board: on a torus, in the margin again
    corner: np.ndarray  # [cells] uint64, where the window around a cell begins on the painted board
    board_width: int  # features in a row of the painted board
    window_side: int  # cells
    capture_size: int
    capture_reward: float
    penalty: float


class State(NamedTuple):
    """Frozen predators and captured prey are in the cell size * size, off the board."""

    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    grid: np.ndarray  # [E, cells + 1] int16: EMPTY, PREY or a predator's index; OUTSIDE off the board
    predator: np.ndarray  # [E, N] int16, the cell of each, row * size + column
    prey: np.ndarray  # [E, n_prey] int16, likewise
    predator_order: np.ndarray  # [E, N] int16, in which the predators acted last
    prey_order: np.ndarray  # [E, n_prey] int16
    board: np.ndarray  # [E, (size + 2 sight)**2 * 2] int8: the painted board with a margin of `sight`
    tried_in: np.ndarray  # [E, n_prey] int16, the cell in which predators last tried to catch each prey
    tried_at: np.ndarray  # [E, n_prey] int32, at which step of the episode that was; 0 before
    frozen_in: np.ndarray  # [E, N] int16, the cell in which a frozen predator stood last


# The draws from an instance's stream, in order. Reset: for each predator, then each prey, a cell, and again while it is
# taken. Step: for each place in the predators' order, who comes next; then for each place in the prey's order, who
# comes next and, where it is free to move, which way. The frozen and the captured keep their places in the orders.


@kernel
def _place(s, e, actor, k, content):
    """Puts actor k on a free cell. actor: [E, actors], their cells."""
    off = s.grid.shape[1] - 1
    cell = off
    while s.grid[e, cell] != EMPTY:
        cell = integer(s.rng, e, off)
    s.grid[e, cell] = content
    actor[e, k] = cell


@kernel
def reset(p, s, e):
    off = s.grid.shape[1] - 1
    for cell in range(off):
        s.grid[e, cell] = EMPTY
    s.grid[e, off] = OUTSIDE
    for i in range(s.predator.shape[1]):
        _place(s, e, s.predator, i, i)
        s.predator_order[e, i] = i
        s.frozen_in[e, i] = off
    for j in range(s.prey.shape[1]):
        _place(s, e, s.prey, j, PREY)
        s.prey_order[e, j] = j
        s.tried_in[e, j] = off
        s.tried_at[e, j] = 0


@kernel
def step(p, s, e, action):
    off = s.grid.shape[1] - 1
    for place in range(s.predator.shape[1]):
        i = _next_in_order(s.predator_order, s.rng, e, place)
        if action[i] < STAY:
            target = p.beside[s.predator[e, i], action[i]]
            if s.grid[e, target] == EMPTY:
                _move(s, e, s.predator, i, target)
    reward = 0.0
    for place in range(s.prey.shape[1]):
        j = _next_in_order(s.prey_order, s.rng, e, place)
        if s.prey[e, j] < off:
            reward += _hunt(p, s, e, j, action)
    return reward, _none_left(s.prey, e, off) or _none_left(s.predator, e, off)


@kernel
def _next_in_order(order, rng, e, place):
    """One of order[e, place:], each with the same chance, moved to this place: a step of Fisher and Yates's shuffle."""
    drawn = place + integer(rng, e, order.shape[1] - place)
    order[e, place], order[e, drawn] = order[e, drawn], order[e, place]
    return order[e, place]


@kernel
def _move(s, e, actor, k, target):
    """Takes an actor, and what stands for it on the grid, to another cell."""
    s.grid[e, target] = s.grid[e, actor[e, k]]
    s.grid[e, actor[e, k]] = EMPTY
    actor[e, k] = target


@kernel
def _remove(s, e, actor, k):
    """Takes an actor off the board."""
    s.grid[e, actor[e, k]] = EMPTY
    actor[e, k] = s.grid.shape[1] - 1


@kernel
def _none_left(actor, e, off):
    """Whether all actors are off the board."""
    left = 0
    for k in range(actor.shape[1]):
        left += actor[e, k] < off
    return left == 0


@kernel
def _hunt(p, s, e, j, action):
    """Captures prey j, or lets it move. Returns the reward."""
    catching = free = 0
    for move in range(4):
        there = s.grid[e, p.beside[s.prey[e, j], move]]
        free += there == EMPTY
        catching += there >= 0 and action[there] == CATCH
    if catching > 0:
        s.tried_in[e, j] = s.prey[e, j]
        s.tried_at[e, j] = s.t[e] + 1
    if catching >= p.capture_size:
        for move in range(4):
            there = s.grid[e, p.beside[s.prey[e, j], move]]
            if there >= 0 and action[there] == CATCH:
                s.frozen_in[e, there] = s.predator[e, there]
                _remove(s, e, s.predator, there)
        _remove(s, e, s.prey, j)
        return p.capture_reward
    if free > 0:
        _roam(p, s, e, j, integer(s.rng, e, free))
    return p.penalty if catching > 0 else 0.0


@kernel
def _roam(p, s, e, j, chosen):
    """Moves prey j to one of the free cells beside it, numbered from 0 in the order of the actions."""
    for move in range(4):
        target = p.beside[s.prey[e, j], move]
        if s.grid[e, target] == EMPTY:
            if chosen == 0:
                _move(s, e, s.prey, j, target)
                return
            chosen -= 1


@kernel
def observe(p, s, e, obs):
    _paint(p, s, e)
    off = s.grid.shape[1] - 1
    frozen = obs.shape[1] - 1
    across = np.uint64(2 * p.window_side)  # unsigned, so that no index can count from the end and rows copy as a whole
    for i in range(obs.shape[0]):
        cell = s.predator[e, i]
        obs[i, frozen] = cell == off
        if cell == off:
            for feature in range(frozen):
                obs[i, feature] = 0.0
            continue
        start, feature = p.corner[cell], np.uint64(0)
        for _ in range(p.window_side):
            for k in range(across):
                obs[i, feature + k] = s.board[e, start + k]
            feature += across
            start += np.uint64(p.board_width)


@kernel
def _paint(p, s, e):
    """Paints the board with its margin, so that each row of a window is one run of features."""
    off = s.grid.shape[1] - 1
    for feature in range(s.board.shape[1]):
        s.board[e, feature] = 0
    for i in range(s.predator.shape[1]):
        if s.predator[e, i] < off:
            for k in range(p.marks.shape[1]):
                s.board[e, p.marks[s.predator[e, i], k]] = 1
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            for k in range(p.marks.shape[1]):
                s.board[e, p.marks[s.prey[e, j], k] + np.uint64(1)] = 1


@kernel
def summarise(p, s, e, state):
    off = s.grid.shape[1] - 1
    for feature in range(state.shape[0]):
        state[feature] = 0.0
    for i in range(s.predator.shape[1]):
        if s.predator[e, i] < off:
            state[2 * s.predator[e, i]] = 1.0
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            state[2 * s.prey[e, j] + 1] = 1.0


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        prey_beside = False
        for move in range(4):
            there = s.grid[e, p.beside[s.predator[e, i], move]]
            mask[i, move] = there != OUTSIDE
            prey_beside |= there == PREY
        mask[i, STAY] = 1
        mask[i, CATCH] = prey_beside


DCG = "Boehmer et al., Deep Coordination Graphs, ICML 2020; authors' code"

PRESETS = {
    "stag_p0": Preset({"penalty": 0.0}, DCG),
    "stag_p-0.5": Preset({"penalty": -0.5}, "seen beside the others in later comparisons; no source confirmed"),
    "stag_p-1": Preset({"penalty": -1.0}, DCG),
    "stag_p-1.25": Preset({"penalty": -1.25}, DCG),
    "stag_p-1.5": Preset({"penalty": -1.5}, DCG),
    "stag_p-2": Preset({"penalty": -2.0}, f"{DCG}; Rashid et al., Weighted QMIX, NeurIPS 2020, authors' code"),
}


class PredatorPrey(Environment):
    id = "predator_prey_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    agent_name = "predator"
    noop = STAY
    action_names = ACTIONS

    def check(self) -> None:
        p = self.params
        if p.n_predators + p.n_prey > p.size**2:
            raise ValueError(
                f"{p.n_predators} predators and {p.n_prey} prey need a cell each; "
                f"a board of size {p.size} has {p.size**2} cells"
            )
        if p.capture_size > p.n_predators:
            raise ValueError(
                f"capture_size is {p.capture_size}; it must be at most n_predators, {p.n_predators}, to allow a capture"
            )
        if p.toroidal and 2 * p.sight + 1 > p.size:
            raise ValueError(
                f"sight is {p.sight}; on a torus of size {p.size} it must be at most {(p.size - 1) // 2}, "
                "so that no cell is seen twice"
            )
        self.n_agents = p.n_predators
        window, cells = (2 * p.sight + 1) ** 2, p.size**2
        self.observation_layout = (
            Field("window", 2 * window, 0.0, 1.0, "for each cell in sight, row by row: 1 for a predator, 1 for a prey"),
            Field("frozen", 1, 0.0, 1.0, "1 once the predator is frozen"),
        )
        self.state_layout = (
            Field("board", 2 * cells, 0.0, 1.0, "for each cell, row by row: 1 for a predator, 1 for a prey"),
        )

    def kernel_params(self) -> Rules:
        p = self.params
        row, column = np.divmod(np.arange(p.size**2), p.size)
        beside = np.full((p.size**2 + 1, len(MOVES)), p.size**2, np.int16)
        for move, (down, right) in enumerate(MOVES):
            to_row, to_column = row + down, column + right
            if p.toroidal:
                to_row, to_column = to_row % p.size, to_column % p.size
            on_board = (to_row % p.size == to_row) & (to_column % p.size == to_column)
            beside[:-1, move] = np.where(on_board, to_row * p.size + to_column, p.size**2)
        width = 2 * (p.size + 2 * p.sight)
        marks = [(r * width + 2 * c) for r in self._images(row) for c in self._images(column)]
        return Rules(
            beside=beside,
            marks=np.ascontiguousarray(np.stack(marks, axis=1), np.uint64),
            corner=(row * width + 2 * column).astype(np.uint64),
            board_width=width,
            window_side=2 * p.sight + 1,
            capture_size=p.capture_size,
            capture_reward=p.capture_reward,
            penalty=p.penalty,
        )

    def _images(self, place: np.ndarray) -> list[np.ndarray]:
        """Where a row or column stands on the painted board: in one place; on a torus near an edge, in two."""
        p = self.params
        shifted = place + p.sight
        if not p.toroidal:
            return [shifted]
        return [shifted, shifted + p.size * (place < p.sight) - p.size * (place >= p.size - p.sight)]

    def allocate(self, num_envs: int) -> State:
        p = self.params
        off = p.size**2
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            grid=np.full((num_envs, off + 1), OUTSIDE, np.int16),
            predator=np.full((num_envs, p.n_predators), off, np.int16),
            prey=np.full((num_envs, p.n_prey), off, np.int16),
            predator_order=np.zeros((num_envs, p.n_predators), np.int16),
            prey_order=np.zeros((num_envs, p.n_prey), np.int16),
            board=np.zeros((num_envs, 2 * (p.size + 2 * p.sight) ** 2), np.int8),
            tried_in=np.full((num_envs, p.n_prey), off, np.int16),
            tried_at=np.zeros((num_envs, p.n_prey), np.int32),
            frozen_in=np.full((num_envs, p.n_predators), off, np.int16),
        )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The board after the step; whoever the step took off it is a ghost where it stood last."""
        p, prey, predator = self.params, scene.arrays.prey[scene.e], scene.arrays.predator[scene.e]
        off = p.size**2
        playing, tries = np.flatnonzero(predator < off).tolist(), self._tries(scene)
        canvas.view(0, 0, p.size, p.size, below=40)
        self._draw_board(canvas)
        for i in playing if scene.show_sight else ():
            self._draw_sight(canvas, i, predator[i])
        canvas.trail(scene.trail, RADIUS, longest=1.5)
        for cell in [cell for cell, caught, _ in tries if caught]:
            canvas.sprite("prey", *self._middle(cell), PREY_SIDE, 0.3)
        just_frozen = (predator == off) & (scene.action == CATCH)  # whoever was frozen before could only stay
        for i in np.flatnonzero(just_frozen).tolist():
            canvas.agent(*self._middle(scene.arrays.frozen_in[scene.e, i]), RADIUS, i, 0.4)
        for cell, caught, hunted_from in tries:
            for start in hunted_from:
                self._draw_try(canvas, start, cell, GREEN if caught else VERMILLION)
        for cell in prey[prey < off]:
            canvas.sprite("prey", *self._middle(cell), PREY_SIDE)
        for i in playing:
            canvas.agent(*self._middle(predator[i]), RADIUS, i)
        for cell, caught, _ in tries:
            x, y = self._middle(cell)
            earned, colour = (p.capture_reward, GREEN) if caught else (p.penalty, VERMILLION)
            height = min(max(0.4, 14 / canvas.scale), 26 / canvas.scale)
            canvas.flag(x, y - 0.4, signed(earned), height, colour if earned else GREY)
        if scene.viewer is not None:
            seen = self._window(predator[scene.viewer]) if predator[scene.viewer] < off else []
            canvas.fog((0, 0, p.size, p.size), seen)
            return
        width = canvas.foot(40)
        canvas.text(20, 24, f"prey caught: {np.sum(prey == off)} of {p.n_prey}", 16, FAINT, "left")
        canvas.tally(width - 20, 24, "frozen:", np.flatnonzero(predator == off).tolist())

    def _tries(self, scene: Scene) -> list[tuple[int, bool, list[int]]]:
        """For each prey tried in the last step, in order: its cell, whether it was caught, and from which cells."""
        s, e, off = scene.arrays, scene.e, self.params.size**2
        stood = np.where(s.predator[e] < off, s.predator[e], s.frozen_in[e])
        hunting, beside, tries = scene.action == CATCH, self.kernel_params().beside, []
        for j in s.prey_order[e]:
            if scene.steps > 0 and s.tried_at[e, j] == scene.steps:
                cell, caught = int(s.tried_in[e, j]), bool(s.prey[e, j] == off)
                trying = hunting & np.isin(stood, beside[cell])
                hunting = hunting & ~(trying & caught)  # whoever catches a prey counts for none after it
                tries.append((cell, caught, stood[trying].tolist()))
        return tries

    def _middle(self, cell: int) -> tuple[float, float]:
        """The middle of a cell: x grows with the column, y with the row."""
        row, column = divmod(int(cell), self.params.size)
        return column + 0.5, row + 0.5

    def _draw_board(self, canvas: Canvas) -> None:
        """The cells, within a thick wall or, on a torus, a thin edge."""
        size, wall = self.params.size, 3 / canvas.scale
        for k in range(self.params.size + 1):
            canvas.line(k, 0, k, size, LINE, 1)
            canvas.line(0, k, size, k, LINE, 1)
        if not self.params.toroidal:
            canvas.rectangle(-wall, -wall, size + wall, size + wall, INK, width=3)

    def _draw_sight(self, canvas: Canvas, i: int, cell: int) -> None:
        """The window of predator i."""
        for box in self._window(cell):
            canvas.rectangle(*box, agent_colour(i), 0.1)
            canvas.rectangle(*box, agent_colour(i), width=1.5)

    def _window(self, cell: int) -> list[tuple[float, float, float, float]]:
        """What a predator at a cell sees of the board, in boxes: on a torus it goes on at the opposite edge."""
        p, (x, y), reach = self.params, self._middle(cell), self.params.sight + 0.5
        shifts, boxes = (-p.size, 0, p.size) if p.toroidal else (0,), []
        for across, down in itertools.product(shifts, shifts):
            left, right = max(0, x + across - reach), min(p.size, x + across + reach)
            top, bottom = max(0, y + down - reach), min(p.size, y + down + reach)
            if left < right and top < bottom:
                boxes.append((left, top, right, bottom))
        return boxes

    def places(self, scene: Scene) -> np.ndarray:
        cells = scene.arrays.predator[scene.e].astype(float)
        cells[cells == self.params.size**2] = np.nan
        return np.stack((cells % self.params.size, cells // self.params.size), axis=1) + 0.5

    def _draw_try(self, canvas: Canvas, start: int, cell: int, colour: Colour) -> None:
        """A bar from a predator's cell to a prey's; on a torus it may point over the edge."""
        (x, y), move = self._middle(start), self.kernel_params().beside[start].tolist().index(cell)
        down, right = MOVES[move]
        canvas.ring(x, y, RADIUS + 4 / canvas.scale, colour, 3)
        canvas.line(x + RADIUS * right, y + RADIUS * down, x + 0.8 * right, y + 0.8 * down, colour, 4)

    def describe(self, scene: Scene) -> str:
        p = self.params
        width = len(str(p.n_predators - 1))
        signs = {EMPTY: ".", PREY: "*"}
        board = scene.arrays.grid[scene.e, :-1].reshape(p.size, p.size).tolist()
        lines = [" ".join(f"{signs.get(there, there):>{width}}" for there in row) for row in board]
        frozen = np.flatnonzero(scene.arrays.predator[scene.e] == p.size**2)
        if frozen.size:
            lines.append(f"frozen: {', '.join(map(str, frozen))}")
        if scene.action is not None:
            lines.append(f"last actions: {', '.join(f'{i} {ACTIONS[a]}' for i, a in enumerate(scene.action))}")
        lines.append(f"step {scene.steps}, reward {scene.reward:g}, team return {scene.team_return:g}")
        return "\n".join(lines)

    def keys(self) -> dict[str, int]:
        return {"right": 0, "down": 1, "left": 2, "up": 3, "space": STAY, "c": CATCH}
