"""Checkers: the kernels against their plain twin and against ma-gym, rules worked out by hand, and the best return."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.baselines.rollout import evaluate
from coopgym.envs import environment
from coopgym.envs.checkers import APPLE, FEWEST_STEPS, LEMON, NOTHING, PRESETS, Params, Pathfinders
from coopgym.envs.core import Batch, bounds, slices
from tests.games import ma_gym
from tests.oracle import TWINS

DOWN, LEFT, UP, RIGHT, NOOP = range(5)


def batch(num_envs: int = 1, seed: int = 0, preset: str | None = None, **params: Any) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(environment("checkers_v1", preset, **params), num_envs, seed=seed, autoreset="disabled")
    made.reset()
    return made


def look(game: Batch) -> np.ndarray:
    """What the agents of the first game see now: [N, O]."""
    game.env.kernels.observe(game.params, game.arrays, 0, game.out.obs[0])
    return game.out.obs[0].copy()


def placed(first: tuple[int, int], second: tuple[int, int], food: dict[Any, int] | None = None, **params: Any) -> Batch:
    """One game with the agents on these places, (row, column), and on the board nothing but this food by place."""
    game = batch(**params)
    game.arrays.cell[0] = [row * game.env.width + column for row, column in (first, second)]
    game.arrays.food[0] = NOTHING
    for (row, column), what in (food or {}).items():
        game.arrays.food[0, row * game.env.width + column] = what
    game.arrays.apples[0] = 1 + (game.arrays.food[0] == APPLE).sum()  # one more than there are: the game goes on
    look(game)
    return game


def stands(game: Batch) -> list[tuple[int, int]]:
    return [divmod(int(cell), game.env.width) for cell in game.arrays.cell[0]]


def act(game: Batch, *actions: int) -> list[float]:
    """One step of one game; what each agent earned."""
    game.step(np.array([actions]))
    return game.arrays.agent_reward[0].tolist()


def purposeful(rng: np.random.Generator, game: Batch) -> np.ndarray:
    """Random actions that lead leftwards more often than rightwards, so that the food is eaten."""
    return rng.choice(5, (game.num_envs, 2), p=[0.2, 0.35, 0.2, 0.2, 0.05])


# --- against the twin ---------------------------------------------------------------------------------------------

ODD_PARAMS: list[dict[str, Any]] = [
    {},
    *({"preset": preset} for preset in PRESETS),
    {"columns": 1, "clock": True, "observe_all": True},
    {"columns": 2, "sight": 3, "reward_mode": "team_mean"},
    {"columns": 3, "sight": 2, "source_slips": True, "observe_all": True, "reward_mode": "per_agent"},
    {"columns": 7, "sensitive": 0.5, "insensitive": 2.5, "step_reward": 0.25, "horizon": 300},
    {"columns": 6, "horizon": 1},
]


def agrees_with_the_twin(params: dict[str, Any], episodes: int) -> None:
    game = batch(**params)
    twin, rng = TWINS["checkers_v1"](game.env.params, 0), np.random.default_rng(5)
    eaten, ends = 0, set()
    for _ in range(episodes):
        game.reset()
        twin.reset()
        while not game.out.ended[0]:
            np.testing.assert_array_equal(game.out.obs[0], twin.obs())
            np.testing.assert_array_equal(game.out.state[0], twin.state())
            np.testing.assert_array_equal(game.out.action_mask[0], twin.mask())
            actions = purposeful(rng, game)
            out = game.step(actions)
            reward, terminated = twin.step(actions[0])
            assert out.reward[0] == pytest.approx(reward, abs=1e-12)
            np.testing.assert_allclose(game.arrays.agent_reward[0], twin.rewards, atol=1e-12)
            assert stands(game) == twin.places
            assert out.terminated[0] == terminated
            assert out.truncated[0] == (twin.t == game.horizon and not terminated)
            eaten += int((game.arrays.eaten[0] != NOTHING).sum())
        np.testing.assert_array_equal(game.out.obs[0], twin.obs())
        np.testing.assert_array_equal(game.out.state[0], twin.state())
        ends.add(bool(game.out.terminated[0]))
    if game.horizon > 1:
        assert eaten > 2 * episodes
        assert True in ends


@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=6)


@pytest.mark.slow
@pytest.mark.parametrize("params", ODD_PARAMS, ids=str)
def test_kernels_play_a_thousand_episodes_as_the_twin_does(params):
    agrees_with_the_twin(params, episodes=1000)


# --- against ma-gym -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observe_all", [False, True])
@pytest.mark.parametrize("clock", [False, True])
def test_whole_episodes_are_those_of_ma_gym(clock, observe_all):
    peer = ma_gym("checkers.Checkers", full_observable=observe_all, clock=clock)
    game = batch(clock=clock, observe_all=observe_all, source_slips=True, reward_mode="per_agent")
    rng, ends = np.random.default_rng(0), [0, 0]
    for _ in range(40):
        game.reset()
        np.testing.assert_array_equal(game.out.obs[0], np.array(peer.reset(), np.float32))
        while not game.out.ended[0]:
            actions = purposeful(rng, game)
            out = game.step(actions)
            obs, rewards, done, info = peer.step(actions[0].tolist())
            np.testing.assert_array_equal(out.obs[0], np.array(obs, np.float32))
            np.testing.assert_allclose(out.agent_reward[0], rewards, atol=1e-12)
            assert stands(game) == [tuple(peer.agent_pos[i]) for i in range(2)]
            left = {"apple": int(game.arrays.apples[0]), "lemon": int((game.arrays.food[0] == LEMON).sum())}
            assert left == info["food_count"]
            assert bool(out.terminated[0]) == (left["apple"] == 0)
            assert set(done) == {bool(out.terminated[0] or out.truncated[0])}
        ends[int(out.terminated[0])] += 1
    assert min(ends) > 3


# --- worked out by hand -------------------------------------------------------------------------------------------


def test_the_board_is_that_of_the_source():
    game = batch(preset="checkers")
    assert game.env.describe(game.scene()).splitlines()[:3] == ["a l a l a l 0 .", "l a l a l a . .", "a l a l a l 1 ."]
    assert game.arrays.apples[0] == 9


@pytest.mark.parametrize(("action", "to"), list(enumerate([(2, 3), (1, 2), (0, 3), (1, 4), (1, 3)])))
def test_an_action_moves_by_one_cell(action, to):
    game = placed((1, 3), (0, 7))
    assert act(game, action, NOOP) == [-0.01, -0.01]
    assert stands(game) == [to, (0, 7)]


@pytest.mark.parametrize(("place", "action"), [((0, 3), UP), ((2, 3), DOWN), ((1, 0), LEFT), ((1, 7), RIGHT)])
def test_edges_stop_an_agent(place, action):
    game = placed(place, (1, 4))
    act(game, action, NOOP)
    assert stands(game)[0] == place


def test_agent_0_moves_first():
    game = placed((1, 3), (1, 4))
    act(game, LEFT, LEFT)
    assert stands(game) == [(1, 2), (1, 3)]
    game = placed((1, 3), (1, 4))
    act(game, RIGHT, RIGHT)
    assert stands(game) == [(1, 3), (1, 5)]


@pytest.mark.parametrize(
    ("agent", "food", "rewards"),
    [(0, APPLE, [9.99, -0.01]), (0, LEMON, [-10.01, -0.01]), (1, APPLE, [-0.01, 0.99]), (1, LEMON, [-0.01, -1.01])],
)
def test_food_is_worth_ten_times_as_much_to_agent_0(agent, food, rewards):
    game = placed((0, 3), (2, 3), {(1, 3): food})
    np.testing.assert_allclose(act(game, *((DOWN, NOOP), (NOOP, UP))[agent]), rewards)
    assert (game.arrays.food[0] == NOTHING).all()
    np.testing.assert_allclose(act(game, NOOP, NOOP), [-0.01, -0.01])  # it is eaten once


def test_an_agent_that_is_blocked_eats_nothing():
    game = placed((1, 3), (1, 4), {(0, 3): APPLE})
    assert act(game, RIGHT, LEFT) == [-0.01, -0.01]
    assert game.arrays.food[0].sum() == APPLE


@pytest.mark.parametrize(("horizon", "steps"), [(2, 2), (3, 2)])
def test_the_last_apple_terminates_even_in_the_last_step(horizon, steps):
    game = placed((0, 0), (2, 7), {(0, 1): LEMON, (0, 2): APPLE}, horizon=horizon)
    game.arrays.apples[0] = 1
    for _ in range(steps):
        assert not game.out.ended[0]
        act(game, RIGHT, NOOP)
    assert game.out.terminated[0] and not game.out.truncated[0]
    assert game.out.team_return[0] == pytest.approx(-10 + 10 - 0.04)


def test_the_time_limit_truncates():
    game = placed((0, 0), (2, 7), {(0, 1): LEMON, (0, 2): APPLE}, horizon=1)
    act(game, RIGHT, NOOP)
    assert game.out.truncated[0] and not game.out.terminated[0]


@pytest.mark.parametrize(("mode", "reward"), [("team_sum", 9.98), ("team_mean", 4.99), ("per_agent", 9.98)])
def test_reward_mode_chooses_the_sum_or_the_mean(mode, reward):
    game = placed((0, 3), (2, 3), {(1, 3): APPLE}, reward_mode=mode)
    act(game, DOWN, NOOP)
    assert game.out.reward[0] == pytest.approx(reward)


def view_of(game: Batch, agent: int) -> np.ndarray:
    """The agent's view, [rows, columns, features]."""
    side = 2 * game.env.params.sight + 1
    parts = {part.name: where for part, where in slices(game.env.observation_layout)}
    return look(game)[agent, parts["view"]].reshape(side, side, 5)


