"""Every family again, in plain Python and NumPy, as short as can be: the tests compare the kernels with these twins.

A twin is `Twin(params, seed)` with `reset()` and `step(actions) -> (reward, terminated)`, and `obs()` [N, O],
`state()` [S], `mask()` [N, A]. It draws from its own SplitMix64 in the same order as the kernels.
"""

import itertools
import math
from typing import Any

import numpy as np

WORD = 2**64 - 1
MOVES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # of the particle worlds


def pushes(actions: Any) -> np.ndarray:
    """The directions [N, 2] of discrete actions [N] or of continuous ones [N, 5]."""
    return MOVES[np.asarray(actions)] if np.ndim(actions) == 1 else np.asarray(actions) @ MOVES


class SplitMix64:
    """Steele, Lea and Flood (2014), on Python's whole numbers."""

    STEP = 0x9E3779B97F4A7C15

    def __init__(self, seed: int) -> None:
        self.state = self.mix((self.mix((seed + self.STEP) & WORD) + self.STEP) & WORD)

    @staticmethod
    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        return z ^ (z >> 31)

    def bits(self) -> int:
        self.state = (self.state + self.STEP) & WORD
        return self.mix(self.state)

    def integer(self, n: int) -> int:
        return self.bits() % n

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * ((self.bits() >> 11) * 2.0**-53)

    def normal(self) -> float:
        """Box and Muller (1958), the cosine alone."""
        radius = math.sqrt(-2 * math.log(1 - self.uniform(0, 1)))
        return radius * math.cos(2 * math.pi * self.uniform(0, 1))


class MatrixGame:
    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)
        self.payoff = np.array(params.payoff, float).reshape((params.n_states, *self._shape()))
        if params.payoff_seed >= 0:
            drawn = SplitMix64(params.payoff_seed)
            self.payoff = np.array([drawn.uniform(0, 10) for _ in self.payoff.flat]).reshape(self.payoff.shape)
        self.transition = None if params.transition is None else np.array(params.transition).reshape(self.payoff.shape)

    def _shape(self) -> tuple[int, ...]:
        shape = np.array(self.p.payoff, float).shape
        return shape if self.p.n_states == 1 else shape[1:]

    def reset(self) -> None:
        self.now: int | None = self.rng.integer(self.p.n_starts)
        self.last: list[int | None] = [None] * (self.payoff.ndim - 1)

    def step(self, actions: Any) -> tuple[float, bool]:
        cell = (self.now, *map(int, actions))
        reward, self.last = float(self.payoff[cell]), list(cell[1:])
        if self.transition is not None:
            self.now = None if self.transition[cell] == -1 else int(self.transition[cell])
        elif self.p.horizon == 1:
            self.now = None
        return reward + (self.p.noise * self.rng.normal() if self.p.noise else 0), self.now is None

    def _features(self, visible: bool) -> list[float]:
        k = self.p.n_states
        places = [float(self.now == state) for state in range(k)] if visible else [1 / k] * k
        features = [0.0] * k + [1.0] if self.now is None else [*places, 0.0]
        if self.p.observe_last_actions:
            features += [float(a == last) for last in self.last for a in range(max(self.payoff.shape[1:]))]
        return features

    def obs(self) -> np.ndarray:
        sees = {"all": lambda i: True, "first": lambda i: i == 0, "none": lambda i: False}[self.p.observe_state]
        return np.array([self._features(sees(i)) for i in range(self.payoff.ndim - 1)], np.float32)

    def state(self) -> np.ndarray:
        return np.array(self._features(True), np.float32)

    def mask(self) -> np.ndarray:
        sizes = self.payoff.shape[1:]
        return np.array([[a < size for a in range(max(sizes))] for size in sizes], np.int8)


