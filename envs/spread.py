"""Spread: agents share out the landmarks among themselves and keep out of each other's way.

As many agents as landmarks lie on a plane. The team is paid for having an agent near every landmark, and each agent
pays for bumping into others, so the agents must agree, without a word, on who goes where.

Rules
    Agents are discs of radius 0.15, landmarks points. An episode starts with all of them drawn uniformly from the
    square [-1, 1] x [-1, 1], the agents first, at rest. In a step of 0.1 s every agent pushes itself with a force of 5
    in one of four directions, or not at all. Agents that overlap push each other apart, with a force of 100 times the
    depth of the overlap, softly rising over 0.001; landmarks hinder nobody. Positions move with the old velocities;
    then every velocity loses a quarter and gains force x 0.1 s (mass 1). There is no wall and no limit on speed.
    Agents at the very same point do not push each other: the force has no direction.

Actions

    ====== ======= ==================
    number name    force (x, y)
    ====== ======= ==================
    0      `noop`  (0, 0)
    1      `left`  (-5, 0)
    2      `right` (+5, 0)
    3      `down`  (0, -5)
    4      `up`    (0, +5)
    ====== ======= ==================

    Every action is always legal.

Observation of agent i (units: lengths as the starting square has them, half its side being 1; bounds below)

    ==================== ======== =================================================================== ========
    field                features meaning                                                             bound
    ==================== ======== =================================================================== ========
    `velocity`           2        the agent's own, per second                                         V
    `position`           2        the agent's own                                                     P
    `landmarks`          2N       each landmark's position minus the agent's, x and y                 min(1 + P, sight)
    `others`             2(N - 1) each other agent's position minus the agent's, in order             min(2P, sight)
    `communication`      2(N - 1) zeros: kept from the source, whose agents are silent in this task   0
    `landmarks_visible`  N        with a finite `sight` only: 1 where that landmark can be seen       0 to 1
    `others_visible`     N - 1    with a finite `sight` only: 1 where that agent can be seen          0 to 1
    ==================== ======== =================================================================== ========

    What lies farther away than `sight`, centre to centre, is hidden: its two features and its flag are 0. The bounds V
    and P follow from the number of agents and the horizon, see `velocity_bound` and `position_bound`.

State (the same whatever the sight)

    ==================== ======== =================================================================== ========
    field                features meaning                                                             bound
    ==================== ======== =================================================================== ========
    `positions`          2N       all agents' positions, x and y                                      P
    `velocities`         2N       all agents' velocities, per second                                  V
    `landmarks`          2N       all landmarks' positions                                            1
    ==================== ======== =================================================================== ========

Reward
    Agent i earns (1 - `local_ratio`) x G - `local_ratio` x C_i in each step, where G is minus the sum over landmarks
    of the distance to the nearest agent, and C_i the number of other agents closer than 0.3 to agent i, both at the
    positions after the step. The team's reward is the sum over agents (`reward_mode="team_sum"`) or the mean
    ("team_mean"); with "per_agent" every agent gets its own, and the team's return is their sum.

End
    The time limit, 25 steps, truncates. Nothing terminates an episode.

Presets
    `mpe2`: the defaults. `sight_0.5`, `sight_1.0`, `sight_1.5`: agents that see no farther than this; new here,
    without a source in the literature.

Known returns of the team, means over 4,000 episodes of `mpe2`
    Random actions -79.2, no action at all -72.7 (standard errors 0.4); going straight for the cheapest assignment of
    landmarks -24.6 (0.2), which the best learners published reach as well.

Source
    simple_spread_v3 of mpe2 1.1.1 (Farama Foundation), formerly in PettingZoo, after Lowe et al., "Multi-agent
    actor-critic for mixed cooperative-competitive environments", NeurIPS 2017. From the same start and actions,
    positions, rewards and observations are the source's.

Differences from the source
    The state is not the concatenation of all observations, which grows with the square of the number of agents, but
    positions and velocities: 6N features instead of N(6N). It holds the same knowledge. Observations have finite
    bounds. Agents at the very same point get no contact force, where the source divides by zero. Starts come from
    this package's random streams, so seeds name other games than the source's. The reward is the team's by default.
    Continuous actions, the curriculum, the end on success and the view of the k nearest are not offered; `sight` is
    new.

Versions
    v1: first release.
"""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np