def test_a_view_shows_food_agents_and_what_is_beyond_the_edge():
    game = placed((0, 3), (1, 4), {(0, 2): LEMON, (1, 2): APPLE, (2, 3): APPLE})
    lemon, apple, agent_0, agent_1, beyond = np.moveaxis(view_of(game, 0), 2, 0).tolist()
    assert lemon == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert apple == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]  # the other apple is two rows below
    assert agent_0 == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert agent_1 == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert beyond == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_the_presets_have_the_slips_of_the_source_and_the_default_has_none():
    slips, exact = batch(preset="checkers"), batch()
    np.testing.assert_array_equal(slips.out.obs[0, :, :2], np.array([[0, 0.86], [0.67, 0.86]], np.float32))
    np.testing.assert_array_equal(exact.out.obs[0, :, :2], np.array([[0, 6 / 7], [1, 6 / 7]], np.float32))
    assert view_of(slips, 0)[..., 4].sum() == 0 and view_of(exact, 0)[..., 4].sum() == 3
    assert np.array_equal(view_of(slips, 0)[..., :4], view_of(exact, 0)[..., :4])


def test_the_clock_tells_the_share_of_the_episode():
    game = batch(clock=True, horizon=4)
    seen = [game.out.obs[0, :, -1].tolist()]
    for _ in range(4):
        act(game, NOOP, NOOP)
        seen.append(game.out.obs[0, :, -1].tolist())
    assert seen == [[share, share] for share in (0, 0.25, 0.5, 0.75, 1)]


