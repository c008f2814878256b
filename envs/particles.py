"""The physics of the particle worlds: round bodies on an unbounded plane that drive, bump and slow down.

Shared by the families that take their rules from the Multi-Agent Particle Environment (Mordatch and Abbeel, AAAI 2018;
Lowe et al., NeurIPS 2017), with the numbers of its maintained form, mpe2. The order of additions and multiplications is
the source's too, so that a game can be played again without rounding it apart.

A step is: every body's own force, the contacts, and then `shift` and `accelerate`, in the order that the source has:
mpe2 shifts first, with the old velocities, the original code and VMAS accelerate first. Where speeds are limited,
`slow` follows `accelerate`.

Lengths are in units of half the side of the starting square, times in seconds; every body has mass 1. Arrays of bodies
are [E, bodies, 2]; a group of bodies is named by its first and by the one after its last.
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

SAME_POINT = 1e-100  # bodies closer than this share a point: the force between them has no direction


@kernel
def contact(dx, dy, touching, reach):
    """The force (x, y) on the first of two bodies; the other gets its opposite.

    dx, dy: first minus second position; touching: the distance at which they touch, the sum of their radii; reach: the
    gap between them from which on there is no force, REACH where contacts set in softly, 0 where only overlaps push.
    The force is STIFFNESS x penetration along the line between them, the penetration a softplus of width MARGIN.
    """
    squared = dx * dx + dy * dy
    if squared > (touching + reach) * (touching + reach):
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
    """Sets the force on body i to what its action asks for: 0 nothing, 1 -x, 2 +x, 3 -y, 4 +y."""
    force[e, i, 0] = strength * (action == 2) - strength * (action == 1)
    force[e, i, 1] = strength * (action == 4) - strength * (action == 3)


@kernel
def drive_along(force, e, i, action, strength):
    """Sets the force on body i to what its continuous action [5] asks for: 1 -x, 2 +x, 3 -y, 4 +y; 0 is idle."""
    force[e, i, 0] = (action[2] - action[1]) * strength
    force[e, i, 1] = (action[4] - action[3]) * strength


@kernel
def push_apart(position, force, e, first, stop, touching, reach):
    """Adds the contact forces among the bodies of a group, all of one size. touching: twice their radius."""
    for i in range(first, stop):
        for j in range(i + 1, stop):
            fx, fy = contact(
                position[e, i, 0] - position[e, j, 0], position[e, i, 1] - position[e, j, 1], touching, reach
            )
            force[e, i, 0] += fx
            force[e, i, 1] += fy
            force[e, j, 0] -= fx
            force[e, j, 1] -= fy


@kernel
def push_off(position, force, e, first, stop, other_first, other_stop, touching, reach):
    """Adds the contact forces between two groups. touching: the sum of a radius of the one and one of the other."""
    for i in range(first, stop):
        for j in range(other_first, other_stop):
            fx, fy = contact(
                position[e, i, 0] - position[e, j, 0], position[e, i, 1] - position[e, j, 1], touching, reach
            )
            force[e, i, 0] += fx
            force[e, i, 1] += fy
            force[e, j, 0] -= fx
            force[e, j, 1] -= fy


@kernel
def push_from(position, force, e, first, stop, obstacle, touching, reach):
    """Adds the contact forces of obstacles [E, M, 2], which do not move, on a group."""
    for i in range(first, stop):
        for k in range(obstacle.shape[1]):
            fx, fy = contact(
                position[e, i, 0] - obstacle[e, k, 0], position[e, i, 1] - obstacle[e, k, 1], touching, reach
            )
            force[e, i, 0] += fx
            force[e, i, 1] += fy


@kernel
def shift(position, velocity, e):
    """Moves all bodies along their velocities for one step."""
    for i in range(position.shape[1]):
        for k in range(2):
            position[e, i, k] += velocity[e, i, k] * TIME_STEP


@kernel
def accelerate(velocity, force, e):
    """Slows all bodies down and lets the forces act on them for one step."""
    for i in range(velocity.shape[1]):
        for k in range(2):
            velocity[e, i, k] = velocity[e, i, k] * (1.0 - DAMPING) + force[e, i, k] * TIME_STEP


@kernel
def slow(velocity, e, first, stop, fastest):
    """Cuts the velocities of a group down to a speed."""
    for i in range(first, stop):
        speed = math.sqrt(velocity[e, i, 0] * velocity[e, i, 0] + velocity[e, i, 1] * velocity[e, i, 1])
        if speed > fastest:
            velocity[e, i, 0] = velocity[e, i, 0] / speed * fastest
            velocity[e, i, 1] = velocity[e, i, 1] / speed * fastest
