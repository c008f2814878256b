"""A ring of whole episodes, filled by the rows of a batch as they play."""

from collections import deque

import numpy as np
import torch

from coopgym.baselines.episodes import Episodes
from coopgym.envs.core import Batch


class Replay:
    """Holds the last `capacity` finished episodes. Each row of the batch writes its running episode into a slot.

    Memory is taken from the system as the slots fill, not before.
    """

    def __init__(self, batch: Batch, capacity: int, seed: int) -> None:
        env, t = batch.env, batch.env.horizon
        slots = capacity + batch.num_envs
        n, a = env.n_agents, env.n_actions
        self.obs = np.zeros((slots, t + 1, n, env.obs_size), np.float32)
        self.state = np.zeros((slots, t + 1, env.state_size), np.float32)
        self.available = np.zeros((slots, t + 1, n, a), np.bool_)
        self.action = np.zeros((slots, t, n), np.int64)
        self.reward = np.zeros((slots, t), np.float32)
        self.terminated = np.zeros((slots, t), np.float32)
        self.length = np.zeros(slots, np.int64)
        self.capacity, self.generator = capacity, np.random.default_rng(seed)
        self.finished: deque[int] = deque()  # slots, the oldest first
        self.unused = list(range(slots))[::-1]
        self.slot = np.array([self.unused.pop() for _ in range(batch.num_envs)])  # [E], where each row writes
        self.t = np.zeros(batch.num_envs, np.int64)  # [E], its steps so far

    def __len__(self) -> int:
        return len(self.finished)

    def begin(self, batch: Batch, rows: np.ndarray) -> None:
        """Notes what the marked rows show at the start of an episode."""
        self.t[rows] = 0
        self._note(rows, batch.out.obs, batch.out.state, batch.out.action_mask)

    def add(self, batch: Batch) -> int:
        """Notes the step that the batch (autoreset "same_step") has just made; returns how many episodes ended."""
        out, slot, t = batch.out, self.slot, self.t
        self.action[slot, t] = out.action
        self.reward[slot, t] = out.reward
        self.terminated[slot, t] = out.terminated
        self.t += 1
        ended = out.terminated | out.truncated
        self._note(~ended, out.obs, out.state, out.action_mask)
        if not ended.any():
            return 0
        self._note(ended, out.final_obs, out.final_state, out.final_action_mask)
        for row in np.flatnonzero(ended):
            self.length[slot[row]] = self.t[row]
            self.finished.append(int(slot[row]))
            slot[row] = self.finished.popleft() if len(self.finished) > self.capacity else self.unused.pop()
        self.begin(batch, ended)
        return int(ended.sum())

    def _note(self, rows: np.ndarray, obs: np.ndarray, state: np.ndarray, mask: np.ndarray) -> None:
        slot, t = self.slot[rows], self.t[rows]
        self.obs[slot, t] = obs[rows]
        self.state[slot, t] = state[rows]
        self.available[slot, t] = mask[rows]

    def sample(self, batch_size: int, latest: int = 0) -> Episodes:
        """The latest finished episodes, as many as asked for or there are, and behind them different ones, drawn.

        Drawn uniformly from all that are finished, and cut to the longest.
        """
        finished = np.array(self.finished)
        drawn = finished[self.generator.choice(len(finished), batch_size, replace=False)]
        return self.episodes(np.concatenate((finished[max(len(finished) - latest, 0) :], drawn)))

    def take(self) -> Episodes:
        """All finished episodes, the oldest first, cut to the longest of them. They leave the replay."""
        ep = self.episodes(np.array(self.finished))
        self.unused.extend(self.finished)
        self.finished.clear()
        return ep

    def episodes(self, slots: np.ndarray) -> Episodes:
        """The episodes in these slots."""
        t = int(self.length[slots].max())
        happened = np.arange(t) < self.length[slots][:, None]
        return Episodes(
            obs=torch.from_numpy(self.obs[slots, : t + 1]),
            state=torch.from_numpy(self.state[slots, : t + 1]),
            available=torch.from_numpy(self.available[slots, : t + 1]),
            action=torch.from_numpy(self.action[slots, :t]),
            reward=torch.from_numpy(self.reward[slots, :t]),
            terminated=torch.from_numpy(self.terminated[slots, :t]),
            happened=torch.from_numpy(happened.astype(np.float32)),
        )
