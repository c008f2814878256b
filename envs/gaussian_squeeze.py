"""Gaussian squeeze: many agents choose how hard they push, and the sum must be just right.

Everybody may push too little, or too much. In the single-domain task one total is best; in the multi-domain task there
is a second, lower and wider hill on the way to it, on which teams come to rest.

Rules
    At the start of an episode each agent i gets a capacity s_i, drawn from U[0, 2), in order. In a step each agent
    chooses an effort a_i, and the amount is the mean of what they add, x = (a_1 s_1 + ... + a_N s_N) / N.

Actions
    `0`, `1`, ..., `n_actions` - 1: the effort. All are always legal.

Observation of agent i

    ============ ======== ================================================ ========
    field        features meaning                                          bound
    ============ ======== ================================================ ========
    `capacities` N        with `obs="full"`: all agents' capacities        0 to 2
    `capacity`   1        with `obs="own"` instead: the agent's own        0 to 2
    `agent`      N        the agent's number, one-hot                      0 to 1
    ============ ======== ================================================ ========

State (the same whatever agents observe)

    ============ ======== ================================================ ========
    field        features meaning                                          bound
    ============ ======== ================================================ ========
    `capacities` N        all agents' capacities                           0 to 2
    ============ ======== ================================================ ========

Reward
    `domains="single"`: x exp(-(x - 8)^2 / 0.25). `domains="multi"`: x exp(-(x - 5)^2 / 1) besides. The same for all
    agents. The highest reward is 8.008 (single) or 8.009 (multi), at x = 8.016; the second hill rises to 5.049 at
    x = 5.098.

End
    Terminated after the only step (`horizon=1`). With a larger `horizon`, new here, the same capacities are squeezed in
    every step until the time limit, which truncates.

Presets
    `gs`, `mgs`: the authors' code, one and two domains, with everything in sight. `gs_own`, `mgs_own`: each agent sees
    its own capacity alone, as the task is often described. The paper may mean 10 actions: `n_actions=10`.

Known returns of 10 agents, means over 40,000 episodes (standard errors below 0.02)

    ====================================== =========== =========== =========== ===========
    team                                   `gs`        `gs`        `mgs`       `mgs`
                                           11 actions  10 actions  11 actions  10 actions
    ====================================== =========== =========== =========== ===========
    random                                 0.28        0.11        2.43        2.18
    `local`, each by its own capacity      2.42        2.09        4.03        3.96
    `squeeze`, with everything in sight    7.24        6.43        7.66        7.30
    ====================================== =========== =========== =========== ===========

    The last line is the ceiling: on average the search of `squeeze` misses the best joint action by less than 0.01. It
    lies below the highest reward, since ten agents cannot always reach 8. `optimum()` is None: the expectation of the
    best has no closed form.

Source
    Son et al., "QTRAN", ICML 2019, in the form of the authors' code (environment 4), after Holmes-Parker et al.,
    "Exploiting structure and utilizing agent-centric rewards to promote coordination in large multiagent systems",
    AAMAS 2014 (extended abstract). The paper draws capacities from [0, 0.2] and sums what the code averages: the same.

Differences from the source
    Capacities come from this package's random streams, so seeds name other games than the source's. The second
    domain, the number of agents and of actions are parameters.

Versions
    v1: first release.
"""

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
    PAPER,
    SKY,
    VERMILLION,
    Canvas,
    agent_colour,
    mixed,
    number,
)
from coopgym.envs.rng import uniform

CAPACITY = 2.0  # the most that an agent can have
SINGLE, MULTI = range(2)
FULL = 0  # the first choice of obs
TOPS = (8.016, 5.098)  # of the hills, for drawing


class Params(NamedTuple):
    n_agents: Annotated[int, Parameter("agents", "agents", 1, 1000)] = 10
    n_actions: Annotated[int, Parameter("efforts to choose from, from 0 on", "actions", 2, 1000)] = 11
    domains: Annotated[Literal["single", "multi"], Parameter("one hill, or a second one before it")] = "single"
    obs: Annotated[Literal["full", "own"], Parameter("whether agents see all capacities or their own")] = "full"
    horizon: Annotated[int, Parameter("time limit; 1 is one-shot, more repeats the game", "steps", 1, 1_000_000)] = 1


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    capacity: np.ndarray  # [E, N] float64


@kernel
def reset(p, s, e):
    for i in range(p.n_agents):
        s.capacity[e, i] = uniform(s.rng, e, 0.0, CAPACITY)


@kernel
def step(p, s, e, action):
    total = 0.0
    for i in range(p.n_agents):
        total += action[i] * s.capacity[e, i]
    return worth(total / p.n_agents, p.domains), p.horizon == 1


