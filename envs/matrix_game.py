"""Matrix games: a table says what the team earns for each joint action.

The smallest games in which value decomposition can be seen to work or to fail: the optimum is known, and so is what
VDN, IQL and QMIX must learn. All agents act at the same time, none sees the others' choice, and all get the same
reward.

Rules
    A game has K states, each with its own payoff table over the joint actions. An episode starts in a state drawn
    uniformly from the first `n_starts`. Each step pays `payoff[state, joint action]` and leads to
    `transition[state, joint action]`; -1 is the end. Without transitions the state stays as it is.

    With `payoff_seed` from 0 on, the table is random: its numbers are drawn from U[0, 10), in the order of the table
    with the last axis the fastest, by the random stream of that seed. Of the `payoff` that is given, the shape counts
    alone. All episodes are played with that one table; the seed of a reset has no part in it.

    With `noise` above 0, a draw from the normal distribution with this standard deviation is added to the reward of
    each step, from the row's own stream; it is never beyond 8.6 standard deviations. Without noise nothing is drawn.

Actions
    `A`, `B`, `C`, ... in the order of the table's axes. Agents may have different numbers of actions; the mask shows
    which an agent has, and an action that it has not counts as `A`.

Observation

    ================= ======== ================================================================= ========
    field             features meaning                                                           bound
    ================= ======== ================================================================= ========
    `state`           K        the state, one-hot; zeros after the end                           0 to 1
    `over`            1        1 after the end only                                              0 to 1
    `last_action_i`   A        for each agent i, with `observe_last_actions` only: its last      0 to 1
                               action, one-hot; zeros before the first step
    ================= ======== ================================================================= ========

    `observe_state` says who sees the state: "all" agents, the "first" (agent 0) alone, or "none". Whoever does not
    sees 1/K in each of the K places while the game runs: what an agent knows before any evidence.

State
    As the observation of one who sees the state, whatever is observed.

Reward
    The payoff, with its noise, the same for all agents.

End
    Terminated by a transition to -1, and after the only step of a game with `horizon=1` (one-shot). With a larger
    `horizon` and no transition to -1 the game repeats until the time limit, which truncates.

Presets
    One step, two agents: `qtran3x3`, `qplex_hard3x3`, `qplex_w3x3`, `climbing`, `climbing_uoe`, `penalty_0` to
    `penalty_-100`, `penalty_uoe_0` to `penalty_uoe_100`, `almost_monotone`. The literature prints climbing and penalty
    in two layouts (transposed, mirrored): those of Claus and Boutilier carry the plain name, those of the package
    `matrix-games` have `uoe` in theirs. The two are the same game once the agents or actions are renamed.

    25 steps: `climbing_uoe_repeated_25` and `penalty_uoe_..._repeated_25`, as benchmarks run them. Returns are 25
    times the payoff. Every one of the one-step games is repeated by the parameter `horizon`, without a preset of its
    own: `coopgym.make("matrix_game_v1", "qtran3x3", horizon=25)`, and `--preset qtran3x3 --env.horizon 25` at the
    command line. Its episodes are then truncated, not terminated. To see the last joint action, as in the package's ids
    that end in `state`, add `observe_last_actions=True`.

    One of two additive tables, drawn at the start: `additive_ok` (all see which), `additive_hidden` (none), and
    `additive_one_informed` (agent 0 alone; new here).

    Random tables: `random_3x3`, `random_5x5`, `random_10x10`, of which `payoff_seed` names one each.

    More than two agents, all new here: in `coordination_k_of_n` the team earns 1 when exactly k of n agents play A, so
    that agents who are alike must choose differently; in `stag_hunt_n` each agent hunts the stag (A) or a hare (B), a
    hare is worth 3 to the team, and the stag 4 for each agent, but only if all hunt it. Averaged over what the others
    may do, the stag is worth more than the hare with two agents, as much with three, and less from four on. For other
    numbers `coordination(k, n)` and `stag_hunt(n)` in `coopgym.envs.matrix_game` build the tables:
    `coopgym.make("matrix_game_v1", payoff=coordination(3, 5))`: exactly 3 of 5 agents must play A.
    `coopgym.make("matrix_game_v1", payoff=stag_hunt(3))`: the stag takes 3 agents.

    Several steps: `two_step` and `two_state_mmdp`. They are presets of this family and not families of their own, for
    both are nothing but payoff and transition tables, a few numbers each; states, views, drawing and known optimum are
    those of every matrix game.

Known returns
    `optimum()` gives the best expected return: the best cell of each table that can be the first, or dynamic
    programming over the tables; noise averages out. It is None where it takes more than that: where the state changes,
    began in one of several and some agents do not see it; and where agent 0 alone sees the state and could tell the
    others by its actions, which they see. The scripted team `best` plays for the optimum.
    A random team earns the mean of the table: -4.44 in `qtran3x3`, -3.44 in `climbing`, 5.33 in `additive_ok`.

Sources
    Payoffs as in the presets' sources. Two-step game: Rashid et al., "QMIX", ICML 2018, section 5, in the form of the
    QTRAN authors' code. Two-state MMDP: Wang et al., "QPLEX", ICLR 2021, in the form of the authors' code. Climbing
    and penalty: Claus and Boutilier, "The dynamics of reinforcement learning in cooperative multiagent systems", AAAI
    1998. Repeated over 25 steps: Papoudakis et al., "Benchmarking multi-agent deep reinforcement learning algorithms
    in cooperative tasks", NeurIPS 2021 (datasets and benchmarks).

Differences from the sources
    The observation after the end has a place of its own instead of being all zeros, so that no observation is empty.
    Where nothing is observed, the packages show zeros and QTRAN's code a constant 1; here it is the only state.

Versions
    v1: first release.
"""

