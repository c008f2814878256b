"""Switch: the kernels against their plain twin and against ma-gym, rules worked out by hand, and the best return."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.baselines.rollout import evaluate
from coopgym.envs import environment
from coopgym.envs.core import Batch, bounds
from coopgym.envs.switch import PRESETS, Convoy, Params
from tests.games import ma_gym
from tests.oracle import TWINS

DOWN, LEFT, UP, RIGHT, NOOP = range(5)
WIDTH = 7  # of the map with the corridor of the source


def batch(num_envs: int = 1, seed: int = 0, preset: str | None = None, **params: Any) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(environment("switch_v1", preset, **params), num_envs, seed=seed, autoreset="disabled")
    made.reset()
    return made


def placed(*places: tuple[int, int], **params: Any) -> Batch:
    """One game with the agents on these places, (row, column)."""
    made = batch(n_agents=len(places), **params)
    made.arrays.cell[0] = [row * made.env.width + column for row, column in places]
    kernels = made.env.kernels
    kernels.available(made.params, made.arrays, 0, made.out.action_mask[0])
    kernels.observe(made.params, made.arrays, 0, made.out.obs[0])
    return made


def stands(game: Batch) -> list[tuple[int, int]]:
    """The agents' places in the first game."""
    return [divmod(int(cell), game.env.width) for cell in game.arrays.cell[0]]


def act(game: Batch, *actions: int) -> float:
    """One step of one game; the team's reward."""
    return float(game.step(np.array([actions])).reward[0])


def purposeful(rng: np.random.Generator, game: Batch, team: Convoy) -> np.ndarray:
    """Mostly the convoy's actions, so that agents arrive, else random ones, legal or not."""
    random = rng.integers(0, 5, (game.num_envs, game.env.n_agents))
    return np.where(rng.random(random.shape) < 0.7, team.act(game.out.obs, game.out.action_mask), random)


# --- against the twin ---------------------------------------------------------------------------------------------

ODD_PARAMS: list[dict[str, Any]] = [
    {},
    *({"preset": preset} for preset in PRESETS),
    {"n_agents": 3, "clock": True, "observe_all": True, "reward_mode": "team_mean"},
    {"n_agents": 4, "observe_all": True, "source_slips": True, "reward_mode": "per_agent"},
    {"n_agents": 2, "corridor": 1, "step_reward": 0.5, "goal_reward": -2.0, "clock": True},
    {"n_agents": 4, "corridor": 6, "horizon": 90, "source_slips": True},
    {"n_agents": 3, "corridor": 2, "horizon": 1},
]


def agrees_with_the_twin(params: dict[str, Any], episodes: int) -> None:
    game = batch(**params)
    twin, team = TWINS["switch_v1"](game.env.params, 0), Convoy(game.env)
    rng = np.random.default_rng(5)
    arrivals = moves = 0
    for _ in range(episodes):
        game.reset()
        twin.reset()
        team.reset(1)
        while not game.out.ended[0]:
            np.testing.assert_array_equal(game.out.obs[0], twin.obs())
            np.testing.assert_array_equal(game.out.state[0], twin.state())
            np.testing.assert_array_equal(game.out.action_mask[0], twin.mask())
            before = stands(game)
            actions = purposeful(rng, game, team)
            out = game.step(actions)
            reward, terminated = twin.step(actions[0])
            assert out.reward[0] == pytest.approx(reward, abs=1e-12)
            np.testing.assert_array_equal(game.arrays.agent_reward[0], twin.rewards)
            assert stands(game) == twin.places
            assert out.terminated[0] == terminated
            assert out.truncated[0] == (twin.t == game.horizon and not terminated)
            moves += stands(game) != before
        np.testing.assert_array_equal(game.out.obs[0], twin.obs())
        np.testing.assert_array_equal(game.out.state[0], twin.state())
        arrivals += int((game.out.action_mask[0, :, DOWN] == 0).sum())
    assert moves > episodes / 2
    assert arrivals > episodes or game.horizon == 1


@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=8)


@pytest.mark.slow
@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_a_thousand_episodes_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=1000)