from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene
from coopgym.envs.parameters import Parameter
from coopgym.envs.particles import DAMPING, MARGIN, STIFFNESS, TIME_STEP, drive, move, push_apart
from coopgym.envs.rendering import FAINT, GREEN, GREY, INK, LINE, PAPER, STRIP, VERMILLION, Canvas, agent_colour
from coopgym.envs.rng import uniform

AGENT_RADIUS = 0.15
LANDMARK_RADIUS = 0.05  # for drawing only
COLLISION = AGENT_RADIUS + AGENT_RADIUS  # agents closer than this overlap
FORCE = 5.0  # of an agent's own push
COVERED = 0.1  # a landmark with an agent this near counts as covered in pictures and text; no rule asks for it

TEAM_SUM, TEAM_MEAN, PER_AGENT = range(3)


class Params(NamedTuple):
    n_agents: Annotated[int, Parameter("agents, and landmarks as many", "agents", 1, 1000)] = 3
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 25
    local_ratio: Annotated[
        float, Parameter("weight of an agent's collisions against the team's distances", "", 0, 1)
    ] = 0.5
    sight: Annotated[float, Parameter("distance up to which agents see; inf sees all", "lengths", 0.01)] = math.inf
    reward_mode: Annotated[
        Literal["team_sum", "team_mean", "per_agent"], Parameter("sum or mean over the team, or each agent its own")
    ] = "team_sum"


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    position: np.ndarray  # [E, N, 2] float64
    velocity: np.ndarray  # [E, N, 2] float64, per second
    force: np.ndarray  # [E, N, 2] float64, on each agent during the last step
    landmark: np.ndarray  # [E, N, 2] float64
    agent_reward: np.ndarray  # [E, N] float64, of the last step


@kernel
def reset(p, s, e):
    for i in range(p.n_agents):
        for k in range(2):
            s.position[e, i, k] = uniform(s.rng, e, -1.0, 1.0)
            s.velocity[e, i, k] = 0.0
            s.force[e, i, k] = 0.0
    for i in range(p.n_agents):
        for k in range(2):
            s.landmark[e, i, k] = uniform(s.rng, e, -1.0, 1.0)


@kernel
def step(p, s, e, action):
    for i in range(p.n_agents):
        drive(s.force, e, i, action[i], FORCE)
    push_apart(s.position, s.force, e, COLLISION)
    move(s.position, s.velocity, s.force, e)
    return _reward(p, s, e), False


@kernel
def _reward(p, s, e):
    """Writes the agents' rewards and returns the team's."""
    _count_collisions(p, s, e)
    coverage = 0.0
    for place in range(p.n_agents):
        coverage -= _distance_to_nearest(p, s, e, place)
    total = 0.0
    for i in range(p.n_agents):
        s.agent_reward[e, i] = coverage * (1.0 - p.local_ratio) - s.agent_reward[e, i] * p.local_ratio
        total += s.agent_reward[e, i]
    return total / p.n_agents if p.reward_mode == TEAM_MEAN else total


@kernel
def _count_collisions(p, s, e):
    """Writes into agent_reward how many others each agent overlaps."""
    for i in range(p.n_agents):
        s.agent_reward[e, i] = 0.0
    for i in range(p.n_agents):
        for j in range(i + 1, p.n_agents):
            dx = s.position[e, i, 0] - s.position[e, j, 0]
            dy = s.position[e, i, 1] - s.position[e, j, 1]
            if math.sqrt(dx * dx + dy * dy) < COLLISION:
                s.agent_reward[e, i] += 1.0
                s.agent_reward[e, j] += 1.0


