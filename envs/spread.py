"""Spread: agents share out the landmarks among themselves and keep out of each other's way.

As many agents as landmarks lie on a plane. The team is paid for having an agent near every landmark, and each agent
pays for bumping into others, so the agents must agree, without a word, on who goes where.

Rules
    Agents are discs of radius 0.15, landmarks points. An episode starts with all of them drawn uniformly from the
    square [-1, 1] x [-1, 1], the agents first, at rest. In a step of 0.1 s every agent pushes itself with a force of 5
    (`push`) in one of four directions, or not at all. Agents that overlap push each other apart, with a force of 100
    times the depth of the overlap, softly rising over 0.001; landmarks hinder nobody. Positions move with the old
    velocities; then every velocity loses a quarter and gains force x 0.1 s (mass 1). There is no wall and no limit on
    speed. Agents at the very same point do not push each other: the force has no direction.

    Sources differ, and so do presets: with `integrator="velocity_first"` velocities change first and positions move
    with the new ones; with `soft_contact=False` agents that do not overlap exert no force at all, where otherwise they
    do within some thousandths.

Actions

    ====== ======= ==================
    number name    force (x, y)
    ====== ======= ==================
    0      `noop`  (0, 0)
    1      `left`  (-push, 0)
    2      `right` (+push, 0)
    3      `down`  (0, -push)
    4      `up`    (0, +push)
    ====== ======= ==================

    Every action is always legal. With `continuous_actions` an action is five numbers from 0 to 1, in the same order,
    and the force is push x (right - left, up - down).

Observation of agent i (units: lengths as the starting square has them, half its side being 1; bounds below)

    ==================== ======== =================================================================== ========
    field                features meaning                                                             bound
    ==================== ======== =================================================================== ========
    `velocity`           2        the agent's own, per second                                         V
    `position`           2        the agent's own                                                     P
    `landmarks`          2L       each landmark's position minus the agent's, x and y                 min(1 + P, sight)
    `others`             2K       each other agent's position minus the agent's, in order             min(2P, sight)
    `communication`      2K       zeros: kept from the source, whose agents are silent in this task   0
    `landmarks_visible`  L        with a finite `sight` only: 1 where that landmark can be seen       0 to 1
    `others_visible`     K        with a finite `sight` only: 1 where that agent can be seen          0 to 1
    ==================== ======== =================================================================== ========

    L is N and K is N - 1. With `num_landmark_neighbors` or `num_agent_neighbors` above 0, L or K is that number: the
    nearest ones are seen, the nearest first, of two at one distance the one of lower number, and what there is too few
    of is zeros. What lies farther away than `sight`, centre to centre, is hidden: its two features and its flag are 0.
    With `layout="vmas"`, position comes before velocity and there is no communication. The bounds V and P follow from
    the number of agents, the push, the integrator and the horizon, see `velocity_bound` and `position_bound`.

State (the same whatever the agents see)

    ==================== ======== =================================================================== ========
    field                features meaning                                                             bound
    ==================== ======== =================================================================== ========
    `positions`          2N       all agents' positions, x and y                                      P
    `velocities`         2N       all agents' velocities, per second                                  V
    `landmarks`          2N       all landmarks' positions                                            1
    ==================== ======== =================================================================== ========

Reward
    G is minus the sum over landmarks of the distance to the nearest agent, and C_i the number of other agents closer
    than 0.3 to agent i, both at the positions after the step; with `count_self`, C_i is one more, since the original
    code has every agent collide with itself. Agent i earns in each step

    - `reward_form="weighted"`: (1 - `local_ratio`) x G - `local_ratio` x C_i;
    - `reward_form="plain"`: G - C_i.

    The team's reward is the sum over agents (`reward_mode="team_sum"`) or the mean ("team_mean"); with "per_agent"
    every agent gets its own, and the team's return is their sum.

End
    The time limit, 25 steps, truncates. With `terminate_on_success` an episode also ends, as terminated, when every
    landmark has an agent closer than 0.1; otherwise nothing terminates it.

Presets
    ============ ============== ======== =========== ======= =====================================================
    preset       integrator     reward   count_self  steps   besides
    ============ ============== ======== =========== ======= =====================================================
    `mpe2`       position first weighted no          25      the defaults
    `openai`     velocity first plain    yes         25      Lowe et al.'s code, whose trainer stops after 25 steps
    `epymarl`    velocity first plain    yes         25      the same, as Papoudakis et al. 2021 use it
    `jaxmarl26`  position first weighted no          26      JaxMARL counts one step more than it means to
    `vmas`       velocity first plain    no          100     `push` 1, hard contacts, observations laid out as VMAS's
    `knn_1`, ... as `mpe2`                                   so many landmarks and other agents are seen, the nearest
    `sight_0.5`, as `mpe2`                                   agents that see no farther than this; new here, without a
    ...                                                      source in the literature
    ============ ============== ======== =========== ======= =====================================================

    The code of OpenAI gives to every agent the sum of all agents' rewards; under `team_sum` so do we, and the team's
    return counts it once. The tables of Papoudakis et al. hold the same number, S_O. On one trajectory of N agents
    and T steps it is tied to the return of `mpe2`, S_M, by S_M = (S_O + N T) / 2: for 3 agents and 25 steps, (S_O +
    75) / 2. VMAS gives to every agent the sum over agents as well.

Known returns of the team
    The scripted team `assignment` goes straight for the landmarks in the cheapest assignment of those that an agent
    sees. It earns -24.6 by the rules of mpe2 and -117 by those of OpenAI, which the best learners published reach as
    well; teams that act at random earn -80 and -232, teams that do nothing -73 and -218. No optimum is known. See
    `coopgym list` for every preset.

Sources
    simple_spread_v3 of mpe2 1.1.1 (Farama Foundation), formerly in PettingZoo, after Lowe et al., "Multi-agent
    actor-critic for mixed cooperative-competitive environments", NeurIPS 2017, whose code is OpenAI's
    multiagent-particle-envs; Papoudakis et al., "Benchmarking multi-agent deep reinforcement learning algorithms in
    cooperative tasks", NeurIPS 2021 (EPyMARL); Rutherford et al., "JaxMARL", NeurIPS 2024; Bettini et al., "VMAS",
    DARS 2022, with the horizon of BenchMARL. From the same start and actions, positions, rewards and observations of
    `mpe2` and `knn_*`, with discrete or continuous actions, are the source's; those of the
    other presets are their sources' to 1e-6, by `benchmarks/spread_sources.py`.

Differences from the sources
    The state is not the concatenation of all observations, which grows with the square of the number of agents, but
    positions and velocities: 6N features instead of N(6N). It holds the same knowledge. Observations have finite
    bounds. Agents at the very same point get no contact force, where the source divides by zero. Starts come from
    this package's random streams, so seeds name other games than the source's. The reward is the team's by default.
    Success in the last step terminates, where mpe2 truncates. The curriculum is not offered; `sight` is new.
    In OpenAI's code the one-hot action 1 pushes to the right, 2 to the left, 3 up and 4 down; ours are mpe2's. VMAS has
    nine actions, of which four push along both axes.

Versions
    v1: first release.
"""

