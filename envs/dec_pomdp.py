"""Dec-POMDPs: any finite problem of decentralised control, given by its tables.

What the literature on planning for teams calls a problem: a few states that nobody sees, an observation for each agent
after each step, and numbers for everything. These games are small and hard, and for small horizons their optimum is
known exactly, so that a learner can be held against it. Other problems come as tables or as a `.dpomdp` file.

Rules
    An episode starts in a state drawn from `start`. In each step all agents act at once. The next state is drawn from
    `transition[state, actions]`, then a joint observation from `observation[actions, next state]`; each agent gets its
    own part of it. The team is paid `reward[state, actions]`; where the table has more axes, by the drawn next state
    and by the drawn observations too.

    The probabilities of a row may miss 1 by 0.0001, as rounded ones do, and are divided by their sum.

Actions
    As the problem names them. Agents may have different numbers of actions; the mask shows which an agent has, and an
    action that it has not counts as its action 0. What an agent has is always legal.

Observation of agent i (all 0 or 1)

    ============= ============ ==================================================================
    field         features     meaning
    ============= ============ ==================================================================
    `observation` max of |Oi|  the agent's own last observation, one-hot; others' are never shown
    `none_yet`    1            1 before the first step, when there is none
    ============= ============ ==================================================================

State (all 0 or 1)

    ============= ============ ==================================================================
    field         features     meaning
    ============= ============ ==================================================================
    `state`       |S|          the hidden state, one-hot
    ============= ============ ==================================================================

Reward
    As the rules say, the same for all agents, undiscounted. A file's rewards that are called costs count negatively.

End
    After `horizon` steps. The optimum of a finite horizon supposes that nothing follows, so this terminates the
    episode; with `time_limit="truncates"` it is cut off instead, as in a problem without end.

Presets, all for two agents, with `horizon=4`
    `dec_tiger`: behind one of two doors is a tiger, behind the other a treasure. `listen` tells each agent the tiger's
    side, rightly with probability 0.85 and independently of the other agent, if both listen. As soon as a door is
    opened the tiger is put behind one drawn uniformly, and what is heard after such a step is noise. Both listen: -2.
    Both open the treasure's door: 20, the tiger's: -50, different doors: -100. One listens and the other opens the
    treasure's door: 9, the tiger's: -101. The tiger starts behind a door drawn uniformly.

    `broadcast_channel`: two nodes share a channel that carries one message in a step. A node has a buffer for one
    message. `send` empties it, whether the message arrives or not; then an empty buffer is filled with probability 0.9
    (agent 0) or 0.1 (agent 1). A node that sends alone, with a message, earns 1. Each node notices rightly with
    probability 0.9, independently, whether both have sent. Both buffers start full.

    `recycling_robots`: two robots collect cans. `small-can` pays 2 to each that does it, `big-can` 5 if both do it.
    A high battery gets low with probability 0.3 (small) or 0.5 (big); a low one runs out with probability 0.2 or 0.3,
    which costs 10, and the robot is charged. `recharge` charges surely. If a robot runs out, no can is collected in
    this step. What is paid is the expectation of this over the batteries' luck, as in the source. Each robot sees
    the level of its own battery. Both start high.

    `grid_meeting_2x2`: two robots meet on a grid. A move succeeds with probability 0.6; with 0.1 each the robot makes
    one of the three others or stays. Who bumps into a wall stays, and `stay` never fails. A robot sees in which column
    it is. Each step after which both are on one cell pays 1. They start in the upper right and the lower left corner.

    `grid_meeting_3x3`: the same on a larger grid, where a robot sees its own cell, and a step pays 1 if both are in
    the upper left, or both in the lower right corner before it.

Known returns of the team in four steps, exact expectations

    ===================== ============== ===================== ==================
    preset                random actions the best joint action optimum
                                         without end
    ===================== ============== ===================== ==================
    `dec_tiger`           -184.89        -8                    4.80275515625
    `broadcast_channel`   1.4997         3.7                   3.89
    `recycling_robots`    3.6817         8.9509                13.38
    `grid_meeting_2x2`    0.6841         1.7165                2.2415766
    `grid_meeting_3x3`    0.0085         0.3488                0.4329
    ===================== ============== ===================== ==================

    `coopgym.envs.dec_pomdp_problems.OPTIMA` has the optima of other horizons, PLANS what reaches them. Dec-Tiger, by
    horizon from 2 to 6: -4, 5.19, 4.80, 7.03, 10.38.

Files
    `file="x.dpomdp"` takes the tables from a file in the format of the MADP toolbox, see `envs/dpomdp_format.py`. The
    file is read once; then its tables stand in the parameters, and a trained team's folder does not need it.

Sources
    Tables as in the MADP toolbox (Oliehoek, Spaan, Terwijn, Robbel and Messias, JMLR 2017), files `dectiger`,
    `broadcastChannel`, `recycling`, `GridSmall` and `Grid3x3corners`. Dec-Tiger: Nair, Tambe, Yokoo, Pynadath and
    Marsella, "Taming decentralized POMDPs", IJCAI 2003. Broadcast channel: Hansen, Bernstein and Zilberstein,
    "Dynamic programming for partially observable stochastic games", AAAI 2004. Recycling robots: Amato, Bernstein and
    Zilberstein, "Optimizing memory-bounded controllers for decentralized POMDPs", UAI 2007. Meeting on a grid:
    Bernstein, Hansen and Zilberstein, "Bounded policy iteration for decentralized POMDPs", IJCAI 2005; with two
    observations, Amato, Bernstein and Zilberstein, MSDM workshop 2006; 3x3: Amato, Dibangoye and Zilberstein, ICAPS
    2009.

Differences from the sources
    Returns are undiscounted, as in the tables of published optima; a file's discount is checked and not used. The
    toolbox's file of the recycling robots calls the actions `searchbig searchlittle waitandrecharge`, which by their
    numbers are recharge, small can and big can, as here. States and observations have names of their own.

Versions
    v1: first release.
"""