@kernel
def _distance_to_nearest(p, s, e, place):
    """From the landmark to the agent nearest to it."""
    nearest = math.inf
    for i in range(p.n_agents):
        dx = s.position[e, i, 0] - s.landmark[e, place, 0]
        dy = s.position[e, i, 1] - s.landmark[e, place, 1]
        nearest = min(nearest, dx * dx + dy * dy)
    return math.sqrt(nearest)


@kernel
def observe(p, s, e, obs):
    others = 4 + 2 * p.n_agents  # the first feature of each field
    communication = others + 2 * (p.n_agents - 1)
    landmarks_visible = communication + 2 * (p.n_agents - 1)
    others_visible = landmarks_visible + p.n_agents
    for i in range(p.n_agents):
        x = s.position[e, i, 0]
        y = s.position[e, i, 1]
        obs[i, 0] = s.velocity[e, i, 0]
        obs[i, 1] = s.velocity[e, i, 1]
        obs[i, 2] = x
        obs[i, 3] = y
        for place in range(p.n_agents):
            dx = s.landmark[e, place, 0] - x
            dy = s.landmark[e, place, 1] - y
            _see(p, obs, i, 4 + 2 * place, landmarks_visible + place, dx, dy)
        for k in range(p.n_agents - 1):
            j = k + (k >= i)  # the k-th of the others
            dx = s.position[e, j, 0] - x
            dy = s.position[e, j, 1] - y
            _see(p, obs, i, others + 2 * k, others_visible + k, dx, dy)
            obs[i, communication + 2 * k] = 0.0
            obs[i, communication + 2 * k + 1] = 0.0


@kernel
def _see(p, obs, i, feature, flag, dx, dy):
    """Writes where something lies, as agent i sees it, and, with a finite sight, whether it sees it."""
    visible = dx * dx + dy * dy <= p.sight * p.sight
    obs[i, feature] = dx if visible else 0.0
    obs[i, feature + 1] = dy if visible else 0.0
    if p.sight < math.inf:
        obs[i, flag] = visible


@kernel
def summarise(p, s, e, state):
    n = p.n_agents
    for i in range(n):
        for k in range(2):
            state[2 * i + k] = s.position[e, i, k]
            state[2 * n + 2 * i + k] = s.velocity[e, i, k]
            state[4 * n + 2 * i + k] = s.landmark[e, i, k]


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = 1


# Bounds. Along one axis, another agent pushes with at most the contact force at full overlap, STIFFNESS x (COLLISION +
# MARGIN ln 2), so the force on an agent is at most F = FORCE + (N - 1) x that. With r = 1 - DAMPING, a velocity after t
# steps from rest is at most F x TIME_STEP x (1 + r + ... + r^(t - 1)). A position starts within 1 and adds
# TIME_STEP x velocity of each step but the last. A millionth on top is for rounding.
ROUNDING = 1 + 1e-6


def _steady_velocity(n_agents: int) -> float:
    """What the velocity of an agent cannot reach, however long the greatest force pushes it."""
    force = FORCE + (n_agents - 1) * STIFFNESS * (COLLISION + MARGIN * math.log(2))
    return force * TIME_STEP / DAMPING * ROUNDING


def velocity_bound(n_agents: int, horizon: int) -> float:
    """No component of any agent's velocity exceeds this within the horizon, per second."""
    return _steady_velocity(n_agents) * (1 - (1 - DAMPING) ** horizon)


def position_bound(n_agents: int, horizon: int) -> float:
    """No component of any agent's position exceeds this within the horizon."""
    steady_steps = horizon - (1 - (1 - DAMPING) ** horizon) / DAMPING  # the sum over t < horizon of 1 - r^t
    return ROUNDING + _steady_velocity(n_agents) * TIME_STEP * steady_steps


SIGHT_SOURCE = "new here, without a source in the literature"