import math
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs import plane
from coopgym.envs.assignment import cheapest_assignment
from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene, slices
from coopgym.envs.parameters import Parameter
from coopgym.envs.particles import (
    DAMPING,
    MARGIN,
    REACH,
    STIFFNESS,
    TIME_STEP,
    accelerate,
    drive,
    drive_along,
    push_apart,
    shift,
)
from coopgym.envs.rendering import FAINT, GREEN, GREY, INK, PAPER, VERMILLION, Canvas, agent_colour
from coopgym.envs.rng import uniform

AGENT_RADIUS = 0.15
LANDMARK_RADIUS = 0.05  # for drawing only
COLLISION = AGENT_RADIUS + AGENT_RADIUS  # agents closer than this overlap
NEAR = 1.01 * COLLISION * COLLISION  # squared, a distance beyond which no rounding makes agents overlap
FORCE = 5.0  # of an agent's own push, unless a preset says otherwise
COVERED = 0.1  # a landmark with an agent nearer than this is covered

TEAM_SUM, TEAM_MEAN, PER_AGENT = range(3)
POSITION_FIRST, VELOCITY_FIRST = range(2)
WEIGHTED, PLAIN = range(2)
MPE, VMAS = range(2)


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
    reward_form: Annotated[
        Literal["weighted", "plain"], Parameter("distances and collisions by local_ratio, or each in full")
    ] = "weighted"
    count_self: Annotated[bool, Parameter("whether every agent always collides with itself too")] = False
    integrator: Annotated[
        Literal["position_first", "velocity_first"], Parameter("whether positions move with old or new velocities")
    ] = "position_first"
    push: Annotated[float, Parameter("force of an agent's own push", "", 0, 100)] = FORCE
    soft_contact: Annotated[bool, Parameter("whether agents push each other from a hair's breadth apart on")] = True
    num_landmark_neighbors: Annotated[int, Parameter("landmarks seen, the nearest; 0 sees all", "", 0, 1000)] = 0
    num_agent_neighbors: Annotated[int, Parameter("other agents seen, the nearest; 0 sees all", "", 0, 1000)] = 0
    layout: Annotated[Literal["mpe", "vmas"], Parameter("order of an observation")] = "mpe"
    terminate_on_success: Annotated[bool, Parameter("whether covering all landmarks ends an episode")] = False
    continuous_actions: Annotated[bool, Parameter("whether agents push with any force, along both axes")] = False


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
        drive(s.force, e, i, action[i], p.push)
    return _settle(p, s, e)


