"""A hand-written team for predator_prey_v1 where predators do not see each other: two that meet by touch.

It plays under the rules "qtran", where it is punished to stand beside a prey without a mate. Two that would change
places do not move there, and both notice, so a predator that is held up by nobody it sees has found its mate. From then
on each knows where the other is without seeing it, since both follow one plan.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from coopgym.envs.boards import MOVES, STAY, are_beside, destinations
from coopgym.envs.core import Environment, slices
from coopgym.envs.pairs import outcomes

DISCOUNT, SWEEPS = 0.985, 80  # what a reward is worth one step later to a pair that has met, and how far it looks ahead
LONGEST = 100  # steps of the plan for those that have not met; later ones are like the last
REHEARSALS = tuple(share for share in (10.0, 1.0, 0.1, 0.01) for _ in range(4))  # what a position counts, however rare
MISTAKE, NEVER = 2.5, 100.0  # what it costs to believe in a mate where none is, and to walk into a prey; penalties


class PairByTouch:
    """Plans once how two look for each other, and what they do once they have met, and plays it by heart.

    Each acts on its own view, on the time, and on what it remembers: whether, and thus where, it has met its mate.
    """

    def __init__(self, env: Environment) -> None:
        p = self.p = env.params
        self.fields = {part.name: place for part, place in slices(env.observation_layout)}
        moves = tuple(MOVES[name] for name in env.action_names)
        self.leads, self.beside = destinations(p.size, moves), are_beside(p.size)
        self.plan = rehearsed(p.size, p.sight, min(p.horizon, LONGEST), moves, p.capture_reward, p.penalty)

    @staticmethod
    def can_play(p: Any) -> bool:
        """Whether two that do not see each other hunt one prey, on a board small enough to plan ahead."""
        sees = p.view == "offsets" and p.observe_position and not p.observe_predators
        right_rules = p.rules == "qtran" and p.penalty < 0 and p.capture_size == 2 and p.prey_policy == "random"
        right_size = p.n_predators == 2 and p.n_prey == 1 and p.size <= 5
        return right_rules and sees and right_size and not p.toroidal and not p.respawn

    def reset(self, num_envs: int) -> None:
        self.t = 0
        self.mate = np.full((num_envs, 2), -1)  # the cell where each knows its mate to be; -1 before they met
        self.stood, self.wanted = self.mate.copy(), self.mate.copy()  # cells before and, if nothing was in the way, now

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, 2, O], action_mask: [E, 2, A]. Returns actions [E, 2], each from the predator's own row alone."""
        own, prey = self._seen(obs)
        actions = np.zeros(own.shape, int)
        for i in range(2):
            here, x = own[:, i], prey[:, i]
            mate = self._believed(i, here, x)
            alone = self.plan.alone[i, min(self.t, len(self.plan.alone[i]) - 1), here, x]
            joint = self.plan.joint[(here, mate, x) if i == 0 else (mate, here, x)]
            both = np.divmod(joint, self.leads.shape[1])
            actions[:, i] = np.where(mate < 0, alone, both[i])
            self.mate[:, i] = np.where(mate < 0, -1, self.leads[mate, both[1 - i]])
            self.stood[:, i], self.wanted[:, i] = here, self.leads[here, actions[:, i]]
        self.t += 1
        return actions

    def _seen(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cell of each predator and of the prey that it sees, `cells` where it sees none, each [E, 2]."""
        size, fields = self.p.size, self.fields
        place = np.rint((obs[..., fields["position"]] + 0.5) * size).astype(int)
        prey = place + np.rint(obs[..., fields["prey_offsets"]] * size).astype(int)
        seen = obs[..., fields["prey_visible"]][..., 0] > 0
        return place @ [size, 1], np.where(seen, prey @ [size, 1], size**2)

    def _believed(self, i: int, here: np.ndarray, prey: np.ndarray) -> np.ndarray:
        """Where predator i thinks that its mate is, now that it sees what its last action led to, [E]."""
        mate, held_up = self.mate[:, i], here != self.wanted[:, i]
        seen = np.minimum(prey, self.p.size**2 - 1)
        caught = (prey == seen) & self.beside[here, seen] & self.beside[mate, seen]  # but the prey is still there
        known = np.where(caught | held_up | (mate == here) | (mate == prey), -1, mate)
        met = (self.t > 0) & held_up & (here == self.stood[:, i])
        return np.where(met, self.wanted[:, i], known)


class Plan(NamedTuple):
    """What to do by the cells of the predators and of the prey; the prey's cell `cells` stands for "not seen"."""

    alone: np.ndarray  # [2, T, cells, cells + 1], actions of each before they have met
    joint: np.ndarray  # [cells, cells, cells + 1], actions of both as one number, action of 0 * A + action of 1


class Board:
    """All positions of two predators and one prey, numbered (cell of 0 * cells + cell of 1) * cells + prey's cell.

    Beside the positions there are, as ends, S that follow a meeting in each position, one for a mistaken belief, and
    one for walking into the prey, which is never seen to happen.
    """

    def __init__(self, size: int, sight: int, moves: tuple[tuple[int, int], ...]) -> None:
        cells = self.cells = size**2
        self.leads, self.n_actions, self.stay = destinations(size, moves), len(moves), moves.index(STAY)
        a, b, prey = (part.ravel() for part in np.indices((cells,) * 3))
        self.cell, self.prey, self.apart = (a, b), prey, (a != b) & (a != prey) & (b != prey)
        row, column = np.divmod(np.arange(cells), size)
        sees = np.maximum(np.abs(row[:, None] - row), np.abs(column[:, None] - column)) <= sight
        self.groups = [own * (cells + 1) + np.where(sees[own, prey], prey, cells) for own in self.cell]  # [S], by views
        self.both_see = sees[a, prey] & sees[b, prey]
        self.after = np.array([[self._after(i, j) for j in range(len(moves))] for i in range(len(moves))])  # [A, A, S]

    def _after(self, i: int, j: int) -> np.ndarray:
        """The position or end that follows the actions i and j, before the prey moves, [S]."""
        (a, b), positions = self.cell, len(self.prey)
        to_a, to_b = self.leads[a, i], self.leads[b, j]
        swap = (to_a == b) & (to_b == a)
        held_up = to_a == to_b  # also where one stays in the other's way
        after = (to_a * self.cells + to_b) * self.cells + self.prey
        after = np.where(swap, positions + np.arange(positions), np.where(held_up, 2 * positions, after))
        return np.where((to_a == self.prey) | (to_b == self.prey), 2 * positions + 1, after)


@functools.cache
def rehearsed(
    size: int, sight: int, horizon: int, moves: tuple[tuple[int, int], ...], reward: float, penalty: float
) -> Plan:
    """The plan for two predators that see the prey within this sight and never each other. moves: of their actions."""
    board = Board(size, sight, moves)
    follow = [tuple(part.ravel() for part in one) for one in outcomes(size, reward, penalty)]
    joint, met = _plan_together(board, follow, penalty)
    return Plan(_plan_alone(board, follow, horizon, penalty, met), joint)


def _worth_before_prey_moves(worth: np.ndarray, follow: Any, discount: float = 1.0) -> np.ndarray:
    """What positions are worth before the prey's move, [S], by what they are worth after it."""
    moved = sum(earned + discount * np.where(caught, 0.0, worth[to]) for to, caught, earned in follow)
    return np.asarray(moved / len(follow))


def _plan_together(board: Board, follow: Any, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """What a pair does once it has met, [cells, cells, cells + 1], and what positions are worth to it then, [S].

    Where one of them does not see the prey, actions depend on where the two stand alone: so each knows the other's.
    """
    cells, positions, pairs = board.cells, len(board.prey), board.n_actions**2
    after = np.minimum(board.after, positions).reshape(pairs, positions)  # whatever is an end is not chosen
    blind = (~board.both_see & board.apart).reshape(cells, cells, cells)
    worth = np.zeros(positions)
    for _ in range(SWEEPS):
        before = np.where(board.apart, _worth_before_prey_moves(worth, follow, DISCOUNT), 0.0)
        options = np.append(before, NEVER * penalty)[after]  # [pairs, S]
        unseen = (options.reshape(pairs, cells, cells, cells) * blind).sum(-1).argmax(0)  # [cells, cells]
        seen = options.argmax(0)
        choice = np.where(board.both_see, seen, np.repeat(unseen.ravel(), cells))
        worth = np.where(board.apart, options[choice, np.arange(positions)], 0.0)
    joint = np.concatenate([choice.reshape(cells, cells, cells), unseen[..., None]], axis=-1)
    return joint, before


def _plan_alone(board: Board, follow: Any, horizon: int, penalty: float, met: np.ndarray) -> np.ndarray:
    """What each does before it has met its mate, [2, T, cells, cells + 1]: in turn the best answer to the other's plan.

    An answer is the best by the chances of positions at that step and, so that the first answers do not settle all, by
    a share of their chances at the start, which shrinks from rehearsal to rehearsal. At first both stay where they are.
    """
    start = board.apart / board.apart.sum()
    plans = np.full((2, horizon, board.cells * (board.cells + 1)), board.stay)
    ends = np.append(met, [MISTAKE * penalty, NEVER * penalty])
    for share in REHEARSALS:
        for i in range(2):
            weights = [chance + share * start for chance in _chances(board, follow, plans, start)]
            plans[i] = _answer(board, follow, plans[1 - i], i, weights, ends)
    return plans.reshape(2, horizon, board.cells, board.cells + 1)


def _chances(board: Board, follow: Any, plans: np.ndarray, start: np.ndarray) -> list[np.ndarray]:
    """The chance of each position at each step, before the two have met, [T][S]."""
    positions, chances = len(board.prey), [start]
    for first, second in plans[:, :-1].swapaxes(0, 1):
        after = board.after[first[board.groups[0]], second[board.groups[1]], np.arange(positions)]
        moved = np.bincount(after, chances[-1], 2 * positions + 2)[:positions]
        goes_on = [np.bincount(to, np.where(caught, 0.0, moved), positions) for to, caught, _ in follow]
        chances.append(np.asarray(sum(goes_on) / len(follow)))
    return chances


def _answer(
    board: Board, follow: Any, others: np.ndarray, i: int, weights: list[np.ndarray], ends: np.ndarray
) -> np.ndarray:
    """The best plan for predator i beside another's, [T, groups]. weights: of positions at each step, [T][S]."""
    every, plan, worth = np.arange(len(board.prey)), np.empty_like(others), np.zeros(len(board.prey))
    for t in reversed(range(len(others))):
        other = others[t, board.groups[1 - i]]
        outcome = np.append(_worth_before_prey_moves(worth, follow), ends)
        after = [board.after[(k, other, every) if i == 0 else (other, k, every)] for k in range(board.n_actions)]
        options = outcome[np.array(after)]  # [A, S]
        sums = [np.bincount(board.groups[i], weights[t] * one, others.shape[1]) for one in options]
        plan[t] = np.argmax(sums, axis=0)
        worth = np.where(board.apart, np.choose(plan[t, board.groups[i]], options), 0.0)
    return plan
