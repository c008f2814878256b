"""A hand-written team for predator_prey_v1, which acts on what each predator sees for itself.

Every predator goes to the nearest prey in sight, and about at random while it sees none. Where trying alone costs
nothing, or partners cannot be seen, it tries to catch whatever is beside it. Where trying alone is punished it waits
for a partner: with an action for catching, beside the prey; where standing beside a prey is trying, two moves away.
"""

from typing import Any

import numpy as np

from coopgym.envs.core import Environment, slices

FAR = 1_000_000  # moves; farther away than anything


class Chaser:
    """All random choices come from a generator of its own, which starts anew with each reset."""

    def __init__(self, env: Environment) -> None:
        self.p = env.params
        self.actions = {name: number for number, name in enumerate(env.action_names)}
        self.fields = {part.name: place for part, place in slices(env.observation_layout)}
        self.cautious = self.p.penalty < 0 and self.p.observe_predators
        self.reset(1)

    def reset(self, num_envs: int) -> None:
        self.generator = np.random.default_rng(0)

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O], action_mask: [E, N, A]. Returns actions [E, N]."""
        prey, prey_seen = self._seen(obs, "prey")
        distance = np.where(prey_seen, np.abs(prey).sum(-1), FAR)  # [E, N, K] moves to each prey
        nearest = distance.argmin(-1)[..., None]
        distance = np.take_along_axis(distance, nearest, -1)[..., 0]
        goal = np.take_along_axis(np.broadcast_to(prey, (*prey_seen.shape, 2)), nearest[..., None], 2)[:, :, 0]

        sees = distance < FAR
        waits, catches = self._ready(obs, goal, distance)
        ranks = self.generator.random(action_mask.shape)  # of the actions; below 1, so that wishes come first
        for name, sign, axis in (("down", 1, 0), ("up", -1, 0), ("right", 1, 1), ("left", -1, 1)):
            ranks[..., self.actions[name]] += sees & (sign * goal[..., axis] > 0)
        ranks[..., self.actions["stay"]] += np.where(waits, 2, -1)
        if "catch" in self.actions:
            ranks[..., self.actions["catch"]] += np.where(catches, 4, -1)
        return np.asarray(np.where(action_mask, ranks, -FAR).argmax(-1))

    def _ready(self, obs: np.ndarray, goal: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether a predator is to wait where it is, and whether it is to catch, each [E, N]."""
        beside = distance == 1
        if not self.cautious:
            return beside, beside
        mates, seen = self._seen(obs, "predator")
        mates_distance = np.where(seen, np.abs(mates - goal[..., None, :]).sum(-1), FAR)  # [E, N, K], to the goal
        if "catch" in self.actions:
            return beside, beside & ((mates_distance == 1).sum(-1) >= self.p.capture_size)  # it is one of them itself
        together = (mates_distance <= 2).sum(-1) >= self.p.capture_size
        return beside | ((distance == 2) & ~together), beside

    def _seen(self, obs: np.ndarray, kind: str) -> tuple[Any, np.ndarray]:
        """Rows and columns to what may be an actor, [..., K, 2], and whether it is one, [E, N, K]."""
        if self.p.view == "window":
            span = np.arange(-self.p.sight, self.p.sight + 1)
            offsets = np.stack(np.meshgrid(span, span, indexing="ij"), -1).reshape(1, 1, -1, 2)
            window = obs[..., self.fields["window"]]
            cells = window.reshape(*window.shape[:2], len(span) ** 2, -1)
            return offsets, cells[..., 1 if kind == "prey" and self.p.observe_predators else 0] > 0
        offsets = obs[..., self.fields[f"{kind}_offsets"]].reshape(*obs.shape[:2], -1, 2)
        scale = self.p.size if self.p.rules == "qtran" else self.p.size - 1
        flags = self.fields.get("prey_visible" if kind == "prey" else "predators_visible")
        seen = obs[..., flags] > 0 if flags else np.ones(offsets.shape[:3], bool)
        return np.rint(offsets * scale), seen
