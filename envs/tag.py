"""Tag: predators on a plane run down prey that is faster than they are, and that a script moves.

The agents are the hunters of the particle world's game of tag. Alone, none of them catches the prey; together they can
drive it to the border that it does not want to cross, or between them. Every touch pays the whole team.

Rules
    Bodies are discs: agents of radius 0.075, prey of 0.05, obstacles of 0.2. An episode starts with all agents and then
    all prey drawn uniformly from the square [-1, 1] x [-1, 1], at rest, and the obstacles from [-0.9, 0.9] x [-0.9,
    0.9]; they may overlap. In a step of 0.1 s every agent pushes itself with a force of 3 in one of four directions, or
    not at all, and so does the prey, with a force of 4. Bodies that overlap push each other apart with a force of 100
    times the depth of the overlap, softly rising over 0.001; obstacles do not move. Positions move with the old
    velocities; then every velocity loses a quarter, gains force x 0.1 s (mass 1) and is cut down to a speed of 1.0 for
    agents and 1.3 for prey. With `integrator="velocity_first"` velocities change first and positions move with the new
    ones. There is no wall. Bodies at the very same point do not push each other.

Prey
    `heuristic`: for each of the five actions the prey looks at the place where it would come to rest if it pushed so
    once: its position + 0.4 s x its velocity + 0.04 x the force. It takes the action whose place has the greatest
    value, of equal ones the first: the distance from there to the nearest agent less B(|x|) + B(|y|), where B is what
    crossing the border costs prey in the source: 0 up to 0.9, then 10 (x - 0.9) up to 1, then min(exp(2x - 2), 10). It
    takes no notice of obstacles and other prey.
    `random`: one of the five actions, all equally likely.
    `frozen`: no action; contacts move it all the same.
    `facmac`: 100 points are drawn evenly from the disc of radius 1 around the prey (for each its distance, the root of
    a uniform number, then its angle). Of those where it would touch no agent, it takes the one farthest from the agent
    that is nearest to it now, and pushes towards it with a force as great as the point's distance, so at most 1, and
    not with `prey_push`. Without any such point it does not push.

Actions

    ====== ======= ========================
    number name    force (x, y)
    ====== ======= ========================
    0      `noop`  (0, 0)
    1      `left`  (-agent_push, 0)
    2      `right` (+agent_push, 0)
    3      `down`  (0, -agent_push)
    4      `up`    (0, +agent_push)
    ====== ======= ========================

    Every action is always legal. With `continuous_actions` an action is five numbers from 0 to 1, in the same order,
    and the force is agent_push x (right - left, up - down). Prey moves as before.

Observation of agent i (units: lengths as the starting square has them, half its side being 1; bounds below)

    =================== ======== ==================================================================== ===============
    field               features meaning                                                              bound
    =================== ======== ==================================================================== ===============
    `velocity`          2        the agent's own, per second                                          agent_speed
    `position`          2        the agent's own                                                      P
    `obstacles`         2M       each obstacle's position minus the agent's, x and y                  min(0.9 + P, s)
    `agents`            2(N - 1) each other agent's position minus the agent's, in order              min(2P, s)
    `prey`              2Q       each prey's position minus the agent's                               min(P + R, s)
    `prey_velocities`   2Q       each prey's velocity, per second                                     prey_speed
    `obstacles_visible` M        with a finite `sight` only: 1 where that obstacle can be seen        0 to 1
    `agents_visible`    N - 1    with a finite `sight` only: 1 where that agent can be seen           0 to 1
    `prey_visible`      Q        with a finite `sight` only: 1 where that prey can be seen            0 to 1
    =================== ======== ==================================================================== ===============

    N agents, Q prey, M obstacles, s the sight. What lies farther away than `sight`, centre to centre, is hidden: its
    features, the velocity of prey too, and its flag are 0. P = 1 + T x 0.1 s x agent_speed within T steps, and R
    likewise for prey.

State (the same whatever the sight)

    =================== ======== ==================================================================== ===============
    field               features meaning                                                              bound
    =================== ======== ==================================================================== ===============
    `positions`         2N       all agents' positions, x and y                                       P
    `velocities`        2N       all agents' velocities, per second                                   agent_speed
    `prey`              2Q       all prey's positions                                                 R
    `prey_velocities`   2Q       all prey's velocities, per second                                    prey_speed
    `obstacles`         2M       all obstacles' positions                                             0.9
    =================== ======== ==================================================================== ===============

Reward
    `capture_reward`, 10, for each pair of an agent and a prey that overlap after the step, however long they do. The
    team gets it once; in the source every adversary gets just as much.

End
    The time limit, 25 steps, truncates. With `terminate_on_success` an episode also ends, as terminated, when every
    prey is touched by an agent at the same time; otherwise nothing terminates it.

Presets
    ============= ====== ==== ========= ===== ====== =========== ==============================================
    preset        agents prey obstacles steps sight  prey's ways source
    ============= ====== ==== ========= ===== ====== =========== ==============================================
    `mpe2`        3      1    2         25    all    heuristic   the defaults: the numbers of mpe2's simple_tag
    `benchmarl`   3      2    2         100   all    heuristic   BenchMARL's numbers for it
    `random_prey` 3      1    2         25    all    random      RandomTag of EPyMARL
    `frozen_prey` 3      1    2         25    all    frozen      FrozenTag of EPyMARL
    `facmac_3a`   3      1    2         25    1.5    facmac      FACMAC's predator-prey; velocities first
    `facmac_6a`   6      2    4         25    1.5    facmac
    `facmac_9a`   9      3    6         25    1.5    facmac
    ============= ====== ==== ========= ===== ====== =========== ==============================================

    EPyMARL's tag is PettingZoo's since its second version; the particle worlds of its paper, of 2021, move velocities
    first. All presets move, see and earn as their sources' programs do, to 1e-6 (`benchmarks/spread_sources.py`),
    FACMAC's 6a and 9a in FACMAC's own core. mpe2 and BenchMARL have prey that learns, so that their returns cannot be
    compared with ours; nor can EPyMARL's with pretrained prey.

Known returns of the team
    In the scripted team `chase` every agent runs to where the nearest prey is going, without regard to the others. It
    earns 48 a game by the rules of mpe2 with prey that flees, a random team 0.7. No optimum is known. See `coopgym
    list` for every preset.

Sources
    simple_tag_v3 of mpe2 1.1.1 (Farama Foundation), formerly in PettingZoo, after Lowe et al., "Multi-agent
    actor-critic for mixed cooperative-competitive environments", NeurIPS 2017. From the same start, with the same
    actions of agents and prey, positions, velocities, rewards and the agents' observations are the source's. Bettini et
    al., "BenchMARL", JMLR 2024; Papoudakis et al., NeurIPS 2021 (EPyMARL); Peng et al., "FACMAC: Factored multi-agent
    centralised policy gradients", NeurIPS 2021.

Differences from the sources
    Prey is part of the game and has neither actions nor rewards. The heuristic is new. The state holds positions and
    velocities, not the concatenation of all observations. Observations have finite bounds and, with a finite sight,
    flags of what is visible, which FACMAC has not. FACMAC's agents push by a vector of two numbers from -1 to 1, which
    `continuous_actions` can express. Success in the last step terminates, where mpe2 truncates. Starts come from this
    package's random streams, so seeds name other games.

Versions
    v1: first release.
"""