class GaussianSqueeze:
    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)

    def reset(self) -> None:
        self.capacity = np.array([self.rng.uniform(0, 2) for _ in range(self.p.n_agents)])

    def step(self, actions: Any) -> tuple[float, bool]:
        x = float(np.mean(actions * self.capacity))
        hills = {"single": [(8, 0.25)], "multi": [(8, 0.25), (5, 1)]}[self.p.domains]
        return sum(x * math.exp(-((x - top) ** 2) / width) for top, width in hills), self.p.horizon == 1

    def obs(self) -> np.ndarray:
        n = self.p.n_agents
        seen = np.tile(self.capacity, (n, 1)) if self.p.obs == "full" else self.capacity[:, None]
        return np.hstack([seen, np.eye(n)]).astype(np.float32)

    def state(self) -> np.ndarray:
        return self.capacity.astype(np.float32)

    def mask(self) -> np.ndarray:
        return np.ones((self.p.n_agents, self.p.n_actions), np.int8)


class PredatorPrey:
    MOVES = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0), "stay": (0, 0), "catch": (0, 0)}
    ACTIONS = {"stag": "right down left up stay catch", "qtran": "up left stay right down"}
    ACTIONS["ma_gym"] = "down left up right stay"

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)
        self.actions = self.ACTIONS[params.rules].split()

    def reset(self) -> None:
        p = self.p
        self.t = 0
        self.predators: list[Any] = []  # (row, column); None once frozen
        self.prey: list[Any] = []  # (row, column); None once captured
        for group, number in ((self.predators, p.n_predators), (self.prey, p.n_prey)):
            while len(group) < number:
                cell = self._random_cell()
                careful = p.rules == "ma_gym" and group is self.prey
                if self._free([cell]) and not (careful and self._predators_beside(cell)):
                    group.append(cell)
        self.orders = [list(range(p.n_predators)), list(range(p.n_prey))]

    def _random_cell(self) -> Any:
        size = self.p.size
        if self.p.rules == "stag":
            return divmod(self.rng.integer(size**2), size)
        drawn = [self.rng.integer(size - (self.p.rules == "ma_gym")) for _ in range(2)]
        return tuple(reversed(drawn) if self.p.rules == "qtran" else drawn)

    def _in_random_order(self, order: list[int]) -> Any:
        for place in range(len(order)):
            drawn = place + self.rng.integer(len(order) - place)
            order[place], order[drawn] = order[drawn], order[place]
            yield order[place]

    def _cell(self, row: int, column: int) -> Any:
        """The cell at these coordinates, None beyond a wall."""
        size = self.p.size
        if self.p.toroidal:
            return row % size, column % size
        return (row, column) if 0 <= row < size and 0 <= column < size else None

    def _to(self, cell: Any, action: int) -> Any:
        """The cell to which an action leads, None beyond a wall."""
        down, right = self.MOVES[self.actions[action]]
        return self._cell(cell[0] + down, cell[1] + right)

    def _beside(self, cell: Any) -> list[Any]:
        return [self._cell(cell[0] + down, cell[1] + right) for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))]

    def _free(self, cells: list[Any]) -> list[Any]:
        return [cell for cell in cells if cell is not None and cell not in self.predators + self.prey]

    def _predators_beside(self, cell: Any) -> int:
        return sum(other in self.predators for other in self._beside(cell) if other)

    def _apart(self, here: Any, there: Any) -> list[int]:
        """Rows and columns from one cell to another, on a torus the shorter way."""
        half = self.p.size // 2
        apart = [b - a for a, b in zip(here, there, strict=True)]
        return [(d + half) % self.p.size - half for d in apart] if self.p.toroidal else apart

    def _refuge(self, cell: Any) -> Any:
        """Where a fleeing prey goes."""
        best, farthest, equals = cell, -1, 1
        for other in [cell, *self._free(self._beside(cell))]:
            apart = [sum(map(abs, self._apart(other, one))) for one in self.predators if one]
            distance = min(apart, default=2 * self.p.size)
            if distance > farthest:
                best, farthest, equals = other, distance, 1
            elif distance == farthest:
                equals += 1
                best = other if self.rng.integer(equals) == 0 else best
        return best

    def step(self, actions: Any) -> tuple[float, bool]:
        self.t += 1
        reward = getattr(self, f"_step_{self.p.rules}")(actions)
        return reward, not any(self.prey) or not any(self.predators)

    def _step_stag(self, actions: Any) -> float:
        for i in self._in_random_order(self.orders[0]):
            if self.predators[i]:
                self.predators[i] = next(iter(self._free([self._to(self.predators[i], actions[i])])), self.predators[i])
        reward = self.p.step_reward
        for j in self._in_random_order(self.orders[1]):
            if self.prey[j] is None:
                continue
            beside = self._beside(self.prey[j])
            catching = [i for i, cell in enumerate(self.predators) if cell and cell in beside and actions[i] == 5]
            if len(catching) >= self.p.capture_size:
                reward += self.p.capture_reward
                self.prey[j] = None
                for i in catching:
                    self.predators[i] = None
                continue
            if catching:
                reward += self.p.penalty
            if self.p.prey_policy == "fleeing":
                self.prey[j] = self._refuge(self.prey[j])
            elif (free := self._free(beside)) and self.p.prey_policy == "random":
                self.prey[j] = free[self.rng.integer(len(free))]
        return reward

    def _judge(self, j: int) -> tuple[float, bool]:
        """What is earned beside prey j, and whether it is captured."""
        beside = self._predators_beside(self.prey[j])
        if beside >= self.p.capture_size:
            return self.p.capture_reward, True
        return (self.p.penalty if beside else 0.0), False

    def _step_qtran(self, actions: Any) -> float:
        where = self.predators + self.prey
        goals = [self._to(cell, a) for cell, a in zip(self.predators, actions, strict=True)]
        for cell in self.prey:
            if cell and self.p.prey_policy == "random":
                goals.append(self._to(cell, self.rng.integer(5)))
            else:
                goals.append(self._refuge(cell) if cell and self.p.prey_policy == "fleeing" else cell)
        asked = [cell is None for cell in where]

        def move(k: int) -> None:
            asked[k] = True
            if goals[k] in where and not asked[where.index(goals[k])]:
                move(where.index(goals[k]))
            if goals[k] and goals[k] not in where:
                where[k] = goals[k]

        for k in range(len(where)):
            if not asked[k]:
                move(k)
        self.predators, self.prey = where[: self.p.n_predators], where[self.p.n_predators :]
        judged = [self._judge(j) if cell else (0.0, False) for j, cell in enumerate(self.prey)]
        for j, (_, captured) in enumerate(judged):
            if captured and self.p.respawn:
                self.prey[j] = next(cell for _ in iter(int, 1) for cell in self._free([self._random_cell()]))
            elif captured:
                self.prey[j] = None
        return sum((earned for earned, _ in judged), self.p.step_reward)

    def _step_ma_gym(self, actions: Any) -> float:
        for i, cell in enumerate(self.predators):
            self.predators[i] = next(iter(self._free([self._to(cell, actions[i])])), cell)
        reward = self.p.step_reward
        for j, cell in enumerate(self.prey):
            if cell is None:
                continue
            earned, captured = self._judge(j)
            reward += earned
            if captured:
                self.prey[j] = None
            elif self.p.prey_policy == "fleeing":
                self.prey[j] = self._refuge(cell)
            elif self.p.prey_policy == "random":
                for _ in range(5):
                    goal = self._to(cell, min(self.rng.integer(1000) // 175, 4))
                    if goal is None or not self._predators_beside(goal):
                        self.prey[j] = next(iter(self._free([goal])), cell)
                        break
        return reward

    def _seen(self, cell: Any) -> list[float]:
        """What a window shows of a cell; None lies beyond a wall."""
        seen = [cell is not None and cell in self.predators] * self.p.observe_predators
        return [*seen, cell is not None and cell in self.prey, *[cell is None] * self.p.observe_walls]

    def _coordinates(self, cell: Any) -> list[float]:
        if cell is None:
            return [0.0, 0.0]
        size = self.p.size
        return [(k - size / 2) / size if self.p.rules == "qtran" else k / (size - 1) for k in cell]

    def obs(self) -> np.ndarray:
        p, rows = self.p, []
        span = range(-p.sight, p.sight + 1)
        shown = (self.predators if p.observe_predators else []) + self.prey
        all_seen = p.respawn and p.sight >= (p.size // 2 if p.toroidal else p.size - 1)
        for i, predator in enumerate(self.predators):
            row = self._coordinates(predator) if p.observe_position else []
            if p.view == "window" and predator is None:
                row += [0.0] * (len(self._seen(None)) * len(span) ** 2)
            elif p.view == "window":
                cells = [self._cell(predator[0] + down, predator[1] + right) for down in span for right in span]
                row += [seen for cell in cells for seen in self._seen(cell)]
            else:
                apart = [self._apart(predator, cell) if predator and cell else None for cell in shown]
                apart = [d if d and max(map(abs, d)) <= p.sight else None for d in apart]
                row += [k / (p.size - (p.rules != "qtran")) for d in apart for k in d or (0, 0)]
                row += [] if all_seen else [d is not None for d in apart]
            row += [predator is None] * (p.rules == "stag")
            row += [i / p.n_predators] * p.observe_id + [self.t / p.horizon] * p.observe_time
            rows.append(row)
        return np.array(rows, np.float32)

    def state(self) -> np.ndarray:
        p = self.p
        if p.rules == "stag":
            cells = [divmod(k, p.size) for k in range(p.size**2)]
            features = [float(cell in group) for cell in cells for group in (self.predators, self.prey)]
            if p.capture_size * p.n_prey <= p.n_predators <= 4 * p.n_prey:
                features.append(not any(self.predators + self.prey))
        else:
            features = [k for cell in self.predators + self.prey for k in self._coordinates(cell)]
            features += [] if p.respawn else [cell is None for cell in self.prey]
        return np.array(features, np.float32)

    def mask(self) -> np.ndarray:
        if self.p.rules != "stag":
            return np.ones((self.p.n_predators, 5), np.int8)
        rows = []
        for predator in self.predators:
            beside = self._beside(predator) if predator else [None] * 4
            moves = [cell is not None for cell in beside]
            rows.append([*moves, True, any(cell is not None and cell in self.prey for cell in beside)])
        return np.array(rows, np.int8)


class Spread:
    """Positions, velocities and landmarks are [N, 2]."""

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)

    def reset(self) -> None:
        drawn = [self.rng.uniform(-1, 1) for _ in range(4 * self.p.n_agents)]
        self.position, self.landmark = np.array(drawn).reshape(2, -1, 2)
        self.velocity = np.zeros_like(self.position)

    @staticmethod
    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """From each of a to each of b."""
        return np.sqrt(((a[:, None] - b) ** 2).sum(axis=2))

    def step(self, actions: Any) -> tuple[float, bool]:
        force = self.p.push * pushes(actions)
        apart = self.distance(self.position, self.position)
        for i, j in itertools.combinations(range(self.p.n_agents), 2):
            if apart[i, j] > 0 and (self.p.soft_contact or apart[i, j] <= 0.3):
                depth = 1e-3 * np.logaddexp(0, (0.3 - apart[i, j]) / 1e-3)
                push = 100 * (self.position[i] - self.position[j]) / apart[i, j] * depth
                force[i] += push
                force[j] -= push
        before, self.velocity = self.velocity, 0.75 * self.velocity + 0.1 * force
        self.position = self.position + 0.1 * (before if self.p.integrator == "position_first" else self.velocity)
        to_nearest = self.distance(self.landmark, self.position).min(axis=1)
        collisions = (self.distance(self.position, self.position) < 0.3).sum(axis=1) - (not self.p.count_self)
        weights = (1.0, 1.0) if self.p.reward_form == "plain" else (1 - self.p.local_ratio, self.p.local_ratio)
        self.rewards = -weights[0] * sum(to_nearest) - weights[1] * collisions
        mean = self.p.reward_mode == "team_mean"
        success = self.p.terminate_on_success and max(to_nearest) < 0.1
        return float(self.rewards.mean() if mean else self.rewards.sum()), bool(success)

    def _seen(self, relative: np.ndarray, nearest: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions relative to the one that looks, as far as it sees them, and whether it does."""
        squared = (relative**2).sum(axis=1)
        order = squared.argsort(kind="stable")[:nearest] if nearest else np.arange(len(relative))
        slots, visible = np.zeros((nearest or len(relative), 2)), np.zeros(nearest or len(relative))
        for slot, j in enumerate(order):
            visible[slot] = squared[j] <= self.p.sight**2
            slots[slot] = relative[j] * visible[slot]
        return slots, visible

    def obs(self) -> np.ndarray:
        rows = []
        for i, here in enumerate(self.position):
            landmarks, seen = self._seen(self.landmark - here, self.p.num_landmark_neighbors)
            others, met = self._seen(np.delete(self.position, i, axis=0) - here, self.p.num_agent_neighbors)
            row = [self.velocity[i], here, landmarks, others, np.zeros_like(others)]
            if self.p.layout == "vmas":
                row = [here, self.velocity[i], landmarks, others]
            rows.append(
                np.concatenate([part.ravel() for part in (row if self.p.sight == np.inf else [*row, seen, met])])
            )
        return np.array(rows, np.float32)

    def state(self) -> np.ndarray:
        return np.concatenate([self.position, self.velocity, self.landmark], axis=None).astype(np.float32)

    def mask(self) -> np.ndarray:
        return np.ones((self.p.n_agents, 5), np.int8)


class Switch:
    """Places are (row, column); a goal's agent stays where it is."""

    MOVES = ((1, 0), (0, -1), (-1, 0), (0, 1), (0, 0))

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.last = params, params.corridor + 3
        self.goals = [(0, self.last), (0, 0), (2, self.last), (2, 0)][: params.n_agents]

    def reset(self) -> None:
        self.t = 0
        self.places = [(0, 1), (0, self.last - 1), (2, 1), (2, self.last - 1)][: self.p.n_agents]

    def _open(self, row: int, column: int) -> bool:
        return (row == 1 and 0 <= column <= self.last) or (row in (0, 2) and column in (0, 1, self.last - 1, self.last))

    def step(self, actions: Any) -> tuple[float, bool]:
        self.t += 1
        self.rewards = [0.0] * self.p.n_agents
        for i, goal in enumerate(self.goals):
            if self.places[i] != goal:
                to = tuple(np.add(self.places[i], self.MOVES[actions[i]]).tolist())
                if self._open(*to) and to not in self.places:
                    self.places[i] = to
                self.rewards[i] = self.p.goal_reward if self.places[i] == goal else self.p.step_reward
        total = sum(self.rewards)
        return total / self.p.n_agents if self.p.reward_mode == "team_mean" else total, self.places == self.goals

    def obs(self) -> np.ndarray:
        blocks = [[row / 2, column / self.last] for row, column in self.places]
        if self.p.source_slips:
            blocks = [[round(x, 2) for x in block] for block in blocks]
        blocks = [block + [self.t / self.p.horizon] * self.p.clock for block in blocks]
        return np.array([np.concatenate(blocks)] * len(blocks) if self.p.observe_all else blocks, np.float32)

    def state(self) -> np.ndarray:
        arrived = [place == goal for place, goal in zip(self.places, self.goals, strict=True)]
        positions = [x for row, column in self.places for x in (row / 2, column / self.last)]
        return np.array([*positions, *arrived, self.t / self.p.horizon], np.float32)

    def mask(self) -> np.ndarray:
        waiting = [place != goal for place, goal in zip(self.places, self.goals, strict=True)]
        return np.array([[one] * 4 + [True] for one in waiting], np.int8)


class Checkers:
    """Places are (row, column); food is "apple" or "lemon" by place."""

    MOVES = Switch.MOVES

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.columns = params, params.columns + 2

    def reset(self) -> None:
        cells = itertools.product(range(3), range(self.p.columns))
        self.food = {(row, column): ("apple", "lemon")[(row + column) % 2] for row, column in cells}
        self.t, self.places = 0, [(0, self.p.columns), (2, self.p.columns)]

    def _inside(self, row: int, column: int) -> bool:
        return 0 <= row < 3 and 0 <= column < self.columns

    def step(self, actions: Any) -> tuple[float, bool]:
        self.t += 1
        self.rewards = [self.p.step_reward] * 2
        for i, worth in enumerate((self.p.sensitive, self.p.insensitive)):
            to = tuple(np.add(self.places[i], self.MOVES[actions[i]]).tolist())
            if self._inside(*to) and to not in self.places:
                self.places[i] = to
                self.rewards[i] += {"apple": worth, "lemon": -worth, None: 0}[self.food.pop(to, None)]
        total = sum(self.rewards)
        return total / 2 if self.p.reward_mode == "team_mean" else total, "apple" not in self.food.values()

    def _marks(self, cell: Any) -> list[float]:
        food = self.food.get(cell)
        return [food == "lemon", food == "apple", self.places[0] == cell, self.places[1] == cell]

    def obs(self) -> np.ndarray:
        blocks, span = [], range(-self.p.sight, self.p.sight + 1)
        for row, column in self.places:
            block = [row / (3 if self.p.source_slips else 2), column / (self.columns - 1)]
            if self.p.source_slips:
                block = [round(x, 2) for x in block]
            for cell in ((row + down, column + right) for down in span for right in span):
                block += [*self._marks(cell), not self._inside(*cell) and not self.p.source_slips]
            blocks.append(block + [self.t / self.p.horizon] * self.p.clock)
        return np.array([np.concatenate(blocks)] * 2 if self.p.observe_all else blocks, np.float32)

    def state(self) -> np.ndarray:
        cells = itertools.product(range(3), range(self.columns))
        return np.array([*(x for cell in cells for x in self._marks(cell)), self.t / self.p.horizon], np.float32)

    def mask(self) -> np.ndarray:
        return np.ones((2, 5), np.int8)


class Tag:
    """Positions and velocities are [N + Q, 2], agents and then prey."""

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)
        self.radius = np.repeat([0.075, 0.05, 0.2], [params.n_agents, params.n_prey, params.n_obstacles])
        self.fastest = np.repeat([params.agent_speed, params.prey_speed], [params.n_agents, params.n_prey])

    def reset(self) -> None:
        bodies = self.p.n_agents + self.p.n_prey
        self.position = np.array([[self.rng.uniform(-1, 1) for _ in range(2)] for _ in range(bodies)])
        self.obstacle = np.array([[self.rng.uniform(-0.9, 0.9) for _ in range(2)] for _ in range(self.p.n_obstacles)])
        self.obstacle, self.velocity = self.obstacle.reshape(-1, 2), np.zeros_like(self.position)

    def _to_agents(self, place: np.ndarray) -> np.ndarray:
        return np.sqrt(((self.position[: self.p.n_agents] - place) ** 2).sum(axis=1))

    def _flight(self, body: int) -> int:
        values = []
        for direction in MOVES:
            place = self.position[body] + 0.4 * (self.velocity[body] + 0.1 * self.p.prey_push * direction)
            border = sum(
                0 if x < 0.9 else (x - 0.9) * 10 if x < 1 else min(np.exp(2 * x - 2), 10) for x in np.abs(place)
            )
            values.append(self._to_agents(place).min() - border)
        return int(np.argmax(values))

    def _facmac(self, body: int) -> np.ndarray:
        drawn = [(self.rng.uniform(0, 1) ** 0.5, np.pi * self.rng.uniform(0, 2)) for _ in range(100)]
        points = [length * np.array([np.cos(angle), np.sin(angle)]) for length, angle in drawn]
        hunter = self._to_agents(self.position[body]).argmin()
        away = [self._to_agents(self.position[body] + point) for point in points]
        scores = [distance[hunter] if distance.min() >= 0.125 else -1.0 for distance in away]
        return points[int(np.argmax(scores))] if max(scores) >= 0 else np.zeros(2)

    def step(self, actions: Any) -> tuple[float, bool]:
        n, bodies = self.p.n_agents, len(self.position)
        force = np.zeros((bodies + self.p.n_obstacles, 2))
        force[:n] = self.p.agent_push * pushes(actions)
        for body in range(n, bodies):
            if self.p.prey == "facmac":
                force[body] = self._facmac(body)
            elif self.p.prey != "frozen":
                action = self.rng.integer(5) if self.p.prey == "random" else self._flight(body)
                force[body] = self.p.prey_push * MOVES[action]
        places = np.concatenate([self.position, self.obstacle])
        for i, j in itertools.combinations(range(len(places)), 2):
            way, touching = places[i] - places[j], self.radius[i] + self.radius[j]
            if (apart := np.sqrt((way**2).sum())) > 0:
                push = 100 * way / apart * 1e-3 * np.logaddexp(0, (touching - apart) / 1e-3)
                force[i] += push
                force[j] -= push
        before, self.velocity = self.velocity, 0.75 * self.velocity + 0.1 * force[:bodies]
        speed = np.sqrt((self.velocity**2).sum(axis=1))
        self.velocity *= np.minimum(1, self.fastest / np.maximum(speed, 1e-100))[:, None]
        self.position = self.position + 0.1 * (before if self.p.integrator == "position_first" else self.velocity)
        touching = np.array([self._to_agents(prey) < 0.125 for prey in self.position[n:]])
        return self.p.capture_reward * touching.sum(), bool(self.p.terminate_on_success and touching.any(axis=1).all())

    def obs(self) -> np.ndarray:
        rows, n = [], self.p.n_agents
        for i in range(n):
            here, prey = self.position[i], self.position[n:]
            places = [self.obstacle, np.delete(self.position[:n], i, axis=0), prey]
            seen = [((group - here) ** 2).sum(axis=1) <= self.p.sight**2 for group in places]
            shown = [(group - here) * flags[:, None] for group, flags in zip(places, seen, strict=True)]
            row = [self.velocity[i], here, *shown, self.velocity[n:] * seen[2][:, None]]
            rows.append(np.concatenate(row if self.p.sight == np.inf else [*row, *seen], axis=None))
        return np.array(rows, np.float32)

    def state(self) -> np.ndarray:
        n = self.p.n_agents
        parts = [self.position[:n], self.velocity[:n], self.position[n:], self.velocity[n:], self.obstacle]
        return np.concatenate(parts, axis=None).astype(np.float32)

    def mask(self) -> np.ndarray:
        return np.ones((self.p.n_agents, 5), np.int8)


class DecPOMDP:
    """Of tables that the parameters hold; a preset's are handed over by the test."""

    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)
        self.sizes = self.p.transition.shape[1:-1]
        self.n_seen = self.p.observation.shape[len(self.sizes) + 1 :]

    def draw(self, chances: np.ndarray) -> Any:
        """An index into a table of probabilities."""
        drawn, upto = self.rng.uniform(0, 1), np.cumsum(chances.ravel())
        places = [k for k in range(chances.size) if chances.ravel()[k] > 0]
        return np.unravel_index(next((k for k in places if drawn < upto[k]), places[-1]), chances.shape)

    def reset(self) -> None:
        (self.now,) = self.draw(self.p.start)
        self.seen: Any = [None] * len(self.sizes)
        self.t = 0

    def step(self, actions: Any) -> tuple[float, bool]:
        before, actions = self.now, tuple(actions)
        (self.now,) = self.draw(self.p.transition[before][actions])
        self.seen = self.draw(self.p.observation[actions][self.now])
        known = (before, *actions, self.now, *self.seen)
        self.t += 1
        ends = self.p.time_limit == "terminates" and self.t == self.p.horizon
        return float(self.p.reward[known[: self.p.reward.ndim]]), ends

    def obs(self) -> np.ndarray:
        most = max(self.n_seen)
        return np.array([np.eye(most + 1)[most if seen is None else seen] for seen in self.seen], np.float32)

    def state(self) -> np.ndarray:
        return np.eye(len(self.p.start), dtype=np.float32)[self.now]

    def mask(self) -> np.ndarray:
        return np.array([[a < size for a in range(max(self.sizes))] for size in self.sizes], np.int8)


TWINS: dict[str, Any] = {
    "checkers_v1": Checkers,
    "dec_pomdp_v1": DecPOMDP,
    "gaussian_squeeze_v1": GaussianSqueeze,
    "matrix_game_v1": MatrixGame,
    "predator_prey_v1": PredatorPrey,
    "spread_v1": Spread,
    "switch_v1": Switch,
    "tag_v1": Tag,
}
