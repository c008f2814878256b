"""One agent that plays for all, as a gymnasium.Env: the team as a single learner with a joint action."""

from typing import Any

import gymnasium
import numpy as np

from coopgym.envs import environment as declared
from coopgym.envs.core import Batch, Environment, IllegalAction, Snapshot, checked_seed, joint_actions
from coopgym.envs.faces import (
    RENDER_FPS,
    RENDER_MODES,
    Part,
    RenderMode,
    View,
    box,
    metadata,
    parts,
    team_action_space,
)

Infos = dict[str, np.ndarray]


class JointEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One game. Observations are [N, O], actions [N], the reward is the team's.

    environment, preset, params: what `coopgym.environment` takes; illegal_action: whether an illegal action counts as
    the no-op or raises; show_sight: whether pictures show what the agents see.
    infos hold "action_mask" [N, A] int8, unless actions are continuous, and "state" [S] float32. `np_random` is seeded
    as Gymnasium asks and free for the use of wrappers: the game draws from a stream of its own, started from the same
    seed.
    Raises ValueError for `reward_mode="per_agent"`, since one agent has one reward.
    """

    metadata = {"name": "coopgym", "render_modes": RENDER_MODES, "render_fps": RENDER_FPS}

    def __init__(
        self,
        environment: str | Environment,
        preset: str | None = None,
        *,
        render_mode: RenderMode | None = None,
        illegal_action: IllegalAction = "noop",
        show_sight: bool = False,
        **params: Any,
    ) -> None:
        env = self.environment = declared(environment, preset, **params)
        if env.individual_rewards:
            raise ValueError("reward_mode is 'per_agent'; one agent that plays for all has one reward: take another")
        self.metadata = metadata(env)
        self.render_mode = render_mode
        self._view = View(env, self.metadata["render_modes"], render_mode, show_sight)
        self._batch = Batch(env, 1, autoreset="disabled", illegal_action=illegal_action)
        self.observation_space = box(env.observation_layout, env.n_agents)
        self.action_space = team_action_space(env)
        self.state_space = box(env.state_layout)

    @property
    def observation_layout(self) -> tuple[Part, ...]:
        """What the features of an observation mean."""
        return parts(self.environment.observation_layout)

    @property
    def state_layout(self) -> tuple[Part, ...]:
        """What the features of the state mean."""
        return parts(self.environment.state_layout)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Infos]:
        """Starts an episode. seed: a whole number in [0, 2**63), or None to go on with the random stream.

        options are ignored. Raises TypeError or ValueError for another seed.
        """
        if seed is not None:
            seed = checked_seed(seed)
            self._batch.seed(seed)
        super().reset(seed=seed)
        out = self._batch.reset()
        if self.render_mode == "human":
            self.render()
        return out.obs[0].copy(), self._infos()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Infos]:
        """Plays the joint action [N], each a whole number in [0, A), or [N, A] where actions are continuous.

        Raises ValueError for another shape or range, TypeError for another dtype, RuntimeError before reset and after
        the end.
        """
        actions = joint_actions(self.environment, action, (self.environment.n_agents,), "agents")
        out = self._batch.out
        if out.ended[0]:
            state = "is over" if self._batch.started else "has not begun"
            raise RuntimeError(f"the episode {state}; call reset first")
        self._batch.advance(actions[None])
        if self.render_mode == "human":
            self.render()
        return (
            out.obs[0].copy(),
            float(out.reward[0]),
            bool(out.terminated[0]),
            bool(out.truncated[0]),
            self._infos(),
        )

    def _infos(self) -> Infos:
        if self.environment.action_bounds is not None:
            return {"state": self.state()}
        return {"action_mask": self._batch.out.action_mask[0].copy(), "state": self.state()}

    def state(self) -> np.ndarray:
        """The state for centralised training, [S] float32; after the end, that of the ended episode."""
        if not self._batch.started:
            raise RuntimeError("state was called before reset; call reset first")
        return np.array(self._batch.out.state[0])

    def action_masks(self) -> np.ndarray:
        """What each agent may do, [N, A] int8; all ones where actions are continuous."""
        if not self._batch.started:
            raise RuntimeError("action_masks was called before reset; call reset first")
        return np.array(self._batch.out.action_mask[0])

    def render(self) -> Any:
        """The game as [H, W, 3] uint8 ("rgb_array"), as text ("ansi"), or in a window ("human", gives None)."""
        return self._view.show(self._batch)

    def close(self) -> None:
        """Closes the window, if there is one; it may be called again."""
        self._view.close()

    def snapshot(self) -> Snapshot:
        """A copy of all that the future depends on, random stream included."""
        return self._batch.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to a snapshot of an equal environment. Raises ValueError for that of another."""
        self._batch.restore(snapshot)
