"""The rules of predator_prey_v1 as kernels; what they are is said in coopgym.envs.predator_prey.

The draws from an instance's stream, in order. Reset under the rules "stag": for each predator, then each prey, a cell,
and again while it is taken. Under the others the same with a column and a row ("qtran") or a row and a column
("ma_gym"), and under "ma_gym" a prey's cell again while a predator is beside it. Steps: "stag", for each place in the
predators' order, who comes next; then for each place in the prey's order, who comes next and, where it is free to move,
which way; the frozen and the captured keep their places. "qtran", a move of each prey, then the cells of those that
come back. "ma_gym", up to five moves of each prey. A prey that flees draws among the best cells instead.
"""

from typing import NamedTuple

import numpy as np

from coopgym.envs.boards import EMPTY, OUTSIDE, move, next_in_order, none_left, remove
from coopgym.envs.compiling import kernel
from coopgym.envs.core import Kernels
from coopgym.envs.rng import integer

CATCH = 5  # of the actions under the rules "stag"; 4 is to stay
PREY = -3  # on the grid predator i is the number i, and prey j is PREY - j
RANDOM, RESTING, FLEEING = range(3)  # policies of the prey
SETS = [[side for side in range(4) if bits >> side & 1] for bits in range(16)]  # of sides, by their bits
BITS = np.array([len(sides) for sides in SETS])  # [16]
NTH_BIT = np.array([sides + [-1] * (4 - len(sides)) for sides in SETS])  # [16, 4]
CAREFUL_TRIES = 5  # of a prey under the rules "ma_gym"


class Rules(NamedTuple):
    """What the kernels take. The number after the last cell stands for "off the board"; a feature of -1 is left out."""

    beside: np.ndarray  # [cells + 1, 4] int16, the cells beside each cell
    leads: np.ndarray  # [cells + 1, A] int16, the cell to which each action leads
    place: np.ndarray  # [cells, 2] int32, row and column
    coordinate: np.ndarray  # [cells + 1, 2] float64, row and column as agents see them; 0 off the board
    scale: float  # of a row or column in coordinates
    marks: np.ndarray  # [cells, 1 or 4] uint64, see coopgym.envs.boards.Painting
    corner: np.ndarray  # [cells] uint64
    blank: np.ndarray  # [features] int8
    board_width: int  # features in a row of the painted board
    window_width: int  # features in a row of a window
    window_rows: int
    predator_channel: int  # of a cell's features
    prey_channel: int
    first: int  # feature of the view: 2 after a position, or 0
    frozen: int  # feature
    id: int  # feature
    time: int  # feature
    visible: int  # first feature of the flags after the offsets
    sight: int
    size: int
    toroidal: bool
    prey_policy: int
    respawn: bool
    capture_size: int
    capture_reward: float
    penalty: float
    step_reward: float
    horizon: int


class State(NamedTuple):
    """Frozen predators and captured prey are in the cell size * size, off the board."""

    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    grid: np.ndarray  # [E, cells + 1] int16: EMPTY or who stands there; OUTSIDE off the board
    predator: np.ndarray  # [E, N] int16, the cell of each, row * size + column
    prey: np.ndarray  # [E, M] int16, likewise
    predator_order: np.ndarray  # [E, N] int16, in which the predators acted last
    prey_order: np.ndarray  # [E, M] int16
    board: np.ndarray  # [E, features] int8: the painted board, without actors between two observations
    tried_in: np.ndarray  # [E, M] int16, the cell in which predators last tried to catch each prey
    tried_at: np.ndarray  # [E, M] int32, at which step of the episode that was; 0 before
    tried_by: np.ndarray  # [E, M] int8, how many predators that were
    frozen_in: np.ndarray  # [E, N] int16, the cell in which a frozen predator stood last
    came_back: np.ndarray  # [E] int32, how many captured prey have come back in the episode
    target: np.ndarray  # [E, N + M] int16, where each wants to go; these three under the rules "qtran" only
    asked: np.ndarray  # [E, N + M] int8, 1 once it has moved, or waits for another to move
    waiting: np.ndarray  # [E, N + M] int16, those who wait for the next one, in order


