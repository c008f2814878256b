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
    summed over the prey and shared by the team.

End
    Terminated when no prey is left or all predators are frozen. The time limit `horizon` truncates.

Sources
    Boehmer, Kurin and Whiteson, "Deep Coordination Graphs", ICML 2020, section 5.2, in the form of the authors' code,
    which Rashid et al., "Weighted QMIX", NeurIPS 2020, and Wang et al., "QPLEX", ICLR 2021, use too. The presets differ
    in the penalty alone.

Differences from the source
    There are no hares, so their channel, always zero in these presets, is left out. `frozen` is new: without it the
    observation of a frozen predator would be all zeros. On a torus the window and the captures wrap around the edges
    as the moves do; in the authors' code only the moves do, and no published setting uses a torus.

Versions
    v1: first release.
"""

from typing import Annotated, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.parameters import Parameter
from coopgym.envs.rng import integer

ACTIONS = ("right", "down", "left", "up", "stay", "catch")
STAY, CATCH = 4, 5
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # rows, columns; of the first four actions
EMPTY, PREY, OUTSIDE = -1, -2, -3  # what a cell of the grid holds; a predator stands there by its index


class Params(NamedTuple):
    size: Annotated[int, Parameter("side of the board", "cells", 3, 100)] = 10
    n_predators: Annotated[int, Parameter("predators, which are the agents", "predators", 1, 1000)] = 8
    n_prey: Annotated[int, Parameter("prey at the start", "prey", 1, 1000)] = 8
    sight: Annotated[int, Parameter("how far a predator sees on both axes", "cells", 1, 100)] = 2
    capture_size: Annotated[int, Parameter("predators that must catch a prey together", "predators", 1, 4)] = 2
    capture_reward: Annotated[float, Parameter("for each capture", "reward", 0, 1e6)] = 10.0
    penalty: Annotated[float, Parameter("for each prey that too few try to catch; added", "reward", -1e6, 0)] = 0.0
    toroidal: Annotated[bool, Parameter("whether the edges are joined instead of walled")] = False
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 200


class Rules(NamedTuple):
    """What the kernels take."""

    along: np.ndarray  # [size + 1, 2 sight + 1] int16: the row (or column) so many cells away; `size` beyond a wall
    size: int
    sight: int
    capture_size: int
    capture_reward: float
    penalty: float


class State(NamedTuple):
    """Row and column `size` stand for "off the board": frozen predators and captured prey are there."""

    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    grid: np.ndarray  # [E, size + 1, size + 1] int16: EMPTY, PREY or a predator's index; OUTSIDE off the board
    predator: np.ndarray  # [E, N, 2] int16, row and column
    prey: np.ndarray  # [E, n_prey, 2] int16, row and column
    predator_order: np.ndarray  # [E, N] int16, in which the predators acted last
    prey_order: np.ndarray  # [E, n_prey] int16


# The draws from an instance's stream, in order. Reset: for each predator, then each prey, a cell, and again while it is
# taken. Step: for each place in the predators' order, who comes next; then for each place in the prey's order, who
# comes next and, where it is free to move, which way. The frozen and the captured keep their places in the orders.


@kernel
def _place(p, s, e, actor, k, content):
    """Puts actor k on a free cell. actor: [E, actors, 2]."""
    while True:
        cell = integer(s.rng, e, p.size * p.size)
        row, column = cell // p.size, cell % p.size
        if s.grid[e, row, column] == EMPTY:
            break
    actor[e, k, 0], actor[e, k, 1] = row, column
    s.grid[e, row, column] = content


@kernel
def _next_in_order(order, rng, e, k):
    """One of order[e, k:], each with the same chance, moved to place k (a step of Fisher and Yates's shuffle)."""
    chosen = k + integer(rng, e, order.shape[1] - k)
    order[e, k], order[e, chosen] = order[e, chosen], order[e, k]
    return order[e, k]


@kernel
def _beside(p, actor, e, k, move):
    """Row and column of the cell beside actor k; `size` among them where there is none."""
    row = p.along[actor[e, k, 0], p.sight + MOVES[move, 0]]
    column = p.along[actor[e, k, 1], p.sight + MOVES[move, 1]]
    return row, column


@kernel
def _go(s, e, actor, k, row, column):
    """Takes actor k, and what stands for it on the grid, to another cell."""
    content = s.grid[e, actor[e, k, 0], actor[e, k, 1]]
    s.grid[e, actor[e, k, 0], actor[e, k, 1]] = EMPTY
    s.grid[e, row, column] = content
    actor[e, k, 0], actor[e, k, 1] = row, column


@kernel
def _remove(p, s, e, actor, k):
    """Takes actor k off the board."""
    s.grid[e, actor[e, k, 0], actor[e, k, 1]] = EMPTY
    actor[e, k, 0], actor[e, k, 1] = p.size, p.size


@kernel
def _left(p, actor, e):
    """How many of these actors are on the board."""
    left = 0
    for k in range(actor.shape[1]):
        left += actor[e, k, 0] < p.size
    return left


@kernel
def reset(p, s, e):
    for row in range(p.size + 1):
        for column in range(p.size + 1):
            s.grid[e, row, column] = EMPTY if row < p.size and column < p.size else OUTSIDE
    for i in range(s.predator.shape[1]):
        _place(p, s, e, s.predator, i, i)
        s.predator_order[e, i] = i
    for j in range(s.prey.shape[1]):
        _place(p, s, e, s.prey, j, PREY)
        s.prey_order[e, j] = j


@kernel
def step(p, s, e, action):
    for place in range(s.predator.shape[1]):
        i = _next_in_order(s.predator_order, s.rng, e, place)
        if action[i] < STAY:
            row, column = _beside(p, s.predator, e, i, action[i])
            if s.grid[e, row, column] == EMPTY:
                _go(s, e, s.predator, i, row, column)
    reward = 0.0
    for place in range(s.prey.shape[1]):
        j = _next_in_order(s.prey_order, s.rng, e, place)
        if s.prey[e, j, 0] < p.size:
            reward += _hunt(p, s, e, j, action)
    return reward, _left(p, s.prey, e) == 0 or _left(p, s.predator, e) == 0


@kernel
def _hunt(p, s, e, j, action):
    """Captures prey j, or lets it move. Returns the reward."""
    catching = free = 0
    for move in range(4):
        row, column = _beside(p, s.prey, e, j, move)
        there = s.grid[e, row, column]
        catching += there >= 0 and action[there] == CATCH
        free += there == EMPTY
    if catching >= p.capture_size:
        for move in range(4):
            row, column = _beside(p, s.prey, e, j, move)
            there = s.grid[e, row, column]
            if there >= 0 and action[there] == CATCH:
                _remove(p, s, e, s.predator, there)
        _remove(p, s, e, s.prey, j)
        return p.capture_reward
    if free > 0:
        _roam(p, s, e, j, integer(s.rng, e, free))
    return p.penalty if catching > 0 else 0.0


@kernel
def _roam(p, s, e, j, chosen):
    """Moves prey j to one of the free cells beside it, numbered from 0 in the order of the actions."""
    for move in range(4):
        row, column = _beside(p, s.prey, e, j, move)
        if s.grid[e, row, column] == EMPTY:
            if chosen == 0:
                _go(s, e, s.prey, j, row, column)
                return
            chosen -= 1


@kernel
def observe(p, s, e, obs):
    side = 2 * p.sight + 1
    for i in range(obs.shape[0]):
        feature = 0
        for k in range(side):
            row = p.along[s.predator[e, i, 0], k]
            for m in range(side):
                there = s.grid[e, row, p.along[s.predator[e, i, 1], m]]
                obs[i, feature] = there >= 0
                obs[i, feature + 1] = there == PREY
                feature += 2
        obs[i, feature] = s.predator[e, i, 0] == p.size


@kernel
def summarise(p, s, e, state):
    feature = 0
    for row in range(p.size):
        for column in range(p.size):
            there = s.grid[e, row, column]
            state[feature] = there >= 0
            state[feature + 1] = there == PREY
            feature += 2


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        prey_beside = False
        for move in range(4):
            row, column = _beside(p, s.predator, e, i, move)
            there = s.grid[e, row, column]
            mask[i, move] = there != OUTSIDE
            prey_beside |= there == PREY
        mask[i, STAY] = 1
        mask[i, CATCH] = prey_beside


DCG = "Boehmer et al., Deep Coordination Graphs, ICML 2020; authors' code"

PRESETS = {
    "stag_p0": Preset({"penalty": 0.0}, DCG),
    "stag_p-0.5": Preset({"penalty": -0.5}, "reported for the authors' code of Weighted QMIX; no paper confirmed"),
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
        along = np.arange(p.size)[:, None] + np.arange(-p.sight, p.sight + 1)
        along = along % p.size if p.toroidal else np.where((along >= 0) & (along < p.size), along, p.size)
        off_the_board = np.full((1, 2 * p.sight + 1), p.size)
        return Rules(
            along=np.concatenate([along, off_the_board]).astype(np.int16),
            size=p.size,
            sight=p.sight,
            capture_size=p.capture_size,
            capture_reward=p.capture_reward,
            penalty=p.penalty,
        )

    def allocate(self, num_envs: int) -> State:
        p = self.params
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            grid=np.full((num_envs, p.size + 1, p.size + 1), OUTSIDE, np.int16),
            predator=np.full((num_envs, p.n_predators, 2), p.size, np.int16),
            prey=np.full((num_envs, p.n_prey, 2), p.size, np.int16),
            predator_order=np.zeros((num_envs, p.n_predators), np.int16),
            prey_order=np.zeros((num_envs, p.n_prey), np.int16),
        )

    def describe(self, scene: Scene) -> str:
        p, grid = self.params, scene.arrays.grid[scene.e]
        width = len(str(p.n_predators - 1))
        signs = {EMPTY: ".", PREY: "*"}
        board = grid[: p.size, : p.size].tolist()
        lines = [" ".join(f"{signs.get(there, there):>{width}}" for there in row) for row in board]
        frozen = np.flatnonzero(scene.arrays.predator[scene.e, :, 0] == p.size)
        if frozen.size:
            lines.append(f"frozen: {', '.join(map(str, frozen))}")
        if scene.action is not None:
            lines.append(f"last actions: {', '.join(f'{i} {ACTIONS[a]}' for i, a in enumerate(scene.action))}")
        lines.append(f"step {scene.steps}, reward {scene.reward:g}, team return {scene.team_return:g}")
        return "\n".join(lines)

    def keys(self) -> dict[str, int]:
        return {"right": 0, "down": 1, "left": 2, "up": 3, "space": STAY, "c": CATCH}