import math
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from coopgym.envs import plane
from coopgym.envs.compiling import kernel
from coopgym.envs.core import Environment, Field, Kernels, Preset, Scene, slices
from coopgym.envs.parameters import Parameter
from coopgym.envs.particles import (
    DAMPING,
    REACH,
    TIME_STEP,
    accelerate,
    drive,
    drive_along,
    push_apart,
    push_from,
    push_off,
    shift,
    slow,
)
from coopgym.envs.rendering import FAINT, GREEN, GREY, INK, LINE, PAPER, Canvas, signed
from coopgym.envs.rng import integer, uniform

AGENT_RADIUS, PREY_RADIUS, OBSTACLE_RADIUS = 0.075, 0.05, 0.2
BORDER = 0.9  # where obstacles end, and where prey begins to turn back
POINTS = 100  # that FACMAC's prey looks at

HEURISTIC, RANDOM, FROZEN, FACMAC = range(4)
POSITION_FIRST, VELOCITY_FIRST = range(2)


class Params(NamedTuple):
    n_agents: Annotated[int, Parameter("agents that hunt", "agents", 1, 1000)] = 3
    n_prey: Annotated[int, Parameter("prey", "prey", 1, 1000)] = 1
    n_obstacles: Annotated[int, Parameter("obstacles", "obstacles", 0, 1000)] = 2
    horizon: Annotated[int, Parameter("time limit", "steps", 1, 1_000_000)] = 25
    prey: Annotated[Literal["heuristic", "random", "frozen", "facmac"], Parameter("how the prey moves")] = "heuristic"
    sight: Annotated[float, Parameter("distance up to which agents see; inf sees all", "lengths", 0.01)] = math.inf
    capture_reward: Annotated[float, Parameter("for each touch of an agent and a prey", "", -1e6, 1e6)] = 10.0
    agent_push: Annotated[float, Parameter("force of an agent's own push", "", 0, 100)] = 3.0
    prey_push: Annotated[float, Parameter("force of a prey's own push", "", 0, 100)] = 4.0
    agent_speed: Annotated[float, Parameter("greatest speed of agents", "lengths/s", 0.01, 100)] = 1.0
    prey_speed: Annotated[float, Parameter("greatest speed of prey", "lengths/s", 0.01, 100)] = 1.3
    integrator: Annotated[
        Literal["position_first", "velocity_first"], Parameter("whether positions move with old or new velocities")
    ] = "position_first"
    terminate_on_success: Annotated[bool, Parameter("whether touching all prey at once ends an episode")] = False
    continuous_actions: Annotated[bool, Parameter("whether agents push with any force, along both axes")] = False