@kernel
def step_along(p, s, e, action):
    """The step of games with continuous actions."""
    for i in range(p.n_agents):
        drive_along(s.force, e, i, action[i], p.push)
    return _settle(p, s, e)


@kernel
def _settle(p, s, e):
    """What follows once all agents push themselves: contacts, motion, reward."""
    push_apart(s.position, s.force, e, 0, p.n_agents, COLLISION, REACH if p.soft_contact else 0.0)
    if p.integrator == POSITION_FIRST:
        shift(s.position, s.velocity, e)
        accelerate(s.velocity, s.force, e)
    else:
        accelerate(s.velocity, s.force, e)
        shift(s.position, s.velocity, e)
    return _reward(p, s, e)


@kernel
def _reward(p, s, e):
    """Writes the agents' rewards; returns the team's, and whether success ends the episode."""
    _count_collisions(p, s, e)
    coverage, covered = 0.0, True
    for place in range(p.n_agents):
        distance = _distance_to_nearest(p, s, e, place)
        coverage -= distance
        covered = covered and distance < COVERED
    for_all, for_own = 1.0 - p.local_ratio, p.local_ratio
    if p.reward_form == PLAIN:
        for_all, for_own = 1.0, 1.0
    total = 0.0
    for i in range(p.n_agents):
        s.agent_reward[e, i] = coverage * for_all - s.agent_reward[e, i] * for_own
        total += s.agent_reward[e, i]
    return total / p.n_agents if p.reward_mode == TEAM_MEAN else total, covered and p.terminate_on_success


@kernel
def _count_collisions(p, s, e):
    """Writes into agent_reward how many each agent overlaps."""
    for i in range(p.n_agents):
        s.agent_reward[e, i] = 1.0 if p.count_self else 0.0
    for i in range(p.n_agents):
        for j in range(i + 1, p.n_agents):
            dx = s.position[e, i, 0] - s.position[e, j, 0]
            dy = s.position[e, i, 1] - s.position[e, j, 1]
            squared = dx * dx + dy * dy
            if squared < NEAR and math.sqrt(squared) < COLLISION:  # most pairs are spared the root
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
def observe_otherwise(p, s, e, obs):
    """The same where only the nearest are seen, or in the order of VMAS: apart, since it would slow the other down."""
    n_landmarks = p.num_landmark_neighbors if p.num_landmark_neighbors > 0 else p.n_agents
    n_others = p.num_agent_neighbors if p.num_agent_neighbors > 0 else p.n_agents - 1
    position = 0 if p.layout == VMAS else 2  # the first feature of each field
    others = 4 + 2 * n_landmarks
    communication = others + 2 * n_others
    landmarks_visible = communication if p.layout == VMAS else communication + 2 * n_others
    others_visible = landmarks_visible + n_landmarks
    for i in range(p.n_agents):
        x = s.position[e, i, 0]
        y = s.position[e, i, 1]
        obs[i, 2 - position] = s.velocity[e, i, 0]
        obs[i, 3 - position] = s.velocity[e, i, 1]
        obs[i, position] = x
        obs[i, position + 1] = y
        for k in range(communication, landmarks_visible):
            obs[i, k] = 0.0
        if p.num_landmark_neighbors > 0:
            _see_nearest(p, s.landmark, e, -1, x, y, obs, i, 4, landmarks_visible, n_landmarks)
        else:
            for place in range(n_landmarks):
                dx = s.landmark[e, place, 0] - x
                dy = s.landmark[e, place, 1] - y
                _see(p, obs, i, 4 + 2 * place, landmarks_visible + place, dx, dy)
        if p.num_agent_neighbors > 0:
            _see_nearest(p, s.position, e, i, x, y, obs, i, others, others_visible, n_others)
        else:
            for k in range(n_others):
                j = k + (k >= i)
                dx = s.position[e, j, 0] - x
                dy = s.position[e, j, 1] - y
                _see(p, obs, i, others + 2 * k, others_visible + k, dx, dy)