# --- against ma-gym -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_agents", [2, 3, 4])
@pytest.mark.parametrize("observe_all", [False, True])
@pytest.mark.parametrize("clock", [False, True])
def test_whole_episodes_are_those_of_ma_gym(n_agents, clock, observe_all):
    peer = ma_gym("switch.Switch", full_observable=observe_all, step_cost=-0.1, n_agents=n_agents, clock=clock)
    game = batch(n_agents=n_agents, clock=clock, observe_all=observe_all, source_slips=True, reward_mode="per_agent")
    team, rng, arrived = Convoy(game.env), np.random.default_rng(n_agents), 0
    for _ in range(60):
        game.reset()
        team.reset(1)
        np.testing.assert_array_equal(game.out.obs[0], np.array(peer.reset(), np.float32))
        while not game.out.ended[0]:
            actions = purposeful(rng, game, team)
            out = game.step(actions)
            obs, rewards, done, _ = peer.step(actions[0].tolist())
            np.testing.assert_array_equal(out.obs[0], np.array(obs, np.float32))
            np.testing.assert_array_equal(out.agent_reward[0], rewards)
            assert stands(game) == [tuple(peer.agent_pos[i]) for i in range(n_agents)]
            at_goal = [peer.agent_pos[i] == peer.final_agent_pos[i] for i in range(n_agents)]
            assert bool(out.terminated[0]) == all(at_goal)
            assert list(done) == [one or bool(out.truncated[0]) for one in at_goal]
        arrived += int(out.terminated[0])
    assert arrived > 5


# --- worked out by hand -------------------------------------------------------------------------------------------


def test_the_map_is_that_of_the_source():
    lines = batch(preset="switch4").env.describe(batch(preset="switch4").scene()).splitlines()
    assert lines[:3] == ["b 0 # # # 1 a", ". . . . . . .", "d 2 # # # 3 c"]


@pytest.mark.parametrize(("action", "to"), list(enumerate([(2, 1), (1, 0), (0, 1), (1, 2), (1, 1)])))
def test_an_action_moves_by_one_cell(action, to):
    game = placed((1, 1), (2, 5))
    act(game, action, NOOP)
    assert stands(game) == [to, (2, 5)]


@pytest.mark.parametrize(
    ("place", "action"), [((0, 1), UP), ((0, 1), RIGHT), ((1, 3), DOWN), ((1, 3), UP), ((1, 0), LEFT), ((2, 5), LEFT)]
)
def test_walls_and_edges_stop_an_agent(place, action):
    game = placed(place, (0, 5))
    assert act(game, action, NOOP) == pytest.approx(-0.2)
    assert stands(game)[0] == place


def test_agents_act_in_the_order_of_their_numbers():
    game = placed((1, 3), (1, 4))
    act(game, LEFT, LEFT)
    assert stands(game) == [(1, 2), (1, 3)]  # agent 0 has left the cell before agent 1 acts
    game = placed((1, 3), (1, 4))
    act(game, RIGHT, RIGHT)
    assert stands(game) == [(1, 3), (1, 5)]  # agent 1 was still there when agent 0 acted


def test_agents_that_meet_in_the_corridor_block_each_other():
    game = placed((1, 2), (1, 4))
    act(game, RIGHT, LEFT)
    assert stands(game) == [(1, 3), (1, 4)]  # the first gets the cell
    act(game, RIGHT, LEFT)
    assert stands(game) == [(1, 3), (1, 4)]


def test_an_arrival_pays_once_and_a_step_costs_until_then():
    game = placed((1, 6), (0, 5), reward_mode="per_agent")
    np.testing.assert_array_equal(game.step(np.array([[UP, NOOP]])).agent_reward[0], [5, -0.1])
    np.testing.assert_array_equal(game.step(np.array([[NOOP, NOOP]])).agent_reward[0], [0, -0.1])
    assert game.out.team_return[0] == pytest.approx(5 - 0.1 - 0.1)


def test_an_agent_at_its_goal_has_the_no_op_alone_and_stays_in_the_way():
    game = placed((0, 6), (1, 6))
    assert game.out.action_mask[0].tolist() == [[0, 0, 0, 0, 1], [1, 1, 1, 1, 1]]
    act(game, DOWN, UP)
    assert stands(game) == [(0, 6), (1, 6)]


def test_a_foreign_goal_is_a_cell_like_any_other():
    game = placed((1, 0), (1, 6))
    assert act(game, UP, UP) == pytest.approx(-0.2)
    assert stands(game) == [(0, 0), (0, 6)]
    assert game.out.action_mask.all()


@pytest.mark.parametrize("horizon", [2, 3])
def test_the_last_arrival_terminates_even_in_the_last_step(horizon):
    game = placed((1, 6), (1, 0), horizon=horizon)
    act(game, UP, NOOP)
    assert not game.out.terminated[0] and not game.out.truncated[0]
    act(game, NOOP, UP)
    assert game.out.terminated[0] and not game.out.truncated[0]


def test_the_time_limit_truncates():
    game = placed((1, 6), (1, 0), horizon=1)
    act(game, UP, NOOP)
    assert game.out.truncated[0] and not game.out.terminated[0]


