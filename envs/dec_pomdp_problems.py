"""The problems that ship with `dec_pomdp_v1`, as tables. What they are is told in `envs/dec_pomdp.py`.

Axes: S states, Ai actions and Oi observations of agent i. A table for N agents has an axis for each of them.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MOST_AGENTS = 30  # a table has two axes for each of them, and NumPy's arrays have at most 64


class Problem(NamedTuple):
    """A Dec-POMDP without its horizon."""

    transition: np.ndarray  # [S, A1, ..., AN, S], the probability of each next state
    observation: np.ndarray  # [A1, ..., AN, S, O1, ..., ON], that of each joint observation in the next state
    reward: np.ndarray  # [S, A1, ..., AN], or with an axis S of the next state behind, or with S, O1, ..., ON behind
    start: np.ndarray  # [S], the probability of each first state
    states: tuple[str, ...]  # names
    actions: tuple[tuple[str, ...], ...]  # names, for each agent
    observations: tuple[tuple[str, ...], ...]  # likewise

    @property
    def n_agents(self) -> int:
        return len(self.actions)


ROUNDING = 1e-4  # by which the sum of probabilities may miss 1


def first_wrong_row(table: np.ndarray, axes: int) -> tuple[int, ...] | None:
    """Where a table first holds no probabilities that sum to 1. axes: how many at the end are of the outcomes."""
    rows = table.reshape(*table.shape[: table.ndim - axes], -1)
    wrong = (rows < 0).any(-1) | (np.abs(rows.sum(-1) - 1) > ROUNDING)
    return tuple(np.argwhere(wrong)[0].tolist()) if wrong.any() else None


def with_sums_of_one(table: np.ndarray, axes: int) -> np.ndarray:
    """The table with its rows divided by their sums, but for those that miss 1 by no more than a computer does."""
    total = table.sum(axis=tuple(range(-axes, 0)), keepdims=True)
    return np.asarray(table / np.where(np.abs(total - 1) > 1e-9, total, 1.0))


def certainly(state: int, n_states: int) -> np.ndarray:
    """The distribution of what is known."""
    return np.asarray(np.eye(n_states)[state])


def side_by_side(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The transition of two agents that do not touch each other, from their own: each [Si, Ai, Si]."""
    joint = np.einsum("sau,tbv->stabuv", own, others)
    n_states = len(own) * len(others)
    return np.asarray(joint.reshape(n_states, own.shape[1], others.shape[1], n_states))


# Dec-Tiger. States: where the tiger is. Actions: listen, open a door.

LISTEN, OPEN_LEFT, OPEN_RIGHT = range(3)
HEARD_RIGHTLY = 0.85


def dec_tiger() -> Problem:
    transition = np.full((2, 3, 3, 2), 0.5)
    transition[:, LISTEN, LISTEN] = np.eye(2)
    hears = np.array([[HEARD_RIGHTLY, 1 - HEARD_RIGHTLY], [1 - HEARD_RIGHTLY, HEARD_RIGHTLY]])  # [S, Oi]
    observation = np.full((3, 3, 2, 2, 2), 0.25)
    observation[LISTEN, LISTEN] = np.einsum("so,sp->sop", hears, hears)
    reward = np.zeros((2, 3, 3))
    for tiger, one, other in itertools.product(range(2), range(3), range(3)):
        reward[tiger, one, other] = _paid_at_the_doors(tiger, one, other)
    return Problem(
        transition,
        observation,
        reward,
        start=np.full(2, 0.5),
        states=("tiger-left", "tiger-right"),
        actions=(("listen", "open-left", "open-right"),) * 2,
        observations=(("hear-left", "hear-right"),) * 2,
    )


def _paid_at_the_doors(tiger: int, one: int, other: int) -> float:
    """tiger: 0 left, 1 right, so that the door 1 + tiger is the wrong one."""
    if one == other == LISTEN:
        return -2.0
    if LISTEN in (one, other):
        return -101.0 if 1 + tiger in (one, other) else 9.0
    if one != other:
        return -100.0
    return -50.0 if one == 1 + tiger else 20.0


# Broadcast channel. States: which agents hold a message, agent 0's in the higher place. Actions: send, wait.

SEND, WAIT = range(2)
NEW_MESSAGE = (0.9, 0.1)  # the chance that an empty buffer is filled, for each agent
NOTICED = 0.9


