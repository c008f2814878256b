"""Switch: teams in two rooms change sides through a corridor that is one cell wide.

Agents that enter the corridor from both ends block each other, and nobody sees anybody else: who goes first must be
agreed on before.

Rules
    Two rooms, each three rows high and two columns wide, are joined by a corridor of `corridor` cells in the middle
    row. Agents 0 and 2 start in the left room, in the inner column of the top and of the bottom row; their goals are
    the outer corners of the right room, in the same row. Agents 1 and 3 start and go the other way round. In a step the
    agents act one after the other, in the order of their numbers: an agent moves by one cell, unless a wall or an agent
    is there; it may enter a cell that an agent before it has just left. Who reaches its goal stays there, in the way of
    nobody but itself.

Actions

    ====== ======= =====================
    number name    moves by
    ====== ======= =====================
    0      `down`  one row down
    1      `left`  one column, towards column 0
    2      `up`    one row, towards row 0
    3      `right` one column, away from column 0
    4      `noop`  nothing
    ====== ======= =====================

    An agent at its goal has the no-op alone. All others may try every action: a wall stops them.

Observation of agent i

    ========== ======== ========================================================================= ======
    field      features meaning                                                                   bound
    ========== ======== ========================================================================= ======
    `position` 2        the agent's own row and column, each divided by the last one              0 to 1
    `clock`    1        with `clock` only: steps of the episode so far, divided by the horizon    0 to 1
    ========== ======== ========================================================================= ======

    With `observe_all` every agent gets the fields of all agents instead, in their order: `position_0`, `clock_0`,
    `position_1`, ...

State (the same whatever the agents observe)

    ============= ======== ====================================================================== ======
    field         features meaning                                                                bound
    ============= ======== ====================================================================== ======
    `positions`   2N       all agents' rows and columns, each divided by the last one             0 to 1
    `arrived`     N        1 for each agent at its goal                                           0 to 1
    `clock`       1        steps of the episode so far, divided by the horizon                    0 to 1
    ============= ======== ====================================================================== ======

Reward
    In each step an agent earns `goal_reward`, 5, if it reaches its goal, `step_reward`, -0.1, if it is still on its
    way, and nothing once it is there. The team's reward is the sum over agents (`reward_mode="team_sum"`) or the mean
    ("team_mean"); with "per_agent" every agent gets its own, and the team's return is their sum.

End
    All agents at their goals end the episode: terminated. The time limit, 50 steps, truncates.

Presets
    `switch2`, `switch2_clock`, `switch4`, `switch4_clock`: ma-gym's Switch2-v0, Switch2-v2, Switch4-v0 and Switch4-v2.
    With `observe_all=True` they are Switch2-v1, Switch2-v3, Switch4-v1 and Switch4-v3. Without a preset: `switch2` with
    exact positions.

Known returns of the team
    The best is 8.3 with two agents: one needs 7 steps, the other must wait for it and needs 12. With three agents it is
    12.4 (7, 8 and 14 steps), with four 16.1 (7, 8, 13 and 15). `optimum` finds it for any parameters of moderate size,
    by dynamic programming over all joint positions: the game has one start and no chance, so that agents who count
    their steps can play any joint plan. The scripted team `convoy` earns it. See `coopgym list` for the random team.

Source
    Switch of ma-gym 0.0.14 (Koul, "ma-gym: Collection of multi-agent environments based on OpenAI gym", 2019, commit
    877ed64), after Sunehag et al., "Value-Decomposition Networks For Cooperative Multi-Agent Learning", AAMAS 2018.
    From the same actions, positions, rewards and observations are the source's.

Differences from the source
    The source rounds positions in observations to two places: 1/6 is 0.17. That is a slip; the presets have it
    (`source_slips`), the default does not. The source reports an agent that has arrived, and all agents when time is
    up, by the same flag; here the rules terminate and the time limit truncates. It gives each agent its own reward;
    here that is `reward_mode="per_agent"`. It has no masks and ignores the actions of agents at their goals; here these
    have the no-op alone, which is the same. It has no state. The length of the corridor is a parameter here.

Versions
    v1: first release.
"""

import itertools
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.grids import (
    ACTIONS,
    DOWN,
    KEYS,
    LEFT,
    NOOP,
    RIGHT,
    UP,
    cells_beside,
    draw_rests,
    middles,
    places_of,
    rounded,
)
from coopgym.envs.parameters import Parameter
from coopgym.envs.rendering import FAINT, GREEN, INK, LINE, PAPER, Canvas, agent_colour, mixed

ROWS, ROOM = 3, 2  # rows of the map; columns of a room
MIDDLE = 1  # the row of the corridor
RADIUS = 0.33  # of an agent in a picture, cells
MOST_STATES = 200_000  # joint positions for which `optimum` searches
MOST_STEPS = 2_000  # likewise, of an episode