@kernel
def _start(s, e):
    """Empties the board, and puts everybody beside it."""
    off = s.grid.shape[1] - 1
    for cell in range(off):
        s.grid[e, cell] = EMPTY
    s.grid[e, off] = OUTSIDE
    s.came_back[e] = 0
    for i in range(s.predator.shape[1]):
        s.predator[e, i] = off
        s.predator_order[e, i] = i
        s.frozen_in[e, i] = off
    for j in range(s.prey.shape[1]):
        s.prey[e, j] = off
        s.prey_order[e, j] = j
        s.tried_in[e, j] = off
        s.tried_at[e, j] = 0
        s.tried_by[e, j] = 0


@kernel
def _put(s, e, actor, k, number, cell):
    """Puts actor k, which was off the board, on a cell."""
    s.grid[e, cell] = number
    actor[e, k] = cell


@kernel
def _predators_beside(p, s, e, cell):
    count = 0
    for side in range(4):
        count += s.grid[e, p.beside[cell, side]] >= 0
    return count


@kernel
def _note_try(s, e, j, predators):
    s.tried_in[e, j] = s.prey[e, j]
    s.tried_at[e, j] = s.t[e] + 1
    s.tried_by[e, j] = predators


@kernel
def _judge(p, s, e, j):
    """What the predators beside prey j earn, where standing there is trying to catch it."""
    count = _predators_beside(p, s, e, s.prey[e, j])
    if count == 0:
        return 0.0
    _note_try(s, e, j, count)
    return p.capture_reward if count >= p.capture_size else p.penalty


@kernel
def _captured_now(p, s, e, j):
    return s.tried_at[e, j] == s.t[e] + 1 and s.tried_by[e, j] >= p.capture_size


@kernel
def _refuge(p, s, e, j):
    """The cell to which a fleeing prey goes: its own or a free one beside it, the farthest from any predator."""
    here = s.prey[e, j]
    best, farthest, equals = here, _distance_to_predators(p, s, e, here), 1
    for side in range(4):
        cell = p.beside[here, side]
        if s.grid[e, cell] == EMPTY:
            distance = _distance_to_predators(p, s, e, cell)
            if distance > farthest:
                best, farthest, equals = cell, distance, 1
            elif distance == farthest:
                equals += 1
                if integer(s.rng, e, equals) == 0:  # so each of the equals is chosen as often
                    best = cell
    return best


@kernel
def _distance_to_predators(p, s, e, cell):
    """Moves from a cell to the nearest predator on the board, whoever stands between."""
    nearest = 2 * p.size
    for i in range(s.predator.shape[1]):
        if s.predator[e, i] < s.grid.shape[1] - 1:
            distance = 0
            for axis in range(2):
                place = p.place[s.predator[e, i], axis]
                distance += abs(_apart(p.place[cell, axis], place, p.size, p.toroidal))
            nearest = min(nearest, distance)
    return nearest


@kernel
def _apart(here, there, size, toroidal):
    """From a row or column to another one; on a torus the shorter way, up or left between equals."""
    if not toroidal:
        return there - here
    half = size // 2
    return (there - here + half) % size - half


# Rules "stag"


@kernel
def reset_stag(p, s, e):
    _start(s, e)
    for i in range(s.predator.shape[1]):
        _put(s, e, s.predator, i, i, _free_cell(s, e))
    for j in range(s.prey.shape[1]):
        _put(s, e, s.prey, j, PREY - j, _free_cell(s, e))


@kernel
def _free_cell(s, e):
    off = s.grid.shape[1] - 1
    cell = off
    while s.grid[e, cell] != EMPTY:
        cell = integer(s.rng, e, off)
    return cell