import hashlib
import math
import os
from itertools import zip_longest
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.dec_pomdp_pictures import describe, draw, places
from coopgym.envs.dec_pomdp_problems import (
    MOST_AGENTS,
    MOVE_NAMES,
    OPTIMA,
    PLANS,
    PROBLEMS,
    VERIFIED,
    Problem,
    first_wrong_row,
    with_sums_of_one,
)
from coopgym.envs.dpomdp_format import read
from coopgym.envs.parameters import Parameter
from coopgym.envs.rendering import Canvas
from coopgym.envs.rng import uniform

Table = Any  # nested sequences or an array of numbers
Shipped = Literal[
    "dec_tiger", "broadcast_channel", "recycling_robots", "grid_meeting_2x2", "grid_meeting_3x3", "custom"
]
COUNTED = 16  # outcomes that are looked through instead of halved


class Params(NamedTuple):
    problem: Annotated[Shipped, Parameter("the tables to play; custom for those of a file or of one's own")] = (
        "dec_tiger"
    )
    file: Annotated[
        str | None, Parameter("a .dpomdp file to take the tables from; they then stand in the parameters below")
    ] = None
    transition: Annotated[Table, Parameter("of each next state: [S, A1, ..., AN, S]", "probability")] = None
    observation: Annotated[
        Table, Parameter("of each joint observation: [A1, ..., AN, next S, O1, ..., ON]", "probability")
    ] = None
    reward: Annotated[
        Table, Parameter("[S, A1, ..., AN], and behind them nothing, next S, or next S, O1, ..., ON", "reward")
    ] = None
    start: Annotated[Table, Parameter("of each first state: [S]; None is uniform", "probability")] = None
    names: Annotated[
        Table, Parameter("lists under states, actions and observations, the latter two by agent; None numbers them")
    ] = None
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 4
    time_limit: Annotated[
        Literal["terminates", "truncates"], Parameter("whether the last step ends the game or only cuts it off")
    ] = "terminates"


TABLES = ("transition", "observation", "reward", "start", "names")


