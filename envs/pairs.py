"""A hand-written team for predator_prey_v1 where all see all: two predators for each prey, which plan ahead.

It plays under the rules "qtran", where it is punished to stand beside a prey without a mate.
"""

import functools
import itertools
from typing import Any

import numpy as np

from coopgym.envs.boards import BESIDE, MOVES, STAY, are_beside, destinations
from coopgym.envs.core import Environment, slices

SWEEPS, DISCOUNT = 40, 0.95  # how many steps pairs plan ahead, and what a reward is worth one step later


class Pairs:
    """Two for each prey, that step up to it together: a team for the rules "qtran" where everybody sees everybody.

    Each predator works out the same for itself. The pair and the prey with the best prospects come first, then the best
    of the others, and so on. A pair does what is best if it is alone with its prey (`_prospects`): it waits where the
    prey is unlikely to meet one of them alone, until both can step beside it at once. The others' prey count by the
    punishment that may follow from standing near them. Whoever is left over keeps away from all prey.
    """

    def __init__(self, env: Environment) -> None:
        self.p, self.fields = env.params, {part.name: place for part, place in slices(env.observation_layout)}
        self.leads = destinations(self.p.size, [MOVES[name] for name in env.action_names])
        self.stay = env.noop
        p = self.p
        self.worth, self.worth_after = _prospects(p.size, p.respawn, p.capture_reward, p.penalty)
        self.risk = _risk(self.p.size) * self.p.penalty

    @staticmethod
    def can_play(p: Any) -> bool:
        """Whether a game is one for pairs that see everything, and small enough to plan ahead."""
        sees_all = p.view == "offsets" and p.observe_predators and p.observe_position and p.sight >= p.size - 1
        right_rules = p.rules == "qtran" and p.penalty < 0 and p.capture_size == 2 and p.prey_policy == "random"
        return right_rules and sees_all and not p.toroidal and p.size <= 8 and p.n_predators <= 8 and p.n_prey <= 4

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O], action_mask: [E, N, A]. Returns actions [E, N], each from the predator's own row alone."""
        envs, n = obs.shape[:2]
        plans = self._joint_actions(*self._seen(obs.reshape(envs * n, -1))).reshape(envs, n, n)
        return np.diagonal(plans, axis1=1, axis2=2)

    def _seen(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cells of the predators [V, N] and of the prey [V, M], -1 off the board, in each of V views."""
        p, fields = self.p, self.fields
        own = np.rint((obs[:, None, fields["position"]] + 0.5) * p.size).astype(int)
        cells = []
        for name in ("predator_offsets", "prey_offsets"):
            place = own + np.rint(obs[:, fields[name]] * p.size).astype(int).reshape(len(obs), -1, 2)
            cells.append(place[..., 0] * p.size + place[..., 1])
        predators, prey = cells
        if "prey_visible" in fields:
            prey = np.where(obs[:, fields["prey_visible"]] > 0, prey, -1)
        return predators, prey

    def _joint_actions(self, predators: np.ndarray, prey: np.ndarray) -> np.ndarray:
        """What all do, [V, N], where predators [V, N] and prey [V, M] stand in these cells."""
        rows, n = np.arange(len(predators)), self.p.n_predators
        actions = np.full(predators.shape, self.stay)
        taken = predators.copy()  # the cells that are no longer free: where each goes, or still is
        paired, hunted = np.zeros(predators.shape, bool), prey < 0
        choices = [(a, b, j) for a, b in itertools.combinations(range(n), 2) for j in range(self.p.n_prey)]
        first, second, targets = (np.array(part) for part in zip(*choices, strict=True))
        for _ in range(min(n // 2, self.p.n_prey)):
            worth = self.worth[predators[:, first], predators[:, second], prey[:, targets]]  # [V, choices]
            worth = np.where(paired[:, first] | paired[:, second] | hunted[:, targets], -np.inf, worth)
            best = worth.argmax(1)
            hunting = rows[worth[rows, best] > -np.inf]
            a, b, j = (part[best[hunting]] for part in (first, second, targets))
            actions[hunting, a], actions[hunting, b] = self._pair_actions(hunting, a, b, j, predators, prey, taken)
            for i in (a, b):
                taken[hunting, i] = self.leads[predators[hunting, i], actions[hunting, i]]
                paired[hunting, i] = True
            hunted[hunting, j] = True
        for i in range(n):
            alone = rows[~paired[:, i]]
            worth = self._lone_worth(alone, i, predators, prey, taken, np.zeros_like(alone) - 1)
            worth[:, self.stay] += 1e-9  # between equals
            actions[alone, i] = worth.argmax(1)
            taken[alone, i] = self.leads[predators[alone, i], actions[alone, i]]
        return actions

    def _pair_actions(
        self, rows: np.ndarray, a: np.ndarray, b: np.ndarray, j: np.ndarray, predators: np.ndarray, prey: np.ndarray,
        taken: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """The best two actions of predators a and b for their prey j, in these rows."""
        to_a, to_b = (self.leads[predators[rows, i]] for i in (a, b))  # [rows, A]
        worth = self.worth_after[to_a[:, :, None], to_b[:, None], prey[rows, j, None, None]]  # [rows, A, A]
        for i, other, axes in ((a, b, np.s_[:, :, None]), (b, a, np.s_[:, None])):
            worth = worth + self._lone_worth(rows, i, predators, prey, taken, j, other)[axes]
        crossing = (to_a[:, :, None] == predators[rows, b, None, None]) & (
            to_b[:, None] == predators[rows, a, None, None]
        )
        best = np.where(crossing, -np.inf, worth).reshape(len(rows), -1).argmax(1)
        return np.divmod(best, self.leads.shape[1])

    def _lone_worth(
        self, rows: np.ndarray, i: Any, predators: np.ndarray, prey: np.ndarray, taken: np.ndarray,
        own: np.ndarray, mate: Any = -1,
    ) -> np.ndarray:  # fmt: skip
        """For each action of predator i, [rows, A]: what others' prey may cost it, -inf where its way is not free."""
        to = self.leads[predators[rows, i]]
        worth = np.zeros(to.shape)
        for k in range(prey.shape[1]):
            near = (prey[rows, k] >= 0) & (own != k)
            worth += np.where(near[:, None], self.risk[to, prey[rows, k, None]], 0.0)
            worth[to == prey[rows, k, None]] = -np.inf
        for other in range(predators.shape[1]):
            stands = (other != i) & (other != mate)
            worth[(to == taken[rows, other, None]) & np.broadcast_to(stands, rows.shape)[:, None]] = -np.inf
        return worth


def _risk(size: int) -> np.ndarray:
    """The chance that a prey is beside a predator after the prey's move, [cells, cells], the predator's cell first."""
    here, prey = np.ogrid[: size**2, : size**2]
    goes = [np.where(to == here, prey, to) for to in destinations(size, [*BESIDE, STAY]).T[:, None]]
    return np.asarray(np.mean([are_beside(size)[here, to] for to in goes], 0))


def outcomes(size: int, reward: float, penalty: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What may follow when two predators have moved and their prey moves, by the cells of the three, for each move.

    The position that follows as one number, whether it is a capture, and the reward, each [cells, cells, cells].
    """
    cells, leads, beside = size**2, destinations(size, [*BESIDE, STAY]), are_beside(size)
    a, b, prey = np.ogrid[:cells, :cells, :cells]
    follow = []
    for k in range(leads.shape[1]):
        to = np.where((leads[prey, k] == a) | (leads[prey, k] == b), prey, leads[prey, k])
        count = beside[a, to].astype(int) + beside[b, to]
        follow.append(((a * cells + b) * cells + to, count == 2, np.array([0.0, penalty, reward])[count]))
    return follow


@functools.cache
def _prospects(size: int, respawn: bool, reward: float, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """What two predators alone with one prey can earn, by their cells and the prey's, each [cells, cells, cells].

    Before and after the predators' move, which is -inf where two stand in one cell; by value iteration.
    """
    cells, leads = size**2, destinations(size, [*BESIDE, STAY])
    a, b, prey = np.ogrid[:cells, :cells, :cells]
    apart = (a != b) & (a != prey) & (b != prey)
    follow = outcomes(size, reward, penalty)
    before = np.zeros(apart.shape)
    for _ in range(SWEEPS):
        back = (before * apart).sum(-1, keepdims=True) / (cells - 2) if respawn else 0.0
        worth = sum(
            (earned + DISCOUNT * np.where(caught, back, before.ravel()[position])) / len(follow)
            for position, caught, earned in follow
        )
        after = np.where(apart, worth, -np.inf)
        before = functools.reduce(np.maximum, [after[to] for to in leads.T])
        before = np.where(apart, functools.reduce(np.maximum, [before[:, to] for to in leads.T]), 0.0)
    return before, after
