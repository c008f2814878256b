"""Checkers: one agent profits from apples, the other clears its way by eating the lemons.

Apples and lemons lie like the colours of a draughts board. Both agents can eat both, but agent 0 gains and loses ten
times as much: it should have all the apples, and touch no lemon, although lemons lie between all of them.

Rules
    The board has three rows. The `columns` columns on the left bear food, an apple where row and column add up to an
    even number and else a lemon; the two columns on the right are empty. Agent 0 starts in the top row, agent 1 in the
    bottom row, both in the first empty column. In a step first agent 0 moves, then agent 1: by one cell, unless the
    edge or the other agent is there; agent 1 may enter the cell that agent 0 has just left. Who enters a cell eats
    what lies there.

Actions

    ====== ======= ================
    number name    moves by
    ====== ======= ================
    0      `down`  one row down
    1      `left`  one column left
    2      `up`    one row up
    3      `right` one column right
    4      `noop`  nothing
    ====== ======= ================

    Every action is always legal.

Observation of agent i

    ========== ============== =================================================================== ======
    field      features       meaning                                                             bound
    ========== ============== =================================================================== ======
    `position` 2              the agent's own row and column, each divided by the last one        0 to 1
    `view`     5 (2 sight+1)^2 for each cell within `sight` rows and columns, row by row: 1 for a  0 to 1
                              lemon, 1 for an apple, 1 for agent 0, 1 for agent 1, and 1 beyond
                              the edge
    `clock`    1              with `clock` only: steps so far, divided by the horizon             0 to 1
    ========== ============== =================================================================== ======

    With `observe_all` every agent gets the fields of both instead: `position_0`, `view_0`, `clock_0`, `position_1`, ...

State (the same whatever the agents observe)

    ========== ============== =================================================================== ======
    field      features       meaning                                                             bound
    ========== ============== =================================================================== ======
    `board`    4 a cell       for each cell, row by row: 1 for a lemon, 1 for an apple, 1 for     0 to 1
                              agent 0, 1 for agent 1
    `clock`    1              steps of the episode so far, divided by the horizon                 0 to 1
    ========== ============== =================================================================== ======

Reward
    In each step an agent earns `step_reward`, -0.01, and for an apple that it eats agent 0 earns `sensitive`, 10, and
    agent 1 `insensitive`, 1; a lemon costs them as much. The team's reward is the sum over agents
    (`reward_mode="team_sum"`) or the mean ("team_mean"); with "per_agent" every agent gets its own, and the team's
    return is their sum.

End
    The end of the apples ends the episode: terminated. The time limit, 100 steps, truncates.

Presets
    `checkers`, `checkers_clock`: ma-gym's Checkers-v0 and Checkers-v2. With `observe_all=True` they are Checkers-v1 and
    Checkers-v3. Without a preset: `checkers` without the slips of its observations.

Known returns of the team
    The best is 86.26: agent 0 eats the 9 apples (+90), agent 1 three lemons (-3), and both walk 37 steps (-0.74). It
    takes three lemons to join the apples to one another and to the empty columns, and only those in the middle row do
    it with three; a search over all ways to play with these shows that 37 steps are the fewest; a fourth lemon costs
    more than all steps together, and an apple that agent 0 does not get, or a lemon that it does, costs far more. The
    scripted team `pathfinders` earns it. See `coopgym list` for the random team.

Source
    Checkers of ma-gym 0.0.14 (Koul, "ma-gym: Collection of multi-agent environments based on OpenAI gym", 2019, commit
    877ed64), after Sunehag et al., "Value-Decomposition Networks For Cooperative Multi-Agent Learning", AAMAS 2018.
    From the same actions, boards, rewards and observations are the source's.

Differences from the source
    Three slips of the source's observations are in the presets (`source_slips`) and not in the default: it divides
    the row by the number of rows rather than by the last one, so that it ends at 2/3; it rounds positions to two
    places; and it never sets the feature that stands for a wall, since cells beyond the edge are left out before. Its
    text speaks of a wall of lemons between the agents and the apples; an apple lies in the middle of that wall, here as
    there. The source reports the end of the apples and of the time by the same flag; here the rules terminate and the
    time limit truncates. It gives each agent its own reward; here that is `reward_mode="per_agent"`. It has no state.
    The columns of food and the sight are parameters here.

Versions
    v1: first release.
"""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.grids import ACTIONS, KEYS, cells_beside, draw_rests, middles, places_of, rounded
from coopgym.envs.parameters import Parameter
from coopgym.envs.rendering import (
    FAINT,
    GREEN,
    GREY,
    INK,
    LINE,
    STRIP,
    VERMILLION,
    Canvas,
    agent_colour,
    signed,
)