class Tables(NamedTuple):
    """What the kernels take. Joint actions are numbered with agent 0's action the slowest.

    Of a row of probabilities only the possible outcomes are kept: those of row r are at begin[r] to begin[r + 1], and
    upto holds the cumulated probabilities.
    """

    n_actions: np.ndarray  # [N] int64, the actions that each agent has
    n_joint: int  # joint actions
    n_states: int
    n_seen: int  # the most observations that an agent has
    ends_at: int  # the step that terminates an episode, 0 for none
    start_begin: np.ndarray  # [2] int64
    start_upto: np.ndarray  # [possible first states] float64
    start_state: np.ndarray  # [possible first states] int32
    next_begin: np.ndarray  # [S x joint actions + 1] int64
    next_upto: np.ndarray  # [possible transitions] float64
    next_state: np.ndarray  # [possible transitions] int32
    seen_begin: np.ndarray  # [joint actions x S + 1] int64
    seen_upto: np.ndarray  # [possible sights] float64
    seen_joint: np.ndarray  # [possible sights] int32, the joint observation's number
    seen_own: np.ndarray  # [possible sights, N] int32, each agent's part of it
    reward: np.ndarray  # [S x joint actions x what else it depends on] float64
    reward_row: int  # entries for each state and joint action
    reward_next: int  # entries for each next state, 0 where it does not matter
    reward_seen: int  # entries for each joint observation, 0 where it does not matter


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    state: np.ndarray  # [E] int64
    previous: np.ndarray  # [E] int64, the state before the last step, -1 before the first
    seen: np.ndarray  # [E, N] int64, each agent's last observation, max of |Oi| before the first


def _place(begin, upto, row, chance):
    """The place of a row's outcome: the first whose cumulated probability is above chance.

    In a short row it is counted, since a processor cannot foresee a branch that depends on chance.
    """
    low, last = begin[row], begin[row + 1] - 1
    while last - low > COUNTED:
        middle = (low + last) >> 1
        if chance < upto[middle]:
            last = middle
        else:
            low = middle + 1
    place = low
    for k in range(low, last):
        place += chance >= upto[k]
    return place


_drawn = kernel(_place, forceinline=True)  # which halves the time of a step


@kernel
def reset(p, s, e):
    place = _drawn(p.start_begin, p.start_upto, 0, uniform(s.rng, e, 0.0, 1.0))
    s.state[e] = p.start_state[place]
    s.previous[e] = -1
    for i in range(s.seen.shape[1]):
        s.seen[e, i] = p.n_seen


@kernel
def step(p, s, e, action):
    joint = 0
    for i in range(action.shape[0]):
        joint = joint * p.n_actions[i] + action[i]
    row = s.state[e] * p.n_joint + joint
    following = p.next_state[_drawn(p.next_begin, p.next_upto, row, uniform(s.rng, e, 0.0, 1.0))]
    sight = _drawn(p.seen_begin, p.seen_upto, joint * p.n_states + following, uniform(s.rng, e, 0.0, 1.0))
    for i in range(action.shape[0]):
        s.seen[e, i] = p.seen_own[sight, i]
    s.previous[e] = s.state[e]
    s.state[e] = following
    reward = p.reward[row * p.reward_row + following * p.reward_next + p.seen_joint[sight] * p.reward_seen]
    return reward, s.t[e] + 1 == p.ends_at


@kernel
def observe(p, s, e, obs):
    for i in range(obs.shape[0]):
        for k in range(obs.shape[1]):
            obs[i, k] = 0.0
        obs[i, s.seen[e, i]] = 1.0


@kernel
def summarise(p, s, e, state):
    for k in range(state.shape[0]):
        state[k] = 0.0
    state[s.state[e]] = 1.0


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = a < p.n_actions[i]


PRESETS = {
    "dec_tiger": Preset({"problem": "dec_tiger"}, "Nair et al., IJCAI 2003; MADP toolbox, dectiger"),
    "broadcast_channel": Preset(
        {"problem": "broadcast_channel"}, "Hansen, Bernstein and Zilberstein, AAAI 2004; MADP toolbox, broadcastChannel"
    ),
    "recycling_robots": Preset(
        {"problem": "recycling_robots"}, "Amato, Bernstein and Zilberstein, UAI 2007; MADP toolbox, recycling"
    ),
    "grid_meeting_2x2": Preset(
        {"problem": "grid_meeting_2x2"},
        "Bernstein, Hansen and Zilberstein, IJCAI 2005; two observations: Amato et al., 2006; MADP toolbox, GridSmall",
    ),
    "grid_meeting_3x3": Preset(
        {"problem": "grid_meeting_3x3"},
        "Amato, Dibangoye and Zilberstein, ICAPS 2009; MADP toolbox, Grid3x3corners",
    ),
}