import itertools
import math
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.parameters import Parameter
from coopgym.envs.rendering import (
    FAINT,
    INK,
    LINE,
    ORANGE,
    PAPER,
    SKY,
    YELLOW,
    Canvas,
    agent_colour,
    ink_on,
    mixed,
    number,
)
from coopgym.envs.rng import SEED_LIMIT, integer, next_uniforms, normal, streams

END = -1  # the transition that ends an episode

Table = Any  # nested sequences or an array of numbers


class Params(NamedTuple):
    payoff: Annotated[
        Table,
        Parameter("reward of each joint action: [A1, ..., AN], or [K, A1, ..., AN] where n_states is K > 1", "reward"),
    ] = ((8, -12, -12), (-12, 0, 0), (-12, 0, 0))
    n_states: Annotated[int, Parameter("states, each with a table of its own", "states", 1, 1000)] = 1
    transition: Annotated[
        Table, Parameter("next state of each joint action, -1 for the end: shaped as payoff; None stays", "state")
    ] = None
    n_starts: Annotated[int, Parameter("an episode starts in one of the first n_starts states", "states", 1, 1000)] = 1
    horizon: Annotated[int, Parameter("time limit; 1 is one-shot, more repeats the game", "steps", 1, 1_000_000)] = 1
    observe_state: Annotated[Literal["all", "first", "none"], Parameter("which agents see the state")] = "all"
    observe_last_actions: Annotated[bool, Parameter("whether agents see the last joint action")] = False
    payoff_seed: Annotated[
        int, Parameter("draws all payoffs from U[0, 10); -1 takes those of payoff", "", -1, SEED_LIMIT - 1)
    ] = -1
    noise: Annotated[float, Parameter("standard deviation of what is added to each payoff", "reward", 0, 1e6)] = 0.0


class Tables(NamedTuple):
    """What the kernels take: the tables flat over joint actions, agent 0's action the slowest."""

    payoff: np.ndarray  # [K, joint actions] float64
    transition: np.ndarray  # [K, joint actions] int64
    n_actions: np.ndarray  # [N] int64, the actions that each agent has
    n_starts: int
    one_shot: bool
    n_informed: int  # agents that see the state: the first so many
    observe_last_actions: bool
    noise: float


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    state: np.ndarray  # [E] int64, END after the end
    previous: np.ndarray  # [E] int64, the state in which the last joint action was taken, END before the first
    last: np.ndarray  # [E, N] int64, the last joint action, -1 before the first


@kernel
def reset(p, s, e):
    s.state[e] = integer(s.rng, e, p.n_starts)
    s.previous[e] = END
    for i in range(s.last.shape[1]):
        s.last[e, i] = -1


