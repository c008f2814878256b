"""Matrix games: a table says what the team earns for each joint action.

The smallest games in which value decomposition can be seen to work or to fail: the optimum is known, and so is what
VDN, IQL and QMIX must learn. All agents act at the same time, none sees the others' choice, and all get the same
reward.

Rules
    A game has K states, each with its own payoff table over the joint actions. An episode starts in a state drawn
    uniformly from the first `n_starts`. Each step pays `payoff[state, joint action]` and leads to
    `transition[state, joint action]`; -1 is the end. Without transitions the state stays as it is.

Actions
    `A`, `B`, `C`, ... in the order of the table's axes. Agents may have different numbers of actions; the mask shows
    which an agent has, and an action that it has not counts as `A`.

Observation (the same for every agent)
    The state, one-hot over K states and "over", a last place that is 1 after the end only. With `observe_state=False`
    the K places hold 1/K each while the game runs: what an agent knows before any evidence. With
    `observe_last_actions=True`, the last joint action follows, one-hot for each agent, zeros before the first step.

State
    As the observation with `observe_state=True`, whatever is observed.

Reward
    The payoff, the same for all agents.

End
    Terminated by a transition to -1, and after the only step of a game with `horizon=1` (one-shot). With a larger
    `horizon` and no transition to -1 the game repeats until the time limit, which truncates.

Sources
    Payoffs as in the presets' sources. Two-step game: Rashid et al., "QMIX", ICML 2018, section 5, in the form of the
    QTRAN authors' code. Two-state MMDP: Wang et al., "QPLEX", ICLR 2021, in the form of the authors' code. The
    literature prints `climbing` and `penalty` in two layouts (transposed, mirrored): those of Claus and Boutilier
    ("The dynamics of reinforcement learning in cooperative multiagent systems", AAAI 1998) carry the plain name, those
    of the package `matrix-games` end in `uoe`.

Differences from the sources
    The observation after the end has a place of its own instead of being all zeros, so that no observation is empty.

Versions
    v1: first release.
"""

import itertools
from typing import Annotated, Any, NamedTuple

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
from coopgym.envs.rng import integer

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
    observe_state: Annotated[bool, Parameter("whether agents see the state")] = True
    observe_last_actions: Annotated[bool, Parameter("whether agents see the last joint action")] = False


class Tables(NamedTuple):
    """What the kernels take: the tables flat over joint actions, agent 0's action the slowest."""

    payoff: np.ndarray  # [K, joint actions] float64
    transition: np.ndarray  # [K, joint actions] int64
    n_actions: np.ndarray  # [N] int64, the actions that each agent has
    n_starts: int
    one_shot: bool
    observe_state: bool
    observe_last_actions: bool


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
    joint = 0
    for i in range(action.shape[0]):
        joint = joint * p.n_actions[i] + action[i]
        s.last[e, i] = action[i]
    reward = p.payoff[s.state[e], joint]
    s.previous[e] = s.state[e]
    s.state[e] = END if p.one_shot else p.transition[s.state[e], joint]
    return reward, s.state[e] == END


@kernel
def _describe(p, s, e, visible, out):
    """Writes state and last actions. out: [features]."""
    k = p.payoff.shape[0]
    for place in range(k + 1):
        out[place] = 0.0
    if s.state[e] == END:
        out[k] = 1.0
    elif visible:
        out[s.state[e]] = 1.0
    else:
        for place in range(k):
            out[place] = 1.0 / k
    if p.observe_last_actions:
        n_actions = (out.shape[0] - k - 1) // s.last.shape[1]
        for i in range(s.last.shape[1]):
            for a in range(n_actions):
                out[k + 1 + i * n_actions + a] = s.last[e, i] == a


@kernel
def observe(p, s, e, obs):
    for i in range(obs.shape[0]):
        _describe(p, s, e, p.observe_state, obs[i])


@kernel
def summarise(p, s, e, state):
    _describe(p, s, e, True, state)


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = a < p.n_actions[i]


QTRAN = ((8, -12, -12), (-12, 0, 0), (-12, 0, 0))
CLIMBING = ((11, -30, 0), (-30, 7, 6), (0, 0, 5))
CLIMBING_UOE = ((11, -30, 0), (-30, 7, 0), (0, 6, 5))


def penalty(k: float) -> tuple[tuple[float, ...], ...]:
    """The penalty game of Claus and Boutilier, k <= 0."""
    return ((10, 0, k), (0, 2, 0), (k, 0, 10))