ROWS, EMPTY_COLUMNS, AGENTS = 3, 2, 2
NOTHING, LEMON, APPLE = range(3)
SEEN = 5  # features of a cell in a view: lemon, apple, agent 0, agent 1, beyond the edge
RADIUS = 0.36  # of an agent in a picture, cells
FEWEST_STEPS = 37  # in which agent 0 can eat all apples of the published board, and agent 1 three lemons

TEAM_SUM, TEAM_MEAN, PER_AGENT = range(3)


class Params(NamedTuple):
    columns: Annotated[int, Parameter("with food", "cells", 1, 100)] = 6
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 100
    step_reward: Annotated[float, Parameter("of each agent in each step", "", -1e6, 1e6)] = -0.01
    sensitive: Annotated[float, Parameter("what an apple brings agent 0, and a lemon costs it", "", 0, 1e6)] = 10.0
    insensitive: Annotated[float, Parameter("what an apple brings agent 1, and a lemon costs it", "", 0, 1e6)] = 1.0
    sight: Annotated[int, Parameter("rows and columns that agents see in each direction", "cells", 1, 100)] = 1
    clock: Annotated[bool, Parameter("whether agents see how much time has passed")] = False
    observe_all: Annotated[bool, Parameter("whether every agent sees what both see")] = False
    source_slips: Annotated[bool, Parameter("whether observations have the slips of the source")] = False
    reward_mode: Annotated[
        Literal["team_sum", "team_mean", "per_agent"], Parameter("sum or mean over the team, or each agent its own")
    ] = "team_sum"


class Rules(NamedTuple):
    """The parameters as the kernels take them. Cells are numbered row by row."""

    beside: np.ndarray  # [cells, 5] int64, where an action leads; the cell itself at an edge
    food: np.ndarray  # [cells] int8, at the start of an episode
    place: np.ndarray  # [cells, 2] float64, what agents see of their own row and column
    worth: np.ndarray  # [2] float64, of an apple to each agent
    width: int
    edge: float  # what a view shows beyond the edge
    horizon: int
    step_reward: float
    sight: int
    clock: bool
    observe_all: bool
    reward_mode: int


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    cell: np.ndarray  # [E, 2] int64, where each agent is
    before: np.ndarray  # [E, 2] int64, where it was before the last step, for pictures
    food: np.ndarray  # [E, cells] int8: NOTHING, LEMON or APPLE
    apples: np.ndarray  # [E] int32, still to be eaten
    eaten: np.ndarray  # [E, 2] int8, what each agent ate in the last step
    agent_reward: np.ndarray  # [E, 2] float64, of the last step


@kernel
def reset(p, s, e):
    s.apples[e] = 0
    for cell in range(p.food.shape[0]):
        s.food[e, cell] = p.food[cell]
        s.apples[e] += p.food[cell] == APPLE
    for i in range(AGENTS):
        s.cell[e, i] = (ROWS - 1) * i * p.width + p.width - EMPTY_COLUMNS
        s.before[e, i] = s.cell[e, i]
        s.eaten[e, i] = NOTHING


@kernel
def step(p, s, e, action):
    for i in range(AGENTS):
        to = p.beside[s.cell[e, i], action[i]]
        s.before[e, i] = s.cell[e, i]
        s.eaten[e, i] = NOTHING
        s.agent_reward[e, i] = p.step_reward

        if to == s.cell[e, 1 - i]:
            continue
        s.cell[e, i] = to
        s.eaten[e, i] = s.food[e, to]
        s.food[e, to] = NOTHING
        if s.eaten[e, i] == APPLE:
            s.apples[e] -= 1
            s.agent_reward[e, i] += p.worth[i]
        elif s.eaten[e, i] == LEMON:
            s.agent_reward[e, i] -= p.worth[i]
    total = s.agent_reward[e, 0] + s.agent_reward[e, 1]
    return total / AGENTS if p.reward_mode == TEAM_MEAN else total, s.apples[e] == 0


@kernel
def observe(p, s, e, obs):
    side = 2 * p.sight + 1
    size = 2 + SEEN * side * side + p.clock
    clock = s.t[e] / p.horizon
    for i in range(AGENTS):
        for block in range(AGENTS if p.observe_all else 1):
            j = block if p.observe_all else i
            first = block * size
            obs[i, first] = p.place[s.cell[e, j], 0]
            obs[i, first + 1] = p.place[s.cell[e, j], 1]
            _look(p, s, e, s.cell[e, j], obs, i, first + 2)
            if p.clock:
                obs[i, first + size - 1] = clock