class Planned:
    """Plays the plan that is best for the horizon, each agent by what it has seen since the start.

    For a horizon without a plan of its own, the plans of shorter ones follow one another, which need not be the best.
    Raises ValueError for tables of one's own, for which there is no plan.
    """

    def __init__(self, env: Environment) -> None:
        problem = env.params.problem  # type: ignore[attr-defined]
        if problem not in PLANS:
            raise ValueError(f"there is no plan for the problem {problem!r}; there is one for {', '.join(PLANS)}")
        steps = [
            (place, rows)
            for length in _lengths(max(PLANS[problem]), env.horizon)
            for place, rows in enumerate(zip(*(own.split() for own in PLANS[problem][length]), strict=True))
        ]
        widest = max(len(row) for _, rows in steps for row in rows)
        self.n_seen = env.obs_size - 1
        self.begins = np.array([place == 0 for place, _ in steps])  # [T], where a plan forgets what was seen
        self.widths = np.array([[len(row) for row in rows] for _, rows in steps])  # [T, N]
        self.actions = np.array([[[*map(int, row.ljust(widest, "0"))] for row in rows] for _, rows in steps])

    def reset(self, num_envs: int) -> None:
        self.step = np.full(num_envs, -1)
        self.past = np.zeros((num_envs, self.widths.shape[1]), np.int64)  # [E, N], what each has seen as one number

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        self.step = np.where(obs[:, 0, -1] > 0, 0, self.step + 1) % len(self.begins)
        seen = obs[:, :, :-1].argmax(-1)
        self.past = np.where(self.begins[self.step][:, None], 0, self.past * self.n_seen + seen)
        agents = np.arange(self.past.shape[1])
        return np.asarray(self.actions[self.step[:, None], agents, self.past % self.widths[self.step]])


