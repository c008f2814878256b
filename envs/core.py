"""What an environment is, and the loops that step many of them.

A family of environments is a module with five kernels over one instance e of a batch, and a small class that names its
parameters, sizes and arrays. Everything that is no rule of a game stands here, once: time limit, restart, masks,
seeding, buffers, snapshots. A single environment is a batch of one, so the two cannot disagree.

Axis letters, here and everywhere: E instances, N agents, A actions, O observation features, S state features, T time,
B episodes in a batch.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from coopgym.envs.compiling import SETTINGS, Game, bind, borrowed, entry, kernel
from coopgym.envs.parameters import checked, encoded, nearest, plain
from coopgym.envs.rng import SEED_LIMIT, begin_stream
from coopgym.envs.teams import Policy

Autoreset = Literal["same_step", "next_step", "disabled"]
IllegalAction = Literal["noop", "raise"]


class Kernels(NamedTuple):
    """The compiled rules of a family. p are its parameters, s its arrays, e the instance."""

    reset: Any  # (p, s, e) -> None            starts a new episode
    step: Any  # (p, s, e, action) -> (reward, terminated); action: [N] int64, or [N, A] float64 where it is continuous
    observe: Any  # (p, s, e, obs [N, O]) -> None, writes every element
    summarise: Any  # (p, s, e, state [S]) -> None, the state for centralised training; writes every element
    available: Any  # (p, s, e, mask [N, A]) -> None, 1 where an agent may take an action; writes every element


class Preset(NamedTuple):
    """Named values of parameters, and where they were published."""

    params: dict[str, Any]
    source: str


class Field(NamedTuple):
    """One named slice of an observation or a state."""

    name: str
    size: int  # features
    low: float
    high: float
    meaning: str  # with the unit


class Scene(NamedTuple):
    """One instance, as a family draws it."""

    params: Any  # the family's Params, as the user gave them
    arrays: Any  # the family's State
    e: int  # the instance to draw
    steps: int  # of the episode so far
    horizon: int  # steps after which the episode is cut off
    action: np.ndarray | None  # [N], or [N, A], the last joint action; None before the first step
    reward: float  # the team reward of the last step
    team_return: float  # of the episode so far
    terminated: bool  # the rules have ended the episode
    truncated: bool  # the time limit has ended it
    obs: np.ndarray  # [N, O], what the agents are told
    show_sight: bool = False  # whether to draw what each agent sees over the whole
    viewer: int | None = None  # an agent: draw nothing but what it sees
    trail: np.ndarray | None = None  # [K, N, 2], where the agents were in the last K steps, the oldest first


class Environment:
    """The declaration of a family: parameters, sizes, layouts, kernels, drawing. It holds no state of any episode.

    preset: a name in `presets`; params: values that replace the preset's or the defaults.
    Raises TypeError for an unknown parameter or a wrong type, ValueError for values that make no playable game.
    """

    id: ClassVar[str]
    Params: ClassVar[type]
    presets: ClassVar[dict[str, Preset]] = {}
    kernels: Kernels  # of the class, or set by `check` where the parameters choose among them
    agent_name: ClassVar[str] = "agent"
    noop: ClassVar[int] = 0  # the action that stands for an illegal one; legal in every situation
    masks_change: ClassVar[bool] = True  # False: the same actions are legal always, so masks are written by resets only
    real_time: ClassVar[bool] = False  # whether a game played by hand goes on by itself instead of waiting for a key
    return_definition: ClassVar[str] = "sum over the steps of an episode of the team reward, counted once, undiscounted"
    scripted: ClassVar[dict[str, Callable[["Environment"], Policy]]] = {}  # hand-written teams by name, the best first

    # Set by `check`, from the parameters:
    n_agents: int
    action_names: tuple[str, ...]  # of the actions to choose from or, where they are continuous, of their components
    action_bounds: tuple[float, float] | None = None  # of each component of a continuous action; None: a choice of one
    observation_layout: tuple[Field, ...]
    state_layout: tuple[Field, ...]

    def __init__(self, preset: str | None = None, **params: Any) -> None:
        if preset is not None and preset not in self.presets:
            raise ValueError(f"{self.id} has no preset {preset!r}; {nearest(preset, self.presets)}")
        values = dict(self.presets[preset].params) if preset is not None else {}
        values.update(checked(self.id, self.Params, params))
        self.preset = preset
        self.params = self.Params(**values)
        self.check()

    def check(self) -> None:
        """Sets the sizes and layouts; raises ValueError when the parameters make no playable game."""
        raise NotImplementedError

    def allocate(self, num_envs: int) -> Any:
        """The arrays of num_envs instances: a NamedTuple with `t` [E] int32 and `rng` [E] uint64 among its fields.

        A family whose agents have rewards of their own also has `agent_reward` [E, N] float64, written by each step.
        """
        raise NotImplementedError

    def kernel_params(self) -> Any:
        """The parameters as the kernels take them."""
        return encoded(self.params)

    def draw(self, canvas: Any, scene: Scene) -> None:
        """Draws one instance on a `coopgym.envs.rendering.Canvas`."""
        raise NotImplementedError

    def places(self, scene: Scene) -> np.ndarray | None:
        """Where the agents are in the picture, [N, 2], not-a-number for who has left; None in games without space."""
        return None

    def describe(self, scene: Scene) -> str:
        """One instance as text."""
        raise NotImplementedError

    def optimum(self) -> tuple[float, str] | None:
        """The best expected return that any team can have, and how it is known; None where nobody knows it."""
        return None

    def keys(self) -> dict[str, int]:
        """The keys that drive one agent by hand, by pygame's names, and the action of each, or the component."""
        return {str(i + 1): i for i in range(min(self.n_actions, 9))}

    def alone(self, component: int) -> np.ndarray:
        """The continuous action [A] in which one component has its highest value, and every other is 0 or next to it.

        It is what a key stands for when a game is played by hand; `noop` names the component that may do nothing.
        """
        assert self.action_bounds is not None
        low, high = self.action_bounds
        action = np.full(self.n_actions, min(max(0.0, low), high))
        action[component] = high
        return action

    @property
    def horizon(self) -> int:
        """Steps after which an episode is cut off."""
        return int(self.params.horizon)

    @property
    def n_actions(self) -> int:
        """A: the actions to choose from or, where they are continuous, the components of one."""
        return len(self.action_names)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape of one agent's action: () for a choice, (A,) where it is continuous."""
        return () if self.action_bounds is None else (self.n_actions,)

    @property
    def obs_size(self) -> int:
        return sum(part.size for part in self.observation_layout)

    @property
    def state_size(self) -> int:
        return sum(part.size for part in self.state_layout)

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(f"{self.agent_name}_{i}" for i in range(self.n_agents))

    @property
    def individual_rewards(self) -> bool:
        """Whether each agent is to get a reward of its own."""
        return getattr(self.params, "reward_mode", None) == "per_agent"

    def with_params(self, **params: Any) -> "Environment":
        """The same environment with some parameters changed."""
        return type(self)(**{**self.params._asdict(), **params})

    def __repr__(self) -> str:
        changed = {k: v for k, v in self.params._asdict().items() if not _same(v, self.Params._field_defaults.get(k))}  # type: ignore[attr-defined]
        return f"{type(self).__name__}({', '.join(f'{k}={plain(v)!r}' for k, v in changed.items())})"