@kernel
def _see(p, obs, i, feature, flag, dx, dy):
    """Writes where something lies, as agent i sees it, and, with a finite sight, whether it sees it."""
    visible = True
    if p.sight < math.inf:
        visible = dx * dx + dy * dy <= p.sight * p.sight
        obs[i, flag] = visible
    obs[i, feature] = dx if visible else 0.0
    obs[i, feature + 1] = dy if visible else 0.0


@kernel
def _see_nearest(p, places, e, itself, x, y, obs, i, feature, flag, most):
    """Writes where the nearest of the places lie, as agent i at (x, y) sees them, the nearest first.

    places: [E, places, 2]; itself: the place that does not count, or -1; most: how many there is room for.
    """
    last, last_distance = -1, -1.0  # those come next that are farther, or as far and of a higher number
    for slot in range(most):
        nearest, least = -1, math.inf
        for j in range(places.shape[1]):
            dx = places[e, j, 0] - x
            dy = places[e, j, 1] - y
            distance = dx * dx + dy * dy
            ahead = distance > last_distance or (distance == last_distance and j > last)
            if j != itself and ahead and distance < least:
                nearest, least = j, distance
        if nearest >= 0:
            last, last_distance = nearest, least
            dx = places[e, nearest, 0] - x
            dy = places[e, nearest, 1] - y
            _see(p, obs, i, feature + 2 * slot, flag + slot, dx, dy)
        else:
            obs[i, feature + 2 * slot] = 0.0
            obs[i, feature + 2 * slot + 1] = 0.0
            if p.sight < math.inf:
                obs[i, flag + slot] = 0.0


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
# MARGIN ln 2), so the force on an agent is at most F = push + (N - 1) x that. With r = 1 - DAMPING, a velocity after t
# steps from rest is at most F x TIME_STEP x (1 + r + ... + r^(t - 1)). A position starts within 1 and adds TIME_STEP x
# velocity of each step, but for the last where positions move first. A millionth on top is for rounding.
ROUNDING = 1 + 1e-6


def _steady_velocity(n_agents: int, push: float) -> float:
    """What the velocity of an agent cannot reach, however long the greatest force pushes it."""
    force = push + (n_agents - 1) * STIFFNESS * (COLLISION + MARGIN * math.log(2))
    return force * TIME_STEP / DAMPING * ROUNDING


def velocity_bound(n_agents: int, horizon: int, push: float = FORCE) -> float:
    """No component of any agent's velocity exceeds this within the horizon, per second."""
    return _steady_velocity(n_agents, push) * (1 - (1 - DAMPING) ** horizon)


def position_bound(n_agents: int, horizon: int, push: float = FORCE, velocity_first: bool = False) -> float:
    """No component of any agent's position exceeds this within the horizon."""
    steady_steps = horizon - (1 - (1 - DAMPING) ** horizon) / DAMPING  # the sum over t < horizon of 1 - r^t
    if velocity_first:
        steady_steps += 1 - (1 - DAMPING) ** horizon
    return ROUNDING + _steady_velocity(n_agents, push) * TIME_STEP * steady_steps


OPENAI = {"reward_form": "plain", "count_self": True, "integrator": "velocity_first"}
VMAS_PARAMS = {
    "reward_form": "plain",
    "integrator": "velocity_first",
    "push": 1.0,
    "soft_contact": False,
    "layout": "vmas",
    "horizon": 100,
}
MPE2 = "mpe2 1.1.1, simple_spread_v3 (Farama Foundation)"