def broadcast_channel() -> Problem:
    buffers = []
    for chance in NEW_MESSAGE:
        own = np.empty((2, 2, 2))  # [empty or full, action, empty or full]
        own[:] = 1 - chance, chance
        own[1, WAIT] = 0, 1
        buffers.append(own)
    reward = np.zeros((2, 2, 2, 2))  # [agent 0's buffer, agent 1's, actions]
    reward[1, :, SEND, WAIT] = 1.0
    reward[:, 1, WAIT, SEND] = 1.0
    sees = np.array([1 - NOTICED, NOTICED])  # [Oi] without a collision
    observation = np.empty((2, 2, 4, 2, 2))
    observation[:] = np.outer(sees, sees)
    observation[SEND, SEND] = np.outer(sees[::-1], sees[::-1])
    return Problem(
        side_by_side(*buffers),
        observation,
        reward.reshape(4, 2, 2),
        start=certainly(3, 4),
        states=("both-empty", "1-full", "0-full", "both-full"),
        actions=(("send", "wait"),) * 2,
        observations=(("collision", "no-collision"),) * 2,
    )


# Recycling robots. States: the robots' batteries, robot 0's in the higher place. Actions: recharge, small can, big can.

RECHARGE, SMALL, BIG = range(3)
WEAKENS = {SMALL: 0.3, BIG: 0.5}  # the chance that a high battery gets low
RUNS_OUT = {SMALL: 0.2, BIG: 0.3}  # that a low one gets empty, whereupon the robot is fetched and charged
FETCHED = -10.0


def recycling_robots() -> Problem:
    battery = np.zeros((2, 3, 2))  # [high or low, action, high or low]
    battery[:, RECHARGE] = 1, 0
    for action, chance in WEAKENS.items():
        battery[0, action] = 1 - chance, chance
    for action, chance in RUNS_OUT.items():
        battery[1, action] = chance, 1 - chance
    reward = np.zeros((2, 2, 3, 3))
    for low, other_low, one, other in itertools.product(range(2), range(2), range(3), range(3)):
        fails = [RUNS_OUT.get(a, 0.0) if b else 0.0 for a, b in ((one, low), (other, other_low))]
        found = 5.0 if one == other == BIG else 2.0 * ((one == SMALL) + (other == SMALL))
        reward[low, other_low, one, other] = (1 - fails[0]) * (1 - fails[1]) * found + FETCHED * sum(fails)
    observation = np.zeros((3, 3, 4, 2, 2))
    for state in range(4):
        observation[:, :, state, state // 2, state % 2] = 1.0
    return Problem(
        side_by_side(battery, battery),
        observation,
        reward.reshape(4, 3, 3),
        start=certainly(0, 4),
        states=("both-high", "1-low", "0-low", "both-low"),
        actions=(("recharge", "small-can", "big-can"),) * 2,
        observations=(("high", "low"),) * 2,
    )


# Meeting on a grid. States: the agents' cells, row by row, agent 0's in the higher place.

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))  # (down, right) of up, down, left, right, stay
MOVE_NAMES = ("up", "down", "left", "right", "stay")
SLIPS = 0.1  # the chance of each of the four moves that were not chosen, for an agent that does not stay


def _walk(side: int) -> np.ndarray:
    """One agent's own transition, [cell, action, cell]."""
    walk = np.zeros((side * side, 5, side * side))
    for row, column, action, done in itertools.product(range(side), range(side), range(5), range(5)):
        to = row + MOVES[done][0], column + MOVES[done][1]
        cell = row * side + column
        reached = to[0] * side + to[1] if min(to) >= 0 and max(to) < side else cell
        chance = float(action == done) if action == 4 else 1 - 4 * SLIPS if action == done else SLIPS
        walk[cell, action, reached] += chance
    return walk