TEAM_SUM, TEAM_MEAN, PER_AGENT = range(3)


class Params(NamedTuple):
    n_agents: Annotated[int, Parameter("agents, half of them on each side", "agents", 2, 4)] = 2
    corridor: Annotated[int, Parameter("length of the corridor", "cells", 1, 1000)] = 3
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 50
    step_reward: Annotated[float, Parameter("for a step of an agent on its way", "", -1e6, 1e6)] = -0.1
    goal_reward: Annotated[float, Parameter("for the step in which an agent reaches its goal", "", -1e6, 1e6)] = 5.0
    clock: Annotated[bool, Parameter("whether agents see how much time has passed")] = False
    observe_all: Annotated[bool, Parameter("whether every agent sees what all see")] = False
    source_slips: Annotated[bool, Parameter("whether observations are rounded as in the source")] = False
    reward_mode: Annotated[
        Literal["team_sum", "team_mean", "per_agent"], Parameter("sum or mean over the team, or each agent its own")
    ] = "team_sum"


class Rules(NamedTuple):
    """The parameters as the kernels take them. Cells are numbered row by row."""

    beside: np.ndarray  # [cells, 5] int64, where an action leads; the cell itself where a wall is
    start: np.ndarray  # [N] int64
    goal: np.ndarray  # [N] int64
    place: np.ndarray  # [cells, 2] float64, row and column, each divided by the last one
    seen_place: np.ndarray  # [cells, 2] float64, the same as agents see it
    horizon: int
    step_reward: float
    goal_reward: float
    clock: bool
    observe_all: bool
    reward_mode: int


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    cell: np.ndarray  # [E, N] int64, where each agent is
    before: np.ndarray  # [E, N] int64, where it was before the last step, for pictures
    agent_reward: np.ndarray  # [E, N] float64, of the last step


@kernel
def reset(p, s, e):
    for i in range(p.start.shape[0]):
        s.cell[e, i] = p.start[i]
        s.before[e, i] = p.start[i]


@kernel
def step(p, s, e, action):
    n, arrived, total = p.start.shape[0], 0, 0.0
    for i in range(n):
        own = 0.0
        s.before[e, i] = s.cell[e, i]
        if s.cell[e, i] != p.goal[i]:
            _move(p, s, e, i, action[i])
            own = p.goal_reward if s.cell[e, i] == p.goal[i] else p.step_reward
        arrived += s.cell[e, i] == p.goal[i]
        s.agent_reward[e, i] = own
        total += own
    return total / n if p.reward_mode == TEAM_MEAN else total, arrived == n


@kernel
def _move(p, s, e, i, action):
    """Takes agent i where its action leads, unless an agent is there."""
    to = p.beside[s.cell[e, i], action]
    for j in range(p.start.shape[0]):
        if s.cell[e, j] == to:
            return
    s.cell[e, i] = to


@kernel
def observe(p, s, e, obs):
    n, size = p.start.shape[0], 2 + p.clock
    clock = s.t[e] / p.horizon
    for i in range(n):
        for block in range(n if p.observe_all else 1):
            j = block if p.observe_all else i
            obs[i, block * size] = p.seen_place[s.cell[e, j], 0]
            obs[i, block * size + 1] = p.seen_place[s.cell[e, j], 1]
            if p.clock:
                obs[i, block * size + 2] = clock


@kernel
def summarise(p, s, e, state):
    n = p.start.shape[0]
    for i in range(n):
        state[2 * i] = p.place[s.cell[e, i], 0]
        state[2 * i + 1] = p.place[s.cell[e, i], 1]
        state[2 * n + i] = s.cell[e, i] == p.goal[i]
    state[3 * n] = s.t[e] / p.horizon


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        on_its_way = s.cell[e, i] != p.goal[i]
        for a in range(mask.shape[1]):
            mask[i, a] = on_its_way or a == NOOP