@kernel
def step(p, s, e, action):
    state = s.state[e]
    joint = 0
    for i in range(action.shape[0]):
        joint = joint * p.n_actions[i] + action[i]
        s.last[e, i] = action[i]
    s.previous[e] = state
    s.state[e] = END if p.one_shot else p.transition[state, joint]
    reward = p.payoff[state, joint]
    if p.noise > 0.0:
        reward += p.noise * normal(s.rng, e)
    return reward, s.state[e] == END


@kernel
def observe(p, s, e, obs):
    n_states = p.payoff.shape[0]
    state = s.state[e]
    guess = 0.0
    if p.n_informed < obs.shape[0] and state != END:
        guess = 1.0 / n_states
    for i in range(obs.shape[0]):
        informed = i < p.n_informed
        for k in range(n_states):
            obs[i, k] = (state == k) if informed else guess
        obs[i, n_states] = state == END
        if p.observe_last_actions:
            _tell_last_actions(p, s, e, obs[i])


@kernel
def summarise(p, s, e, state):
    n_states = p.payoff.shape[0]
    for k in range(n_states):
        state[k] = s.state[e] == k
    state[n_states] = s.state[e] == END
    if p.observe_last_actions:
        _tell_last_actions(p, s, e, state)


@kernel
def _tell_last_actions(p, s, e, out):
    """Writes what follows the state and the end. out: [features]."""
    first = p.payoff.shape[0] + 1
    n_actions = (out.shape[0] - first) // s.last.shape[1]
    for i in range(s.last.shape[1]):
        for a in range(n_actions):
            out[first + i * n_actions + a] = s.last[e, i] == a


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        n_actions = p.n_actions[i]
        for a in range(mask.shape[1]):
            mask[i, a] = a < n_actions


QTRAN = ((8, -12, -12), (-12, 0, 0), (-12, 0, 0))
CLIMBING = ((11, -30, 0), (-30, 7, 6), (0, 0, 5))
CLIMBING_UOE = ((11, -30, 0), (-30, 7, 0), (0, 6, 5))


def penalty(k: float) -> tuple[tuple[float, ...], ...]:
    """The penalty game of Claus and Boutilier, k <= 0."""
    return ((10, 0, k), (0, 2, 0), (k, 0, 10))


def penalty_mirrored(k: float) -> tuple[tuple[float, ...], ...]:
    """The penalty game with its columns mirrored, as in the package matrix-games."""
    return tuple(row[::-1] for row in penalty(k))


def coordination(k: int, n: int) -> Table:
    """1 where exactly k of n agents play A, else 0."""
    return (np.indices((2,) * n).sum(0) == n - k).astype(float).tolist()


def stag_hunt(n: int) -> Table:
    """n agents: each that plays B catches a hare worth 3; if all play A, they catch a stag worth 4 for each."""
    hares = np.indices((2,) * n).sum(0)
    return np.where(hares == 0, 4.0 * n, 3.0 * hares).tolist()


ADDITIVE = (((10, 8, 5), (8, 6, 3), (5, 3, 0)), ((0, 3, 5), (3, 6, 8), (5, 8, 10)))
CLAUS = "Claus and Boutilier, AAAI 1998"
REPEATED = "Papoudakis et al., NeurIPS 2021 (EPyMARL); package matrix-games, also matrax"
UOE = "package matrix-games (University of Edinburgh), also matrax"