@kernel
def worth(x, domains):
    """The reward for an amount."""
    reward = x * math.exp(-((x - 8.0) ** 2) / 0.25)
    if domains == MULTI:
        reward += x * math.exp(-((x - 5.0) ** 2))
    return reward


@kernel
def observe(p, s, e, obs):
    n = p.n_agents
    for i in range(n):
        if p.obs == FULL:
            for k in range(n):
                obs[i, k] = s.capacity[e, k]
                obs[i, n + k] = i == k
        else:
            obs[i, 0] = s.capacity[e, i]
            for k in range(n):
                obs[i, 1 + k] = i == k


@kernel
def summarise(p, s, e, state):
    for i in range(p.n_agents):
        state[i] = s.capacity[e, i]


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = 1


# Teams. What each agent can work out alone from what it sees, all agents work out alike.

HIGHEST = 10.0  # amounts beyond are worth nothing
BINS = 1000  # in which amounts up to the highest are kept apart


@kernel
def _search(capacity, n_actions, domains, amount, effort, before, action):
    """Writes, for each game, a joint action whose reward is the highest but for the width of a bin.

    Agent after agent, the amounts that can be reached are kept, one in each bin, and for each the last agent's effort
    and the bin before. capacity: [E, N], amount: [2, BINS], effort and before: [N, BINS], action: [E, N].
    """
    n_agents = capacity.shape[1]
    for e in range(capacity.shape[0]):
        now = 0
        amount[now, :] = -1.0
        amount[now, 0] = 0.0
        for i in range(n_agents):
            amount[1 - now, :] = -1.0
            share = capacity[e, i] / n_agents
            for bin in range(BINS):
                if amount[now, bin] >= 0.0:
                    for a in range(n_actions):
                        x = amount[now, bin] + a * share
                        if x >= HIGHEST:
                            break
                        to = int(x * (BINS / HIGHEST))
                        if amount[1 - now, to] < 0.0:
                            amount[1 - now, to] = x
                            effort[i, to] = a
                            before[i, to] = bin
            now = 1 - now
        best = 0
        for bin in range(BINS):
            x = amount[now, bin]
            if x >= 0.0 and worth(x, domains) > worth(max(0.0, amount[now, best]), domains):
                best = bin
        for i in range(n_agents - 1, -1, -1):
            action[e, i] = effort[i, best]
            best = before[i, best]


class Local:
    """Each agent adds about the same, by its own capacity: a_i = c / s_i, rounded, or the greatest effort.

    c is the best on average of 10 agents with 11 actions, to a half.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.share = 6.0 if env.params.domains == "multi" else 10.0

    def reset(self, num_envs: int) -> None:
        pass

    def capacities(self, obs: np.ndarray) -> np.ndarray:
        """Each agent's own: [E, N]."""
        if self.env.params.obs == "own":
            return np.asarray(obs[:, :, 0])
        return np.asarray(np.diagonal(obs[:, :, : self.env.n_agents], axis1=1, axis2=2))

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        even = self.share / np.maximum(self.capacities(obs), 1e-9)
        return np.asarray(np.rint(np.minimum(even, self.env.n_actions - 1)), np.int64)


class Squeeze(Local):
    """The best joint action, which all agents find alike where they see all capacities; elsewhere as `Local`."""

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        if self.env.params.obs == "own":
            return super().act(obs, action_mask)
        capacity = self.capacities(obs).astype(np.float64)
        n = self.env.n_agents
        action = np.zeros(capacity.shape, np.int64)
        amount, effort, before = np.empty((2, BINS)), np.empty((n, BINS), np.int64), np.empty((n, BINS), np.int64)
        domains = MULTI if self.env.params.domains == "multi" else SINGLE
        _search(capacity, self.env.n_actions, domains, amount, effort, before, action)
        return action


QTRAN = "Son et al., QTRAN, ICML 2019; authors' code, environment 4"
PRESETS = {
    "gs": Preset({}, QTRAN),
    "mgs": Preset({"domains": "multi"}, QTRAN),
    "gs_own": Preset({"obs": "own"}, "gs, each agent seeing its own capacity alone"),
    "mgs_own": Preset({"domains": "multi", "obs": "own"}, "mgs, each agent seeing its own capacity alone"),
}