class Convoy:
    """The agents of one room go first, one behind the other; those of the other set out when the way is free.

    Everybody knows the map and counts steps, sees its own place, and goes straight.
    """

    def __init__(self, env: Any) -> None:
        rules = env.kernel_params()
        self.observe_all, self.width = env.params.observe_all, env.width
        self.goal_row, self.goal_column = np.divmod(rules.goal, env.width)  # each [N]
        self.rows, self.columns = (np.unique(rules.seen_place[:, k].astype(np.float32)) for k in range(2))
        through = env.params.corridor  # after so many steps in it, an agent is in the other room's middle row
        waits = {0: 0, 2: 0, 1: through + (2 if env.n_agents == 2 else 4), 3: through + 3}
        self.waits = np.array([waits[i] for i in range(env.n_agents)])

    def reset(self, num_envs: int) -> None:
        self.steps = 0

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        n = len(self.waits)
        if self.observe_all:
            obs = obs.reshape(len(obs), n, n, -1)[:, np.arange(n), np.arange(n)]  # [E, N, features], each its own
        row, column = np.searchsorted(self.rows, obs[..., 0]), np.searchsorted(self.columns, obs[..., 1])
        along = np.where(column < self.goal_column, RIGHT, LEFT)
        to_middle = np.select([row < MIDDLE, row > MIDDLE], [DOWN, UP], along)
        to_goal = np.select([row < self.goal_row, row > self.goal_row], [DOWN, UP], NOOP)
        action = np.where(column == self.goal_column, to_goal, to_middle)
        action = np.where(self.steps >= self.waits, action, NOOP)
        self.steps += 1
        return action


MA_GYM = "ma-gym 0.0.14 (Koul, 2019), after Sunehag et al., VDN, AAMAS 2018"

PRESETS = {
    f"switch{n}{'_clock' if clock else ''}": Preset(
        {"n_agents": n, "clock": clock, "source_slips": True}, f"Switch{n}-v{2 if clock else 0} of {MA_GYM}"
    )
    for n, clock in itertools.product((2, 4), (False, True))
}