SEEN = {
    "all": "the state now, one-hot",
    "first": "agent 0: the state now, one-hot; others: 1 / n_states each while the game runs",
    "none": "1 / n_states each while the game runs: the state is hidden",
}
PRESETS = {
    "qtran3x3": Preset({"payoff": QTRAN}, "Son et al., QTRAN, ICML 2019, Table 1; authors' code"),
    "qplex_hard3x3": Preset(
        {"payoff": ((8, -12, -12), (-12, 6, 0), (-12, 0, 6))},
        "Wang et al., QPLEX, ICLR 2021; authors' code, matrix_game_3",
    ),
    "qplex_w3x3": Preset(
        {"payoff": ((10.4, 0, 10), (0, 10, 10), (10, 10, 10))},
        "Wang et al., QPLEX, authors' code, matrix_game_1, w = 10.4",
    ),
    "climbing": Preset({"payoff": CLIMBING}, CLAUS),
    "climbing_uoe": Preset({"payoff": CLIMBING_UOE}, UOE),
    **{f"penalty_{-k}": Preset({"payoff": penalty(-k)}, CLAUS) for k in (0, 25, 50, 75, 100)},
    **{f"penalty_uoe_{k}": Preset({"payoff": penalty_mirrored(-k)}, UOE) for k in (0, 25, 50, 75, 100)},
    "almost_monotone": Preset(
        {"payoff": ((12, -0.1, -0.1), (-0.1, 0, 0), (-0.1, 0, 0))}, "pymarl2, default one-step game"
    ),
    "additive_ok": Preset(
        {"payoff": ADDITIVE, "n_states": 2, "n_starts": 2},
        "QTRAN authors' code, environment 3: two additive tables, one of them drawn and shown",
    ),
    "additive_hidden": Preset(
        {"payoff": ADDITIVE, "n_states": 2, "n_starts": 2, "observe_state": "none"},
        "additive_ok with the drawn table hidden: the best constant joint action (B, B) earns 6",
    ),
    "additive_one_informed": Preset(
        {"payoff": ADDITIVE, "n_states": 2, "n_starts": 2, "observe_state": "first"},
        "new here: additive_ok, of which agent 0 alone sees the drawn table; the best plan earns 8",
    ),
    "climbing_uoe_repeated_25": Preset({"payoff": CLIMBING_UOE, "horizon": 25}, REPEATED),
    **{
        f"penalty_uoe_{k}_repeated_25": Preset({"payoff": penalty_mirrored(-k), "horizon": 25}, REPEATED)
        for k in (0, 25, 50, 75, 100)
    },
    **{
        f"random_{size}x{size}": Preset(
            {"payoff": np.zeros((size, size)).tolist(), "payoff_seed": 0}, "payoffs from U[0, 10); choose a payoff_seed"
        )
        for size in (3, 5, 10)
    },
    **{
        f"coordination_{k}_of_{n}": Preset({"payoff": coordination(k, n)}, f"new here: exactly {k} of {n} must play A")
        for k, n in ((1, 3), (2, 4), (3, 6))
    },
    **{
        f"stag_hunt_{n}": Preset({"payoff": stag_hunt(n)}, f"new here: the stag takes all {n}, a hare but one")
        for n in (2, 4, 6)
    },
    "two_step": Preset(
        {
            "payoff": (((0, 0), (0, 0)), ((7, 7), (7, 7)), ((0, 1), (1, 8))),
            "transition": (((1, 1), (2, 2)), ((END, END), (END, END)), ((END, END), (END, END))),
            "n_states": 3,
            "horizon": 2,
        },
        "Rashid et al., QMIX, ICML 2018, section 5; agent 0 alone chooses between a safe and a joint second step",
    ),
    "two_state_mmdp": Preset(
        {
            "payoff": (((1, 0), (0, 0)), ((0, 0), (0, 0))),
            "transition": (((0, 0), (0, 1)), ((1, 1), (1, 1))),
            "n_states": 2,
            "horizon": 100,
        },
        "Wang et al., QPLEX, ICLR 2021; authors' code, mmdp_game_1, R = 1",
    ),
}


class Plan(NamedTuple):
    """What a team should play, and what it then earns on average."""

    value: float
    reason: str
    joint: np.ndarray  # [T, K] int64, the joint action for each state and time; T is 1 where the time does not matter


class Best:
    """Plays for the optimum: each agent by the state that it sees, or that all can work out from the only start.

    `reset` begins the episodes of all rows at once, for what is best may depend on the time. Raises ValueError for a
    game without a known optimum.
    """

    def __init__(self, env: Any) -> None:
        plan, tables = env.plan(), env.kernel_params()
        if plan is None:
            raise ValueError(f"the optimum of {env!r} is not known")
        self.joint, self.transition = plan.joint, tables.transition
        shape = env.payoff.shape[1:]
        self.actions = np.stack(np.unravel_index(plan.joint, shape), axis=2)  # [T, K, N]
        self.informed = np.arange(env.n_agents) < tables.n_informed
        self.reset(0)

    def reset(self, num_envs: int) -> None:
        self.t = 0
        self.state = 0  # where the game must be, if it began in state 0

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        t = min(self.t, len(self.joint) - 1)
        seen = obs[:, :, : self.joint.shape[1]].argmax(2)  # [E, N]
        state = np.where(self.informed, seen, self.state)
        self.t += 1
        self.state = max(0, int(self.transition[self.state, self.joint[t, self.state]]))
        return np.asarray(self.actions[t, state, np.arange(len(self.informed))])