def test_presets_are_the_games_of_the_source():
    assert {name: environment("checkers_v1", name).params for name in PRESETS} == {
        "checkers": Params(source_slips=True),
        "checkers_clock": Params(clock=True, source_slips=True),
    }
    assert environment("checkers_v1", "checkers").obs_size == 2 + 45


# --- what agents see ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sight", [1, 2])
def test_what_lies_beyond_sight_changes_no_observation(sight):
    rng, changed = np.random.default_rng(0), 0
    game = batch(sight=sight)
    width, food = game.env.width, game.arrays.food[0].reshape(3, -1)
    rows, columns = np.mgrid[:3, :width]
    for _ in range(100):
        game.arrays.cell[0] = rng.choice(3 * width, 2, replace=False)
        (row, column), other = stands(game)
        hidden = (abs(rows - row) > sight) | (abs(columns - column) > sight)
        food[:] = rng.integers(0, 3, food.shape)
        before = look(game)[0]
        food[hidden] = rng.integers(0, 3, hidden.sum())
        if hidden[other]:
            game.arrays.cell[0, 1] = rng.choice(np.flatnonzero(hidden))
        np.testing.assert_array_equal(look(game)[0], before)
        changed += hidden.sum() > 0
        seen = np.argwhere(~hidden)[rng.integers((~hidden).sum())]
        food[tuple(seen)] = (food[tuple(seen)] + 1) % 3
        assert not np.array_equal(look(game)[0], before)
    assert changed > 90