PRESETS = {
    "mpe2": Preset({}, f"{MPE2}, after Lowe et al., NeurIPS 2017"),
    "openai": Preset(OPENAI, "multiagent-particle-envs, simple_spread (OpenAI), Lowe et al., NeurIPS 2017"),
    "epymarl": Preset(OPENAI, "EPyMARL, mpe:SimpleSpread-v0, Papoudakis et al., NeurIPS Datasets and Benchmarks 2021"),
    "jaxmarl26": Preset({"horizon": 26}, "JaxMARL, MPE_simple_spread_v3, Rutherford et al., NeurIPS 2024"),
    "vmas": Preset(VMAS_PARAMS, "VMAS, mpe/simple_spread, Bettini et al., DARS 2022; horizon of BenchMARL"),
    **{
        f"knn_{k}": Preset({"num_landmark_neighbors": k, "num_agent_neighbors": k}, f"{MPE2}, num_*_neighbors={k}")
        for k in (1, 2)
    },
    **{
        f"sight_{sight}": Preset({"sight": sight}, "new here, without a source in the literature")
        for sight in (0.5, 1.0, 1.5)
    },
}


class Assignment:
    """Every agent goes straight for its landmark in the cheapest assignment of the agents and landmarks that it sees.

    Agents that see everything solve the same problem and agree. One that gets no landmark, or sees none, brakes.
    """

    def __init__(self, env: Environment) -> None:
        p = env.params
        self.places = {part.name: place for part, place in slices(env.observation_layout)}
        self.n_agents, self.n_landmarks = env.n_agents, min(p.num_landmark_neighbors or p.n_agents, p.n_agents)
        self.n_others = min(p.num_agent_neighbors or p.n_agents, p.n_agents - 1)
        self.sees_all = not (p.num_landmark_neighbors or p.num_agent_neighbors) and p.sight == math.inf
        self.coasting = TIME_STEP / DAMPING * (1 if p.integrator == "position_first" else 1 - DAMPING)  # seconds
        self.carry = p.push * TIME_STEP**2 / DAMPING  # how far one push carries
        self.continuous = p.continuous_actions

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """Pushes along the longer axis of what is left of the way, less what the agent will coast: [E, N].

        Continuous actions, [E, N, 5], push along both axes, and no farther than the landmark.
        """
        left = self.ways(obs) - self.coasting * self._field(obs, "velocity", 1)[:, :, 0]
        return plane.pushes_along(left, self.carry) if self.continuous else plane.pushes(left, self.carry / 4)

    def ways(self, obs: np.ndarray) -> Any:
        """From each agent to its landmark: [E, N, 2], 0 where it has none. obs: [E, N, O]."""
        landmarks = self._field(obs, "landmarks", self.n_landmarks)
        others = self._field(obs, "others", self.n_others)
        seen = self._seen(obs, "landmarks_visible", self.n_landmarks), self._seen(obs, "others_visible", self.n_others)
        return _ways(landmarks, others, *seen, self.sees_all)

    def _field(self, obs: np.ndarray, name: str, entities: int) -> np.ndarray:
        """The first so many positions of a field, [E, N, entities, 2]."""
        if entities == 0:
            return np.zeros((*obs.shape[:2], 0, 2))
        values = obs[:, :, self.places[name]].reshape(*obs.shape[:2], -1, 2)
        return values[:, :, :entities].astype(np.float64)

    def _seen(self, obs: np.ndarray, name: str, entities: int) -> np.ndarray:
        """Which of them can be seen, [E, N, entities] bool."""
        if entities == 0 or name not in self.places:
            return np.ones((*obs.shape[:2], entities), np.bool_)
        return obs[:, :, self.places[name]][:, :, :entities] > 0


