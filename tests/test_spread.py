"""Spread: the kernels against their plain twin and against mpe2, positions worked out by hand, and known returns."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.envs import environment
from coopgym.envs.core import Batch, bounds, slices, unbounded
from coopgym.envs.parameters import parameters_of
from coopgym.envs.spread import Params, position_bound, velocity_bound
from tests.oracle import TWINS

NOOP, LEFT, RIGHT, DOWN, UP = range(5)


def batch(num_envs: int = 1, seed: int = 0, **params: Any) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(environment("spread_v1", **params), num_envs, seed=seed, autoreset="disabled")
    made.reset()
    return made


def placed(agents: Any, landmarks: Any = None, **params: Any) -> Batch:
    """One game with the agents at rest here, and the landmarks under them where no others are given. Both [N, 2]."""
    made = batch(n_agents=len(agents), **params)
    made.arrays.position[0] = agents
    made.arrays.landmark[0] = agents if landmarks is None else landmarks
    return made


def look(game: Batch) -> np.ndarray:
    """What the agents of every row see now: [E, N, O]."""
    for e in range(game.num_envs):
        game.env.kernels.observe(game.params, game.arrays, e, game.out.obs[e])
    return game.out.obs.copy()


def random_actions(rng: np.random.Generator, game: Batch) -> np.ndarray:
    return rng.integers(0, 5, (game.num_envs, game.env.n_agents))


# --- against the twin ---------------------------------------------------------------------------------------------

ODD_PARAMS: list[dict[str, Any]] = [
    {},
    {"n_agents": 1},
    {"n_agents": 1, "sight": 0.7, "reward_mode": "per_agent"},
    {"n_agents": 2, "sight": 0.5, "local_ratio": 0.9},
    {"n_agents": 2, "horizon": 7, "local_ratio": 1.0, "reward_mode": "team_mean"},
    {"n_agents": 3, "sight": 0.01},
    {"n_agents": 3, "sight": 1.5, "reward_mode": "per_agent"},
    {"n_agents": 5, "horizon": 40, "reward_mode": "team_mean"},
    {"n_agents": 5, "sight": 1e100, "local_ratio": 0.0},
    {"n_agents": 8, "sight": 1.0},
]


def agrees_with_the_twin(params: dict[str, Any], episodes: int) -> None:
    rows, seed = 4, 11
    game = batch(rows, seed, **params)
    twins = [TWINS["spread_v1"](game.env.params, seed + e) for e in range(rows)]
    rng = np.random.default_rng(5)
    moved = 0.0
    for episode in range(episodes // rows):
        if episode:
            game.reset()
        for twin in twins:
            twin.reset()
        start = game.arrays.position.copy()
        for _ in range(game.horizon):
            for e, twin in enumerate(twins):
                np.testing.assert_array_equal(game.out.obs[e], twin.obs())
                np.testing.assert_array_equal(game.out.state[e], twin.state())
                np.testing.assert_array_equal(game.out.action_mask[e], twin.mask())
            actions = random_actions(rng, game)
            out = game.step(actions)
            for e, twin in enumerate(twins):
                reward, terminated = twin.step(actions[e])
                np.testing.assert_array_equal(game.arrays.position[e], twin.position)
                np.testing.assert_allclose(game.arrays.velocity[e], twin.velocity, rtol=0, atol=1e-40)
                np.testing.assert_allclose(game.arrays.agent_reward[e], twin.rewards, rtol=1e-12)
                assert out.reward[e] == pytest.approx(reward, rel=1e-12)
                assert out.terminated[e] == terminated
        moved += np.abs(game.arrays.position - start).sum()
        assert out.truncated.all()
    assert moved > episodes * 0.1


@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=20)


@pytest.mark.slow
@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_a_thousand_episodes_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=1000)


# --- against mpe2 -------------------------------------------------------------------------------------------------


def agrees_with_mpe2(n_agents: int, episodes: int) -> None:
    """Every other episode starts with all agents in a heap, where contacts do most."""
    simple_spread = pytest.importorskip("mpe2.simple_spread_v3")
    peer = simple_spread.parallel_env(N=n_agents)
    peer.reset(seed=0)
    game = batch(seed=3, n_agents=n_agents, reward_mode="per_agent")
    rng = np.random.default_rng(n_agents)
    moved, collisions = 0.0, 0
    for episode in range(episodes):
        game.reset()
        peer.reset()
        if episode % 2:
            game.arrays.position[0] *= 0.2
        world = peer.unwrapped.world
        for entity, position in zip(
            world.agents + world.landmarks,
            np.concatenate([game.arrays.position[0], game.arrays.landmark[0]]),
            strict=True,
        ):
            entity.state.p_pos = position.copy()
        start = game.arrays.position[0].copy()
        np.testing.assert_allclose(look(game)[0], [peer.unwrapped.observe(agent) for agent in peer.agents], atol=1e-5)
        for step in range(25):
            actions = random_actions(rng, game)
            obs, rewards, terminated, truncated, _ = peer.step(dict(zip(peer.agents, actions[0].tolist(), strict=True)))
            out = game.step(actions)
            np.testing.assert_allclose(out.obs[0], list(obs.values()), rtol=0, atol=1e-5)
            np.testing.assert_allclose(game.arrays.agent_reward[0], list(rewards.values()), rtol=0, atol=1e-5)
            np.testing.assert_allclose(
                game.arrays.position[0], [agent.state.p_pos for agent in world.agents], rtol=0, atol=1e-5
            )
            assert out.reward[0] == pytest.approx(sum(rewards.values()), abs=1e-5)
            assert set(truncated.values()) == {bool(out.truncated[0])} == {step == 24}
            assert set(terminated.values()) == {bool(out.terminated[0])} == {False}
            apart = np.linalg.norm(game.arrays.position[0][:, None] - game.arrays.position[0], axis=2)
            collisions += (apart < 0.3).sum() - n_agents
        moved += np.abs(game.arrays.position[0] - start).sum()
    peer.close()
    assert moved > episodes * 0.1
    assert collisions > episodes


@pytest.mark.parametrize("n_agents", [2, 3, 5])
def test_whole_episodes_are_those_of_mpe2(n_agents):
    agrees_with_mpe2(n_agents, episodes=100)


@pytest.mark.slow
@pytest.mark.parametrize("n_agents", [2, 3, 5])
def test_a_thousand_episodes_are_those_of_mpe2(n_agents):
    agrees_with_mpe2(n_agents, episodes=1000)


# --- worked out by hand -------------------------------------------------------------------------------------------


def test_a_pair_that_collides_costs_each_of_the_two_half_a_point():
    game = placed([(0, 0), (0.2, 0), (5, 5)])  # every landmark has an agent on it
    game.step(np.zeros((1, 3), int))
    np.testing.assert_allclose(game.arrays.agent_reward[0], [-0.5, -0.5, 0])
    assert game.out.reward[0] == pytest.approx(-1)


def test_in_a_heap_of_three_each_agent_pays_for_both_others():
    game = placed([(0, 0), (0.2, 0), (0, 0.2)], local_ratio=1.0)
    game.step(np.zeros((1, 3), int))
    np.testing.assert_allclose(game.arrays.agent_reward[0], [-2, -2, -2])


def test_agents_that_just_touch_do_not_collide():
    game = placed([(0, 0), (0.3, 0)])
    game.step(np.zeros((1, 2), int))
    assert game.out.reward[0] == 0


def test_each_landmark_costs_the_distance_to_the_nearest_agent():
    agents, landmarks = [(0, 0), (3, 4)], [(3, 0), (0, 0)]  # the nearest to both is agent 0: 3 + 0
    game = placed(agents, landmarks)
    game.step(np.zeros((1, 2), int))
    np.testing.assert_allclose(game.arrays.agent_reward[0], [-1.5, -1.5])
    assert game.out.reward[0] == pytest.approx(-3)


@pytest.mark.parametrize(("local_ratio", "rewards"), [(0.0, [-3, -3]), (1.0, [-1, -1]), (0.25, [-2.5, -2.5])])
def test_local_ratio_weighs_collisions_against_distances(local_ratio, rewards):
    game = placed([(0, 0), (0, 0.25)], [(0, 0), (3, 0)], local_ratio=local_ratio)  # distances 0 + 3, one collision each
    game.step(np.zeros((1, 2), int))
    np.testing.assert_allclose(game.arrays.agent_reward[0], rewards)


@pytest.mark.parametrize(("mode", "reward"), [("team_sum", -3), ("team_mean", -1.5), ("per_agent", -3)])
def test_reward_mode_chooses_the_sum_or_the_mean(mode, reward):
    game = placed([(0, 0), (3, 4)], [(3, 0), (0, 0)], reward_mode=mode)
    game.step(np.zeros((1, 2), int))
    assert game.out.reward[0] == pytest.approx(reward)
    np.testing.assert_allclose(game.arrays.agent_reward[0], [-1.5, -1.5])
    assert game.env.individual_rewards == (mode == "per_agent")


@pytest.mark.parametrize(
    ("action", "direction"), [(NOOP, (0, 0)), (LEFT, (-1, 0)), (RIGHT, (1, 0)), (DOWN, (0, -1)), (UP, (0, 1))]
)
def test_a_push_moves_the_agent_from_the_next_step_on(action, direction):
    game = placed([(0.5, -0.5)])
    velocities, ways = [0.5, 0.875, 1.15625], [0, 0.05, 0.1375]  # v <- 0.75 v + 0.5, after x <- x + 0.1 v
    for velocity, way in zip(velocities, ways, strict=True):
        game.step(np.array([[action]]))
        np.testing.assert_allclose(game.arrays.velocity[0, 0], np.multiply(direction, velocity), atol=1e-15)
        np.testing.assert_allclose(game.arrays.position[0, 0] - (0.5, -0.5), np.multiply(direction, way), atol=1e-15)


def test_without_a_push_the_velocity_falls_by_a_quarter():
    game = placed([(0, 0)])
    game.arrays.velocity[0, 0] = 1, -2
    game.step(np.array([[NOOP]]))
    np.testing.assert_allclose(game.arrays.velocity[0, 0], (0.75, -1.5))
    np.testing.assert_allclose(game.arrays.position[0, 0], (0.1, -0.2))


@pytest.mark.parametrize(
    ("distance", "force"), [(0.2, 10), (0.3, 0.1 * math.log(2)), (0.301, 0.1 * math.log1p(math.exp(-1))), (0.5, 0)]
)
def test_overlapping_agents_push_each_other_apart(distance, force):
    x, y = 0.6 * distance, 0.8 * distance
    game = placed([(0, 0), (x, y)])
    game.step(np.zeros((1, 2), int))
    np.testing.assert_allclose(game.arrays.velocity[0, 1], (0.06 * force, 0.08 * force), rtol=1e-9)
    np.testing.assert_allclose(game.arrays.velocity[0, 0], -game.arrays.velocity[0, 1])


def test_agents_at_the_same_point_do_not_push_each_other():
    game = placed([(0.1, 0.2), (0.1, 0.2)])
    for _ in range(3):
        out = game.step(np.zeros((1, 2), int))
        assert out.reward[0] == -1
    np.testing.assert_array_equal(game.arrays.position[0], [(0.1, 0.2), (0.1, 0.2)])
    game.step(np.array([[LEFT, RIGHT]]))
    game.step(np.array([[LEFT, RIGHT]]))
    assert game.arrays.position[0, 0, 0] < 0.1 < game.arrays.position[0, 1, 0]


def test_an_episode_is_cut_off_at_the_horizon_and_never_terminated():
    game = batch(horizon=4)
    ends = []
    for _ in range(4):
        out = game.step(np.zeros((1, 3), int))
        ends.append((bool(out.truncated[0]), bool(out.terminated[0])))
    assert ends == [(False, False)] * 3 + [(True, False)]


def test_own_rewards_of_the_last_step_outlive_the_restart():
    game = Batch(environment("spread_v1", horizon=3, reward_mode="per_agent"), 2, seed=0)
    game.reset()
    for _ in range(3):
        out = game.step(np.zeros((2, 3), int))
    assert out.truncated.all() and (game.arrays.t == 0).all()
    np.testing.assert_array_equal(out.agent_reward, game.arrays.agent_reward)
    np.testing.assert_allclose(out.agent_reward.sum(axis=1), out.reward)
    assert (out.agent_reward < 0).all()


def test_starts_fill_the_square_evenly():
    game = batch(2000)
    for places in (game.arrays.position, game.arrays.landmark):
        assert np.abs(places).max() <= 1
        assert np.abs(places.mean(axis=(0, 1))).max() < 4 * math.sqrt(1 / 3 / 6000)  # of a uniform in [-1, 1]
        assert places.var() == pytest.approx(1 / 3, rel=0.05)
    assert (game.arrays.velocity == 0).all()


# --- sight --------------------------------------------------------------------------------------------------------


def test_what_lies_beyond_sight_changes_no_observation():
    sight, rng = 1.0, np.random.default_rng(0)
    game = batch(n_agents=4, sight=sight)
    hidden_ones = 0
    for _ in range(200):
        game.reset()
        before = look(game)[0, 0]
        here = game.arrays.position[0, 0]
        for places, first in ((game.arrays.position[0], 1), (game.arrays.landmark[0], 0)):
            hidden = np.linalg.norm(places - here, axis=1) > sight
            hidden[:first] = False  # not the agent that looks
            angles, far = rng.uniform(0, 2 * math.pi, hidden.sum()), rng.uniform(sight + 1e-6, 9, hidden.sum())
            places[hidden] = here + np.stack([far * np.cos(angles), far * np.sin(angles)], axis=1)
            hidden_ones += hidden.sum()
        np.testing.assert_array_equal(look(game)[0, 0], before)
    assert hidden_ones > 200


def test_an_entity_shows_up_at_the_edge_of_sight():
    layout = {
        part.name: where for part, where in slices(environment("spread_v1", "sight_0.5", n_agents=2).observation_layout)
    }
    agents = [(0, 0), (0.3, 0.4)]
    near, far = (look(placed(agents, [(0.0, 0.5), (0, 0.7)], sight=sight))[0, 0] for sight in (0.5, 0.49))
    np.testing.assert_allclose(near[layout["landmarks"]], [0, 0.5, 0, 0])
    np.testing.assert_array_equal(near[layout["landmarks_visible"]], [1, 0])
    np.testing.assert_allclose(near[layout["others"]], [0.3, 0.4])
    np.testing.assert_array_equal(near[layout["others_visible"]], [1])
    assert (far == 0).all()


def test_a_sight_as_wide_as_the_world_adds_nothing_but_flags():
    games = batch(64, seed=2), batch(64, seed=2, sight=1e6)
    rng = np.random.default_rng(1)
    for _ in range(20):
        actions = random_actions(rng, games[0])
        full, wide = (game.step(actions).obs for game in games)
        np.testing.assert_array_equal(wide[:, :, :18], full)
        assert (wide[:, :, 18:] == 1).all()
    assert np.abs(full).max() > 1


def test_rules_and_state_do_not_depend_on_sight():
    games = batch(64, seed=2), batch(64, seed=2, sight=0.5)
    rng = np.random.default_rng(1)
    for _ in range(20):
        actions = random_actions(rng, games[0])
        for game in games:
            game.step(actions)
        np.testing.assert_array_equal(games[0].out.state, games[1].out.state)
        np.testing.assert_array_equal(games[0].out.reward, games[1].out.reward)
    assert (games[1].out.obs[:, :, 18:] == 0).any()
    assert np.ptp(games[0].out.reward) > 0


# --- sizes, bounds, parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_sizes_are_those_of_the_source(n):
    full, partial = environment("spread_v1", n_agents=n), environment("spread_v1", n_agents=n, sight=1.0)
    assert full.obs_size == 4 + 2 * n + 4 * (n - 1)
    assert partial.obs_size == full.obs_size + n + (n - 1)
    assert full.state_size == partial.state_size == 6 * n


def test_an_agent_that_runs_straight_on_reaches_the_bounds_of_a_lone_agent():
    game = placed([(1, -1)])
    for _ in range(25):
        game.step(np.array([[RIGHT]]))
    x, v = game.arrays.position[0, 0, 0], game.arrays.velocity[0, 0, 0]
    assert 0.99999 * position_bound(1, 25) < x <= position_bound(1, 25)
    assert 0.99999 * velocity_bound(1, 25) < v <= velocity_bound(1, 25)


def assert_within_bounds(game: Batch) -> None:
    for layout, values in ((game.env.observation_layout, game.out.obs), (game.env.state_layout, game.out.state)):
        low, high = bounds(layout)
        assert (low <= values).all() and (values <= high).all()


@pytest.mark.parametrize("params", [{"n_agents": 2}, {"n_agents": 8}, {"n_agents": 8, "sight": 0.5}], ids=str)
def test_observations_of_stacked_agents_stay_within_the_bounds(params):
    game = batch(64, **params)
    rng = np.random.default_rng(0)
    game.arrays.position[:] = 1 - 10.0 ** rng.uniform(-12, -1, game.arrays.position.shape)
    game.arrays.landmark[:, 0] = -1
    for _ in range(25):
        game.step(np.full((64, game.env.n_agents), rng.choice([RIGHT, UP])))
        assert_within_bounds(game)
    assert np.abs(game.arrays.position).max() > 4  # contacts flung them out


@pytest.mark.parametrize("horizon", [1, 25, 1_000_000])
@pytest.mark.parametrize("n_agents", [1, 1000])
@pytest.mark.parametrize("sight", [0.5, math.inf])
def test_bounds_are_finite_for_every_size(n_agents, horizon, sight):
    env = environment("spread_v1", n_agents=n_agents, horizon=horizon, sight=sight)
    for layout in (env.observation_layout, env.state_layout):
        assert unbounded(layout) == []
        assert np.isfinite(bounds(layout)).all()


VALUES = st.one_of(
    st.integers(-2, 9),
    st.floats(-1, 3),
    st.sampled_from(
        [math.nan, math.inf, -math.inf, 10**9, 1e300, 1e-300, True, None, "3", "per_agent", "team_mean", [1]]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*Params._fields, "n_landmarks"]), VALUES, max_size=3))
def test_any_parameters_work_or_are_refused_by_name(params):
    try:
        env = environment("spread_v1", **params)
    except (ValueError, TypeError) as error:
        assert any(name in str(error) for name in params)
        return
    game = Batch(env, 2, seed=0)
    game.reset()
    for _ in range(3):
        assert_within_bounds(game)
        assert np.isfinite(game.step(np.full((2, env.n_agents), UP)).reward).all()
    assert np.isfinite(game.arrays.position).all()


@pytest.mark.parametrize("name", ["n_agents", "horizon", "local_ratio", "sight", "reward_mode"])
def test_every_parameter_says_what_it_means(name):
    assert parameters_of(Params)[name].declared.meaning


def test_presets_are_the_source_and_three_sights():
    presets = {name: environment("spread_v1", name).params for name in environment("spread_v1").presets}
    assert presets == {
        "mpe2": Params(),
        "sight_0.5": Params(sight=0.5),
        "sight_1.0": Params(sight=1.0),
        "sight_1.5": Params(sight=1.5),
    }


# --- known returns ------------------------------------------------------------------------------------------------

EPISODES = 4000


def mean_return(policy: Any, seed: int) -> tuple[float, float]:
    """The mean team return of a policy, (game, rng) -> actions [E, N], and its standard error."""
    game, rng = batch(EPISODES, seed), np.random.default_rng(seed)
    for _ in range(game.horizon):
        game.step(policy(game, rng))
    returns = game.out.team_return
    return float(returns.mean()), float(returns.std() / math.sqrt(EPISODES))


def at_random(game: Batch, rng: np.random.Generator) -> np.ndarray:
    return random_actions(rng, game)


def at_rest(game: Batch, rng: np.random.Generator) -> np.ndarray:
    return np.full((game.num_envs, game.env.n_agents), NOOP)


def by_assignment(game: Batch, rng: np.random.Generator) -> np.ndarray:
    """Each agent pushes towards its landmark in the cheapest assignment, along the longer axis."""
    position, velocity, landmark = game.arrays.position, game.arrays.velocity, game.arrays.landmark
    distance = np.linalg.norm(position[:, :, None] - landmark[:, None], axis=3)
    orders = np.array(list(itertools.permutations(range(position.shape[1]))))
    cheapest = orders[distance[:, np.arange(position.shape[1]), orders].sum(axis=2).argmin(axis=1)]
    coasting = 0.1 / 0.25 * velocity  # how far the agent still goes without a push
    way = np.take_along_axis(landmark, cheapest[:, :, None], axis=1) - position - coasting
    along_y = np.abs(way[..., 1]) > np.abs(way[..., 0])
    forward = np.where(along_y, way[..., 1], way[..., 0]) > 0
    actions = np.where(along_y, np.where(forward, UP, DOWN), np.where(forward, RIGHT, LEFT))
    return np.where(np.abs(way).max(axis=2) < 0.05, NOOP, actions)


@pytest.mark.parametrize(("policy", "published"), [(at_random, -79.1), (at_rest, -72.4)])
def test_thoughtless_teams_earn_what_they_earn_elsewhere(policy, published):
    mean, error = mean_return(policy, seed=100)
    assert abs(mean - published) < 3 * math.sqrt(2) * error  # the published mean is of 4,000 episodes as well
    assert error < 1


def test_a_team_that_shares_out_the_landmarks_earns_what_the_best_do():
    mean, _ = mean_return(by_assignment, seed=200)
    assert mean == pytest.approx(-24.8, abs=2)  # the published heuristic may weigh its pushes otherwise


# --- by hand and as text ------------------------------------------------------------------------------------------


def test_text_shows_positions_collisions_and_coverage():
    game = placed([(-1, 1), (-0.8, 1), (1, -1)], [(0, 0), (1, 0.5), (1, -1)])
    game.step(np.zeros((1, 3), int))
    lines = game.env.describe(game.scene()).splitlines()
    rows = [line[1:-1] for line in lines[1:22]]
    assert rows[0] == "0   1" + 36 * " "
    assert rows[10] == 20 * " " + "a" + 20 * " "
    assert rows[5] == 40 * " " + "b"
    assert rows[20] == 40 * " " + "2"  # the agent hides the landmark under it
    assert "covered: c of 3" in lines
    assert "collisions: 0 and 1" in lines
    reward = -1.5 * (math.hypot(0.8, 1) + 1.5) - 1  # landmark a is nearest to agent 1, b to agent 2; one collision
    assert lines[-1] == f"step 1 of 25, reward {reward:.3f}, return {reward:.3f}"


def test_the_arrow_keys_push_where_they_point():
    env = environment("spread_v1")
    names = {key: env.action_names[action] for key, action in env.keys().items()}
    assert names == {"space": "noop", "left": "left", "right": "right", "down": "down", "up": "up"}