def penalty_mirrored(k: float) -> tuple[tuple[float, ...], ...]:
    """The penalty game with its columns mirrored, as in the package matrix-games."""
    return tuple(row[::-1] for row in penalty(k))


CLAUS = "Claus and Boutilier, AAAI 1998"
UOE = "package matrix-games (University of Edinburgh), also matrax"

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
        {
            "payoff": (((10, 8, 5), (8, 6, 3), (5, 3, 0)), ((0, 3, 5), (3, 6, 8), (5, 8, 10))),
            "n_states": 2,
            "n_starts": 2,
        },
        "QTRAN authors' code, environment 3: two additive tables, one of them drawn and shown",
    ),
    "additive_hidden": Preset(
        {
            "payoff": (((10, 8, 5), (8, 6, 3), (5, 3, 0)), ((0, 3, 5), (3, 6, 8), (5, 8, 10))),
            "n_states": 2,
            "n_starts": 2,
            "observe_state": False,
        },
        "additive_ok with the drawn table hidden: the best constant joint action (B, B) earns 6",
    ),
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


class MatrixGame(Environment):
    id = "matrix_game_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)

    def check(self) -> None:
        p = self.params
        self.payoff = self._table("payoff", p.payoff, np.float64)
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
        self.action_names = tuple(_letters(a) for a in range(max(sizes)))
        self.state_layout = self._layout("the state now, one-hot")
        seen = (
            "the state now, one-hot"
            if p.observe_state
            else "1 / n_states each while the game runs: the state is hidden"
        )
        self.observation_layout = self._layout(seen)

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
            observe_state=p.observe_state,
            observe_last_actions=p.observe_last_actions,
        )

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            state=np.full(num_envs, END, np.int64),
            previous=np.full(num_envs, END, np.int64),
            last=np.full((num_envs, self.n_agents), -1, np.int64),
        )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The table with the played cell lit; where there are several states, the table played above the table now."""
        canvas.view(0, 0, 560, 560)
        state, previous = int(scene.arrays.state[scene.e]), int(scene.arrays.previous[scene.e])
        if self.params.n_states == 1:
            self._draw_table(canvas, 0, "payoff to the team", scene.action, 0, 560)
            return
        canvas.line(0, 280, 560, 280, LINE, 1)
        if scene.action is None:
            canvas.text(280, 132, "last step: none yet", 18, FAINT)
        else:
            self._draw_table(canvas, previous, f"last step: state {previous}", scene.action, 0, 265)
        if state == END:
            canvas.text(280, 428, "now: the game is over", 18, FAINT)
        else:
            hidden = "" if self.params.observe_state else ", hidden from the agents"
            self._draw_table(canvas, state, f"now: state {state}{hidden}", None, 295, 560)

    def _draw_table(
        self, canvas: Canvas, state: int, title: str, action: np.ndarray | None, top: float, bottom: float
    ) -> None:
        """The payoffs of a state between two heights, lit where the action is: rows are agent 0, columns agent 1.

        Of a game for more, the slice at the others' actions (at A before the first); of large tables, what lies around.
        """
        played = np.zeros(max(2, self.n_agents), int)
        if action is not None:
            played[: self.n_agents] = action
        row, column, *others = played.tolist()
        shape = self.payoff.shape[1], self.payoff.shape[2] if self.n_agents > 1 else 1
        payoff, following = (table[state, ..., *others].reshape(shape) for table in (self.payoff, self.transition))
        rows, columns = _around(row, shape[0]), _around(column, shape[1])
        if others:
            title += " if " + ", ".join(f"agent {i} plays {self.action_names[a]}" for i, a in enumerate(others, 2))
        if (len(rows), len(columns)) != shape:
            title += f" ({len(rows)} x {len(columns)} cells of {shape[0]} x {shape[1]})"
        canvas.text(280, top + 10, title, 17, FAINT, fit=560)

        left, first = 84, top + 96
        width, height = (560 - left) / len(columns), (bottom - first) / len(rows)
        name_size = min(21, 0.6 * height, 0.6 * width)
        canvas.agent(15, (first + bottom) / 2, 14, 0)
        for k, a in enumerate(rows):
            self._draw_name(canvas, 59, first + (k + 0.5) * height, name_size, 0, a, action)
        if self.n_agents > 1:
            canvas.agent((left + 560) / 2, top + 43, 14, 1)
            for k, b in enumerate(columns):
                self._draw_name(canvas, left + (k + 0.5) * width, top + 77, name_size, 1, b, action)

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
