"""Who plays: what a team of agents must offer, and the simplest one."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Policy(Protocol):
    """Anything that can act for a team."""

    def reset(self, num_envs: int) -> None:
        """Forgets everything; num_envs games begin."""

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O] float32, action_mask: [E, N, A] int8. Returns actions [E, N]."""


class RandomTeam:
    """Every agent takes a legal action at random, all equally likely."""

    def __init__(self, seed: int | None = 0) -> None:
        self.generator = np.random.default_rng(seed)

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        ranks = self.generator.random(action_mask.shape)
        return np.asarray(np.where(action_mask, ranks, -1.0).argmax(-1))
