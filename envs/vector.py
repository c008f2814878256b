"""A batch as a Gymnasium VectorEnv, for teams: observations [E, N, O], actions [E, N], one team reward [E].

Row e is the same game, to the last bit, as a single environment whose seed is higher by e. Infos have the form of
Gymnasium's own vector environments: a key `x` comes with `_x`, which marks the rows that have it. There are no masks in
them where actions are continuous.
"""

from functools import cached_property
from typing import Any, get_args

import numpy as np
from gymnasium.spaces import Box, MultiDiscrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv
from gymnasium.vector.utils import batch_space

from coopgym.envs import environment as declared
from coopgym.envs.core import Autoreset, Batch, Environment, IllegalAction, Snapshot, Step
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

AUTORESET_MODES = {
    "same_step": AutoresetMode.SAME_STEP,
    "next_step": AutoresetMode.NEXT_STEP,
    "disabled": AutoresetMode.DISABLED,
}

Infos = dict[str, Any]


class VectorEnv(GymnasiumVectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """num_envs games, stepped together.

    environment, preset, params: what `coopgym.environment` takes; autoreset_mode: what happens where an episode ends,
    one of Gymnasium's modes or its name; copy: whether what is returned is fresh and the caller's own, or the engine's
    arrays, which later steps overwrite (then a step allocates nothing, but for the infos of ended episodes);
    num_threads: 1 starts no thread; illegal_action: whether an illegal action counts as the no-op or raises.
    Under `reward_mode="per_agent"` rewards are [E, N].
    """

    metadata = {
        "name": "coopgym",
        "render_modes": [mode for mode in RENDER_MODES if mode != "human"],
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        environment: str | Environment,
        num_envs: int = 1,
        preset: str | None = None,
        *,
        autoreset_mode: Autoreset | AutoresetMode = "same_step",
        copy: bool = True,
        num_threads: int = 1,
        render_mode: RenderMode | None = None,
        illegal_action: IllegalAction = "noop",
        show_sight: bool = False,
        **params: Any,
    ) -> None:
        env = self.environment = declared(environment, preset, **params)
        mode = _autoreset(autoreset_mode)
        known = metadata(env)
        modes = [one for one in known["render_modes"] if one in type(self).metadata["render_modes"]]
        self.metadata = {**known, "render_modes": modes, "autoreset_mode": AUTORESET_MODES[mode]}
        self.render_mode, self.copy = render_mode, copy
        self._view = View(env, modes, render_mode, show_sight)
        self._batch = Batch(env, num_envs, autoreset=mode, illegal_action=illegal_action, num_threads=num_threads)
        self.num_envs = self._batch.num_envs
        self._every_row, self._ended = np.ones(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        self.single_observation_space = box(env.observation_layout, env.n_agents)
        self.single_action_space = team_action_space(env)

    # Made when first asked for, since their bounds take as much memory as the observations.

    @cached_property
    def observation_space(self) -> Box:  # type: ignore[override]
        return batch_space(self.single_observation_space, self.num_envs)  # type: ignore[return-value]

    @cached_property
    def action_space(self) -> Box | MultiDiscrete:  # type: ignore[override]
        return batch_space(self.single_action_space, self.num_envs)  # type: ignore[return-value]

    @cached_property
    def state_space(self) -> Box:
        """The space of `state()`."""
        return box(self.environment.state_layout, self.num_envs)

    @property
    def possible_agents(self) -> list[str]:
        """The names of the agents, in the order of the agent axis."""
        return list(self.environment.agents)

    @property
    def observation_layout(self) -> tuple[Part, ...]:
        """What the features of an observation mean."""
        return parts(self.environment.observation_layout)

    @property
    def state_layout(self) -> tuple[Part, ...]:
        """What the features of `state()` mean."""
        return parts(self.environment.state_layout)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds from which the rows' random streams were last started."""
        return tuple(self._batch.seeds.tolist())

    def reset(  # type: ignore[override]
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, Infos]:
        """Starts an episode in every row, or in those that options["reset_mask"] ([E] bool) marks.

        seed: a whole number, of which row e gets seed + e; or one for each row, None for those whose stream goes on.
        Raises TypeError or ValueError for another seed or mask.
        """
        rows = self._checked_rows(options["reset_mask"]) if options is not None and "reset_mask" in options else None
        if seed is not None:
            self._batch.seed(seed, rows)
        out = self._batch.reset(rows)
        return self._own(out.obs), self._infos(out)

    def _checked_rows(self, reset_mask: Any) -> np.ndarray:
        rows = np.asarray(reset_mask)
        if rows.dtype != np.bool_:
            raise TypeError(f"reset_mask has dtype {rows.dtype}; it must be bool")
        if rows.shape != (self.num_envs,):
            raise ValueError(f"reset_mask has shape {rows.shape}; it must be ({self.num_envs},)")
        if not rows.any():
            raise ValueError("reset_mask marks no row; mark one at least")
        return rows

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """Plays the actions [E, N], each a whole number in [0, A), or [E, N, A] where they are continuous.

        Where episodes have ended, infos has `final_obs`, an array of E objects, and `final_info`, both of the ended
        episodes, whatever the autoreset mode.
        Raises ValueError for another shape or range, TypeError for another dtype, RuntimeError before reset and, with
        autoreset disabled, for a row that has ended.
        """
        out = self._batch.step(actions)
        reward = out.agent_reward if self.environment.individual_rewards else out.reward
        return (
            self._own(out.obs),
            self._own(reward),
            self._own(out.terminated),
            self._own(out.truncated),
            self._infos(out),
        )

    def _own(self, array: np.ndarray) -> np.ndarray:
        return array.copy() if self.copy else array

    def _infos(self, out: Step) -> Infos:
        infos: Infos = {}
        if self.environment.action_bounds is None:
            infos = {"action_mask": self._own(out.action_mask), "_action_mask": self._own(self._every_row)}
        ended = np.logical_or(out.terminated, out.truncated, out=self._ended)
        if ended.any():
            infos |= self._final_infos(out, ended)
        return infos

    def _final_infos(self, out: Step, ended: np.ndarray) -> Infos:
        """What the ended episodes show last. ended: [E] bool."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        final_obs[ended] = np.fromiter(out.final_obs[ended], object) if self.copy else self._batch.final_rows[ended]
        final_info: Infos = {}
        arrays = {"action_mask": out.final_action_mask, "state": out.final_state}
        if self.environment.action_bounds is not None:
            del arrays["action_mask"]
        for key, array in arrays.items():
            final_info[key] = array * ended.reshape(-1, *[1] * (array.ndim - 1))  # zeros elsewhere
            final_info[f"_{key}"] = ended.copy()
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": final_info,
            "_final_info": ended.copy(),
        }

    def state(self) -> np.ndarray:
        """The state for centralised training, [E, S] float32."""
        if not self._batch.started:
            raise RuntimeError("state was called before reset; call reset first")
        return self._own(self._batch.out.state)

    def action_masks(self) -> np.ndarray:
        """What each agent may do, [E, N, A] int8; all ones where actions are continuous."""
        if not self._batch.started:
            raise RuntimeError("action_masks was called before reset; call reset first")
        return self._own(self._batch.out.action_mask)

    def render(self) -> tuple[Any, ...] | None:
        """Each row as [H, W, 3] uint8 ("rgb_array") or as text ("ansi"); None without a render mode."""
        frames = tuple(self._view.show(self._batch, row) for row in range(self.num_envs if self.render_mode else 1))
        return frames if self.render_mode else None

    def close_extras(self, **kwargs: Any) -> None:
        self._view.close()

    def snapshot(self, row: int | None = None) -> Snapshot:
        """A copy of all that the future depends on, random streams included, of all rows or of one."""
        return self._batch.snapshot(row)

    def restore(self, snapshot: Snapshot, row: int | None = None) -> None:
        """Goes back to a snapshot. That of one row may be laid into one row, or into all of them.

        Raises ValueError for the snapshot of another environment or of another number of rows.
        """
        self._batch.restore(snapshot, row)


def _autoreset(mode: Any) -> Autoreset:
    """The engine's name of an autoreset mode. Raises ValueError for anything else."""
    for name, known in AUTORESET_MODES.items():
        if mode is known or mode in (name, known.value):
            return name  # type: ignore[return-value]
    raise ValueError(f"autoreset_mode is {mode!r}; it must be one of {', '.join(get_args(Autoreset))}")