class MatrixGame(Environment):
    id = "matrix_game_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    masks_change = False
    scripted = {"best": Best}

    def check(self) -> None:
        p = self.params
        self.payoff = self._table("payoff", p.payoff, np.float64)
        if p.payoff_seed >= 0:
            drawn = next_uniforms(streams(np.array([p.payoff_seed])), self.payoff.size)
            self.payoff = 10.0 * drawn.reshape(self.payoff.shape)
        self.payoff.setflags(write=False)
        sizes = self.payoff.shape[1:]
        if not sizes or min(sizes) < 1 or max(sizes) < 2:
            raise ValueError(f"payoff has shape {np.shape(p.payoff)}; it needs an axis of actions for each agent")
        if p.transition is None:
            self.transition = np.broadcast_to(
                np.arange(p.n_states).reshape((-1,) + (1,) * len(sizes)), self.payoff.shape
            ).astype(np.int64)
        else:
            self.transition = self._table("transition", p.transition, np.int64)
            if self.transition.shape != self.payoff.shape:
                raise ValueError(f"transition has shape {self.transition.shape}; payoff has {self.payoff.shape}")
            if self.transition.min() < END or self.transition.max() >= p.n_states:
                raise ValueError(
                    f"transition leads to state {self.transition.min()} or {self.transition.max()}; "
                    f"it must lie in [-1, {p.n_states - 1}]"
                )
        if p.n_starts > p.n_states:
            raise ValueError(f"n_starts is {p.n_starts}; it must be at most n_states, {p.n_states}")
        self.n_agents = len(sizes)
        self.n_informed = {"all": self.n_agents, "first": 1, "none": 0}[p.observe_state]
        self.action_names = tuple(_letters(a) for a in range(max(sizes)))
        self.state_layout = self._layout("the state now, one-hot")
        self.observation_layout = self._layout(SEEN[p.observe_state])

    def _table(self, name: str, value: Any, dtype: type) -> np.ndarray:
        """The table as [K, A1, ..., AN]."""
        try:
            table = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be nested lists or an array of numbers, as long in each row") from None
        if not np.isfinite(table).all():
            raise ValueError(f"{name} holds a value that is not finite; all must be finite numbers")
        if dtype is np.int64 and not (np.array_equal(table, np.floor(table)) and (np.abs(table) < 2**53).all()):
            raise TypeError(f"{name} must hold whole numbers, each below 2**53")
        table = table.astype(dtype)
        if self.params.n_states == 1 and not (table.ndim > 1 and table.shape[0] == 1 and name == "transition"):
            table = table[None]
        if table.ndim < 2 or table.shape[0] != self.params.n_states:
            raise ValueError(f"{name} has shape {table.shape}; its first axis must be n_states, {self.params.n_states}")
        return table

    def _layout(self, meaning: str) -> tuple[Field, ...]:
        layout = [
            Field("state", self.params.n_states, 0.0, 1.0, meaning),
            Field("over", 1, 0.0, 1.0, "1 after the end"),
        ]
        if self.params.observe_last_actions:
            layout += [
                Field(f"last_action_{i}", self.n_actions, 0.0, 1.0, f"the last action of agent {i}, one-hot")
                for i in range(self.n_agents)
            ]
        return tuple(layout)

    def kernel_params(self) -> Tables:
        p = self.params
        return Tables(
            payoff=np.ascontiguousarray(self.payoff.reshape(p.n_states, -1)),
            transition=np.ascontiguousarray(self.transition.reshape(p.n_states, -1)),
            n_actions=np.array(self.payoff.shape[1:], np.int64),
            n_starts=p.n_starts,
            one_shot=p.horizon == 1 and p.transition is None,
            n_informed=self.n_informed,
            observe_last_actions=p.observe_last_actions,
            noise=p.noise,
        )

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            state=np.full(num_envs, END, np.int64),
            previous=np.full(num_envs, END, np.int64),
            last=np.full((num_envs, self.n_agents), -1, np.int64),
        )

    def optimum(self) -> tuple[float, str] | None:
        plan = self.plan()
        return None if plan is None else (plan.value, plan.reason)

    def plan(self) -> Plan | None:
        """The best that agents can do who see what these see; None where that is not known."""
        p = self.params
        table = self.payoff.reshape(p.n_states, -1)
        if self.n_informed == self.n_agents or p.n_starts == 1:  # all see the state, or can work it out
            return self._best_in_sight() if self._stays() else self._best_by_programming()
        if not self._stays():
            return None
        if self.n_informed == 0:
            mean = table[: p.n_starts].mean(0)
            joint = np.full((1, p.n_states), mean.argmax())
            return Plan(p.horizon * float(mean.max()), "the best cell of the tables' average", joint)
        if p.horizon > 1 and p.observe_last_actions:
            return None  # agent 0's actions could tell the others the state
        return self._best_replies()

    def _stays(self) -> bool:
        """Whether every step is played in the state of the first."""
        return self.params.horizon == 1 or self.params.transition is None

    def _best_in_sight(self) -> Plan:
        p = self.params
        table = self.payoff.reshape(p.n_states, -1)
        value = p.horizon * float(table[: p.n_starts].max(1).mean())
        return Plan(value, "the best cell of each table", table.argmax(1)[None])

    def _best_replies(self) -> Plan:
        """Agent 0 knows the state; the others play the same in all, so that it can do its best."""
        p = self.params
        table = self.payoff.reshape(p.n_states, self.payoff.shape[1], -1)
        mean = table[: p.n_starts].max(1).mean(0)
        others = int(mean.argmax())
        joint = table[:, :, others].argmax(1) * table.shape[2] + others
        return Plan(p.horizon * float(mean.max()), "agent 0's best replies to what the others do best", joint[None])

    def _best_by_programming(self) -> Plan:
        p, tables = self.params, self.kernel_params()
        worth = np.zeros(p.n_states + 1)  # of each state with so many steps to go, and, last, of the end: END is -1
        joint = np.zeros((p.horizon, p.n_states), np.int64)
        for t in reversed(range(p.horizon)):
            cells = tables.payoff + worth[tables.transition]
            joint[t] = cells.argmax(1)
            worth[:-1] = cells.max(1)
        return Plan(float(worth[: p.n_starts].mean()), "dynamic programming over the tables", joint)

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The table with the played cell lit; where there are several states, the table played above the table now."""
        canvas.view(0, 0, 560, 560)
        state, previous = int(scene.arrays.state[scene.e]), int(scene.arrays.previous[scene.e])
        noise = f", plus noise of {number(self.params.noise)}" if self.params.noise > 0 else ""
        if self.params.n_states == 1:
            self._draw_table(canvas, 0, f"payoff to the team{noise}", scene.action, 0, 560)
            return
        canvas.line(0, 280, 560, 280, LINE, 1)
        if scene.action is None:
            canvas.text(280, 132, "last step: none yet", 18, FAINT)
        else:
            self._draw_table(canvas, previous, f"last step: state {previous}{noise}", scene.action, 0, 265)
        if state == END:
            canvas.text(280, 428, "now: the game is over", 18, FAINT)
        else:
            self._draw_table(canvas, state, f"now: state {state}{WHO_SEES[self.params.observe_state]}", None, 295, 560)

    def _draw_table(
        self, canvas: Canvas, state: int, title: str, action: np.ndarray | None, top: float, bottom: float
    ) -> None:
        """The payoffs of a state between two heights, lit where the action is. Of large tables, what lies around it.

        Rows are agent 0 and columns agent 1; of a game for more, rows are what the first half of the agents may play.
        """
        half = max(1, self.n_agents // 2)
        sides = [range(half), range(half, self.n_agents)]  # the agents of the rows, and of the columns
        sizes = [[self.payoff.shape[1 + i] for i in side] for side in sides]
        shape = math.prod(sizes[0]), math.prod(sizes[1])
        payoff, following = (table[state].reshape(shape) for table in (self.payoff, self.transition))
        row, column = (
            0 if action is None or not size else int(np.ravel_multi_index(tuple(action[side]), size))
            for side, size in zip(sides, sizes, strict=True)
        )
        rows, columns = _around(row, shape[0]), _around(column, shape[1])
        if (len(rows), len(columns)) != shape:
            title += f" ({len(rows)} x {len(columns)} cells of {shape[0]} x {shape[1]})"
        canvas.text(280, top + 10, title, 17, FAINT, fit=560)

        down, across = min(26.0, 110 / max(1, len(sides[1]))), min(28.0, 170 / half)  # from letter to letter of a name
        first = top + (96 if len(sides[1]) < 2 else 64 + down * (len(sides[1]) - 1))
        left = 84 if half == 1 else 54 + across * half
        height, width = (bottom - first) / len(rows), (560 - left) / len(columns)
        for place, i in enumerate(sides[0]):
            x = 59 if half == 1 else 10 + (place + 0.5) * across
            size = min(21, 0.6 * height, 0.75 * across)
            if half == 1:
                canvas.agent(15, (first + bottom) / 2, 14, i)
            else:
                canvas.agent(x, first - 20, min(14, 0.46 * across), i)
            for k, a in enumerate(_names(rows, sizes[0], place)):
                self._draw_name(canvas, x, first + (k + 0.5) * height, size, i, a, action)
        for place, i in enumerate(sides[1]):
            y = top + (77 if len(sides[1]) == 1 else 44 + place * down)
            size = min(21, 0.6 * width, 0.75 * down)
            if len(sides[1]) == 1:
                canvas.agent((left + 560) / 2, top + 43, 14, i)
            else:
                canvas.agent(left - 20, y, min(14, 0.46 * down), i)
            for k, a in enumerate(_names(columns, sizes[1], place)):
                self._draw_name(canvas, left + (k + 0.5) * width, y, size, i, a, action)

        most, longest = (
            np.abs(self.payoff).max() or 1.0,
            max(len(number(x)) for x in payoff[np.ix_(rows, columns)].ravel().tolist()),
        )
        size = min(28, 0.45 * height, 1.9 * width / longest)
        for a, b in itertools.product(rows, columns):
            x, y, value = left + (b - columns[0]) * width, first + (a - rows[0]) * height, float(payoff[a, b])
            lit = action is not None and (a, b) == (row, column)
            tint = mixed(PAPER, SKY if value > 0 else ORANGE, 0.6 * abs(value) / most)
            goes_to = "the end" if following[a, b] == END else f"to state {following[a, b]}"
            note = "" if self.params.transition is None else goes_to
            canvas.cell(x, y, x + width, y + height, number(value), size, YELLOW if lit else tint, note)
        if action is not None:
            x, y = left + (column - columns[0]) * width, first + (row - rows[0]) * height
            canvas.rectangle(x, y, x + width, y + height, INK, width=3)

    def _draw_name(
        self, canvas: Canvas, x: float, y: float, size: float, i: int, action: int, played: np.ndarray | None
    ) -> None:
        """The name of an action beside the table, on a patch where agent i has played it."""
        colour = PAPER
        if played is not None and played[i] == action:
            colour = agent_colour(i)
            canvas.circle(x, y, 0.68 * size, colour)
        canvas.text(x, y, self.action_names[action], size, ink_on(colour), fit=1.2 * size)

    def describe(self, scene: Scene) -> str:
        state = int(scene.arrays.state[scene.e])
        lines = ["the game is over" if state == END else f"state {state} of {self.params.n_states}"]
        if scene.action is not None:
            played = ", ".join(
                f"{agent} plays {self.action_names[a]}" for agent, a in zip(self.agents, scene.action, strict=True)
            )
            lines.append(f"{played}: {scene.reward:g}")
        lines.append(f"step {scene.steps}, team return {scene.team_return:g}")
        return "\n".join(lines)


WHO_SEES = {"all": "", "first": ", which agent 0 alone sees", "none": ", hidden from the agents"}


def _names(joint: range, sizes: list[int], place: int) -> list[int]:
    """What the agent at a place does in these joint actions of agents that have so many actions."""
    return [int(np.unravel_index(a, sizes)[place]) for a in joint]


def _around(middle: int, size: int) -> range:
    """At most 11 of so many places, among them the middle."""
    first = min(max(middle - 5, 0), max(size - 11, 0))
    return range(first, min(first + 11, size))


def _letters(a: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    name = ""
    a += 1
    while a:
        a, rest = divmod(a - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