class State(NamedTuple):
    t: np.ndarray  # [E] int32, steps of the episode so far
    rng: np.ndarray  # [E] uint64
    position: np.ndarray  # [E, N + Q, 2] float64, agents and then prey
    velocity: np.ndarray  # [E, N + Q, 2] float64, per second
    force: np.ndarray  # [E, N + Q, 2] float64, on each body during the last step
    obstacle: np.ndarray  # [E, M, 2] float64
    prey_action: np.ndarray  # [E, Q] int64, of the last step; 0 where prey is no chooser of actions


@kernel
def reset(p, s, e):
    for i in range(p.n_agents + p.n_prey):
        for k in range(2):
            s.position[e, i, k] = uniform(s.rng, e, -1.0, 1.0)
            s.velocity[e, i, k] = 0.0
            s.force[e, i, k] = 0.0
    for m in range(p.n_obstacles):
        for k in range(2):
            s.obstacle[e, m, k] = uniform(s.rng, e, -BORDER, BORDER)
    for j in range(p.n_prey):
        s.prey_action[e, j] = 0


@kernel
def step(p, s, e, action):
    for i in range(p.n_agents):
        drive(s.force, e, i, action[i], p.agent_push)
    return _hunt(p, s, e)


@kernel
def step_along(p, s, e, action):
    """The step of games with continuous actions."""
    for i in range(p.n_agents):
        drive_along(s.force, e, i, action[i], p.agent_push)
    return _hunt(p, s, e)


@kernel
def _hunt(p, s, e):
    """What follows once all agents push themselves: the prey's pushes, contacts, motion, reward."""
    for j in range(p.n_prey):
        _drive_prey(p, s, e, j)
    _collide(p, s, e)
    if p.integrator == POSITION_FIRST:
        shift(s.position, s.velocity, e)
    accelerate(s.velocity, s.force, e)
    slow(s.velocity, e, 0, p.n_agents, p.agent_speed)
    slow(s.velocity, e, p.n_agents, p.n_agents + p.n_prey, p.prey_speed)
    if p.integrator == VELOCITY_FIRST:
        shift(s.position, s.velocity, e)
    return _count_touches(p, s, e)


@kernel
def _collide(p, s, e):
    """Adds the contact forces, in the order of the source."""
    n, every = p.n_agents, p.n_agents + p.n_prey
    push_apart(s.position, s.force, e, 0, n, AGENT_RADIUS + AGENT_RADIUS, REACH)
    push_off(s.position, s.force, e, 0, n, n, every, AGENT_RADIUS + PREY_RADIUS, REACH)
    push_from(s.position, s.force, e, 0, n, s.obstacle, AGENT_RADIUS + OBSTACLE_RADIUS, REACH)
    push_apart(s.position, s.force, e, n, every, PREY_RADIUS + PREY_RADIUS, REACH)
    push_from(s.position, s.force, e, n, every, s.obstacle, PREY_RADIUS + OBSTACLE_RADIUS, REACH)