@kernel
def _ways(landmarks, others, landmark_seen, other_seen, sees_all):
    """From each agent to its landmark, [E, N, 2], 0 where it has none.

    landmarks: [E, N, L, 2] and others: [E, N, K, 2], positions minus the agent's; *_seen: [E, N, L] and [E, N, K];
    sees_all: whether one problem holds for all agents.
    """
    n_envs, n_agents, n_landmarks, _ = landmarks.shape
    n_others = others.shape[2]
    ways = np.zeros((n_envs, n_agents, 2))
    cost = np.zeros((n_agents, n_landmarks))
    for e in range(n_envs):
        if sees_all:
            for i in range(n_agents):
                for place in range(n_landmarks):
                    cost[i, place] = math.hypot(landmarks[e, i, place, 0], landmarks[e, i, place, 1])
            chosen = cheapest_assignment(cost)
            for i in range(n_agents):
                ways[e, i] = landmarks[e, i, chosen[i]]
            continue
        for i in range(n_agents):
            cost_of_seen = np.zeros((1 + n_others, n_landmarks))
            rows, columns = 1, 0  # agent i itself is row 0
            column_of = np.zeros(n_landmarks, np.int64)
            for place in range(n_landmarks):
                if landmark_seen[e, i, place]:
                    column_of[columns] = place
                    cost_of_seen[0, columns] = math.hypot(landmarks[e, i, place, 0], landmarks[e, i, place, 1])
                    columns += 1
            for j in range(n_others):
                if other_seen[e, i, j]:
                    for column in range(columns):
                        dx = landmarks[e, i, column_of[column], 0] - others[e, i, j, 0]
                        dy = landmarks[e, i, column_of[column], 1] - others[e, i, j, 1]
                        cost_of_seen[rows, column] = math.hypot(dx, dy)
                    rows += 1
            chosen = cheapest_assignment(cost_of_seen[:rows, :columns].copy())
            if chosen[0] >= 0:
                ways[e, i] = landmarks[e, i, column_of[chosen[0]]]
    return ways