class Switch(Environment):
    id = "switch_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    noop = NOOP
    action_names = ACTIONS
    scripted = {"convoy": Convoy}

    def check(self) -> None:
        p = self.params
        self.n_agents = p.n_agents
        self.width = p.corridor + 2 * ROOM
        position, clock = "row and column, each divided by the last one", "steps so far, divided by the horizon"
        names = [f"_{i}" for i in range(p.n_agents)] if p.observe_all else [""]
        fields = [
            field
            for name in names
            for field in (
                Field(f"position{name}", 2, 0.0, 1.0, position),
                Field(f"clock{name}", int(p.clock), 0.0, 1.0, clock),
            )
        ]
        self.observation_layout = tuple(field for field in fields if field.size)
        self.state_layout = (
            Field("positions", 2 * p.n_agents, 0.0, 1.0, f"all agents' {position}"),
            Field("arrived", p.n_agents, 0.0, 1.0, "1 for each agent at its goal"),
            Field("clock", 1, 0.0, 1.0, clock),
        )

    def kernel_params(self) -> Rules:
        p, last = self.params, self.width - 1
        starts = ((0, 1), (0, last - 1), (2, 1), (2, last - 1))
        goals = ((0, last), (0, 0), (2, last), (2, 0))
        place = places_of(ROWS, self.width, ROWS - 1, last)
        return Rules(
            beside=cells_beside(self.floor),
            start=np.array([row * self.width + column for row, column in starts[: p.n_agents]]),
            goal=np.array([row * self.width + column for row, column in goals[: p.n_agents]]),
            place=place,
            seen_place=rounded(place) if p.source_slips else place,
            horizon=p.horizon,
            step_reward=p.step_reward,
            goal_reward=p.goal_reward,
            clock=p.clock,
            observe_all=p.observe_all,
            reward_mode=("team_sum", "team_mean", "per_agent").index(p.reward_mode),
        )

    @property
    def floor(self) -> np.ndarray:
        """Where agents can stand, in the rooms and in the corridor: [rows, columns] bool."""
        floor = np.ones((ROWS, self.width), np.bool_)
        floor[:, ROOM : self.width - ROOM] = False
        floor[MIDDLE] = True
        return floor

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            cell=np.zeros((num_envs, self.n_agents), np.int64),
            before=np.zeros((num_envs, self.n_agents), np.int64),
            agent_reward=np.zeros((num_envs, self.n_agents)),
        )

    def optimum(self) -> tuple[float, str] | None:
        """By dynamic programming backwards in time; None where there are too many joint positions or steps."""
        p, rules = self.params, self.kernel_params()
        floor = np.flatnonzero(self.floor)
        if len(floor) ** p.n_agents > MOST_STATES or p.horizon > MOST_STEPS:
            return None
        number = np.full(ROWS * self.width, -1)  # of a cell among those of the floor
        number[floor] = np.arange(len(floor))
        shape = (len(floor),) * p.n_agents
        moves = [self._moves_of(i, number[rules.beside[floor]], number[rules.goal], shape) for i in range(p.n_agents)]
        value = np.zeros(np.prod(shape))  # the best return to come, for each joint position
        for _ in range(p.horizon):
            later = value
            for to, reward in reversed(moves):
                later = (later[to] + reward).max(axis=0)
            if np.array_equal(later, value):  # and so at all earlier times
                break
            value = later
        best = float(value[np.ravel_multi_index(number[rules.start], shape)])
        best = best / p.n_agents if p.reward_mode == "team_mean" else best
        return round(best, 9), "dynamic programming over all joint positions: one start, no chance"

    def _moves_of(self, i: int, beside: np.ndarray, goal: np.ndarray, shape: Any) -> tuple[np.ndarray, np.ndarray]:
        """What agent i's actions do in each joint position: which one follows and what the agent earns, both [5, ...].

        beside: [floor, 5]; goal: [N]. Joint positions in which two agents share a cell lead nowhere.
        """
        cells = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape))  # [N, joint positions]
        to = beside[cells[i]].T.copy()  # [5, joint positions]
        others = np.delete(cells, i, axis=0)
        to = np.where((to[:, None] == others).any(axis=1), cells[i], to)
        waiting = cells[i] != goal[i]
        reward = np.where(to == goal[i], self.params.goal_reward, self.params.step_reward) * waiting
        possible = np.all([one != other for one, other in itertools.combinations(cells, 2)], axis=0)
        to = np.where(waiting & possible, to, cells[i])
        follows = np.arange(to.shape[1]) + (to - cells[i]) * len(beside) ** (len(shape) - 1 - i)
        return follows, reward * possible

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The map; each goal is framed in its agent's colour, and who has arrived has a green ring."""
        canvas.view(0, 0, self.width, ROWS, below=40)
        for (row, column), is_floor in np.ndenumerate(self.floor):
            canvas.rectangle(column, row, column + 1, row + 1, PAPER if is_floor else mixed(INK, PAPER, 0.25))
            if is_floor:
                canvas.rectangle(column, row, column + 1, row + 1, LINE, width=1)
        canvas.rectangle(0, 0, self.width, ROWS, INK, width=3)
        rules, cells = self.kernel_params(), scene.arrays.cell[scene.e]
        for i, goal in enumerate(rules.goal):
            y, x = divmod(int(goal), self.width)
            canvas.rectangle(x + 0.08, y + 0.08, x + 0.92, y + 0.92, agent_colour(i), 0.25)
            canvas.rectangle(x + 0.08, y + 0.08, x + 0.92, y + 0.92, agent_colour(i), width=4)
            canvas.text(x + 0.5, y + 0.5, str(i), 0.3, agent_colour(i))
        places, arrived = self.places(scene), cells == rules.goal
        boxes = [(x - 0.47, y - 0.47, x + 0.47, y + 0.47) for x, y in places]
        for i, box in enumerate(boxes if scene.show_sight else ()):
            canvas.rectangle(*box, agent_colour(i), 0.3)
        canvas.trail(scene.trail, RADIUS)
        if scene.action is not None:
            draw_rests(canvas, places, scene.arrays.before[scene.e], cells, scene.action)
        for i, (x, y) in enumerate(places):
            canvas.agent(x, y, RADIUS, i)
            if arrived[i]:
                canvas.ring(x, y, RADIUS + 5 / canvas.scale, GREEN, 4)
        if scene.viewer is not None:
            canvas.fog((0, 0, self.width, ROWS), boxes if self.params.observe_all else [boxes[scene.viewer]])
            return
        width = canvas.foot(40)
        sees = "everybody sees all places" if self.params.observe_all else "each agent sees its own place alone"
        canvas.text(20, 24, sees, 16, FAINT, "left")
        canvas.tally(width - 20, 24, "arrived:", np.flatnonzero(arrived).tolist())

    def places(self, scene: Scene) -> np.ndarray:
        return middles(scene.arrays.cell[scene.e], self.width)

    def describe(self, scene: Scene) -> str:
        """The map: agents by number, free goals by letter (a is agent 0's), walls as #."""
        rules, cells = self.kernel_params(), scene.arrays.cell[scene.e].tolist()
        signs = {int(goal): chr(ord("a") + i) for i, goal in enumerate(rules.goal)}
        signs |= {cell: str(i) for i, cell in enumerate(cells)}
        lines = [
            " ".join(signs.get(row * self.width + k, "." if is_floor else "#") for k, is_floor in enumerate(line))
            for row, line in enumerate(self.floor)
        ]
        arrived = [str(i) for i, cell in enumerate(cells) if cell == rules.goal[i]]
        lines.append(f"arrived: {', '.join(arrived) or 'none'} of {self.n_agents}")
        if scene.action is not None:
            lines.append(f"last actions: {', '.join(f'{i} {ACTIONS[a]}' for i, a in enumerate(scene.action))}")
        lines.append(f"step {scene.steps} of {scene.horizon}, reward {scene.reward:g}, return {scene.team_return:g}")
        return "\n".join(lines)

    def keys(self) -> dict[str, int]:
        return KEYS