def _same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object)))


def slices(layout: Sequence[Field]) -> Iterator[tuple[Field, slice]]:
    """Each field of a layout with the features that it takes."""
    start = 0
    for part in layout:
        yield part, slice(start, start + part.size)
        start += part.size


def bounds(layout: Sequence[Field]) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of a layout, each [features] float32, rounded outwards.

    A constant feature gets room above it, because the checkers of Gymnasium and PettingZoo take equal bounds for a
    mistake.
    """
    sizes = [part.size for part in layout]
    low = np.repeat([float(part.low) for part in layout], sizes)
    high = np.repeat([float(part.high) for part in layout], sizes)
    high = np.where(high == low, low + 1.0, high)
    outwards_low = np.where(low.astype(np.float32) > low, np.nextafter(low.astype(np.float32), -np.inf), low)
    outwards_high = np.where(high.astype(np.float32) < high, np.nextafter(high.astype(np.float32), np.inf), high)
    return outwards_low.astype(np.float32), outwards_high.astype(np.float32)


class Step(NamedTuple):
    """What a batch of environments answers. The arrays are the batch's own and change at the next step.

    Where an episode has ended, obs, state and mask are of the new episode under the autoreset mode "same_step" and of
    the ended one under the others; final_* are of the ended one always (and elsewhere left from earlier episodes).
    """

    obs: np.ndarray  # [E, N, O] float32
    state: np.ndarray  # [E, S] float32
    action_mask: np.ndarray  # [E, N, A] int8; all ones where actions are continuous
    action: np.ndarray  # [E, N] int64, the last joint action, illegal ones replaced by the no-op; or [E, N, A] float64
    reward: np.ndarray  # [E] float64, shared by the team
    agent_reward: np.ndarray  # [E, N] float64, what each agent gets: its own with individual rewards, or the team's
    terminated: np.ndarray  # [E] bool: the rules ended the episode, so nothing follows
    truncated: np.ndarray  # [E] bool: the time limit ended it, so a value still follows
    ended: np.ndarray  # [E] bool: no episode is running; the row waits for its restart
    team_return: np.ndarray  # [E] float64, of the episode so far, or of the ended one where one has just ended
    steps: np.ndarray  # [E] int32, likewise
    final_obs: np.ndarray  # [E, N, O] float32
    final_state: np.ndarray  # [E, S] float32
    final_action_mask: np.ndarray  # [E, N, A] int8


# The templates below are bound to each family's kernels, which is where their free names come from.


def _show(p, s, e, out):
    """Writes what instance e shows now."""
    observe(p, s, e, out.obs[e])  # type: ignore[name-defined]  # noqa: F821
    summarise(p, s, e, out.state[e])  # type: ignore[name-defined]  # noqa: F821
    available(p, s, e, out.action_mask[e])  # type: ignore[name-defined]  # noqa: F821


def _begin(p, s, e, out):
    """Starts an episode in instance e."""
    s.t[e] = 0
    reset(p, s, e)  # type: ignore[name-defined]  # noqa: F821
    out.ended[e] = False
    show(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821


def _restart(p, s, e, out):
    """Starts an episode in instance e, of which no step has been taken that could be answered."""
    begin(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821
    note_fixed_masks(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821
    out.reward[e] = 0.0
    out.terminated[e] = False
    out.truncated[e] = False
    out.team_return[e] = 0.0
    out.steps[e] = 0
    for i in range(out.agent_reward.shape[1]):
        out.agent_reward[e, i] = 0.0


def _advance(p, s, e, actions, noop, horizon, autoreset, out):
    """One step of instance e; where the episode ends, what its autoreset mode asks for."""
    if out.ended[e]:  # next_step: this step does nothing but start the next episode
        restart(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821
        return
    note_action(e, actions, noop, out)  # type: ignore[name-defined]  # noqa: F821
    if s.t[e] == 0:
        out.team_return[e] = 0.0
    out.reward[e], out.terminated[e] = step(p, s, e, out.action[e])  # type: ignore[name-defined]  # noqa: F821
    note_rewards(s, e, out)  # type: ignore[name-defined]  # noqa: F821
    s.t[e] += 1
    out.steps[e] = s.t[e]
    out.team_return[e] += out.reward[e]
    out.truncated[e] = s.t[e] >= horizon and not out.terminated[e]
    show(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821
    if out.terminated[e] or out.truncated[e]:
        out.ended[e] = True
        note_end(e, out)  # type: ignore[name-defined]  # noqa: F821
        note_final_mask(e, out)  # type: ignore[name-defined]  # noqa: F821
        if autoreset == 0:  # same_step, the first of Autoreset
            begin(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821


def _advance_all(p, s, actions, noop, horizon, autoreset, out):
    for e in range(actions.shape[0]):
        advance(p, s, e, actions, noop, horizon, autoreset, out)  # type: ignore[name-defined]  # noqa: F821


# The body of a prange is one call, on purpose: a write to a field of a NamedTuple directly inside a prange is lost
# without a word (Numba issues 5872 and 10338, open in 0.68.1). And its tuples must be arguments of its function. A
# thread gets its arrays with owners, so what it is called for borrows them again, once for so many rows.

ROWS_OF_A_CALL = 64


def _advance_on_threads(p, s, actions, noop, horizon, autoreset, out):
    for part in prange(-(-actions.shape[0] // ROWS_OF_A_CALL)):  # type: ignore[name-defined]  # noqa: F821
        advance_part(p, s, part, actions, noop, horizon, autoreset, out)  # type: ignore[name-defined]  # noqa: F821


def _advance_part(p, s, part, actions, noop, horizon, autoreset, out):
    p, s, out, actions = borrowed(p), borrowed(s), borrowed(out), borrowed(actions)
    first = part * ROWS_OF_A_CALL
    for e in range(first, min(first + ROWS_OF_A_CALL, actions.shape[0])):
        advance(p, s, e, actions, noop, horizon, autoreset, out)  # type: ignore[name-defined]  # noqa: F821


def _step_batch(game, actions, noop, horizon, autoreset, strict):
    """Steps all instances and returns -1, or steps none and returns the flat index of an action that cannot be taken.

    strict: 1 where an illegal action cannot be taken, 0 where it counts as the no-op.
    """
    p, s, out, actions = borrowed(game.params), borrowed(game.arrays), borrowed(game.out), borrowed(actions)
    wrong = first_wrong(actions, strict, out)  # type: ignore[name-defined]  # noqa: F821
    if wrong < 0:
        advance_all(p, s, actions, noop, horizon, autoreset, out)  # type: ignore[name-defined]  # noqa: F821
    return wrong


def _reset_batch(game, rows):
    p, s, out = borrowed(game.params), borrowed(game.arrays), borrowed(game.out)
    for e in range(rows.shape[0]):
        if rows[e]:
            restart(p, s, e, out)  # type: ignore[name-defined]  # noqa: F821


def _pack(params, arrays, out):
    return Game(params, arrays, out)


def _seed_rows(rng, seeds, rows):
    """Starts the streams of the marked rows. seeds: [E] int64, rows: [E] bool."""
    for e in range(len(rng)):
        if rows[e]:
            begin_stream(rng, e, seeds[e])


@kernel
def _first_wrong(actions, strict, out):
    """The flat index of the first action outside [0, A) or, if strict, of the first illegal one; -1 without any."""
    n_envs, n_agents, n_actions = out.action_mask.shape
    for e in range(n_envs):
        for i in range(n_agents):
            a = actions[e, i]
            if a < 0 or a >= n_actions or (strict and not out.ended[e] and not out.action_mask[e, i, a]):
                return e * n_agents + i
    return -1


def _first_outside(actions, strict, out):
    """The flat index of the first action with a component that is not in [low, high]; -1 without any."""
    n_envs, n_agents, n_components = actions.shape
    for e in range(n_envs):
        for i in range(n_agents):
            for k in range(n_components):
                if not low <= actions[e, i, k] <= high:  # type: ignore[name-defined]  # noqa: F821
                    return e * n_agents + i
    return -1


# Loops instead of array assignments: those compile for seconds, and to more code.


@kernel
def _note_choice(e, actions, noop, out):
    for i in range(actions.shape[1]):
        legal = out.action_mask[e, i, actions[e, i]]
        out.action[e, i] = actions[e, i] if legal else noop


@kernel
def _note_components(e, actions, noop, out):
    for i in range(actions.shape[1]):
        for k in range(actions.shape[2]):
            out.action[e, i, k] = actions[e, i, k]


@kernel
def _note_end(e, out):
    """Keeps what the ended episode of instance e shows."""
    for i in range(out.obs.shape[1]):
        for k in range(out.obs.shape[2]):
            out.final_obs[e, i, k] = out.obs[e, i, k]
    for k in range(out.state.shape[1]):
        out.final_state[e, k] = out.state[e, k]


@kernel
def _note_final_mask(e, out):
    for i in range(out.action_mask.shape[1]):
        for a in range(out.action_mask.shape[2]):
            out.final_action_mask[e, i, a] = out.action_mask[e, i, a]


# Where masks never change, those that a reset writes stay.


def _write_fixed_masks(p, s, e, out):
    available(p, s, e, out.action_mask[e])  # type: ignore[name-defined]  # noqa: F821
    available(p, s, e, out.final_action_mask[e])  # type: ignore[name-defined]  # noqa: F821


@kernel
def _no_fixed_masks(p, s, e, out):
    pass


@kernel
def _leave_mask(p, s, e, mask):
    pass


@kernel
def _leave_final_mask(e, out):
    pass


@kernel
def _note_own_rewards(s, e, out):
    for i in range(out.agent_reward.shape[1]):
        out.agent_reward[e, i] = s.agent_reward[e, i]


@kernel
def _note_team_reward(s, e, out):
    for i in range(out.agent_reward.shape[1]):
        out.agent_reward[e, i] = out.reward[e]


class Loops(NamedTuple):
    pack: Any  # (params, arrays, out) -> game, what the others take
    seed: Any  # (rng, seeds [E] int64, rows [E] bool)
    reset: Any  # (game, rows [E] bool)
    step: Any  # (game, actions, noop, horizon, autoreset, strict) -> -1 or the index of a wrong action
    step_parallel: Any  # the same on several threads


@functools.cache
def loops(
    kernels: Kernels, individual_rewards: bool, masks_change: bool, action_bounds: tuple[float, float] | None
) -> Loops:
    """The compiled loops over these kernels."""
    import numba

    names = {**kernels._asdict(), "borrowed": borrowed, "Game": Game}
    names |= {"first_wrong": _first_wrong, "note_action": _note_choice, "note_end": _note_end}
    if action_bounds is not None:
        low, high = map(float, action_bounds)
        names["first_wrong"] = bind(_first_outside, {"low": low, "high": high})
        names["note_action"] = _note_components
    names["note_rewards"] = _note_own_rewards if individual_rewards else _note_team_reward
    if masks_change:
        names |= {"note_fixed_masks": _no_fixed_masks, "note_final_mask": _note_final_mask}
    else:
        names["note_fixed_masks"] = bind(_write_fixed_masks, {"available": kernels.available})
        names |= {"available": _leave_mask, "note_final_mask": _leave_final_mask}
    names["show"] = bind(_show, names, forceinline=True)
    names["begin"] = bind(_begin, names)
    names["restart"] = bind(_restart, names)
    names["advance"] = bind(_advance, names, forceinline=True)
    names |= {"ROWS_OF_A_CALL": ROWS_OF_A_CALL, "prange": numba.prange}
    one_by_one = bind(_advance_all, names, forceinline=True)
    names["advance_part"] = bind(_advance_part, names)
    on_threads = bind(_advance_on_threads, names, parallel=True)
    return Loops(
        pack=bind(_pack, names, cache=True),
        seed=bind(_seed_rows, {"begin_stream": begin_stream}, cache=True),
        reset=bind(_reset_batch, names, cache=True),
        step=bind(_step_batch, {**names, "advance_all": one_by_one}, cache=True),
        step_parallel=bind(_step_batch, {**names, "advance_all": on_threads}, cache=True),
    )


@dataclass(frozen=True)
class Snapshot:
    """Everything that the future of an environment depends on, copied: one row, or all of them."""

    environment: str  # what it was taken from: only an equal environment can take it back
    rows: int | None  # how many rows, or None for the snapshot of one row of a batch
    arrays: dict[str, np.ndarray] = field(repr=False)


_PARALLEL_LOOPS = threading.Lock()  # Numba's workqueue layer aborts the process when two threads enter it at once


def checked_count(name: str, value: Any) -> int:
    """The value as an int; raises TypeError or ValueError, with its name, for anything but a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}; it must be a whole number")
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be 1 or more")
    return int(value)