class GaussianSqueeze(Environment):
    id = "gaussian_squeeze_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    masks_change = False
    scripted = {"squeeze": Squeeze, "local": Local}

    def check(self) -> None:
        p = self.params
        n = self.n_agents = p.n_agents
        self.action_names = tuple(map(str, range(p.n_actions)))
        everything = Field("capacities", n, 0.0, CAPACITY, "all agents' capacities")
        self.state_layout = (everything,)
        self.observation_layout = (
            everything if p.obs == "full" else Field("capacity", 1, 0.0, CAPACITY, "the agent's own capacity"),
            Field("agent", n, 0.0, 1.0, "the agent's number, one-hot"),
        )

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            capacity=np.zeros((num_envs, self.n_agents)),
        )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The hills, with the amount of the last step; under them what each agent has and has added."""
        canvas.view(0, 0, 560, 560)
        capacity = scene.arrays.capacity[scene.e]
        effort = np.zeros(self.n_agents) if scene.action is None else scene.action
        amount = float((effort * capacity).mean())
        self._draw_hills(canvas, None if scene.action is None else amount, 0, 300)
        self._draw_agents(canvas, capacity, effort, scene.action is not None, 325, 560)

    def _draw_hills(self, canvas: Canvas, amount: float | None, start: float, bottom: float) -> None:
        left, right, low, high = 20.0, 540.0, bottom - 26, start + 40
        domains = MULTI if self.params.domains == "multi" else SINGLE

        def place(x: float, reward: float) -> tuple[float, float]:
            return left + (right - left) * x / HIGHEST, low + (high - low) * reward / 8.5

        canvas.text(280, start + 10, "reward for the amount x", 17, FAINT)
        hills = [place(x, worth(x, domains)) for x in np.linspace(0, HIGHEST, 401).tolist()]
        canvas.polygon([*hills, (right, low), (left, low)], mixed(PAPER, SKY, 0.5))
        canvas.line(left, low, right, low, INK, 1.5)
        for mark in range(int(HIGHEST) + 1):
            x, _ = place(mark, 0)
            canvas.line(x, low, x, low + 5, INK, 1.5)
            canvas.text(x, low + 16, str(mark), 14, FAINT)
        for top in TOPS[: 1 + domains]:
            if amount is None or abs(amount - top) > 0.8:
                x, y = place(top, worth(top, domains))
                canvas.text(x, y - 13, number(round(worth(top, domains), 2)), 14, FAINT)
        if amount is not None:
            reward = worth(amount, domains)
            x, y = place(min(amount, HIGHEST), reward)
            canvas.line(x, low, x, y, VERMILLION, 3)
            canvas.circle(x, y, 6, VERMILLION)
            words = f"x = {number(round(amount, 2))}"
            half = canvas.width_of(words, 16) / 2
            canvas.text(min(max(x, half), 560 - half), y - 18, words, 16, VERMILLION)

    def _draw_agents(
        self, canvas: Canvas, capacity: np.ndarray, effort: np.ndarray, played: bool, top: float, bottom: float
    ) -> None:
        """For each agent a column: an outline for what it can add, filled as far as it has."""
        seen = "" if self.params.obs == "full" else "; each agent sees its own capacity alone"
        canvas.text(280, top + 10, f"effort x capacity of each agent{seen}", 17, FAINT, fit=560)
        width = min(56.0, 560 / self.n_agents)
        left = 280 - width * self.n_agents / 2
        named = width >= 18
        low = bottom - (50 if named else 4)
        unit = (low - top - 50) / (CAPACITY * (self.n_actions - 1))  # pixels for what is added
        for i in range(self.n_agents):
            x0, x1 = left + (i + 0.12) * width, left + (i + 0.88) * width
            full, added = low - unit * (self.n_actions - 1) * capacity[i], low - unit * effort[i] * capacity[i]
            canvas.rectangle(x0, full, x1, low, mixed(PAPER, LINE, 0.4))
            canvas.rectangle(x0, added, x1, low, agent_colour(i))
            if width >= 30:
                canvas.text((x0 + x1) / 2, low + 12, f"{capacity[i]:.2f}", 13, FAINT, fit=width - 2)
            if named:
                canvas.rectangle(x0, full, x1, low, LINE, width=1.5)
                canvas.agent((x0 + x1) / 2, low + 36, min(13, 0.42 * width), i)
                if played:
                    canvas.text((x0 + x1) / 2, full - 11, str(int(effort[i])), 16, INK, fit=width - 4)
        canvas.line(left, low, left + width * self.n_agents, low, INK, 1.5)

    def describe(self, scene: Scene) -> str:
        capacity = scene.arrays.capacity[scene.e]
        lines = []
        for i, agent in enumerate(self.agents):
            effort = "" if scene.action is None else f", effort {scene.action[i]}"
            lines.append(f"{agent}: capacity {capacity[i]:.3f}{effort}")
        if scene.action is not None:
            lines.append(f"amount {float((scene.action * capacity).mean()):.3f}, reward {scene.reward:.3f}")
        lines.append(f"step {scene.steps} of {self.horizon}, return {scene.team_return:.3f}")
        return "\n".join(lines)