def _meeting(side: int, seen: list[int], names: tuple[str, ...], reward: np.ndarray) -> Problem:
    """seen: what an agent sees in each cell; names: of what can be seen."""
    walk, cells, opposite = _walk(side), side * side, (side - 1, side * (side - 1))
    observation = np.zeros((5, 5, cells * cells, len(names), len(names)))
    for state in range(cells * cells):
        observation[:, :, state, seen[state // cells], seen[state % cells]] = 1.0
    return Problem(
        side_by_side(walk, walk),
        observation,
        reward,
        start=certainly(opposite[0] * cells + opposite[1], cells * cells),
        states=tuple(f"{one}-{other}" for one in range(cells) for other in range(cells)),
        actions=(MOVE_NAMES,) * 2,
        observations=(names,) * 2,
    )


def grid_meeting_2x2() -> Problem:
    together = np.eye(4).ravel()  # [S]
    reward = np.broadcast_to(together, (16, 5, 5, 16))  # by the next state
    return _meeting(2, [0, 1, 0, 1], ("left-column", "right-column"), reward)


def grid_meeting_3x3() -> Problem:
    together = np.zeros((9, 9))
    together[0, 0] = together[8, 8] = 1.0
    reward = np.broadcast_to(together.reshape(81, 1, 1), (81, 5, 5))  # by the state before the step
    return _meeting(3, list(range(9)), tuple(f"cell-{cell}" for cell in range(9)), reward)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "dec_tiger": dec_tiger,
    "broadcast_channel": broadcast_channel,
    "recycling_robots": recycling_robots,
    "grid_meeting_2x2": grid_meeting_2x2,
    "grid_meeting_3x3": grid_meeting_3x3,
}

# What a team can reach, by horizon, undiscounted, as published in the MADP toolbox's list of optimal values. An exact
# search finds the same up to the horizons in VERIFIED, see tests/planning.py.

OPTIMA: dict[str, dict[int, float]] = {
    "dec_tiger": {1: -2.0, 2: -4.0, 3: 5.1908125, 4: 4.80275515625, 5: 7.026450983203, 6: 10.381625},
    "broadcast_channel": {
        1: 1.0,
        2: 2.0,
        3: 2.99,
        4: 3.89,
        5: 4.79,
        6: 5.69,
        7: 6.59,
        8: 7.49,
        9: 8.39,
        10: 9.29,
    },
    "recycling_robots": {
        1: 5.0,
        2: 7.0,
        3: 10.660125,
        4: 13.38,
        5: 16.486,
        6: 19.5542,
        7: 22.63374,
        8: 25.709878,
        9: 28.7870366,
        10: 31.86388902,
    },
    "grid_meeting_2x2": {1: 0.37, 2: 0.91, 3: 1.550444, 4: 2.2415766, 5: 2.9704960768, 6: 3.71716819232},
    "grid_meeting_3x3": {1: 0.0, 2: 0.0, 3: 0.1332, 4: 0.4329, 5: 0.895656},
}
VERIFIED = {
    "dec_tiger": 4,
    "broadcast_channel": 7,
    "recycling_robots": 8,
    "grid_meeting_2x2": 4,
    "grid_meeting_3x3": 4,
}

# Plans that reach it: for each agent a word for each step, and in the word a digit, its action, for each past. This is
# all that the agent has seen, written as a number with as many digits as there are observations, the latest last; where
# a word is too short for all pasts, the latest observations decide.

PLANS: dict[str, dict[int, tuple[str, str]]] = {
    "dec_tiger": {
        1: ("0", "0"),
        2: ("0 0", "0 0"),
        3: ("0 0 2001", "0 0 2001"),  # open a door after hearing the tiger twice behind the other one
        4: ("0 0 0 20000001", "0 0 0 20000001"),  # three times
    },
    "broadcast_channel": {  # agent 0, whose buffer fills sooner, sends, and leaves one step to the other
        1: ("0", "1"),
        **{k: ("0 " * (k - 2) + "1 0", "1 " * (k - 2) + "0 1") for k in range(2, 11)},
    },
    "recycling_robots": {
        1: ("2", "2"),
        2: ("2 10", "2 10"),
        3: ("2 10 2", "2 10 2"),
        **{k: ("2" + " 10" * (k - 1),) * 2 for k in range(4, 11)},  # small cans while the battery is high
    },
    "grid_meeting_2x2": {
        1: ("1", "3"),
        2: ("1 1", "3 34"),
        3: ("1 1 3134", "3 34 34"),
        4: ("1 1 3134 31313104", "3 34 3104 3134"),
    },
    "grid_meeting_3x3": {
        1: ("4", "4"),
        2: ("4 4", "4 4"),
        3: ("1 020001000 4", "3 000000030 4"),
        4: ("2 022001000 420001004 4", "0 000000030 400000034 4"),
    },
}