def _lengths(longest: int, horizon: int) -> list[int]:
    """As few plans as will do for a horizon, as even as can be, the longer ones first."""
    number = -(-horizon // longest)
    return [(horizon + k) // number for k in reversed(range(number))]


class Constant:
    """Repeats one joint action: the one with the best expected return, of the first 1000 steps at most."""

    def __init__(self, env: Environment) -> None:
        p, n_agents = env.problem, env.n_agents  # type: ignore[attr-defined]
        best = -np.inf
        for action in np.ndindex(*p.transition.shape[1:-1]):
            transition = p.transition[(slice(None), *action)]
            reward = p.reward[(slice(None), *action)]
            if p.reward.ndim > n_agents + 2:
                reward = (reward * p.observation[action]).reshape(*transition.shape, -1).sum(-1)
            if p.reward.ndim > n_agents + 1:
                reward = (reward * transition).sum(-1)
            chance, value = p.start, 0.0
            for _ in range(min(env.horizon, 1000)):
                value += float(chance @ reward)
                chance = chance @ transition
            if value > best:
                best, self.action = value, np.array(action)

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        return np.tile(self.action, (len(obs), 1))


class DecPOMDP(Environment):
    id = "dec_pomdp_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    scripted = {"planned": Planned, "constant": Constant}

    def check(self) -> None:
        self.problem = self._problem()
        self.n_agents = self.problem.n_agents
        for table in self.problem[:4]:
            table.setflags(write=False)
        self.action_names = tuple(map(_one_name, zip_longest(*self.problem.actions)))
        self.n_seen = max(map(len, self.problem.observations))
        self.state_layout = (Field("state", len(self.problem.states), 0.0, 1.0, "the hidden state, one-hot"),)
        self.observation_layout = (
            Field("observation", self.n_seen, 0.0, 1.0, "the agent's own last observation, one-hot"),
            Field("none_yet", 1, 0.0, 1.0, "1 before the first step"),
        )

    def _problem(self) -> Problem:
        """The tables that the parameters name. Those of a file or of one's own then stand in the parameters."""
        p = self.params
        given = [name for name in TABLES if getattr(p, name) is not None]
        if p.file is None and not given:
            if p.problem == "custom":
                raise ValueError("problem is 'custom'; that needs file, or transition, observation and reward")
            return PROBLEMS[p.problem]()
        if p.problem not in ("custom", Params._field_defaults["problem"]) or self.preset is not None:
            raise ValueError(
                f"the problem {p.problem!r} has tables of its own; leave it out, or {(given or ['file'])[0]}"
            )
        if p.file is None:
            problem = _own_problem(p)
        elif given:
            raise ValueError(f"file and {given[0]} both tell the problem; give one of them")
        elif not isinstance(p.file, str | os.PathLike):
            raise TypeError(f"file is {p.file!r}; it must be the path of a .dpomdp file")
        else:
            problem = read(p.file)
        if max(map(len, problem.actions)) < 2:
            raise ValueError("transition gives each agent one action; one agent at least must have two")
        names = {"states": problem.states, "actions": problem.actions, "observations": problem.observations}
        self.params = p._replace(problem="custom", file=None, **dict(zip(TABLES, (*problem[:4], names), strict=True)))
        return problem

    def kernel_params(self) -> Tables:
        problem, n = self.problem, self.n_agents
        n_states, seen = len(problem.states), tuple(map(len, problem.observations))
        n_joint, n_joint_seen = math.prod(map(len, problem.actions)), math.prod(seen)
        next_begin, next_upto, next_state = _rows(problem.transition.reshape(-1, n_states))
        seen_begin, seen_upto, seen_joint = _rows(problem.observation.reshape(-1, n_joint_seen))
        start_begin, start_upto, start_state = _rows(problem.start[None])
        by_next, by_seen = problem.reward.ndim > n + 1, problem.reward.ndim > n + 2
        return Tables(
            n_actions=np.array([len(own) for own in problem.actions], np.int64),
            n_joint=n_joint,
            n_states=n_states,
            n_seen=self.n_seen,
            ends_at=self.horizon if self.params.time_limit == "terminates" else 0,
            start_begin=start_begin,
            start_upto=start_upto,
            start_state=start_state,
            next_begin=next_begin,
            next_upto=next_upto,
            next_state=next_state,
            seen_begin=seen_begin,
            seen_upto=seen_upto,
            seen_joint=seen_joint,
            seen_own=np.stack(np.unravel_index(seen_joint, seen), axis=1).astype(np.int32),
            reward=np.ascontiguousarray(problem.reward, np.float64).ravel(),
            reward_row=problem.reward.size // (n_states * n_joint),
            reward_next=(n_joint_seen if by_seen else 1) if by_next else 0,
            reward_seen=int(by_seen),
        )

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            state=np.zeros(num_envs, np.int64),
            previous=np.full(num_envs, -1, np.int64),
            seen=np.full((num_envs, self.n_agents), self.n_seen, np.int64),
        )

    def optimum(self) -> tuple[float, str] | None:
        problem = self.params.problem
        value = OPTIMA.get(problem, {}).get(self.horizon)
        if value is None:
            return None
        found = "published with the MADP toolbox"
        return value, found + (", found again by exact search" if self.horizon <= VERIFIED[problem] else "")

    def keys(self) -> dict[str, int]:
        if self.params.problem == "dec_tiger":
            return {"space": 0, "left": 1, "right": 2}
        if self.problem.actions[0] == MOVE_NAMES:
            return {"up": 0, "down": 1, "left": 2, "right": 3, "space": 4}
        return super().keys()

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        draw(self, canvas, scene)

    def places(self, scene: Scene) -> np.ndarray | None:
        return places(self, scene)

    def describe(self, scene: Scene) -> str:
        return describe(self, scene)

    def __repr__(self) -> str:
        """With a digest in place of tables: two environments with the same one are the same game."""
        if self.params.problem != "custom":
            return super().__repr__()
        digest = hashlib.sha256(repr((self.problem[4:], [table.shape for table in self.problem[:4]])).encode())
        for table in self.problem[:4]:
            digest.update(np.ascontiguousarray(table).tobytes())
        p = self.params
        return f"DecPOMDP(tables {digest.hexdigest()[:12]}, horizon={p.horizon}, time_limit={p.time_limit!r})"


def _one_name(names: tuple[str | None, ...]) -> str:
    """The name of an action that agents may call differently."""
    return "/".join(dict.fromkeys(name for name in names if name is not None))


def _rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin, upto and number of the possible outcomes of each row, see Tables. table: [rows, outcomes]."""
    possible = table > 0
    begin = np.concatenate([[0], np.cumsum(possible.sum(1))]).astype(np.int64)
    return begin, np.cumsum(table, axis=1)[possible], np.nonzero(possible)[1].astype(np.int32)


# Tables that a user gives.


def _own_problem(p: Any) -> Problem:
    """The problem that the parameters hold. Raises TypeError or ValueError where they hold none."""
    for name in TABLES[:3]:
        if getattr(p, name) is None:
            raise ValueError(f"{name} is missing; transition, observation and reward belong together")
    transition, observation, reward = (_array(name, getattr(p, name)) for name in TABLES[:3])
    n, n_states = transition.ndim - 2, transition.shape[0] if transition.ndim else 0
    if not 1 <= n <= MOST_AGENTS or transition.shape[-1] != n_states:
        raise ValueError(f"transition has shape {transition.shape}; it must be [S, A1, ..., AN, S]")
    sizes, seen = transition.shape[1:-1], observation.shape[n + 1 :]
    if observation.ndim != 2 * n + 1 or observation.shape[: n + 1] != (*sizes, n_states):
        due = ", ".join([*map(str, sizes), str(n_states), *(f"O{i + 1}" for i in range(n))])
        raise ValueError(f"observation has shape {observation.shape}; it must be [{due}]")
    full = (n_states, *sizes, n_states, *seen)
    if reward.ndim not in (n + 1, n + 2, 2 * n + 2) or reward.shape != full[: reward.ndim]:
        raise ValueError(f"reward has shape {reward.shape}; it must be {full[: n + 1]}, {full[: n + 2]} or {full}")
    start = np.full(n_states, 1 / n_states) if p.start is None else _array("start", p.start)
    if start.shape != (n_states,):
        raise ValueError(f"start has shape {start.shape}; it must be ({n_states},)")
    return Problem(
        _probabilities("transition", transition, 1),
        _probabilities("observation", observation, n),
        reward,
        _probabilities("start", start, 1),
        *_names(p.names, n_states, sizes, seen),
    )


def _array(name: str, value: Any) -> np.ndarray:
    try:
        table = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be nested lists or an array of numbers, as long in each row") from None
    if not table.size:
        raise ValueError(f"{name} has shape {table.shape}; no axis may be empty")
    if not np.isfinite(table).all():
        raise ValueError(f"{name} holds a value that is not finite; all must be finite numbers")
    return table


def _probabilities(name: str, table: np.ndarray, axes: int) -> np.ndarray:
    """The table with rows that sum to one. axes: how many at the end are of the outcomes."""
    wrong = first_wrong_row(table, axes)
    if wrong is not None:
        place = f"[{', '.join(map(str, wrong))}]" if wrong else ""
        raise ValueError(f"{name}{place} is {table[wrong].tolist()}; it must be probabilities that sum to 1")
    return with_sums_of_one(table, axes)


def _names(
    names: Any, n_states: int, sizes: tuple[int, ...], seen: tuple[int, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The names of states, and of each agent's actions and observations; numbers where there are none."""
    if names is not None and not (isinstance(names, dict) and {*names} <= {"states", "actions", "observations"}):
        raise TypeError("names must be a dictionary with lists under states, actions and observations")
    names = names or {}
    states = _words("names['states']", names.get("states"), n_states)
    actions, observations = (
        tuple(
            _words(f"names[{key!r}] of agent {i}", own, size)
            for i, (own, size) in enumerate(zip(_for_each(key, names.get(key), len(sizes)), counts, strict=True))
        )
        for key, counts in (("actions", sizes), ("observations", seen))
    )
    return states, actions, observations


def _for_each(key: str, lists: Any, n_agents: int) -> Any:
    if lists is None:
        return [None] * n_agents
    if not isinstance(lists, list | tuple) or len(lists) != n_agents:
        raise TypeError(f"names[{key!r}] must be {n_agents} lists, one for each agent")
    return lists


def _words(what: str, words: Any, size: int) -> tuple[str, ...]:
    if words is None:
        return tuple(map(str, range(size)))
    if not isinstance(words, list | tuple) or len(words) != size or not all(isinstance(one, str) for one in words):
        raise TypeError(f"{what} must be {size} words")
    return tuple(words)