@kernel
def _count_touches(p, s, e):
    """The reward, and whether success ends the episode."""
    touches, every_one = 0, True
    for j in range(p.n_agents, p.n_agents + p.n_prey):
        touched = False
        for i in range(p.n_agents):
            dx = s.position[e, i, 0] - s.position[e, j, 0]
            dy = s.position[e, i, 1] - s.position[e, j, 1]
            if math.sqrt(dx * dx + dy * dy) < AGENT_RADIUS + PREY_RADIUS:
                touches += 1
                touched = True
        every_one = every_one and touched
    return p.capture_reward * touches, every_one and p.terminate_on_success


@kernel
def _drive_prey(p, s, e, j):
    """Sets the force of prey j's own push."""
    body = p.n_agents + j
    if p.prey == FACMAC:
        s.force[e, body, 0], s.force[e, body, 1] = _facmac_push(p, s, e, body)
        return
    s.prey_action[e, j] = 0
    if p.prey == HEURISTIC:
        s.prey_action[e, j] = _flight(p, s, e, body)
    elif p.prey == RANDOM:
        s.prey_action[e, j] = integer(s.rng, e, 5)
    drive(s.force, e, body, s.prey_action[e, j], p.prey_push)


@kernel
def _flight(p, s, e, body):
    """The action of prey that flees; `body` is its number among all."""
    coasting = TIME_STEP / DAMPING  # seconds for which a velocity would carry it, as it falls
    best, chosen = -math.inf, 0
    for action in range(5):
        drive(s.force, e, body, action, p.prey_push)
        x = s.position[e, body, 0] + coasting * (s.velocity[e, body, 0] + TIME_STEP * s.force[e, body, 0])
        y = s.position[e, body, 1] + coasting * (s.velocity[e, body, 1] + TIME_STEP * s.force[e, body, 1])
        value = math.sqrt(_nearest_agent(p, s, e, x, y)[1]) - _border(abs(x)) - _border(abs(y))
        if value > best:
            best, chosen = value, action
    return chosen


@kernel
def _border(x):
    """What prey pays in the source for being so far out along one axis."""
    if x < BORDER:
        return 0.0
    return (x - BORDER) * 10.0 if x < 1.0 else min(math.exp(2.0 * x - 2.0), 10.0)


@kernel
def _nearest_agent(p, s, e, x, y):
    """Its number, and its distance from a point, squared."""
    nearest, least = 0, math.inf
    for i in range(p.n_agents):
        dx = s.position[e, i, 0] - x
        dy = s.position[e, i, 1] - y
        if dx * dx + dy * dy < least:
            nearest, least = i, dx * dx + dy * dy
    return nearest, least


@kernel
def _facmac_push(p, s, e, body):
    """The force with which FACMAC's prey flees: towards the best of some points around it, and as far as that lies."""
    here_x, here_y = s.position[e, body, 0], s.position[e, body, 1]
    hunter = _nearest_agent(p, s, e, here_x, here_y)[0]
    touching = AGENT_RADIUS + PREY_RADIUS
    farthest, push_x, push_y = -1.0, 0.0, 0.0
    for _ in range(POINTS):
        length = math.sqrt(uniform(s.rng, e, 0.0, 1.0))
        angle = math.pi * uniform(s.rng, e, 0.0, 2.0)
        x, y = length * math.cos(angle), length * math.sin(angle)
        dx = s.position[e, hunter, 0] - here_x - x
        dy = s.position[e, hunter, 1] - here_y - y
        distance = dx * dx + dy * dy
        if distance > farthest and _nearest_agent(p, s, e, here_x + x, here_y + y)[1] >= touching * touching:
            farthest, push_x, push_y = distance, x, y
    return push_x, push_y