@kernel
def _look(p, s, e, cell, obs, i, feature):
    """Writes what there is around a cell into agent i's observation, from this feature on."""
    row, column = cell // p.width, cell % p.width
    for r in range(row - p.sight, row + p.sight + 1):
        for c in range(column - p.sight, column + p.sight + 1):
            inside = r >= 0 and r < ROWS and c >= 0 and c < p.width
            there = r * p.width + c if inside else 0
            obs[i, feature] = inside and s.food[e, there] == LEMON
            obs[i, feature + 1] = inside and s.food[e, there] == APPLE
            obs[i, feature + 2] = inside and s.cell[e, 0] == there
            obs[i, feature + 3] = inside and s.cell[e, 1] == there
            obs[i, feature + 4] = 0.0 if inside else p.edge
            feature += SEEN


@kernel
def summarise(p, s, e, state):
    for cell in range(s.food.shape[1]):
        state[4 * cell] = s.food[e, cell] == LEMON
        state[4 * cell + 1] = s.food[e, cell] == APPLE
        state[4 * cell + 2] = s.cell[e, 0] == cell
        state[4 * cell + 3] = s.cell[e, 1] == cell
    state[4 * s.food.shape[1]] = s.t[e] / p.horizon


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = 1


class Pathfinders:
    """Agent 1 eats the lemons of the middle row, agent 0 follows and eats the apples around each; they wait aside.

    The game always starts alike and knows no chance, so both have learnt their steps by heart and count them. In the
    strings a move is the first letter of its action, and a point is the no-op; agent 0 begins a part on the place of a
    lemon in the middle row that agent 1, now behind it, has just eaten, and ends it on that of the next one.
    """

    OPENINGS = (  # until there; for a middle row that ends with an apple, and with a lemon
        ("dlrr.....lll", "...ullrru.dl"),
        ("....dl", "ulrd.u"),
    )
    NEXT = ("lru..dd.ull", "..lllrru.dl")
    LAST = ("duu", "...")

    def __init__(self, env: Any) -> None:
        columns = env.params.columns
        parts = [self.OPENINGS[columns % 2], *[self.NEXT] * ((columns - 1) // 2), self.LAST]
        letters = {name[0]: a for a, name in enumerate(ACTIONS)} | {".": env.noop}
        self.plan = np.array([[letters[letter] for part in parts for letter in part[i]] for i in range(AGENTS)])
        self.noop = env.noop

    def reset(self, num_envs: int) -> None:
        self.steps = 0

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        over = self.steps >= self.plan.shape[1]
        moves = np.full(AGENTS, self.noop) if over else self.plan[:, self.steps]
        self.steps += 1
        return np.tile(moves, (len(obs), 1))


MA_GYM = "ma-gym 0.0.14 (Koul, 2019), after Sunehag et al., VDN, AAMAS 2018"

PRESETS = {
    "checkers": Preset({"source_slips": True}, f"Checkers-v0 of {MA_GYM}"),
    "checkers_clock": Preset({"source_slips": True, "clock": True}, f"Checkers-v2 of {MA_GYM}"),
}


class Checkers(Environment):
    id = "checkers_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    noop = ACTIONS.index("noop")
    action_names = ACTIONS
    n_agents = AGENTS
    masks_change = False
    scripted = {"pathfinders": Pathfinders}

    def check(self) -> None:
        p = self.params
        self.width = p.columns + EMPTY_COLUMNS
        names = [f"_{i}" for i in range(AGENTS)] if p.observe_all else [""]
        view = "for each cell in sight, row by row: 1 for a lemon, an apple, agent 0, agent 1, beyond the edge"
        fields = [
            field
            for name in names
            for field in (
                Field(f"position{name}", 2, 0.0, 1.0, "row and column, each divided by the last one"),
                Field(f"view{name}", SEEN * (2 * p.sight + 1) ** 2, 0.0, 1.0, view),
                Field(f"clock{name}", int(p.clock), 0.0, 1.0, "steps so far, divided by the horizon"),
            )
        ]
        self.observation_layout = tuple(field for field in fields if field.size)
        self.state_layout = (
            Field("board", 4 * ROWS * self.width, 0.0, 1.0, "for each cell: 1 for a lemon, an apple, agent 0, agent 1"),
            Field("clock", 1, 0.0, 1.0, "steps so far, divided by the horizon"),
        )

    def kernel_params(self) -> Rules:
        p = self.params
        row, column = np.divmod(np.arange(ROWS * self.width), self.width)
        food = np.where((row + column) % 2 == 0, APPLE, LEMON)
        place = places_of(ROWS, self.width, ROWS if p.source_slips else ROWS - 1, self.width - 1)
        return Rules(
            beside=cells_beside(np.ones((ROWS, self.width), np.bool_)),
            food=np.where(column < p.columns, food, NOTHING).astype(np.int8),
            place=rounded(place) if p.source_slips else place,
            worth=np.array([p.sensitive, p.insensitive]),
            width=self.width,
            edge=0.0 if p.source_slips else 1.0,
            horizon=p.horizon,
            step_reward=p.step_reward,
            sight=p.sight,
            clock=p.clock,
            observe_all=p.observe_all,
            reward_mode=("team_sum", "team_mean", "per_agent").index(p.reward_mode),
        )

    def allocate(self, num_envs: int) -> State:
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            cell=np.zeros((num_envs, AGENTS), np.int64),
            before=np.zeros((num_envs, AGENTS), np.int64),
            food=np.zeros((num_envs, ROWS * self.width), np.int8),
            apples=np.zeros(num_envs, np.int32),
            eaten=np.zeros((num_envs, AGENTS), np.int8),
            agent_reward=np.zeros((num_envs, AGENTS)),
        )

    def optimum(self) -> tuple[float, str] | None:
        """Of the published board and rewards; None for others."""
        p = self.params
        rules = ("columns", "horizon", "step_reward", "sensitive", "insensitive")
        if any(getattr(p, name) != Params._field_defaults[name] for name in rules):
            return None
        best = 9 * p.sensitive - 3 * p.insensitive + AGENTS * FEWEST_STEPS * p.step_reward
        best = best / AGENTS if p.reward_mode == "team_mean" else best
        return round(best, 9), f"9 apples, 3 lemons at least, and {FEWEST_STEPS} steps by search over all ways to play"

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The board with its food; what an agent has just eaten is told by what it earned."""
        s, e, p = scene.arrays, scene.e, self.params
        canvas.view(0, 0, self.width, ROWS, below=40)
        for cell, food in enumerate(s.food[e].tolist()):
            y, x = divmod(cell, self.width)
            canvas.rectangle(x, y, x + 1, y + 1, STRIP, 1.0 if (x + y) % 2 else 0.4)
            canvas.rectangle(x, y, x + 1, y + 1, LINE, width=1)
            if food != NOTHING:
                canvas.sprite("apple" if food == APPLE else "lemon", x + 0.5, y + 0.5, 0.75)
        canvas.rectangle(0, 0, self.width, ROWS, INK, width=3)
        places = self.places(scene)
        boxes = [self._window(x, y) for x, y in places]
        for i, box in enumerate(boxes if scene.show_sight else ()):
            canvas.rectangle(*box, agent_colour(i), 0.15)
            canvas.rectangle(*box, agent_colour(i), width=3)
        canvas.trail(scene.trail, RADIUS)
        if scene.action is not None:
            draw_rests(canvas, places, s.before[e], s.cell[e], scene.action)
        for i, (x, y) in enumerate(places):
            canvas.agent(x, y, RADIUS, i)
        for i, (x, y) in enumerate(places if scene.action is not None else ()):
            if s.eaten[e, i] != NOTHING:
                colour = GREEN if s.eaten[e, i] == APPLE else VERMILLION
                earned = (p.sensitive, p.insensitive)[i] * (1 if s.eaten[e, i] == APPLE else -1)
                height = min(max(0.3, 14 / canvas.scale), 26 / canvas.scale)
                canvas.flag(x, y - 0.35, signed(earned), height, colour if earned else GREY)
        if scene.viewer is not None:
            canvas.fog((0, 0, self.width, ROWS), boxes if p.observe_all else [boxes[scene.viewer]])
            return
        lemons, all_food = int((s.food[e] == LEMON).sum()), self.kernel_params().food
        width = canvas.foot(40)
        canvas.text(20, 24, f"apples left: {s.apples[e]} of {(all_food == APPLE).sum()}", 16, FAINT, "left")
        canvas.text(width - 20, 24, f"lemons left: {lemons} of {(all_food == LEMON).sum()}", 16, FAINT, "right")

    def _window(self, x: float, y: float) -> tuple[float, float, float, float]:
        """What an agent with its middle here sees of the board."""
        reach = self.params.sight + 0.5
        return max(0, x - reach), max(0, y - reach), min(self.width, x + reach), min(ROWS, y + reach)

    def places(self, scene: Scene) -> np.ndarray:
        return middles(scene.arrays.cell[scene.e], self.width)

    def describe(self, scene: Scene) -> str:
        """The board: agents by number, apples as a, lemons as l."""
        cells, signs = scene.arrays.cell[scene.e].tolist(), dict(enumerate(".la"))
        marks = [signs[food] for food in scene.arrays.food[scene.e].tolist()]
        for i, cell in enumerate(cells):
            marks[cell] = str(i)
        lines = [" ".join(marks[row * self.width : (row + 1) * self.width]) for row in range(ROWS)]
        lines.append(f"apples left: {scene.arrays.apples[scene.e]}")
        if scene.action is not None:
            lines.append(f"last actions: {', '.join(f'{i} {ACTIONS[a]}' for i, a in enumerate(scene.action))}")
        lines.append(f"step {scene.steps} of {scene.horizon}, reward {scene.reward:g}, return {scene.team_return:g}")
        return "\n".join(lines)

    def keys(self) -> dict[str, int]:
        return KEYS