def _writable(params: Any) -> Any:
    """The kernels' parameters with arrays of their own: read-only ones are of another type, until they are pickled."""
    return type(params)(*(np.array(one, order="C") if isinstance(one, np.ndarray) else one for one in params))


MADE_ANEW = ("_loops", "_game", "_reset", "_step", "final_rows")  # by a copy of a batch


class Batch:
    """num_envs instances of one environment, stepped together.

    autoreset: what happens where an episode ends, see `Step`; num_threads: 1 starts no thread at all.
    """

    def __init__(
        self,
        env: Environment,
        num_envs: int,
        seed: int | None = None,
        autoreset: Autoreset = "same_step",
        illegal_action: IllegalAction = "noop",
        num_threads: int = 1,
    ) -> None:
        num_envs, num_threads = checked_count("num_envs", num_envs), checked_count("num_threads", num_threads)
        if autoreset not in get_args(Autoreset):
            raise ValueError(f"autoreset is {autoreset!r}; it must be one of {', '.join(get_args(Autoreset))}")
        if illegal_action not in get_args(IllegalAction):
            raise ValueError(
                f"illegal_action is {illegal_action!r}; it must be one of {', '.join(get_args(IllegalAction))}"
            )
        self.env, self.num_envs, self.horizon = env, num_envs, env.horizon
        self.autoreset, self.strict, self.num_threads = autoreset, illegal_action == "raise", num_threads
        self.params = _writable(env.kernel_params())
        self.arrays = env.allocate(num_envs)
        n, a = env.n_agents, env.n_actions
        obs, state, mask = (num_envs, n, env.obs_size), (num_envs, env.state_size), (num_envs, n, a)
        self.out = Step(
            obs=np.zeros(obs, np.float32),
            state=np.zeros(state, np.float32),
            action_mask=np.zeros(mask, np.int8),
            action=np.zeros((num_envs, n, *env.action_shape), np.int64 if env.action_bounds is None else np.float64),
            reward=np.zeros(num_envs, np.float64),
            agent_reward=np.zeros((num_envs, n), np.float64),
            terminated=np.zeros(num_envs, np.bool_),
            truncated=np.zeros(num_envs, np.bool_),
            ended=np.ones(num_envs, np.bool_),
            team_return=np.zeros(num_envs, np.float64),
            steps=np.zeros(num_envs, np.int32),
            final_obs=np.zeros(obs, np.float32),
            final_state=np.zeros(state, np.float32),
            final_action_mask=np.zeros(mask, np.int8),
        )
        self.started = False
        self.seeds = np.zeros(num_envs, np.int64)  # [E], from which the rows' streams were last started
        self._compile()
        self.seed(fresh_seed() if seed is None else seed)

    def _compile(self) -> None:
        """Gets the machine code, from the cache where it is there."""
        every_row = np.ones(self.num_envs, np.bool_)
        env = self.env
        self._loops = loops(env.kernels, env.individual_rewards, env.masks_change, env.action_bounds)
        self._game = self._loops.pack(self.params, self.arrays, self.out)
        self._reset = entry(self._loops.reset, self._game, every_row)
        step = self._loops.step if self.num_threads == 1 else self._loops.step_parallel
        self._rules = (self.env.noop, self.horizon, get_args(Autoreset).index(self.autoreset), int(self.strict))
        self._step = entry(step, self._game, self.out.action, *self._rules)

    @functools.cached_property
    def final_rows(self) -> np.ndarray:
        """The rows of `out.final_obs`, [E] objects: views, each [N, O]."""
        return np.fromiter(self.out.final_obs, object)

    def seed(self, seed: int | Sequence[int | None], rows: np.ndarray | None = None) -> None:
        """Starts the random streams anew: row e gets seed + e, or seed[e] where a sequence is given (None: unchanged).

        Raises TypeError or ValueError for anything but whole numbers in [0, 2**63).
        """
        rows = np.ones(self.num_envs, np.bool_) if rows is None else rows.copy()
        if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str):
            if len(seed) != self.num_envs:
                raise ValueError(f"there are {len(seed)} seeds for {self.num_envs} environments; give one for each")
            rows &= [one is not None for one in seed]
            seeds = np.array([0 if one is None else checked_seed(one) for one in seed], np.int64)
        else:
            first = checked_seed(seed)
            checked_seed(first + self.num_envs - 1)
            seeds = first + np.arange(self.num_envs, dtype=np.int64)
        self._loops.seed(self.arrays.rng, seeds, rows)
        self.seeds[rows] = seeds[rows]

    def reset(self, rows: np.ndarray | None = None) -> Step:
        """Starts new episodes in the marked rows ([E] bool, all by default)."""
        if rows is None:
            rows = np.ones(self.num_envs, np.bool_)
        else:
            rows = np.asarray(rows)
            if rows.shape != (self.num_envs,) or rows.dtype != np.bool_:
                raise ValueError(
                    f"reset_mask has shape {rows.shape} and dtype {rows.dtype}; it must be ({self.num_envs},) bool"
                )
        if not self.started and not rows.all():
            raise RuntimeError("the first reset must start every environment; leave reset_mask out")
        self._reset(self._game, np.ascontiguousarray(rows))
        self.started = True
        return self.out

    def step(self, actions: np.ndarray) -> Step:
        """actions: [E, N] of whole numbers, each in [0, A), or [E, N, A] of numbers where they are continuous.

        Raises ValueError for another shape or range, TypeError for another dtype, RuntimeError before the first reset
        and, under autoreset "disabled", for a row that has ended.
        """
        actions = joint_actions(self.env, actions, (self.num_envs, self.env.n_agents), "environments, agents")
        if not self.started:
            raise RuntimeError("step was called before reset; call reset first")
        if self.autoreset == "disabled" and self.out.ended.any():
            rows = np.flatnonzero(self.out.ended)[:5].tolist()
            raise RuntimeError(
                f"the episodes of rows {rows} have ended; restart them with reset(options={{'reset_mask': ...}})"
            )
        self.advance(actions)
        return self.out

    def advance(self, actions: np.ndarray) -> None:
        """A step without questions. actions: as in `Step`, contiguous; each running, or to be restarted by the step.

        Raises ValueError for an action out of range and, under illegal_action "raise", for an illegal one.
        """
        if self.num_threads == 1:
            wrong = self._step(self._game, actions, *self._rules)
        else:
            wrong = self._step_on_threads(actions)
        if wrong >= 0:
            raise self._wrong_action(actions, *divmod(wrong, self.env.n_agents))

    def _step_on_threads(self, actions: np.ndarray) -> int:
        import numba

        most = SETTINGS.NUMBA_NUM_THREADS
        with _PARALLEL_LOOPS:
            before = numba.get_num_threads()
            numba.set_num_threads(min(self.num_threads, most))
            try:
                return int(self._step(self._game, actions, *self._rules))
            finally:
                numba.set_num_threads(before)

    def _wrong_action(self, actions: np.ndarray, e: int, i: int) -> ValueError:
        who = self.env.agents[i] if self.num_envs == 1 else f"{self.env.agents[i]} in environment {e}"
        if self.env.action_bounds is not None:
            low, high = self.env.action_bounds
            return ValueError(
                f"the action of {who} is {actions[e, i].tolist()}; each component must lie in [{low:g}, {high:g}]"
            )
        if not 0 <= actions[e, i] < self.env.n_actions:
            return ValueError(f"the action of {who} is {actions[e, i]}; it must lie in [0, {self.env.n_actions - 1}]")
        legal = np.flatnonzero(self.out.action_mask[e, i]).tolist()
        return ValueError(f"the action {actions[e, i]} of {who} is illegal now; legal are {legal}")

    def snapshot(self, row: int | None = None) -> Snapshot:
        """A copy of everything that the future depends on, of all rows or of one."""
        if not self.started:
            raise RuntimeError("snapshot was called before reset; call reset first")
        rows = slice(None) if row is None else self._checked_row(row)
        arrays = {name: array[rows].copy() for name, array in self._arrays()}
        return Snapshot(repr(self.env), self.num_envs if row is None else None, arrays)

    def restore(self, snapshot: Snapshot, row: int | None = None) -> Step:
        """Goes back to a snapshot. That of one row may be laid into one row, or into all of them.

        Raises ValueError for the snapshot of another environment or of another number of rows.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"restore got {type(snapshot).__name__}; it takes what snapshot() returned")
        if snapshot.environment != repr(self.env):
            raise ValueError(f"the snapshot is of {snapshot.environment}; this is {self.env!r}")
        if snapshot.rows is not None and (row is not None or snapshot.rows != self.num_envs):
            place = f"{self.num_envs} rows" if row is None else "one row"
            raise ValueError(f"the snapshot holds {snapshot.rows} rows and cannot be laid into {place}")
        rows = slice(None) if row is None else self._checked_row(row)
        for name, array in self._arrays():
            array[rows] = snapshot.arrays[name]
        self.started = True
        return self.out

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        for owner in (self.arrays, self.out):
            for name, array in owner._asdict().items():
                yield f"{type(owner).__name__}.{name}", array

    def _checked_row(self, row: int) -> int:
        if not 0 <= row < self.num_envs:
            raise ValueError(f"row is {row}; it must lie in [0, {self.num_envs - 1}]")
        return row

    def scene(self, row: int = 0, show_sight: bool = False) -> Scene:
        """One row, as its family draws it."""
        out = self.out
        running = bool(self.arrays.t[row] > 0)
        return Scene(
            params=self.env.params,
            arrays=self.arrays,
            e=row,
            steps=int(self.arrays.t[row]),
            horizon=self.horizon,
            action=out.action[row].copy() if running else None,
            reward=float(out.reward[row]) if running else 0.0,
            team_return=float(out.team_return[row]) if running else 0.0,
            terminated=running and bool(out.terminated[row]),
            truncated=running and bool(out.truncated[row]),
            obs=out.obs[row].copy(),
            show_sight=show_sight,
        )

    def __getstate__(self) -> Mapping[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in MADE_ANEW}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Batch":
        copy = object.__new__(type(self))
        state = dict(self.__getstate__())
        state["arrays"] = type(self.arrays)(*(array.copy() for array in self.arrays))
        state["out"] = type(self.out)(*(array.copy() for array in self.out))
        state["seeds"] = self.seeds.copy()
        copy.__setstate__(state)
        return copy


def whole_numbers(actions: Any, shape: tuple[int, ...], axes: str) -> np.ndarray:
    """The actions as a contiguous int64 array; raises ValueError for another shape, TypeError for other contents."""
    actions = np.asarray(actions)
    if actions.shape != shape:
        raise ValueError(f"actions have shape {actions.shape}; it must be {shape}: {axes}")
    if actions.dtype.kind not in "iu":
        raise TypeError(f"actions have dtype {actions.dtype}; they must be whole numbers")
    return np.ascontiguousarray(actions, np.int64)


def real_numbers(actions: Any, shape: tuple[int, ...], axes: str) -> np.ndarray:
    """The actions as a contiguous float64 array; raises ValueError for another shape, TypeError for other contents."""
    actions = np.asarray(actions)
    if actions.shape != shape:
        raise ValueError(f"actions have shape {actions.shape}; it must be {shape}: {axes}")
    if actions.dtype.kind not in "fiu":
        raise TypeError(f"actions have dtype {actions.dtype}; they must be numbers")
    return np.ascontiguousarray(actions, np.float64)


def joint_actions(env: Environment, actions: Any, shape: tuple[int, ...], axes: str) -> np.ndarray:
    """The actions of agents as the loops take them. shape, axes: without the components of continuous ones.

    Raises ValueError for another shape, TypeError for other contents.
    """
    if env.action_bounds is None:
        return whole_numbers(actions, shape, axes)
    return real_numbers(actions, (*shape, *env.action_shape), f"{axes}, components")


def checked_seed(seed: Any) -> int:
    """The seed as an int; raises TypeError or ValueError for anything but a whole number in [0, 2**63)."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}; it must be a whole number")
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed is {seed}; it must lie in [0, 2**63)")
    return int(seed)


def fresh_seed() -> int:
    """A seed from the operating system's entropy, with room for the rows of a batch above it."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(2))


def unbounded(layout: Sequence[Field]) -> list[str]:
    """The fields of a layout without finite bounds: a layout should have none."""
    return [part.name for part in layout if not (math.isfinite(part.low) and math.isfinite(part.high))]