def test_whoever_sees_the_whole_board_sees_the_state():
    """With a sight as wide as the board, an agent's view holds each cell's marks at the place that its own tells."""
    game, rng = batch(sight=7, columns=6), np.random.default_rng(0)
    for _ in range(30):
        board = game.out.state[0, :-1].reshape(3, 8, 4)
        for i, (row, column) in enumerate(stands(game)):
            inside = view_of(game, i)[7 - row : 10 - row, 7 - column : 15 - column]
            np.testing.assert_array_equal(inside[..., :4], board)
            assert inside[..., 4].sum() == 0 and view_of(game, i)[..., 4].sum() == 15 * 15 - 24
        game.step(purposeful(rng, game))
    assert game.arrays.apples[0] < 9


def test_what_is_observed_changes_neither_rules_nor_state():
    options = [{}, {"clock": True}, {"observe_all": True}, {"source_slips": True}, {"sight": 4}]
    games, rng = [batch(**option) for option in options], np.random.default_rng(1)
    for _ in range(40):
        actions = purposeful(rng, games[0])
        for game in games:
            game.step(actions)
            np.testing.assert_array_equal(game.out.state, games[0].out.state)
            np.testing.assert_array_equal(game.out.reward, games[0].out.reward)
        np.testing.assert_array_equal(games[2].out.obs[0], np.tile(games[0].out.obs[0].ravel(), (2, 1)))
    assert games[0].arrays.apples[0] < 9


def test_a_board_upside_down_plays_the_same_game_upside_down():
    swapped, rng, eaten = {DOWN: UP, UP: DOWN}, np.random.default_rng(2), 0
    one, other = batch(), batch()
    other.arrays.cell[0] = other.arrays.cell[0, ::-1]  # the food is the same upside down
    while not one.out.ended[0]:
        actions = purposeful(rng, one)[0].tolist()
        rewards = act(one, *actions)
        assert rewards == act(other, *(swapped.get(a, a) for a in actions))
        assert [(2 - row, column) for row, column in stands(one)] == stands(other)
        np.testing.assert_array_equal(one.arrays.food.reshape(3, -1)[::-1], other.arrays.food.reshape(3, -1))
        np.testing.assert_array_equal(view_of(one, 1)[::-1], view_of(other, 1))
        eaten += any(abs(reward) > 0.5 for reward in rewards)
    assert eaten > 3


# --- the best return ----------------------------------------------------------------------------------------------


def fewest_steps(columns: int, lemons: list[tuple[int, int]]) -> int:
    """In which agent 0 can eat all apples if agent 1 eats nothing but these lemons: a search by steps, all at once.

    A joint position is a number: which of the food is left, then each agent's cell among those that may be entered.
    """
    apples = [(r, c) for r in range(3) for c in range(columns) if (r + c) % 2 == 0]
    cells = [(r, c) for r in range(3) for c in (columns, columns + 1)] + apples + lemons
    food = {cell: k for k, cell in enumerate(apples + lemons)}
    n, every_food = len(cells), (1 << len(food)) - 1
    number = {cell: k for k, cell in enumerate(cells)}
    moves = ((1, 0), (0, -1), (-1, 0), (0, 1), (0, 0))
    beside = np.array([[number.get((r + down, c + right), number[r, c]) for down, right in moves] for r, c in cells])
    bit = np.array([1 << food[cell] if cell in food else 0 for cell in cells])
    forbidden = np.array([[cell in lemons for cell in cells], [cell in apples for cell in cells]])

    def moved(own, other, left, agent, move):
        to = beside[own, move]
        to = np.where(to == other, own, to)
        allowed = (left & bit[to] == 0) | ~forbidden[agent, to]
        return to, left & ~bit[to], allowed

    start = (every_food * n + number[0, columns]) * n + number[2, columns]
    seen = np.zeros((every_food + 1) * n * n, np.bool_)
    frontier, steps = np.array([start]), 0
    while True:
        left, places = np.divmod(frontier, n * n)
        if (left & ((1 << len(apples)) - 1) == 0).any():
            return steps
        first, second = np.divmod(places, n)
        following = []
        for move in range(5):
            own, then, allowed = moved(first, second, left, 0, move)
            for other_move in range(5):
                other, last, allowed_too = moved(second, own, then, 1, other_move)
                following.append(((last * n + own) * n + other)[allowed & allowed_too])
        frontier = np.unique(np.concatenate(following))
        frontier = frontier[~seen[frontier]]
        seen[frontier] = True
        steps += 1