@pytest.mark.parametrize(("mode", "reward"), [("team_sum", 4.9), ("team_mean", 2.45), ("per_agent", 4.9)])
def test_reward_mode_chooses_the_sum_or_the_mean(mode, reward):
    game = placed((1, 6), (0, 5), reward_mode=mode)
    assert act(game, UP, NOOP) == pytest.approx(reward)


def test_positions_are_exact_by_default_and_rounded_in_the_presets():
    exact, rounded = placed((1, 1), (0, 5)), placed((1, 1), (0, 5), source_slips=True)
    np.testing.assert_array_equal(exact.out.obs[0], np.array([[0.5, 1 / 6], [0, 5 / 6]], np.float32))
    np.testing.assert_array_equal(rounded.out.obs[0], np.array([[0.5, 0.17], [0, 0.83]], np.float32))
    assert all(environment("switch_v1", preset).params.source_slips for preset in PRESETS)
    assert not environment("switch_v1").params.source_slips


def test_the_clock_tells_the_share_of_the_episode():
    game = batch(preset="switch2_clock", horizon=4)
    seen = [game.out.obs[0, :, 2].tolist()]
    for _ in range(4):
        act(game, NOOP, NOOP)
        seen.append(game.out.obs[0, :, 2].tolist())
    assert seen == [[share, share] for share in (0, 0.25, 0.5, 0.75, 1)]


def test_presets_are_the_games_of_the_source():
    presets = {name: environment("switch_v1", name).params for name in PRESETS}
    assert presets == {
        "switch2": Params(source_slips=True),
        "switch2_clock": Params(clock=True, source_slips=True),
        "switch4": Params(n_agents=4, source_slips=True),
        "switch4_clock": Params(n_agents=4, clock=True, source_slips=True),
    }


# --- what agents see ----------------------------------------------------------------------------------------------


def test_what_others_do_changes_no_observation():
    rng, apart = np.random.default_rng(0), 0
    free = [(row, column) for row in range(3) for column in range(WIDTH) if row == 1 or column in (0, 1, 5, 6)]
    for _ in range(100):
        own, *others = (free[k] for k in rng.permutation(len(free))[:4])
        mine, other = placed(own, others[0], others[1]), placed(own, others[2], others[0])
        np.testing.assert_array_equal(mine.out.obs[0, 0], other.out.obs[0, 0])
        apart += not np.array_equal(mine.out.obs[0, 1], other.out.obs[0, 1])
    assert apart > 80


def test_observing_all_is_to_have_everybodys_observation():
    games = [batch(preset="switch4_clock", observe_all=observe_all) for observe_all in (False, True)]
    team, rng = Convoy(games[0].env), np.random.default_rng(3)
    team.reset(1)
    for _ in range(20):
        np.testing.assert_array_equal(games[1].out.obs[0], np.tile(games[0].out.obs[0].ravel(), (4, 1)))
        np.testing.assert_array_equal(games[0].out.state, games[1].out.state)
        actions = purposeful(rng, games[0], team)
        for game in games:
            game.step(actions)
    assert games[0].out.obs[0, :, 1].std() > 0


def test_what_is_observed_changes_neither_rules_nor_state():
    options = [{}, {"clock": True}, {"observe_all": True}, {"source_slips": True}]
    games = [batch(n_agents=3, **option) for option in options]
    team, rng = Convoy(games[0].env), np.random.default_rng(1)
    team.reset(1)
    for _ in range(15):
        actions = purposeful(rng, games[0], team)
        for game in games:
            game.step(actions)
            np.testing.assert_array_equal(game.out.state, games[0].out.state)
            np.testing.assert_array_equal(game.out.reward, games[0].out.reward)
    assert games[0].out.team_return[0] != 0


MIRRORED = {"rows": (DOWN, UP), "columns": (LEFT, RIGHT)}


@pytest.mark.parametrize("mirror", MIRRORED)
def test_a_mirrored_board_plays_the_mirrored_game(mirror):
    swapped = dict(zip(MIRRORED[mirror], reversed(MIRRORED[mirror]), strict=True))
    rng, moved = np.random.default_rng(2), 0
    inside = [(row, column) for row in range(3) for column in range(1, WIDTH - 1) if row == 1 or column in (1, 5)]

    def mirrored(place: tuple[int, int]) -> tuple[int, int]:
        row, column = place
        return (2 - row, column) if mirror == "rows" else (row, WIDTH - 1 - column)

    for _ in range(500):
        places = [inside[k] for k in rng.permutation(len(inside))[:3]]
        actions = rng.integers(0, 5, 3).tolist()
        one, other = placed(*places), placed(*map(mirrored, places))
        act(one, *actions)
        act(other, *(swapped.get(a, a) for a in actions))
        assert list(map(mirrored, stands(one))) == stands(other)
        moved += stands(one) != places
    assert moved > 50