@kernel
def step_stag(p, s, e, action):
    off = s.grid.shape[1] - 1
    for place in range(s.predator.shape[1]):
        i = next_in_order(s.predator_order, s.rng, e, place)
        here = s.predator[e, i]
        if here < off:
            target = p.leads[here, action[i]]
            # A choice, not a branch: no processor foresees which cells are free, and its wrong guesses cost more.
            move(s, e, s.predator, i, i, target if s.grid[e, target] == EMPTY else here)
    reward = p.step_reward
    for place in range(s.prey.shape[1]):
        j = next_in_order(s.prey_order, s.rng, e, place)
        if s.prey[e, j] < off:
            reward += _hunt(p, s, e, j, action)
    return reward, none_left(s.prey, e, off) or none_left(s.predator, e, off)


@kernel
def _hunt(p, s, e, j, action):
    """Captures prey j, or lets it move. Returns the reward."""
    catching = free = 0  # predators; the sides on which a cell is free, one bit for each
    for side in range(4):
        there = s.grid[e, p.beside[s.prey[e, j], side]]
        free |= (there == EMPTY) << side
        catching += (there >= 0) & (action[max(there, 0)] == CATCH)
    if catching > 0:
        _note_try(s, e, j, catching)
    if catching >= p.capture_size:
        for side in range(4):
            there = s.grid[e, p.beside[s.prey[e, j], side]]
            if there >= 0 and action[there] == CATCH:
                s.frozen_in[e, there] = s.predator[e, there]
                remove(s, e, s.predator, there)
        remove(s, e, s.prey, j)
        return p.capture_reward
    if p.prey_policy == RANDOM:
        if free > 0:
            side = NTH_BIT[free, integer(s.rng, e, BITS[free])]
            move(s, e, s.prey, j, PREY - j, p.beside[s.prey[e, j], side])
    elif p.prey_policy == FLEEING:
        move(s, e, s.prey, j, PREY - j, _refuge(p, s, e, j))
    return p.penalty if catching > 0 else 0.0


@kernel
def available_stag(p, s, e, mask):
    for i in range(mask.shape[0]):
        prey_beside = False
        for side in range(4):
            there = s.grid[e, p.beside[s.predator[e, i], side]]
            mask[i, side] = there != OUTSIDE
            prey_beside |= there <= PREY
        mask[i, 4] = 1
        mask[i, CATCH] = prey_beside


@kernel
def summarise_stag(p, s, e, state):
    off = s.grid.shape[1] - 1
    for feature in range(state.shape[0]):
        state[feature] = 0.0
    for i in range(s.predator.shape[1]):
        if s.predator[e, i] < off:
            state[2 * s.predator[e, i]] = 1.0
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            state[2 * s.prey[e, j] + 1] = 1.0
    if state.shape[0] > 2 * off:
        state[2 * off] = none_left(s.prey, e, off) and none_left(s.predator, e, off)


# Rules "qtran"


@kernel
def reset_qtran(p, s, e):
    _start(s, e)
    for i in range(s.predator.shape[1]):
        _put(s, e, s.predator, i, i, _free_cell_by_column(p, s, e))
    for j in range(s.prey.shape[1]):
        _put(s, e, s.prey, j, PREY - j, _free_cell_by_column(p, s, e))


@kernel
def _free_cell_by_column(p, s, e):
    cell = p.size * p.size
    while s.grid[e, cell] != EMPTY:
        column = integer(s.rng, e, p.size)
        cell = integer(s.rng, e, p.size) * p.size + column
    return cell


@kernel
def step_qtran(p, s, e, action):
    off, n = s.grid.shape[1] - 1, s.predator.shape[1]
    for i in range(n):
        s.target[e, i] = p.leads[s.predator[e, i], action[i]]
        s.asked[e, i] = 0
    for j in range(s.prey.shape[1]):
        s.asked[e, n + j] = s.prey[e, j] == off
        if s.prey[e, j] < off:
            s.target[e, n + j] = _wish(p, s, e, j)
    for k in range(s.target.shape[1]):
        if not s.asked[e, k]:
            _move_in_turn(s, e, k, n)
    reward = p.step_reward
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            reward += _judge(p, s, e, j)
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off and _captured_now(p, s, e, j):
            if p.respawn:
                s.came_back[e] += 1
                move(s, e, s.prey, j, PREY - j, _free_cell_by_column(p, s, e))
            else:
                remove(s, e, s.prey, j)
    return reward, none_left(s.prey, e, off)