class Spread(Environment):
    id = "spread_v1"
    Params = Params
    presets = PRESETS
    real_time = True
    masks_change = False
    scripted = {"assignment": Assignment}

    def check(self) -> None:
        p = self.params
        n = self.n_agents = p.n_agents
        self.action_names = ("noop", "left", "right", "down", "up")
        plain_view = p.layout == "mpe" and not p.num_landmark_neighbors and not p.num_agent_neighbors
        see, act = observe if plain_view else observe_otherwise, step_along if p.continuous_actions else step
        self.kernels = Kernels(reset, act, see, summarise, available)
        self.action_bounds = (0.0, 1.0) if p.continuous_actions else None
        v = velocity_bound(n, p.horizon, p.push)
        x = position_bound(n, p.horizon, p.push, p.integrator == "velocity_first")
        landmark, other = min(1 + x, p.sight), min(2 * x, p.sight)
        n_landmarks, n_others = p.num_landmark_neighbors or n, p.num_agent_neighbors or n - 1
        nearest = "the nearest landmarks'" if p.num_landmark_neighbors else "each landmark's"
        nearest_others = "the nearest agents'" if p.num_agent_neighbors else "each other agent's"
        layout = [
            Field("velocity", 2, -v, v, "the agent's own velocity, lengths per second"),
            Field("position", 2, -x, x, "the agent's own position, lengths"),
            Field("landmarks", 2 * n_landmarks, -landmark, landmark, f"{nearest} position minus the agent's, lengths"),
            Field("others", 2 * n_others, -other, other, f"{nearest_others} position minus the agent's, lengths"),
            Field("communication", 2 * n_others, 0.0, 0.0, "zeros: the agents are silent"),
        ]
        if p.layout == "vmas":
            layout = [layout[1], layout[0], *layout[2:4]]
        if p.sight < math.inf:
            layout += [
                Field("landmarks_visible", n_landmarks, 0.0, 1.0, "1 where the landmark is within sight"),
                Field("others_visible", n_others, 0.0, 1.0, "1 where the agent is within sight"),
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
        p, everyone = self.params, scene.arrays.position[scene.e]
        shown, shown_places = np.arange(self.n_agents), np.arange(self.n_agents)  # agents and landmarks in the picture
        if scene.viewer is not None:
            shown, shown_places = self._seen_by(scene, scene.viewer)
        agents, landmarks = everyone[shown], scene.arrays.landmark[scene.e][shown_places]
        half = plane.begin(canvas, float(np.abs(agents).max()), AGENT_RADIUS)
        if scene.viewer is not None:
            plane.fog(canvas, half, everyone[scene.viewer], p.sight)
        to_agents = np.linalg.norm(landmarks[:, None] - agents, axis=2)  # [landmarks, agents]
        overlaps = np.triu(np.linalg.norm(agents[:, None] - agents, axis=2) < COLLISION, 1)
        covered, nearest = to_agents.min(axis=1) < COVERED, agents[to_agents.argmin(axis=1)]
        for i in range(self.n_agents) if scene.show_sight else ():
            self._draw_sight(canvas, scene, i)
        canvas.trail(scene.trail, AGENT_RADIUS / 2)
        for place, ((x, y), (to_x, to_y)) in enumerate(zip(landmarks, nearest, strict=True)):
            canvas.line(x, y, to_x, to_y, GREY, 1.5)
            canvas.circle(x, y, LANDMARK_RADIUS, PAPER)
            canvas.ring(x, y, LANDMARK_RADIUS, GREEN if covered[place] else INK, 3.5)
            if not covered[place]:
                away = 0.13 / max(math.hypot(x - to_x, y - to_y), 1e-9)  # from the agent, where the letter is free
                name = plane.letter(shown_places[place])
                canvas.text(x + away * (x - to_x), y + away * (y - to_y), name, 0.12)
        for i in shown.tolist():
            plane.draw_velocity(canvas, everyone[i], scene.arrays.velocity[scene.e, i], AGENT_RADIUS)
            canvas.agent(everyone[i, 0], everyone[i, 1], AGENT_RADIUS, i, 0.7)
        for place, (x, y) in enumerate(nearest):
            if covered[place]:
                canvas.ring(x, y, AGENT_RADIUS + 6 / canvas.scale, GREEN, 3)
                canvas.text(x + 0.18, y + 0.18, plane.letter(shown_places[place]), 0.12, GREEN)
        for x, y in agents[overlaps.any(axis=0) | overlaps.any(axis=1)]:
            canvas.ring(x, y, AGENT_RADIUS, VERMILLION, 4)
        width = plane.end(canvas, half)
        if len(landmarks):
            canvas.text(20, 24, f"landmarks covered: {covered.sum()} of {len(landmarks)}", 16, FAINT, "left")
        canvas.text(width - 20, 24, f"collisions: {overlaps.sum()}", 16, FAINT, "right")

    def _seen_by(self, scene: Scene, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The agents, itself among them, and the landmarks that agent i sees, by number."""
        p, agents, landmarks = self.params, scene.arrays.position[scene.e], scene.arrays.landmark[scene.e]
        others = np.delete(np.arange(self.n_agents), i)
        seen = others[plane.in_view(agents[others], agents[i], p.sight, p.num_agent_neighbors)]
        return np.sort([i, *seen]), plane.in_view(landmarks, agents[i], p.sight, p.num_landmark_neighbors)

    def _draw_sight(self, canvas: Canvas, scene: Scene, i: int) -> None:
        """How far agent i sees, and lines to the nearest where it sees no others."""
        p, agents, landmarks = self.params, scene.arrays.position[scene.e], scene.arrays.landmark[scene.e]
        plane.draw_sight(canvas, agents[i], p.sight, i)
        others, places = self._seen_by(scene, i)
        ends = [*agents[others]] * (p.num_agent_neighbors > 0) + [*landmarks[places]] * (p.num_landmark_neighbors > 0)
        for x, y in ends:
            canvas.line(agents[i, 0], agents[i, 1], x, y, agent_colour(i), 5, 0.45)

    def places(self, scene: Scene) -> np.ndarray:
        return np.array(scene.arrays.position[scene.e])

    def keys(self) -> dict[str, int]:
        return {"space": 0, "left": 1, "right": 2, "down": 3, "up": 4}

    def describe(self, scene: Scene) -> str:
        agents, landmarks = scene.arrays.position[scene.e], scene.arrays.landmark[scene.e]
        to_landmarks = np.linalg.norm(landmarks[:, None] - agents, axis=2).min(axis=1)
        between = np.linalg.norm(agents[:, None] - agents, axis=2)
        pairs = [f"{i} and {j}" for i, j in np.argwhere(np.triu(between < COLLISION, 1))]
        marks = [(place, plane.letter(k)) for k, place in enumerate(landmarks)]
        marks += [(place, str(i % 10)) for i, place in enumerate(agents)]
        covered = [plane.letter(place) for place in np.flatnonzero(to_landmarks < COVERED).tolist()]
        lines = [
            *plane.text_map(marks, float(np.abs(agents).max())),
            f"covered: {', '.join(covered) or 'none'} of {self.n_agents}",
            f"collisions: {', '.join(pairs) or 'none'}",
            f"step {scene.steps} of {self.horizon}, reward {scene.reward:.3f}, return {scene.team_return:.3f}",
        ]
        return "\n".join(lines)