# --- the best return ----------------------------------------------------------------------------------------------


def best_of_the_twin(params: Any) -> float:
    """By recursion over all that the twin can do."""
    twin = TWINS["switch_v1"](params, 0)
    twin.reset()
    joint = list(itertools.product(range(5), repeat=params.n_agents))

    @functools.cache
    def best(t: int, places: tuple[Any, ...]) -> float:
        if t == params.horizon:
            return 0.0
        values = []
        for actions in joint:
            twin.t, twin.places = t, list(places)
            reward, terminated = twin.step(actions)
            values.append(reward if terminated else reward + best(t + 1, tuple(twin.places)))
        return max(values)

    return best(0, tuple(twin.places))


@pytest.mark.parametrize(
    "params",
    [
        {"corridor": 1, "horizon": 9},
        {"corridor": 1, "horizon": 6, "step_reward": 0.5, "goal_reward": 1.0},
        {"corridor": 1, "horizon": 9, "goal_reward": -3.0, "reward_mode": "team_mean"},
    ],
    ids=str,
)
def test_the_optimum_is_the_best_that_the_twin_can_earn(params):
    env = environment("switch_v1", **params)
    assert env.optimum()[0] == pytest.approx(best_of_the_twin(env.params))


# With two agents the first needs 1 + 5 + 1 = 7 steps. It leaves the mouth of the corridor in step 6, in which the
# other, whose number is higher, enters it and needs 6 more: 12. With three, agent 2 goes right behind agent 0 and
# arrives in step 8; it leaves the mouth in step 7, after agent 1 has acted, which enters in 8 and arrives in 14. With
# four, agent 3 enters in step 7 and arrives in 13; it leaves the mouth in step 8, after agent 1 has acted, which
# arrives in 15.
ARRIVALS = {2: (7, 12), 3: (7, 8, 14), 4: (7, 8, 13, 15)}


@pytest.mark.parametrize("n_agents", ARRIVALS)
def test_the_best_teams_arrive_when_they_can(n_agents):
    arrivals = ARRIVALS[n_agents]
    expected = sum(5 - 0.1 * (step - 1) for step in arrivals)
    env = environment("switch_v1", n_agents=n_agents)
    assert env.optimum()[0] == pytest.approx(expected)
    score = evaluate("convoy", env, episodes=3)
    np.testing.assert_allclose(score.returns, expected)
    assert set(score.lengths) == {max(arrivals)}


@pytest.mark.parametrize("corridor", [1, 2, 5])
@pytest.mark.parametrize("params", [{"source_slips": True}, {"n_agents": 3, "observe_all": True, "clock": True}])
def test_the_convoy_is_the_best_team_through_every_corridor(corridor, params):
    env = environment("switch_v1", corridor=corridor, **params)
    assert evaluate("heuristic", env, episodes=2).mean == pytest.approx(env.optimum()[0])


def test_nobody_claims_to_know_the_optimum_of_what_cannot_be_searched():
    assert environment("switch_v1", n_agents=4, corridor=50).optimum() is None
    assert environment("switch_v1", horizon=1_000_000).optimum() is None


# --- parameters, text, keys ---------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.integers(-1, 9),
    st.floats(-1, 3),
    st.booleans(),
    st.sampled_from([float("nan"), float("inf"), 10**9, 1e300, None, "3", "per_agent", "team_mean", [1]]),
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from([*Params._fields, "n_goals"]), VALUES, max_size=4))
def test_any_parameters_work_or_are_refused_by_name(params):
    try:
        env = environment("switch_v1", **params)
    except (ValueError, TypeError) as error:
        assert any(name in str(error) for name in params)
        return
    game, team = Batch(env, 2, seed=0), Convoy(env)
    game.reset()
    team.reset(2)
    for _ in range(9):
        for layout, values in ((env.observation_layout, game.out.obs), (env.state_layout, game.out.state)):
            low, high = bounds(layout)
            assert ((low <= values) & (values <= high)).all()
        assert np.isfinite(game.step(team.act(game.out.obs, game.out.action_mask)).reward).all()


def test_text_shows_who_has_arrived():
    game = placed((1, 6), (1, 3))
    act(game, UP, LEFT)
    assert game.env.describe(game.scene()).splitlines() == [
        "b . # # # . 0",
        ". . 1 . . . .",
        ". . # # # . .",
        "arrived: 0 of 2",
        "last actions: 0 up, 1 left",
        "step 1 of 50, reward 4.9, return 4.9",
    ]


def test_the_arrow_keys_move_where_they_point():
    env = environment("switch_v1")
    names = {key: env.action_names[action] for key, action in env.keys().items()}
    assert names == {"down": "down", "left": "left", "up": "up", "right": "right", "space": "noop"}