def test_the_optimum_needs_the_fewest_steps_that_a_search_finds():
    assert fewest_steps(6, [(1, 4), (1, 2), (1, 0)]) == FEWEST_STEPS
    env = environment("checkers_v1")
    assert env.optimum()[0] == pytest.approx(9 * 10 - 3 * 1 - 2 * 0.01 * 37)
    assert environment("checkers_v1", "checkers_clock", reward_mode="team_mean").optimum()[0] == pytest.approx(43.13)
    assert environment("checkers_v1", columns=4).optimum() is None


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_the_pathfinders_earn_the_optimum(preset):
    env = environment("checkers_v1", preset)
    score = evaluate("heuristic", env, episodes=3)
    np.testing.assert_allclose(score.returns, env.optimum()[0])
    assert set(score.lengths) == {FEWEST_STEPS}


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 9, 10])
def test_the_pathfinders_eat_all_apples_and_one_lemon_in_two_columns(columns):
    game = batch(columns=columns, reward_mode="per_agent")
    team = Pathfinders(game.env)
    team.reset(1)
    earned = np.zeros(2)
    while not game.out.ended[0]:
        earned += game.step(team.act(game.out.obs, game.out.action_mask)).agent_reward[0]
    assert game.out.terminated[0]
    apples = (3 * columns + 1) // 2
    np.testing.assert_allclose(earned + 0.01 * game.out.steps[0], [10 * apples, -((columns + 1) // 2)])
    if columns == 4:  # as few steps as a search finds there too
        assert game.out.steps[0] == fewest_steps(4, [(1, 2), (1, 0)])


# --- parameters, text, keys ---------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.integers(-1, 9),
    st.floats(-1, 3),
    st.booleans(),
    st.sampled_from([float("nan"), float("inf"), 10**9, 1e300, None, "3", "per_agent", "team_mean", [1]]),
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from([*Params._fields, "rows"]), VALUES, max_size=4))
def test_any_parameters_work_or_are_refused_by_name(params):
    try:
        env = environment("checkers_v1", **params)
    except (ValueError, TypeError) as error:
        assert any(name in str(error) for name in params)
        return
    game, team = Batch(env, 2, seed=0), Pathfinders(env)
    game.reset()
    team.reset(2)
    for _ in range(9):
        for layout, values in ((env.observation_layout, game.out.obs), (env.state_layout, game.out.state)):
            low, high = bounds(layout)
            assert ((low <= values) & (values <= high)).all()
        assert np.isfinite(game.step(team.act(game.out.obs, game.out.action_mask)).reward).all()


def test_text_shows_the_board():
    game = batch()
    act(game, DOWN, NOOP)
    act(game, LEFT, LEFT)
    assert game.env.describe(game.scene()).splitlines() == [
        "a l a l a l . .",
        "l a l a l 0 . .",
        "a l a l a 1 . .",
        "apples left: 8",
        "last actions: 0 left, 1 left",
        "step 2 of 100, reward 8.98, return 8.96",
    ]


def test_the_arrow_keys_move_where_they_point():
    env = environment("checkers_v1")
    names = {key: env.action_names[action] for key, action in env.keys().items()}
    assert names == {"down": "down", "left": "left", "up": "up", "right": "right", "space": "noop"}
