"""A ring of whole episodes, filled by the rows of a batch as they play."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coopgym.baselines.episodes import Episodes
from coopgym.envs.core import Batch

CPU = torch.device("cpu")
BEHIND_LAST = {  # array of a replay -> entries of an episode beyond one for each step
    "obs": 1,
    "state": 1,
    "available": 1,
    "action": 0,
    "reward": 0,
    "terminated": 0,
}


class Replay:
    """Holds the last `capacity` finished episodes. Each row of the batch writes its running episode into a slot.

    Memory is taken from the system as the slots fill, not before. Behind a finished episode its slot holds zeros: what
    is sampled depends on the episodes alone, not on which slots they lie in. It is handed out on `device`.
    """

    def __init__(self, batch: Batch, capacity: int, seed: int, device: torch.device = CPU) -> None:
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
        self.capacity, self.generator, self.device = capacity, np.random.default_rng(seed), device
        self.finished: deque[int] = deque()  # slots, the oldest first
        self.unused = list(range(slots))[::-1]
        self.slot = np.array([self.unused.pop() for _ in range(batch.num_envs)])  # [E], where each row writes
        self.t = np.zeros(batch.num_envs, np.int64)  # [E], its steps so far
        self.ended = 0  # episodes that have ended in the run, whether they are still here or not

    def __len__(self) -> int:
        return len(self.finished)

    @property
    def numbers(self) -> range:
        """The finished episodes by their numbers, the run's first one being 0."""
        return range(self.ended - len(self.finished), self.ended)

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
            self._finish(int(slot[row]), int(self.t[row]))
            slot[row] = self.finished.popleft() if len(self.finished) > self.capacity else self.unused.pop()
        self.begin(batch, ended)
        return int(ended.sum())

    def _finish(self, slot: int, length: int) -> None:
        for name, more in BEHIND_LAST.items():
            getattr(self, name)[slot, length + more : self.length[slot] + more] = 0  # left by the slot's last episode
        self.length[slot] = length
        self.finished.append(slot)
        self.ended += 1

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

        def here(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(self.device)

        obs = np.empty((t + 1, len(slots), *self.obs.shape[2:]), np.float32)  # time first, as recurrent agents read it
        for row, slot in enumerate(slots):
            obs[:, row] = self.obs[slot, : t + 1]
        return Episodes(
            obs=here(obs).transpose(0, 1),
            state=here(self.state[slots, : t + 1]),
            available=here(self.available[slots, : t + 1]),
            action=here(self.action[slots, :t]),
            reward=here(self.reward[slots, :t]),
            terminated=here(self.terminated[slots, :t]),
            happened=here(happened.astype(np.float32)),
        )

    # For checkpoints. Finished episodes never change, so they are asked for by their numbers, in parts.

    def snapshot(self) -> dict[str, Any]:
        """All that its future depends on, but for the finished episodes themselves."""
        return {
            "generator": self.generator.bit_generator.state,
            "numbers": [self.numbers.start, self.numbers.stop],
            "running": self._packed(self.slot, self.t),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot; it must be new, and its finished episodes are still to come."""
        self.generator.bit_generator.state = snapshot["generator"]
        self.ended = snapshot["numbers"][1]
        self.t[:] = snapshot["running"]["length"]
        self._unpack(self.slot, snapshot["running"])

    def episodes_numbered(self, numbers: range) -> dict[str, np.ndarray]:
        """Some finished episodes: arrays in which one lies behind the other, without padding."""
        first = self.numbers.start
        slots = np.array(self.finished)[numbers.start - first : numbers.stop - first]
        return self._packed(slots, self.length[slots])

    def take_back(self, arrays: dict[str, np.ndarray], count: int) -> None:
        """Adds the last `count` of such episodes to the finished ones."""
        slots = [self.unused.pop() for _ in range(count)]
        self._unpack(slots, arrays)
        self.length[slots] = arrays["length"][-count:]
        self.finished.extend(slots)

    def _packed(self, slots: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        arrays = {"length": lengths}
        for name, more in BEHIND_LAST.items():
            array = getattr(self, name)
            arrays[name] = np.concatenate([array[i, : t + more] for i, t in zip(slots, lengths, strict=True)])
        return arrays

    def _unpack(self, slots: Sequence[int] | np.ndarray, arrays: dict[str, np.ndarray]) -> None:
        for name, more in BEHIND_LAST.items():
            parts = np.split(arrays[name], np.cumsum(arrays["length"] + more)[:-1])
            for i, part in zip(slots, parts[-len(slots) :], strict=True):
                getattr(self, name)[i, : len(part)] = part
