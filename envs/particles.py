"""The physics of the particle worlds: round agents on an unbounded plane that drive, bump and slow down.

Shared by the families that take their rules from the Multi-Agent Particle Environment (Mordatch and Abbeel, AAAI 2018;
Lowe et al., NeurIPS 2017), with the numbers and the integrator of its maintained form, mpe2. The order of additions and
multiplications is the source's too, so that a game can be played again without rounding it apart.

Lengths are in units of half the side of the starting square, times in seconds; every agent has mass 1.
"""

import math

from coopgym.envs.compiling import kernel

TIME_STEP = 0.1  # seconds in a step
DAMPING = 0.25  # share of the velocity that is lost in a step
STIFFNESS = 100.0  # contact force for each unit of penetration
MARGIN = 1e-3  # over which a contact sets in softly

# The contact force falls as exp(-gap / MARGIN). From this gap on, what it adds to a velocity, summed over thousands of
# agents, is below the smallest float32 and changes no position: no agent could see a difference.
REACH = 0.11

SAME_POINT = 1e-100  # agents closer than this share a point: the force between them has no direction


@kernel
def contact(dx, dy, touching):
    """The force (x, y) on the first of two bodies; the other gets its opposite.

    dx, dy: first minus second position; touching: the distance at which they touch, the sum of their radii.
    The force is STIFFNESS x penetration along the line between them, the penetration a softplus of width MARGIN.
    """
    squared = dx * dx + dy * dy
    if squared > (touching + REACH) * (touching + REACH):
        return 0.0, 0.0
    distance = math.sqrt(squared)
    if distance < SAME_POINT:
        return 0.0, 0.0
    depth = -(distance - touching) / MARGIN
    if depth > 0.0:
        penetration = (depth + math.log1p(math.exp(-depth))) * MARGIN
    else:
        penetration = math.log1p(math.exp(depth)) * MARGIN
    return STIFFNESS * dx / distance * penetration, STIFFNESS * dy / distance * penetration


@kernel
def drive(force, e, i, action, strength):
    """Sets the force on agent i to what its action asks for: 0 nothing, 1 -x, 2 +x, 3 -y, 4 +y. force: [E, N, 2]."""
    force[e, i, 0] = strength * (action == 2) - strength * (action == 1)
    force[e, i, 1] = strength * (action == 4) - strength * (action == 3)


@kernel
def push_apart(position, force, e, touching):
    """Adds the contact forces between all agents. position, force: [E, N, 2]; touching: the sum of two radii."""
    n = position.shape[1]
    for i in range(n):
        for j in range(i + 1, n):
            fx, fy = contact(position[e, i, 0] - position[e, j, 0], position[e, i, 1] - position[e, j, 1], touching)
            force[e, i, 0] += fx
            force[e, i, 1] += fy
            force[e, j, 0] -= fx
            force[e, j, 1] -= fy


@kernel
def move(position, velocity, force, e):
    """Moves all agents for one step: first positions, with the old velocities, then velocities. Arrays: [E, N, 2]."""
    for i in range(position.shape[1]):
        for k in range(2):
            position[e, i, k] += velocity[e, i, k] * TIME_STEP
            velocity[e, i, k] = velocity[e, i, k] * (1.0 - DAMPING) + force[e, i, k] * TIME_STEP