@kernel
def observe(p, s, e, obs):
    n, m, q = p.n_agents, p.n_obstacles, p.n_prey
    agents = 4 + 2 * m  # the first feature of each field
    prey = agents + 2 * (n - 1)
    prey_velocities = prey + 2 * q
    obstacles_visible = prey_velocities + 2 * q
    agents_visible = obstacles_visible + m
    prey_visible = agents_visible + n - 1
    for i in range(n):
        x = s.position[e, i, 0]
        y = s.position[e, i, 1]
        obs[i, 0] = s.velocity[e, i, 0]
        obs[i, 1] = s.velocity[e, i, 1]
        obs[i, 2] = x
        obs[i, 3] = y
        for k in range(m):
            _see(p, obs, i, 4 + 2 * k, obstacles_visible + k, s.obstacle[e, k, 0] - x, s.obstacle[e, k, 1] - y)
        for k in range(n - 1):
            j = k + (k >= i)  # the k-th of the others
            _see(p, obs, i, agents + 2 * k, agents_visible + k, s.position[e, j, 0] - x, s.position[e, j, 1] - y)
        for k in range(q):
            dx = s.position[e, n + k, 0] - x
            dy = s.position[e, n + k, 1] - y
            visible = _see(p, obs, i, prey + 2 * k, prey_visible + k, dx, dy)
            obs[i, prey_velocities + 2 * k] = s.velocity[e, n + k, 0] if visible else 0.0
            obs[i, prey_velocities + 2 * k + 1] = s.velocity[e, n + k, 1] if visible else 0.0


@kernel
def _see(p, obs, i, feature, flag, dx, dy):
    """Writes where something lies, as agent i sees it, and, with a finite sight, whether it does; returns that too."""
    visible = dx * dx + dy * dy <= p.sight * p.sight
    obs[i, feature] = dx if visible else 0.0
    obs[i, feature + 1] = dy if visible else 0.0
    if p.sight < math.inf:
        obs[i, flag] = visible
    return visible


@kernel
def summarise(p, s, e, state):
    n, q = p.n_agents, p.n_prey
    for i in range(n + q):
        places = 2 * i if i < n else 2 * i + 2 * n  # agents' positions and velocities, then prey's
        velocities = places + 2 * (n if i < n else q)
        for k in range(2):
            state[places + k] = s.position[e, i, k]
            state[velocities + k] = s.velocity[e, i, k]
    for m in range(p.n_obstacles):
        for k in range(2):
            state[4 * (n + q) + 2 * m + k] = s.obstacle[e, m, k]


@kernel
def available(p, s, e, mask):
    for i in range(mask.shape[0]):
        for a in range(mask.shape[1]):
            mask[i, a] = 1


MPE2 = "mpe2 1.1.1, simple_tag_v3 (Farama Foundation), after Lowe et al., NeurIPS 2017"
EPYMARL = "EPyMARL since version 2, {} of PettingZoo's simple_tag_v3, after Papoudakis et al., 2021"


