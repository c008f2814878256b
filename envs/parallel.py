"""A batch of one as a PettingZoo ParallelEnv.

All agents live until the episode ends, and all get the same flags: `terminated` where the rules ended it, `truncated`
where the time limit did. What they may do stands in `infos[agent]["action_mask"]`, from reset on and after the end too;
infos are empty where actions are continuous, since spaces of those take no masks.
"""

import operator
import struct
from typing import Any

import numpy as np
import pettingzoo
from gymnasium.spaces import Box, Discrete

from coopgym.envs import environment as declared
from coopgym.envs.core import Batch, Environment, IllegalAction, Snapshot, checked_seed
from coopgym.envs.faces import (
    RENDER_FPS,
    RENDER_MODES,
    Part,
    RenderMode,
    View,
    agent_action_space,
    box,
    metadata,
    parts,
)

Observations = dict[str, np.ndarray]
Infos = dict[str, dict[str, Any]]


class ParallelEnv(pettingzoo.ParallelEnv[str, np.ndarray, int]):
    """One game, with dictionaries by agent in place of the agent axis.

    environment, preset, params: what `coopgym.environment` takes; render_mode: None, or one of
    metadata["render_modes"]; illegal_action: whether an illegal action counts as the no-op or raises; show_sight:
    whether pictures show what the agents see.
    Every array and dictionary that it returns is fresh and the caller's own.
    """

    metadata: dict[str, Any] = {
        "name": "coopgym",
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "is_parallelizable": True,
    }

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
        self.render_mode, self.show_sight, self.illegal_action = render_mode, show_sight, illegal_action
        self._open(declared(environment, preset, **params))

    def _open(self, env: Environment) -> None:
        self.environment = env
        self.metadata = {**type(self).metadata, **metadata(env)}
        self._view = View(env, self.metadata["render_modes"], self.render_mode, self.show_sight)
        self.possible_agents = list(env.agents)
        self.agents: list[str] = []
        self.observation_spaces = {agent: box(env.observation_layout) for agent in env.agents}
        self.action_spaces = {agent: agent_action_space(env) for agent in env.agents}
        self.state_space = box(env.state_layout)
        self._batch = Batch(env, 1, autoreset="disabled", illegal_action=self.illegal_action)
        self._shorten()

    def _shorten(self) -> None:
        """Keeps at hand what each step needs, since a step takes microseconds."""
        out, agents = self._batch.out, self.environment.agents
        self._names = agents
        self._continuous = self.environment.action_bounds is not None
        self._actions = np.zeros_like(out.action)  # what `step` writes for the batch, [1, N] or [1, N, A]
        self._write: Any = _write_vectors if self._continuous else struct.Struct(f"={len(agents)}q").pack_into
        self._pick = operator.itemgetter(*agents) if len(agents) > 1 else lambda actions: (actions[agents[0]],)
        # The batch's own arrays, [N, O], [N, A] and [N]:
        self._obs: np.ndarray = out.obs[0]
        self._mask: np.ndarray = out.action_mask[0]
        self._rewards: np.ndarray = out.agent_reward[0]

    @property
    def observation_layout(self) -> tuple[Part, ...]:
        """What the features of an observation mean."""
        return parts(self.environment.observation_layout)

    @property
    def state_layout(self) -> tuple[Part, ...]:
        """What the features of `state()` mean."""
        return parts(self.environment.state_layout)

    @property
    def max_cycles(self) -> int:
        """Steps after which an episode is truncated. To set it is to make another game: reset, and ask for the spaces
        again, since bounds may depend on it.
        """
        return self.environment.horizon

    @max_cycles.setter
    def max_cycles(self, steps: int) -> None:
        if steps != self.max_cycles:
            old = self._batch
            self._open(self.environment.with_params(horizon=steps))
            self._batch.arrays.rng[:], self._batch.seeds[:] = old.arrays.rng, old.seeds

    @property
    def np_random_seed(self) -> int:
        """The seed from which the game's random stream was last started."""
        return int(self._batch.seeds[0])

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]  # type: ignore[return-value]

    def action_space(self, agent: str) -> Box | Discrete:
        return self.action_spaces[agent]  # type: ignore[return-value]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Starts an episode. seed: a whole number in [0, 2**63), or None to go on with the random stream.

        options are ignored. Raises TypeError or ValueError for another seed.
        """
        if seed is not None:
            self._batch.seed(checked_seed(seed))
        self._batch.reset()
        self.agents = list(self._names)
        if self.render_mode == "human":
            self.render()
        return self._observations(), self._infos()

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Plays the action of every agent, each a whole number in [0, A), or A numbers where actions are continuous.

        Raises RuntimeError before reset and after the end; ValueError for missing or unknown agents, for an action out
        of range and, under illegal_action "raise", for an illegal one; TypeError for an action that is no such thing.
        """
        if not self.agents:
            raise RuntimeError(self._why_not_running())
        try:
            self._write(self._actions, 0, *self._pick(actions))
        except (KeyError, TypeError, ValueError, struct.error):
            raise self._wrong_actions(actions) from None
        if len(actions) != len(self._names):
            raise self._wrong_actions(actions)
        self._batch.advance(self._actions)
        out, names = self._batch.out, self._names
        if out.ended.item():
            self.agents = []
        if self.render_mode == "human":
            self.render()
        by_agent = dict.fromkeys  # zip below has no `strict`, which would cost a twentieth of a step
        return (
            self._observations(),
            dict(zip(names, self._rewards.tolist())),  # noqa: B905
            by_agent(names, out.terminated.item()),
            by_agent(names, out.truncated.item()),
            self._infos(),
        )

    def _observations(self) -> Observations:
        return dict(zip(self._names, self._obs.copy()))  # noqa: B905

    def _infos(self) -> Infos:
        if self._continuous:
            return {name: {} for name in self._names}
        return {name: {"action_mask": mask} for name, mask in zip(self._names, self._mask.copy())}  # noqa: B905

    def _why_not_running(self) -> str:
        if not self._batch.started:
            return "step was called before reset; call reset first"
        return "the episode is over; call reset first"

    def _wrong_actions(self, actions: Any) -> Exception:
        """What is wrong with actions that could not be written."""
        if not hasattr(actions, "keys"):
            return TypeError(f"actions are {type(actions).__name__}; they must be a dictionary from agents to actions")
        missing = [agent for agent in self._names if agent not in actions]
        unknown = [agent for agent in actions if agent not in self._names]
        if missing or unknown:
            lacks = f"no action for {', '.join(missing)}" if missing else ""
            strange = f"unknown agents {', '.join(map(repr, unknown))}" if unknown else ""
            return ValueError(f"{lacks}{' and ' * bool(missing and unknown)}{strange}; give one for each of env.agents")
        if self._continuous:
            return self._wrong_vector(actions)
        last = self.environment.n_actions - 1
        for agent in self._names:
            try:
                outside = not 0 <= operator.index(actions[agent]) <= last
            except TypeError:
                return TypeError(f"the action of {agent} is {actions[agent]!r}; it must be a whole number")
            if outside:
                return ValueError(f"the action of {agent} is {actions[agent]}; it must lie in [0, {last}]")
        raise AssertionError("every action can be written")  # pragma: no cover

    def _wrong_vector(self, actions: dict[str, Any]) -> Exception:
        for agent in self._names:
            try:
                _write_vectors(self._actions[:, :1], 0, actions[agent])
            except (TypeError, ValueError):
                words = f"it must be {self.environment.n_actions} numbers"
                return TypeError(f"the action of {agent} is {actions[agent]!r}; {words}")
        raise AssertionError("every action can be written")  # pragma: no cover

    def state(self) -> np.ndarray:
        """The state for centralised training, [S] float32; after the end, that of the ended episode."""
        if not self._batch.started:
            raise RuntimeError("state was called before reset; call reset first")
        return np.array(self._batch.out.state[0])

    def action_masks(self) -> np.ndarray:
        """What each agent may do, [N, A] int8; all ones where actions are continuous."""
        if not self._batch.started:
            raise RuntimeError("action_masks was called before reset; call reset first")
        return self._mask.copy()

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
        out = self._batch.restore(snapshot)
        self.agents = [] if out.ended[0] else list(self._names)

    def __getstate__(self) -> dict[str, Any]:
        shortcuts = ("_names", "_continuous", "_actions", "_write", "_pick", "_obs", "_mask", "_rewards")
        return {name: value for name, value in self.__dict__.items() if name not in shortcuts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shorten()


def _write_vectors(actions: np.ndarray, offset: int, *vectors: Any) -> None:
    """Writes the agents' continuous actions into actions [1, N, A]; as `struct.pack_into` does with whole numbers.

    Raises TypeError or ValueError for what is no vector of A numbers.
    """
    for i, vector in enumerate(vectors):
        values = np.asarray(vector)
        if values.shape != actions.shape[2:] or values.dtype.kind not in "fiu":
            raise TypeError
        actions[0, i] = values


def aec_env(environment: str | Environment, preset: str | None = None, **options: Any) -> Any:
    """The same game as a PettingZoo AECEnv, whose agents act one after the other; options as in `ParallelEnv`."""
    from pettingzoo.utils.conversions import parallel_to_aec

    return parallel_to_aec(ParallelEnv(environment, preset, **options))
