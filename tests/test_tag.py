"""Tag: the kernels against their plain twin and against mpe2, positions worked out by hand, and what cannot matter."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.envs import environment
from coopgym.envs.core import Batch, bounds, slices, unbounded
from coopgym.envs.rendering import picture, pixels
from coopgym.envs.tag import Chase, Params
from tests.oracle import TWINS

NOOP, LEFT, RIGHT, DOWN, UP = range(5)
FAR = (50.0, 50.0)


def batch(num_envs: int = 1, seed: int = 0, **params: Any) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(environment("tag_v1", **params), num_envs, seed=seed, autoreset="disabled")
    made.reset()
    return made


def placed(agents: Any, hunted: Any, obstacles: Any = (), **params: Any) -> Batch:
    """One game with all bodies at rest here, each group [bodies, 2]; prey is frozen unless it is said otherwise."""
    params = {"prey": "frozen", "n_agents": len(agents), "n_prey": len(hunted), "n_obstacles": len(obstacles)} | params
    made = batch(**params)
    made.arrays.position[0] = [*agents, *hunted]
    made.arrays.obstacle[0] = np.reshape(obstacles, (-1, 2))
    return made


def look(game: Batch) -> np.ndarray:
    """What the agents of every row see now, [E, N, O], after positions were changed."""
    for e in range(game.num_envs):
        game.env.kernels.observe(game.params, game.arrays, e, game.out.obs[e])
    return game.out.obs.copy()


def random_actions(rng: np.random.Generator, game: Batch) -> np.ndarray:
    return rng.integers(0, 5, (game.num_envs, game.env.n_agents))


def rest(game: Batch) -> Any:
    return game.step(np.zeros((game.num_envs, game.env.n_agents), int))


# --- against the twin ---------------------------------------------------------------------------------------------

ODD_PARAMS: list[dict[str, Any]] = [
    *({"preset": preset, "horizon": 25} for preset in environment("tag_v1").presets),
    {"n_agents": 1, "n_prey": 1, "n_obstacles": 0},
    {"n_agents": 1, "n_prey": 3, "n_obstacles": 1, "prey": "random", "sight": 0.5},
    {"n_agents": 5, "prey": "facmac", "capture_reward": -2.5, "horizon": 40},
    {
        "n_agents": 4,
        "n_prey": 2,
        "agent_push": 9.0,
        "agent_speed": 3.0,
        "prey_speed": 0.2,
        "terminate_on_success": True,
    },
    {"n_agents": 2, "n_obstacles": 6, "integrator": "velocity_first", "prey_push": 0.0, "sight": 1.0},
]


def agrees_with_the_twin(params: dict[str, Any], episodes: int) -> None:
    rows, seed = 4, 11
    game = batch(rows, seed, **params)
    twins = [TWINS["tag_v1"](game.env.params, seed + e) for e in range(rows)]
    rng = np.random.default_rng(5)
    touches, moved = 0.0, 0.0
    for episode in range(episodes):
        if episode:
            game.reset()
        for e, twin in enumerate(twins):
            twin.reset()
            if episode % 2:  # all in a heap, where contacts do most
                game.arrays.position[e] *= 0.2
                twin.position *= 0.2
        look(game)
        start = game.arrays.position.copy()
        for _ in range(game.horizon):
            for e, twin in enumerate(twins):
                np.testing.assert_allclose(game.out.obs[e], twin.obs(), rtol=0, atol=1e-6)
                np.testing.assert_array_equal(game.out.action_mask[e], twin.mask())
            actions = random_actions(rng, game)
            out = game.step(actions)
            for e, twin in enumerate(twins):
                reward, terminated = twin.step(actions[e])
                np.testing.assert_allclose(game.arrays.position[e], twin.position, rtol=0, atol=1e-7)
                np.testing.assert_allclose(game.arrays.velocity[e], twin.velocity, rtol=0, atol=1e-7)
                np.testing.assert_allclose(out.state[e], twin.state(), rtol=0, atol=1e-6)
                assert (out.reward[e], out.terminated[e]) == (reward, terminated)
                touches += reward / game.env.params.capture_reward
            if out.terminated.any():
                break
        moved += np.abs(game.arrays.position - start).sum()
    assert touches > 0 and moved > 1


@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=4)


@pytest.mark.slow
@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_a_thousand_episodes_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=25)  # of 4 rows, with 12 sets of parameters


# --- against mpe2 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({}, {}),
        ({"n_agents": 5, "n_prey": 2, "n_obstacles": 3, "prey": "random"}, {}),
        ({"n_agents": 1, "n_obstacles": 1, "prey": "frozen"}, {}),
        ({"n_agents": 4, "terminate_on_success": True}, {"terminate_on_success": True}),
    ],
    ids=str,
)
def test_whole_episodes_are_those_of_mpe2(params, options):
    """With the actions of our prey given to theirs. Every other episode starts in a heap, where contacts do most."""
    simple_tag = pytest.importorskip("mpe2.simple_tag_v3")
    game = batch(seed=3, **params)
    p, n = game.env.params, game.env.n_agents
    peer = simple_tag.parallel_env(
        num_good=p.n_prey, num_adversaries=n, num_obstacles=p.n_obstacles, max_cycles=p.horizon, **options
    )
    rng = np.random.default_rng(n)
    touches = successes = 0
    for episode in range(30):
        game.reset()
        peer.reset(seed=0)
        if episode % 2:
            game.arrays.position[0] *= 0.2
        world = peer.unwrapped.world
        for entity, position in zip(
            world.agents + world.landmarks, [*game.arrays.position[0], *game.arrays.obstacle[0]], strict=True
        ):
            entity.state.p_pos = position.copy()
        names = list(peer.agents)
        np.testing.assert_allclose(look(game)[0], [peer.unwrapped.observe(name) for name in names[:n]], atol=1e-5)
        for step in range(p.horizon):
            actions = random_actions(rng, game)
            out = game.step(actions)
            joint = [*actions[0].tolist(), *game.arrays.prey_action[0].tolist()]
            obs, rewards, terminated, truncated, _ = peer.step(dict(zip(names, joint, strict=True)))
            for ours, theirs in (
                (out.obs[0], [obs[name] for name in names[:n]]),
                (game.arrays.position[0], [body.state.p_pos for body in world.agents]),
                (game.arrays.velocity[0], [body.state.p_vel for body in world.agents]),
                (out.agent_reward[0], [rewards[name] for name in names[:n]]),
            ):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
            if step + 1 < p.horizon:
                assert set(terminated.values()) == {bool(out.terminated[0])}
            assert out.ended[0] == any([*terminated.values(), *truncated.values()])
            touches += out.reward[0] / 10
            if out.ended[0]:
                successes += int(out.terminated[0])
                break
    peer.close()
    assert touches > 5
    assert (successes > 0) == ("terminate_on_success" in params)


# --- worked out by hand -------------------------------------------------------------------------------------------


def test_every_touching_pair_pays_the_team_once():
    game = placed([(0, 0.1), (0, -0.1), (1, 1)], [(0, 0), (1.12, 1), (3, 3)])
    assert rest(game).reward[0] == 30  # agents 0 and 1 touch the first prey, agent 2 the second
    assert game.out.agent_reward[0].tolist() == [30, 30, 30]
    assert rest(placed([(0, 0)], [(0.125, 0)], capture_reward=3.0)).reward[0] == 0  # they touch, but do not overlap


@pytest.mark.parametrize(("fields", "fast"), [({}, (1.0, 1.3)), ({"agent_speed": 0.5, "prey_speed": 2.0}, (0.5, 2.0))])
def test_nobody_is_faster_than_allowed(fields, fast):
    game = placed([(0, 0)], [(9, 9)], **fields)
    game.arrays.velocity[0] = (3, 4), (-30, 40)
    rest(game)
    np.testing.assert_allclose(
        game.arrays.velocity[0], [(0.6 * fast[0], 0.8 * fast[0]), (-0.6 * fast[1], 0.8 * fast[1])]
    )


@pytest.mark.parametrize(
    ("integrator", "positions"), [("position_first", [0, 0.03, 0.0825]), ("velocity_first", [0.03, 0.0825, 0.151875])]
)
def test_a_push_of_3_moves_an_agent(integrator, positions):
    game = placed([(0, 0)], [FAR], integrator=integrator)
    for x, velocity in zip(positions, [0.3, 0.525, 0.69375], strict=True):  # v <- 0.75 v + 0.3
        game.step(np.array([[LEFT]]))
        np.testing.assert_allclose(game.arrays.position[0, 0], (-x, 0), atol=1e-15)
        np.testing.assert_allclose(game.arrays.velocity[0, 0], (-velocity, 0))


@pytest.mark.parametrize(
    ("bodies", "velocity"),
    [
        (([(0, 0), (0.1, 0)], [FAR], []), [(-0.5, 0), (0.5, 0)]),  # 0.05 deep: force 5 on each
        (([(0, 0), FAR], [(0.1, 0)], []), [(-0.25, 0), (0, 0), (0.25, 0)]),
        (([(0, 0), FAR], [(0, 3)], [(0, 0.25), (-0.1, 3)]), [(0, -0.25), (0, 0), (1.3, 0)]),  # 0.15 deep, but no faster
    ],
)
def test_bodies_that_overlap_push_each_other_apart_and_obstacles_stay(bodies, velocity):
    game = placed(*bodies)
    before = game.arrays.obstacle.copy()
    rest(game)
    np.testing.assert_allclose(game.arrays.velocity[0, : len(velocity)], velocity, atol=1e-12)
    np.testing.assert_array_equal(game.arrays.obstacle, before)


@pytest.mark.parametrize(
    ("agents", "prey", "velocity", "action"),
    [
        ([(0.5, 0)], (0, 0), (0, 0), LEFT),  # straight away
        ([(0, 0.5)], (0, 0), (0, 0), DOWN),
        ([(0.5, 0), (-0.5, 0.1)], (0, 0), (0, 0), DOWN),  # from between two, of which the second is higher up
        ([(0.5, 0), (-0.5, 0)], (0, 0), (0, 0), DOWN),  # up is as good as down, and comes later
        ([(0.2, 0)], (-0.95, 0.5), (0, 0), RIGHT),  # half-way over the border: 0.15 nearer, but 0.5 cheaper
        ([(0.2, 0)], (-0.85, 0.5), (0, 0), UP),  # left gains as much way as up, but would cost 1.02 in border
        ([(0.2, 0.2)], (-0.9, -0.9), (0, 0), NOOP),  # in the corner: any way out leads nearer, any other crosses
        ([(0.5, 0)], (-0.5, 0), (-1.3, 0), RIGHT),  # it would coast to -1.02, and a push brakes: -0.86
    ],
)
def test_fleeing_prey_weighs_the_nearest_agent_against_the_border(agents, prey, velocity, action):
    game = placed(agents, [prey], prey="heuristic")
    game.arrays.velocity[0, -1] = velocity
    rest(game)
    assert game.arrays.prey_action[0].tolist() == [action]


def test_random_prey_takes_all_actions_alike_and_frozen_prey_none():
    games = {prey: batch(4000, seed=1, n_prey=2, prey=prey) for prey in ("random", "frozen")}
    for game in games.values():
        rest(game)
    counts = np.bincount(games["random"].arrays.prey_action.ravel(), minlength=5)
    assert np.abs(counts - 1600).max() < 4 * math.sqrt(8000 * 0.2 * 0.8)
    assert (games["frozen"].arrays.prey_action == 0).all()
    still = placed([FAR], [(0, 0)])
    for _ in range(5):
        rest(still)
    assert (still.arrays.position[0, 1] == 0).all()


def test_prey_of_facmac_flees_from_the_nearest_agent_with_a_force_below_1():
    game = batch(2000, seed=0, n_agents=2, n_obstacles=0, prey="facmac")
    game.arrays.position[:] = [(0.5, 0), (0, 3), (0, 0)]
    rest(game)
    force = game.arrays.force[:, 2]
    strength = np.linalg.norm(force, axis=1)
    assert strength.max() <= 1 and strength.mean() > 0.9  # of 100 points, the best lies near the edge
    assert force[:, 0].mean() < -0.9 and abs(force[:, 1].mean()) < 0.02
    assert force.std(axis=0).min() > 0.01


def test_touching_all_prey_at_once_ends_the_episode_where_that_is_asked_for():
    for params, ends in (({"terminate_on_success": True}, True), ({}, False)):
        for second, all_touched in (((1, 0.1), True), ((1, 0.13), False)):
            game = placed([(0, 0), (1, 0)], [(0, 0.1), second], **params)
            assert rest(game).terminated[0] == (ends and all_touched)


def test_an_episode_is_cut_off_at_the_horizon():
    game = batch(horizon=4)
    ends = [(bool(out.truncated[0]), bool(out.terminated[0])) for out in (rest(game) for _ in range(4))]
    assert ends == [(False, False)] * 3 + [(True, False)]


def test_starts_fill_their_squares_evenly():
    game = batch(2000, n_obstacles=4)
    for places, half in ((game.arrays.position, 1.0), (game.arrays.obstacle, 0.9)):
        assert half * 0.99 < np.abs(places).max() <= half
        assert np.abs(places.mean(axis=(0, 1))).max() < 4 * math.sqrt(half**2 / 3 / 8000)
        assert places.var() == pytest.approx(half**2 / 3, rel=0.05)
    assert (game.arrays.velocity == 0).all()


# --- sight --------------------------------------------------------------------------------------------------------


def test_what_lies_beyond_sight_changes_no_observation():
    sight, rng = 0.8, np.random.default_rng(0)
    game = batch(n_agents=4, n_prey=2, n_obstacles=3, sight=sight)
    hidden_ones = 0
    for _ in range(200):
        game.reset()
        before, here = look(game)[0, 0], game.arrays.position[0, 0]
        for places, velocities in ((game.arrays.position[0], game.arrays.velocity[0]), (game.arrays.obstacle[0], None)):
            hidden = np.linalg.norm(places - here, axis=1) > sight
            angles, far = rng.uniform(0, 2 * math.pi, hidden.sum()), rng.uniform(sight + 1e-6, 9, hidden.sum())
            places[hidden] = here + np.stack([far * np.cos(angles), far * np.sin(angles)], axis=1)
            if velocities is not None:
                velocities[hidden] = rng.normal(size=(hidden.sum(), 2))
            hidden_ones += hidden.sum()
        np.testing.assert_array_equal(look(game)[0, 0], before)
    assert hidden_ones > 500


def test_a_body_shows_up_at_the_edge_of_sight_with_its_velocity_if_it_is_prey():
    agents, prey, obstacles = [(0, 0), (0.3, 0.4)], [(0, -0.5)], [(-0.5, 0)]
    shown = []
    for sight in (0.5, 0.49):
        game = placed(agents, prey, obstacles, sight=sight)
        game.arrays.velocity[0] = (0, 0), (0.7, 0.8), (0.1, -0.2)
        seen = look(game)[0, 0]
        shown.append({part.name: seen[where].tolist() for part, where in slices(game.env.observation_layout)})
    near, far = shown
    assert near["obstacles"] == [-0.5, 0] and near["prey"] == [0, -0.5]
    np.testing.assert_allclose(near["agents"] + near["prey_velocities"], [0.3, 0.4, 0.1, -0.2])
    assert near["obstacles_visible"] + near["agents_visible"] + near["prey_visible"] == [1, 1, 1]
    assert all(value == 0 for values in far.values() for value in values)


def test_a_sight_as_wide_as_the_world_adds_nothing_but_flags_and_state_and_rules_do_not_depend_on_it():
    games = [batch(64, seed=2, n_prey=2, sight=sight) for sight in (math.inf, 1e6, 0.5)]
    rng = np.random.default_rng(1)
    for _ in range(20):
        actions = random_actions(rng, games[0])
        full, wide, near = (game.step(actions) for game in games)
        np.testing.assert_array_equal(wide.obs[:, :, : full.obs.shape[2]], full.obs)
        assert (wide.obs[:, :, full.obs.shape[2] :] == 1).all()
        np.testing.assert_array_equal(near.state, full.state)
        np.testing.assert_array_equal(near.reward, full.reward)
    assert (near.obs[:, :, full.obs.shape[2] :] == 0).any()


# --- what cannot matter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"prey": "frozen", "sight": 1.0, "integrator": "velocity_first"}], ids=str)
def test_the_names_of_agents_and_the_sides_of_the_plane_do_not_matter(params):
    rng = np.random.default_rng(0)
    order, mirror = np.array([2, 0, 3, 1]), np.array([-1, 1])
    bodies = np.array([*order, 4])
    game, permuted, mirrored = (batch(100, seed=6, n_agents=4, **params) for _ in range(3))
    for one in (game, permuted, mirrored):
        one.arrays.position[:] *= 0.4
    permuted.arrays.position[:] = permuted.arrays.position[:, bodies]
    mirrored.arrays.position[:] *= mirror
    mirrored.arrays.obstacle[:] *= mirror
    for _ in range(10):
        actions = random_actions(rng, game)
        game.step(actions)
        permuted.step(actions[:, order])
        mirrored.step(np.array([NOOP, RIGHT, LEFT, DOWN, UP])[actions])
        for other, position in (
            (permuted, game.arrays.position[:, bodies]),
            (mirrored, game.arrays.position * mirror),
        ):
            np.testing.assert_allclose(other.arrays.position, position, atol=1e-7)
            np.testing.assert_array_equal(other.out.reward, game.out.reward)
    assert game.out.team_return.max() > 0


# --- sizes, bounds, parameters ------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_source():
    assert environment("tag_v1").obs_size == 16
    assert environment("tag_v1").state_size == 4 * 3 + 4 * 1 + 2 * 2
    wide = environment("tag_v1", "facmac_9a")
    assert wide.obs_size == 4 + 2 * 6 + 2 * 8 + 2 * 3 + 2 * 3 + 6 + 8 + 3
    assert environment("tag_v1", n_agents=1, n_obstacles=0).obs_size == 4 + 2 + 2


def test_a_runaway_stays_within_the_bounds_and_nearly_reaches_them():
    game = placed([(1, -1)], [(-1, -1)], horizon=60, integrator="velocity_first", agent_push=50.0)
    for _ in range(60):
        out = game.step(np.array([[RIGHT]]))
        for layout, values in ((game.env.observation_layout, out.obs), (game.env.state_layout, out.state)):
            low, high = bounds(layout)
            assert (low <= values).all() and (values <= high).all()
    assert out.state[0, 0] == pytest.approx(1 + 60 * 0.1, rel=1e-6)


VALUES = st.one_of(
    st.integers(-2, 9),
    st.floats(-1, 3),
    st.booleans(),
    st.sampled_from(["facmac", "random", "velocity_first", math.nan, math.inf, -math.inf, 10**9, 1e300, None, [1]]),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*Params._fields, "num_good"]), VALUES, max_size=3))
def test_any_parameters_work_or_are_refused_by_name(params):
    try:
        env = environment("tag_v1", **params)
    except (ValueError, TypeError) as error:
        assert any(name in str(error) for name in params)
        return
    assert unbounded(env.observation_layout) == unbounded(env.state_layout) == []
    game = Batch(env, 2, seed=0)
    game.reset()
    for _ in range(3):
        up = UP if env.action_bounds is None else env.alone(UP)
        out = game.step(np.broadcast_to(up, (2, env.n_agents, *env.action_shape)))
        for layout, values in ((env.observation_layout, out.obs), (env.state_layout, out.state)):
            low, high = bounds(layout)
            assert (low <= values).all() and (values <= high).all()
    assert np.isfinite(game.arrays.position).all()


def test_presets_are_those_of_the_sources():
    presets = {name: environment("tag_v1", name).params for name in environment("tag_v1").presets}
    facmac = {"sight": 1.5, "prey": "facmac", "integrator": "velocity_first"}
    assert presets == {
        "mpe2": Params(3, 1, 2, 25, "heuristic"),
        "benchmarl": Params(3, 2, 2, 100),
        "random_prey": Params(prey="random"),
        "frozen_prey": Params(prey="frozen"),
        "facmac_3a": Params(3, 1, 2, **facmac),
        "facmac_6a": Params(6, 2, 4, **facmac),
        "facmac_9a": Params(9, 3, 6, **facmac),
    }


# --- the scripted team, pictures and text -------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(environment("tag_v1").presets))
def test_chasers_catch_ten_times_as_much_as_a_random_team(preset):
    games, rng = [batch(200, 1, preset=preset) for _ in range(2)], np.random.default_rng(0)
    team = Chase(games[0].env)
    team.reset(200)
    for _ in range(games[0].horizon):
        actions = team.act(games[0].out.obs, games[0].out.action_mask)
        assert actions.shape == (200, games[0].env.n_agents)
        games[0].step(actions)
        games[1].step(random_actions(rng, games[1]))
    chasing, random = (game.out.team_return.mean() for game in games)
    assert chasing > 30 and chasing > 10 * random


def test_a_chaser_heads_off_the_nearest_prey_it_sees_or_goes_to_the_middle():
    game = placed([(0, 0), (-0.6, 0)], [(0.5, 0.1), (3, 3)], sight=1.0)
    game.arrays.velocity[0, 2] = 0, 1  # it will be at (0.5, 0.6)
    look(game)
    assert Chase(game.env).act(game.out.obs, game.out.action_mask).tolist() == [[UP, RIGHT]]


def test_text_shows_bodies_and_touches():
    game = placed([(-1, 1), (1, -1)], [(-0.9, 1)], [(0, 0)])
    rest(game)
    lines = game.env.describe(game.scene()).splitlines()
    rows = [line[1:-1] for line in lines[1:22]]
    assert rows[0] == "0 a" + 38 * " "
    assert rows[10] == 20 * " " + "o" + 20 * " "
    assert rows[20] == 40 * " " + "1"
    assert "touching: 0 and a" in lines
    assert lines[-1] == "step 1 of 25, reward 10.000, return 10.000"


def test_the_picture_of_what_an_agent_sees_holds_nothing_else():
    game = placed([(0, 0), (0.9, 0.9)], [(0.4, 0.1), (-0.9, 0.9)], [(-0.9, -0.9)], sight=0.8)

    def seen_by_agent_0() -> np.ndarray:
        return pixels(picture(game.env, game.scene()._replace(viewer=0)))

    before = seen_by_agent_0()
    game.arrays.position[0, [1, 3]] = [(0.9, -0.9), (-0.9, 0.2)]
    game.arrays.obstacle[0] += 0.05
    np.testing.assert_array_equal(seen_by_agent_0(), before)
    game.arrays.position[0, 2] += 0.1
    assert not np.array_equal(seen_by_agent_0(), before)