def _facmac(n_agents: int) -> Preset:
    params: dict[str, Any] = {"n_agents": n_agents, "n_prey": n_agents // 3, "n_obstacles": n_agents // 3 * 2}
    params |= {"sight": 1.5, "prey": "facmac", "integrator": "velocity_first"}
    return Preset(params, f"FACMAC, continuous_pred_prey_{n_agents}a, Peng et al., NeurIPS 2021")


PRESETS = {
    "mpe2": Preset({}, MPE2),
    "benchmarl": Preset({"n_prey": 2, "horizon": 100}, "BenchMARL, pettingzoo/simple_tag, Bettini et al., JMLR 2024"),
    "random_prey": Preset({"prey": "random"}, EPYMARL.format("RandomTag")),
    "frozen_prey": Preset({"prey": "frozen"}, EPYMARL.format("FrozenTag")),
    **{f"facmac_{n}a": _facmac(n) for n in (3, 6, 9)},
}


class Chase:
    """Every agent runs to where the nearest prey that it sees is going; one that sees none goes to the middle."""

    lead = 0.5  # seconds that they look ahead of the prey: the best of 0, 0.15, 0.3, 0.5, 0.6 and 0.8

    def __init__(self, env: Environment) -> None:
        self.places = {part.name: place for part, place in slices(env.observation_layout)}
        self.coasting, self.continuous = TIME_STEP / DAMPING, env.params.continuous_actions

    def reset(self, num_envs: int) -> None:
        pass

    def act(self, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        """obs: [E, N, O]; returns [E, N] or, where actions are continuous, [E, N, 5]."""
        way = self.ways(obs)
        if not self.continuous:
            return plane.pushes(way, 0.0)
        return plane.pushes_along(way / np.maximum(np.abs(way).max(axis=2, keepdims=True), 1e-12), 1.0)

    def ways(self, obs: np.ndarray) -> np.ndarray:
        """Where each agent wants to be going, [E, N, 2]."""
        prey, velocities = (self._field(obs, name) for name in ("prey", "prey_velocities"))  # [E, N, Q, 2]
        distance = np.hypot(prey[..., 0], prey[..., 1])
        if "prey_visible" in self.places:
            distance = np.where(obs[:, :, self.places["prey_visible"]] > 0, distance, np.inf)
        nearest = distance.argmin(axis=2)[:, :, None, None]
        aims = np.take_along_axis(prey + self.lead * velocities, nearest, axis=2)[:, :, 0]
        aims = np.where(np.isfinite(distance.min(axis=2))[:, :, None], aims, -self._field(obs, "position")[:, :, 0])
        return aims - self.coasting * self._field(obs, "velocity")[:, :, 0]

    def _field(self, obs: np.ndarray, name: str) -> np.ndarray:
        """A field as vectors, [E, N, K, 2]."""
        return obs[:, :, self.places[name]].reshape(*obs.shape[:2], -1, 2).astype(np.float64)


class Tag(Environment):
    id = "tag_v1"
    Params = Params
    presets = PRESETS
    real_time = True
    masks_change = False
    scripted = {"chase": Chase}

    def check(self) -> None:
        p = self.params
        n, q, m = p.n_agents, p.n_prey, p.n_obstacles
        self.n_agents = n
        self.action_names = ("noop", "left", "right", "down", "up")
        self.kernels = Kernels(reset, step_along if p.continuous_actions else step, observe, summarise, available)
        self.action_bounds = (0.0, 1.0) if p.continuous_actions else None
        rounding = 1 + 1e-6
        v, w = p.agent_speed * rounding, p.prey_speed * rounding
        x, y = (rounding + p.horizon * TIME_STEP * speed for speed in (v, w))
        layout = [
            Field("velocity", 2, -v, v, "the agent's own velocity, lengths per second"),
            Field("position", 2, -x, x, "the agent's own position, lengths"),
            self._seen("obstacles", m, BORDER + x, "each obstacle's position minus the agent's, lengths"),
            self._seen("agents", n - 1, 2 * x, "each other agent's position minus the agent's, lengths"),
            self._seen("prey", q, x + y, "each prey's position minus the agent's, lengths"),
            Field("prey_velocities", 2 * q, -w, w, "each prey's velocity, lengths per second"),
        ]
        if p.sight < math.inf:
            layout += [
                Field("obstacles_visible", m, 0.0, 1.0, "1 where the obstacle is within sight"),
                Field("agents_visible", n - 1, 0.0, 1.0, "1 where the agent is within sight"),
                Field("prey_visible", q, 0.0, 1.0, "1 where the prey is within sight"),
            ]
        self.observation_layout = tuple(part for part in layout if part.size)
        state = [
            Field("positions", 2 * n, -x, x, "all agents' positions, lengths"),
            Field("velocities", 2 * n, -v, v, "all agents' velocities, lengths per second"),
            Field("prey", 2 * q, -y, y, "all prey's positions, lengths"),
            Field("prey_velocities", 2 * q, -w, w, "all prey's velocities, lengths per second"),
            Field("obstacles", 2 * m, -BORDER, BORDER, "all obstacles' positions, lengths"),
        ]
        self.state_layout = tuple(part for part in state if part.size)

    def _seen(self, name: str, number: int, reach: float, meaning: str) -> Field:
        reach = min(reach, self.params.sight)
        return Field(name, 2 * number, -reach, reach, meaning)

    def allocate(self, num_envs: int) -> State:
        p, bodies = self.params, self.params.n_agents + self.params.n_prey
        return State(
            t=np.zeros(num_envs, np.int32),
            rng=np.zeros(num_envs, np.uint64),
            position=np.zeros((num_envs, bodies, 2)),
            velocity=np.zeros((num_envs, bodies, 2)),
            force=np.zeros((num_envs, bodies, 2)),
            obstacle=np.zeros((num_envs, p.n_obstacles, 2)),
            prey_action=np.zeros((num_envs, p.n_prey), np.int64),
        )

    def _bodies(self, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The positions of agents, prey and obstacles, and which agent touches which prey, [N, Q]."""
        agents, prey = np.split(scene.arrays.position[scene.e], [self.n_agents])
        touching = np.linalg.norm(agents[:, None] - prey, axis=2) < AGENT_RADIUS + PREY_RADIUS
        return agents, prey, scene.arrays.obstacle[scene.e], touching

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """The plane with obstacles and prey; a touch is marked with what it earns."""
        agents, prey, obstacles, touching = self._bodies(scene)
        shown, shown_prey, shown_obstacles = (np.arange(len(places)) for places in (agents, prey, obstacles))
        if scene.viewer is not None:
            here = agents[scene.viewer]
            shown, shown_prey, shown_obstacles = (
                plane.in_view(places, here, self.params.sight) for places in (agents, prey, obstacles)
            )
        reach = np.abs(np.concatenate([agents[shown], prey[shown_prey]])).max()
        half = plane.begin(canvas, float(reach), AGENT_RADIUS)
        if scene.viewer is not None:
            plane.fog(canvas, half, here, self.params.sight)
        for i in range(self.n_agents) if scene.show_sight else ():
            plane.draw_sight(canvas, agents[i], self.params.sight, i)
        canvas.trail(scene.trail, AGENT_RADIUS / 2)
        for x, y in obstacles[shown_obstacles]:
            canvas.circle(x, y, OBSTACLE_RADIUS, LINE)
            canvas.ring(x, y, OBSTACLE_RADIUS, GREY, 2)
        for j in shown_prey:
            plane.draw_velocity(canvas, prey[j], scene.arrays.velocity[scene.e, self.n_agents + j], PREY_RADIUS)
            x, y = prey[j]
            canvas.circle(x, y, PREY_RADIUS, PAPER)
            canvas.ring(x, y, PREY_RADIUS, INK, 2)
            canvas.sprite("prey", x, y, 1.8 * PREY_RADIUS)
        for i in shown.tolist():
            plane.draw_velocity(canvas, agents[i], scene.arrays.velocity[scene.e, i], AGENT_RADIUS)
            canvas.agent(agents[i, 0], agents[i, 1], AGENT_RADIUS, i)
        height = min(max(0.1, 14 / canvas.scale), 26 / canvas.scale)
        for j in shown_prey:
            if touches := int(touching[shown, j].sum()) if scene.steps else 0:
                x, y = prey[j]
                canvas.ring(x, y, PREY_RADIUS + 3 / canvas.scale, GREEN, 3)
                canvas.flag(x, y + 0.2, signed(touches * self.params.capture_reward), height, GREEN)
        width = plane.end(canvas, half)
        touched = f"prey touched: {touching[np.ix_(shown, shown_prey)].any(axis=0).sum()} of {len(shown_prey)}"
        words = touched if len(shown_prey) else "no prey in sight"
        canvas.text(20, 24, words, 16, FAINT, "left")
        canvas.tally(width - 20, 24, "touching:", [i for i in shown.tolist() if touching[i, shown_prey].any()])

    def places(self, scene: Scene) -> np.ndarray:
        return np.array(scene.arrays.position[scene.e, : self.n_agents])

    def keys(self) -> dict[str, int]:
        return {"space": 0, "left": 1, "right": 2, "down": 3, "up": 4}

    def describe(self, scene: Scene) -> str:
        agents, prey, obstacles, touching = self._bodies(scene)
        marks = [(place, "o") for place in obstacles]
        marks += [(place, plane.letter(j)) for j, place in enumerate(prey)]
        marks += [(place, str(i % 10)) for i, place in enumerate(agents)]
        touches = [f"{i} and {plane.letter(j)}" for i, j in np.argwhere(touching)]
        lines = [
            *plane.text_map(marks, float(np.abs(scene.arrays.position[scene.e]).max())),
            f"touching: {', '.join(touches) or 'none'}",
            f"step {scene.steps} of {self.horizon}, reward {scene.reward:.3f}, return {scene.team_return:.3f}",
        ]
        return "\n".join(lines)