PRESETS = {
    "mpe2": Preset({}, "mpe2 1.1.1, simple_spread_v3 (Farama Foundation), after Lowe et al., NeurIPS 2017"),
    **{f"sight_{sight}": Preset({"sight": sight}, SIGHT_SOURCE) for sight in (0.5, 1.0, 1.5)},
}


class Spread(Environment):
    id = "spread_v1"
    Params = Params
    presets = PRESETS
    kernels = Kernels(reset, step, observe, summarise, available)
    real_time = True
    masks_change = False

    def check(self) -> None:
        p = self.params
        n = self.n_agents = p.n_agents
        self.action_names = ("noop", "left", "right", "down", "up")
        v, x = velocity_bound(n, p.horizon), position_bound(n, p.horizon)
        landmark, other = min(1 + x, p.sight), min(2 * x, p.sight)
        layout = [
            Field("velocity", 2, -v, v, "the agent's own velocity, lengths per second"),
            Field("position", 2, -x, x, "the agent's own position, lengths"),
            Field("landmarks", 2 * n, -landmark, landmark, "each landmark's position minus the agent's, lengths"),
            Field("others", 2 * (n - 1), -other, other, "each other agent's position minus the agent's, lengths"),
            Field("communication", 2 * (n - 1), 0.0, 0.0, "zeros: the agents are silent"),
        ]
        if p.sight < math.inf:
            layout += [
                Field("landmarks_visible", n, 0.0, 1.0, "1 where the landmark is within sight"),
                Field("others_visible", n - 1, 0.0, 1.0, "1 where the agent is within sight"),
            ]
        self.observation_layout = tuple(part for part in layout if part.size)
        self.state_layout = (
            Field("positions", 2 * n, -x, x, "all agents' positions, lengths"),
            Field("velocities", 2 * n, -v, v, "all agents' velocities, lengths per second"),
            Field("landmarks", 2 * n, -1.0, 1.0, "all landmarks' positions, lengths"),
        )

    def allocate(self, num_envs: int) -> State:
        n = self.n_agents
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            position=np.zeros((num_envs, n, 2)),
            velocity=np.zeros((num_envs, n, 2)),
            force=np.zeros((num_envs, n, 2)),
            landmark=np.zeros((num_envs, n, 2)),
            agent_reward=np.zeros((num_envs, n)),
        )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The plane; from each landmark a line to the nearest agent, whose length is what the landmark costs."""
        agents, landmarks = scene.arrays.position[scene.e], scene.arrays.landmark[scene.e]
        to_agents = np.linalg.norm(landmarks[:, None] - agents, axis=2)  # [landmarks, N]
        overlaps = np.triu(np.linalg.norm(agents[:, None] - agents, axis=2) < COLLISION, 1)
        covered, nearest = to_agents.min(axis=1) < COVERED, agents[to_agents.argmin(axis=1)]
        half = _half_side(float(np.abs(agents).max()))
        canvas.view(-half, half, half, -half, below=40)
        canvas.crop(-half, half, half, -half)
        canvas.rectangle(-1, 1, 1, -1, STRIP)  # where everything starts
        if scene.show_sight and self.params.sight < math.inf:
            for i, (x, y) in enumerate(agents):
                canvas.circle(x, y, self.params.sight, agent_colour(i), 0.12)
                canvas.ring(x, y, self.params.sight, agent_colour(i), 1.5)
        canvas.trail(scene.trail, AGENT_RADIUS / 2)
        for place, ((x, y), (to_x, to_y)) in enumerate(zip(landmarks, nearest, strict=True)):
            canvas.line(x, y, to_x, to_y, GREY, 1.5)
            canvas.circle(x, y, LANDMARK_RADIUS, PAPER)
            canvas.ring(x, y, LANDMARK_RADIUS, GREEN if covered[place] else INK, 3.5)
            if not covered[place]:
                away = 0.13 / max(math.hypot(x - to_x, y - to_y), 1e-9)  # from the agent, where the letter is free
                canvas.text(x + away * (x - to_x), y + away * (y - to_y), _letter(place), 0.12)
        for i, ((x, y), (vx, vy)) in enumerate(zip(agents, scene.arrays.velocity[scene.e], strict=True)):
            along = AGENT_RADIUS / max(math.hypot(vx, vy), 1e-9)  # seconds to the edge of the disc
            canvas.line(x + along * vx, y + along * vy, x + (along + TICK) * vx, y + (along + TICK) * vy, INK, 3)
            canvas.agent(x, y, AGENT_RADIUS, i, 0.7)
        for place, (x, y) in enumerate(nearest):
            if covered[place]:
                canvas.ring(x, y, AGENT_RADIUS + 6 / canvas.scale, GREEN, 3)
                canvas.text(x + 0.18, y + 0.18, _letter(place), 0.12, GREEN)
        for x, y in agents[overlaps.any(axis=0) | overlaps.any(axis=1)]:
            canvas.ring(x, y, AGENT_RADIUS, VERMILLION, 4)
        canvas.rectangle(-half, half, half, -half, LINE, width=1)
        width = canvas.foot(40)
        canvas.text(20, 24, f"landmarks covered: {covered.sum()} of {self.n_agents}", 16, FAINT, "left")
        canvas.text(width - 20, 24, f"collisions: {overlaps.sum()}", 16, FAINT, "right")

    def places(self, scene: Scene) -> np.ndarray:
        return np.array(scene.arrays.position[scene.e])

    def keys(self) -> dict[str, int]:
        return {"space": 0, "left": 1, "right": 2, "down": 3, "up": 4}

    def describe(self, scene: Scene) -> str:
        agents, landmarks = scene.arrays.position[scene.e], scene.arrays.landmark[scene.e]
        to_landmarks = np.linalg.norm(landmarks[:, None] - agents, axis=2).min(axis=1)
        between = np.linalg.norm(agents[:, None] - agents, axis=2)
        pairs = [f"{i} and {j}" for i, j in np.argwhere(np.triu(between < COLLISION, 1))]
        covered = [_letter(place) for place in np.flatnonzero(to_landmarks < COVERED).tolist()]
        lines = [
            *_map(agents, landmarks),
            f"covered: {', '.join(covered) or 'none'} of {self.n_agents}",
            f"collisions: {', '.join(pairs) or 'none'}",
            f"step {scene.steps} of {self.horizon}, reward {scene.reward:.3f}, return {scene.team_return:.3f}",
        ]
        return "\n".join(lines)


TICK = 0.2  # seconds of its way: how long an agent's velocity is drawn


def _half_side(reach: float) -> float:
    """Half the side of a picture that shows agents this far out; in steps, so that pictures seldom change scale."""
    half = 1.2
    while half < reach + AGENT_RADIUS:
        half *= 1.25
    return half


MAP_ROWS, MAP_COLUMNS = 21, 41  # a character is about twice as high as wide


def _map(agents: np.ndarray, landmarks: np.ndarray) -> list[str]:
    """The plane as lines of text: agents as digits, landmarks as letters under them. agents, landmarks: [N, 2]."""
    reach = max(1.0, float(np.abs(agents).max()))
    cells = [[" "] * MAP_COLUMNS for _ in range(MAP_ROWS)]
    marks = [(place, _letter(k)) for k, place in enumerate(landmarks)]
    marks += [(place, str(i % 10)) for i, place in enumerate(agents)]
    for (x, y), mark in marks:
        row = round((reach - y) / (2 * reach) * (MAP_ROWS - 1))
        column = round((reach + x) / (2 * reach) * (MAP_COLUMNS - 1))
        cells[row][column] = mark
    edge = "+" + "-" * MAP_COLUMNS + "+"
    return [edge, *("|" + "".join(row) + "|" for row in cells), f"{edge} side {2 * reach:.2f}"]


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26)