@kernel
def _wish(p, s, e, j):
    """The cell to which prey j wants to go."""
    if p.prey_policy == RANDOM:
        return p.leads[s.prey[e, j], integer(s.rng, e, p.leads.shape[1])]
    if p.prey_policy == FLEEING:
        return _refuge(p, s, e, j)
    return s.prey[e, j]


@kernel
def _move_in_turn(s, e, k, n):
    """Moves actor k (predators first, then prey), after those in its way. n: predators."""
    length = 0
    while not s.asked[e, k]:
        s.asked[e, k] = 1
        s.waiting[e, length] = k
        length += 1
        occupant = s.grid[e, s.target[e, k]]
        if occupant >= 0:
            k = np.int64(occupant)
        elif occupant <= PREY:
            k = np.int64(n + PREY - occupant)
    for last in range(length - 1, -1, -1):
        k = s.waiting[e, last]
        target = s.target[e, k]
        if s.grid[e, target] == EMPTY:
            if k < n:
                move(s, e, s.predator, k, k, target)
            else:
                move(s, e, s.prey, k - n, PREY - (k - n), target)


@kernel
def available_always(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = 1


@kernel
def summarise_positions(p, s, e, state):
    """The state under the rules "qtran" and "ma_gym"."""
    n, m = s.predator.shape[1], s.prey.shape[1]
    for axis in range(2):
        for i in range(n):
            state[2 * i + axis] = p.coordinate[s.predator[e, i], axis]
        for j in range(m):
            state[2 * (n + j) + axis] = p.coordinate[s.prey[e, j], axis]
    if not p.respawn:
        for j in range(m):
            state[2 * (n + m) + j] = s.prey[e, j] == s.grid.shape[1] - 1


# Rules "ma_gym"


@kernel
def reset_ma_gym(p, s, e):
    _start(s, e)
    for i in range(s.predator.shape[1]):
        _put(s, e, s.predator, i, i, _free_inner_cell(p, s, e))
    for j in range(s.prey.shape[1]):
        cell = _free_inner_cell(p, s, e)
        while _predators_beside(p, s, e, cell) > 0:
            cell = _free_inner_cell(p, s, e)
        _put(s, e, s.prey, j, PREY - j, cell)


@kernel
def _free_inner_cell(p, s, e):
    """A free cell, but none of the last row and column: a slip of the source."""
    cell = p.size * p.size
    while s.grid[e, cell] != EMPTY:
        row = integer(s.rng, e, p.size - 1)
        cell = row * p.size + integer(s.rng, e, p.size - 1)
    return cell


@kernel
def step_ma_gym(p, s, e, action):
    off = s.grid.shape[1] - 1
    for i in range(s.predator.shape[1]):
        target = p.leads[s.predator[e, i], action[i]]
        if s.grid[e, target] == EMPTY:
            move(s, e, s.predator, i, i, target)
    reward = p.step_reward
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            reward += _judge(p, s, e, j)
            if _captured_now(p, s, e, j):
                remove(s, e, s.prey, j)
            else:
                _walk_carefully(p, s, e, j)
    return reward, none_left(s.prey, e, off)


@kernel
def _walk_carefully(p, s, e, j):
    target = s.prey[e, j]
    if p.prey_policy == RANDOM:
        for _ in range(CAREFUL_TRIES):
            action = min(integer(s.rng, e, 1000) // 175, 4)  # 0.175 for each direction, 0.3 for staying
            cell = p.leads[s.prey[e, j], action]
            if _predators_beside(p, s, e, cell) == 0:  # nobody is beside a cell in the wall, so prey may run into it
                target = cell
                break
    elif p.prey_policy == FLEEING:
        target = _refuge(p, s, e, j)
    if s.grid[e, target] == EMPTY:
        move(s, e, s.prey, j, PREY - j, target)


# What predators see


@kernel
def observe_window(p, s, e, obs):
    _paint(p, s, e, 1)
    for i in range(obs.shape[0]):
        _tell(p, s, e, obs, i)
        cell = s.predator[e, i]
        if cell == s.grid.shape[1] - 1:
            for feature in range(p.first, p.frozen):
                obs[i, feature] = 0.0
        elif p.window_width == 10:  # the usual one: the compiler unrolls a row of known length
            _cut(p, s, e, obs, i, p.corner[cell], np.uint64(10))
        else:
            _cut(p, s, e, obs, i, p.corner[cell], np.uint64(p.window_width))
    _paint(p, s, e, 0)


@kernel
def _cut(p, s, e, obs, i, start, width):
    """Copies the window that begins there from the painted board."""
    feature = np.uint64(p.first)  # unsigned, so that no index can count from the end and rows copy as a whole
    for _ in range(p.window_rows):
        for k in range(width):
            obs[i, feature + k] = s.board[e, start + k]
        feature += width
        start += np.uint64(p.board_width)


@kernel
def _paint(p, s, e, mark):
    """Marks who stands on the board with a 1, or takes the marks away with a 0."""
    off = s.grid.shape[1] - 1
    if p.predator_channel >= 0:
        for i in range(s.predator.shape[1]):
            if s.predator[e, i] < off:
                for k in range(p.marks.shape[1]):
                    s.board[e, p.marks[s.predator[e, i], k]] = mark
    for j in range(s.prey.shape[1]):
        if s.prey[e, j] < off:
            for k in range(p.marks.shape[1]):
                s.board[e, p.marks[s.prey[e, j], k] + np.uint64(p.prey_channel)] = mark


@kernel
def observe_offsets(p, s, e, obs):
    off, n, first = s.grid.shape[1] - 1, s.predator.shape[1], 0 if p.predator_channel >= 0 else s.predator.shape[1]
    for i in range(obs.shape[0]):
        _tell(p, s, e, obs, i)
        here = s.predator[e, i]
        for k in range(first, n + s.prey.shape[1]):  # the predators, then the prey
            cell = s.predator[e, k] if k < n else s.prey[e, k - n]
            rows = columns = 0
            visible = here < off and cell < off
            if visible:
                rows = _apart(p.place[here, 0], p.place[cell, 0], p.size, p.toroidal)
                columns = _apart(p.place[here, 1], p.place[cell, 1], p.size, p.toroidal)
                visible = max(abs(rows), abs(columns)) <= p.sight
            feature = p.first + 2 * (k - first)
            obs[i, feature] = rows * p.scale if visible else 0.0
            obs[i, feature + 1] = columns * p.scale if visible else 0.0
            if p.visible >= 0:
                obs[i, p.visible + k - first] = visible


@kernel
def _tell(p, s, e, obs, i):
    """Writes what predator i knows beside its view."""
    cell = s.predator[e, i]
    if p.first > 0:
        obs[i, 0] = p.coordinate[cell, 0]
        obs[i, 1] = p.coordinate[cell, 1]
    if p.frozen >= 0:
        obs[i, p.frozen] = cell == s.grid.shape[1] - 1
    if p.id >= 0:
        obs[i, p.id] = i / s.predator.shape[1]
    if p.time >= 0:
        obs[i, p.time] = s.t[e] / p.horizon


KERNELS = {  # of each set of rules, but for what predators see
    "stag": Kernels(reset_stag, step_stag, observe_window, summarise_stag, available_stag),
    "qtran": Kernels(reset_qtran, step_qtran, observe_window, summarise_positions, available_always),
    "ma_gym": Kernels(reset_ma_gym, step_ma_gym, observe_window, summarise_positions, available_always),
}
VIEWS = {"window": observe_window, "offsets": observe_offsets}
