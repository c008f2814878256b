"""Every family again, in plain Python and NumPy, as short as can be: the tests compare the kernels with these twins.

A twin is `Twin(params, seed)` with `reset()` and `step(actions) -> (reward, terminated)`, and `obs()` [N, O],
`state()` [S], `mask()` [N, A]. It draws from its own SplitMix64 in the same order as the kernels.
"""

from typing import Any

import numpy as np

WORD = 2**64 - 1


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


class MatrixGame:
    def __init__(self, params: Any, seed: int) -> None:
        self.p, self.rng = params, SplitMix64(seed)
        self.payoff = np.array(params.payoff, float).reshape((params.n_states,) + self._shape())
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
        return reward, self.now is None

    def _features(self, visible: bool) -> list[float]:
        k = self.p.n_states
        places = [float(self.now == state) for state in range(k)] if visible else [1 / k] * k
        features = [0.0] * k + [1.0] if self.now is None else [*places, 0.0]
        if self.p.observe_last_actions:
            features += [float(a == last) for last in self.last for a in range(max(self.payoff.shape[1:]))]
        return features

    def obs(self) -> np.ndarray:
        return np.array([self._features(self.p.observe_state)] * (self.payoff.ndim - 1), np.float32)

    def state(self) -> np.ndarray:
        return np.array(self._features(True), np.float32)

    def mask(self) -> np.ndarray:
        sizes = self.payoff.shape[1:]
        return np.array([[a < size for a in range(max(sizes))] for size in sizes], np.int8)


TWINS: dict[str, Any] = {"matrix_game_v1": MatrixGame}
