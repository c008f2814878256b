"""The stag hunt: each rule at positions worked out by hand, whole games against the plain twin, published anchors."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coopgym.envs import environment
from coopgym.envs.compiling import python_function
from coopgym.envs.core import Batch, Environment
from coopgym.envs.predator_prey import EMPTY, OUTSIDE, PREY
from tests.oracle import TWINS

RIGHT, DOWN, LEFT, UP, STAY, CATCH = range(6)


class World(NamedTuple):
    env: Environment
    params: Any
    arrays: Any


def world(text: str, seed: int = 0, **params: Any) -> World:
    """A game in the position of the text: digits are predators, * prey, and each x below the board a captured prey."""
    rows = [line.split() for line in text.strip().splitlines()]
    board, gone = [row for row in rows if "x" not in row], sum(row.count("x") for row in rows)
    cells = dict(enumerate(sign for row in board for sign in row))
    predators = {int(sign): cell for cell, sign in cells.items() if sign.isdigit()}
    prey = [cell for cell, sign in cells.items() if sign == "*"]
    n_predators = max(predators) + 1
    env = environment("predator_prey_v1", **{
        "size": len(board), "n_predators": n_predators, "n_prey": len(prey) + gone, "capture_size": 1, **params
    })  # fmt: skip
    arrays, off = env.allocate(1), len(board) ** 2
    arrays.rng[0] = seed
    with np.errstate(over="ignore"):
        python_function(env.kernels.reset)(env.kernel_params(), arrays, 0)
    arrays.grid[0, :off] = EMPTY
    arrays.predator[0] = [predators.get(i, off) for i in range(n_predators)]
    arrays.prey[0] = prey + [off] * gone
    for i, cell in predators.items():
        arrays.grid[0, cell] = i
    arrays.grid[0, prey] = PREY
    return World(env, env.kernel_params(), arrays)


def play(game: World, *actions: int) -> tuple[float, bool]:
    """The step as plain Python, which needs no compiling: whole games below run the compiled rules."""
    with np.errstate(over="ignore"):  # the random stream counts modulo 2**64
        reward, terminated = python_function(game.env.kernels.step)(game.params, game.arrays, 0, np.array(actions))
    return float(reward), bool(terminated)


def observed(game: World) -> np.ndarray:
    obs = np.full((game.env.n_agents, game.env.obs_size), np.nan, np.float32)
    python_function(game.env.kernels.observe)(game.params, game.arrays, 0, obs)
    return obs


def legal(game: World) -> list[list[int]]:
    mask = np.full((game.env.n_agents, game.env.n_actions), -1, np.int8)
    python_function(game.env.kernels.available)(game.params, game.arrays, 0, mask)
    return mask.tolist()


def position(game: World, i: int) -> tuple[int, int] | None:
    """Row and column of a predator, None once it is frozen."""
    cell, size = int(game.arrays.predator[0, i]), game.env.params.size
    return None if cell == size**2 else divmod(cell, size)


def prey_cells(game: World) -> set[tuple[int, int]]:
    size = game.env.params.size
    return {divmod(int(cell), size) for cell in game.arrays.prey[0] if cell < size**2}


def test_the_default_game_has_the_published_sizes():
    env = environment("predator_prey_v1")
    assert env.agents == tuple(f"predator_{i}" for i in range(8))
    assert env.action_names == ("right", "down", "left", "up", "stay", "catch")
    assert env.obs_size == 5 * 5 * 2 + 1
    assert env.state_size == 10 * 10 * 2
    assert env.horizon == 200
    assert env.action_names[env.noop] == "stay"
    assert (env.params.n_prey, env.params.capture_size, env.params.capture_reward) == (8, 2, 10.0)
    assert env.params.penalty == 0.0


@pytest.mark.parametrize(
    ("preset", "penalty"),
    [
        ("stag_p0", 0),
        ("stag_p-0.5", -0.5),
        ("stag_p-1", -1),
        ("stag_p-1.25", -1.25),
        ("stag_p-1.5", -1.5),
        ("stag_p-2", -2),
    ],
)
def test_presets_differ_from_the_default_in_the_penalty_alone(preset, penalty):
    assert environment("predator_prey_v1", preset).params == environment("predator_prey_v1").params._replace(
        penalty=penalty
    )


@pytest.mark.parametrize(
    ("action", "row", "column"),
    [(RIGHT, 2, 3), (DOWN, 3, 2), (LEFT, 2, 1), (UP, 1, 2), (STAY, 2, 2)],
)
def test_each_action_moves_as_its_name_says(action, row, column):
    game = world("""
        . . . . .
        . . . . .
        . . 0 . .
        . . . . .
        . . . . *
    """)
    assert play(game, action) == (0.0, False)
    assert position(game, 0) == (row, column)


def test_a_predator_does_not_leave_a_board_with_walls():
    game = world("""
        0 . .
        . . .
        . . *
    """)
    assert legal(game) == [[1, 1, 0, 0, 1, 0]]
    play(game, UP)
    play(game, LEFT)
    assert position(game, 0) == (0, 0)


def test_on_a_torus_a_predator_leaves_on_one_side_and_comes_back_on_the_other():
    game = world("""
        0 . .
        . * .
        . . .
    """, sight=1, toroidal=True)  # fmt: skip
    assert legal(game) == [[1, 1, 1, 1, 1, 0]]
    play(game, UP)
    assert position(game, 0) == (2, 0)
    game = world("""
        0 . .
        . * .
        . . .
    """, sight=1, toroidal=True)  # fmt: skip
    play(game, LEFT)
    assert position(game, 0) == (0, 2)


def test_a_move_into_an_occupied_cell_is_available_and_fails_at_no_cost():
    game = world("""
        0 1 .
        . . .
        * . .
    """)
    assert legal(game)[0] == [1, 1, 0, 0, 1, 0]
    assert play(game, RIGHT, STAY) == (0.0, False)
    assert (position(game, 0), position(game, 1)) == ((0, 0), (0, 1))
    game = world("""
        0 * .
        . . .
        . . .
    """)
    play(game, RIGHT)
    assert position(game, 0) == (0, 0)


def test_the_predators_act_in_random_order():
    followed = won = 0
    for seed in range(1000):
        game = world("""
            0 1 . .
            . . . .
            . . . .
            . . . *
        """, seed)  # fmt: skip
        play(game, RIGHT, RIGHT)
        assert position(game, 1) == (0, 2)
        followed += position(game, 0) == (0, 1)  # only if the other has made room before
        game = world("""
            0 . 1 .
            . . . .
            . . . .
            . . . *
        """, seed)  # fmt: skip
        play(game, RIGHT, LEFT)
        won += position(game, 0) == (0, 1)
        assert (position(game, 0), position(game, 1)) in (((0, 1), (0, 2)), ((0, 0), (0, 1)))
    assert abs(followed - 500) < 80  # five standard deviations
    assert abs(won - 500) < 80


def test_every_order_of_three_predators_is_as_likely():
    seen = Counter()
    game = world("""
        0 1 2
        . . .
        . . *
    """)
    for _ in range(6000):
        play(game, STAY, STAY, STAY)
        seen[tuple(game.arrays.predator_order[0])] += 1
    assert len(seen) == 6
    assert all(abs(count - 1000) < 145 for count in seen.values())  # five standard deviations


def test_two_that_catch_together_capture_the_prey_and_leave_the_board_with_it():
    game = world("""
        . 0 . .
        . * 1 .
        . . . .
        2 . . *
    """, capture_size=2)  # fmt: skip
    assert play(game, CATCH, CATCH, STAY) == (10.0, False)
    assert (position(game, 0), position(game, 1), position(game, 2)) == (None, None, (3, 0))
    assert len(prey_cells(game)) == 1
    assert (game.arrays.grid[0] >= 0).sum() == 1  # their cells are free again
    assert (game.arrays.grid[0] == PREY).sum() == 1


def test_a_frozen_predator_can_only_stay_and_sees_nothing():
    game = world("""
        . 0 . .
        . * 1 .
        . . . .
        2 . . *
    """, capture_size=2)  # fmt: skip
    play(game, CATCH, CATCH, STAY)
    assert legal(game)[:2] == [[0, 0, 0, 0, 1, 0]] * 2
    obs = observed(game)
    np.testing.assert_array_equal(obs[0], [0.0] * 50 + [1.0])
    np.testing.assert_array_equal(obs[0], obs[1])
    assert obs[2, :50].sum() > 0
    assert obs[2, 50] == 0.0
    play(game, DOWN, CATCH, UP)
    assert (position(game, 0), position(game, 1), position(game, 2)) == (None, None, (2, 0))


def test_all_that_catch_beside_a_captured_prey_freeze_and_those_that_do_not_play_on():
    game = world("""
        . 0 . .
        3 * 1 .
        . 2 . .
        . . . *
    """, capture_size=2)  # fmt: skip
    assert play(game, CATCH, CATCH, CATCH, STAY) == (10.0, False)
    assert [position(game, i) for i in range(4)] == [None, None, None, (1, 0)]


def test_one_that_catches_alone_earns_the_penalty_once_and_the_prey_stays_in_play():
    game = world("""
        . 0 . .
        . * . .
        . . . .
        1 . . .
    """, capture_size=2, penalty=-1.5)  # fmt: skip
    assert play(game, CATCH, STAY) == (-1.5, False)
    assert position(game, 0) == (0, 1)
    assert len(prey_cells(game)) == 1


def test_catching_needs_one_of_the_four_cells_beside_the_prey():
    game = world("""
        0 . 1 . .
        . * . . .
        . . 2 . .
        . . . . .
        . . . . .
    """, capture_size=1, penalty=-1)  # fmt: skip
    assert [row[CATCH] for row in legal(game)] == [0, 0, 0]
    assert play(game, CATCH, CATCH, CATCH) == (0.0, False)
    assert all(position(game, i) for i in range(3))


def test_catch_is_available_beside_a_prey():
    game = world("""
        . 0 . .
        . * 1 .
        . . . .
        2 . . *
    """)
    assert [row[CATCH] for row in legal(game)] == [1, 1, 0]


def test_one_predator_between_two_prey_is_punished_twice():
    game = world("""
        . . . .
        * 0 * .
        . . . .
        . . . 1
    """, capture_size=2, penalty=-2)  # fmt: skip
    assert play(game, CATCH, STAY) == (-4.0, False)


def test_a_predator_frozen_by_an_earlier_prey_counts_no_more():
    rewards = Counter()
    for seed in range(400):
        game = world("""
            0 * 1 *
            . . . .
            . . . .
            . . . .
        """, seed, capture_size=2, penalty=-2)  # fmt: skip
        reward, terminated = play(game, CATCH, CATCH)
        assert terminated  # nobody is left to play
        rewards[reward] += 1
    assert set(rewards) == {10.0, 8.0}  # left prey first: a capture; right prey first: a lone catch, then a capture
    assert abs(rewards[10.0] - 200) < 50  # five standard deviations


@pytest.mark.parametrize(
    ("capture_size", "catchers", "reward"), [(1, 1, 10), (3, 1, -1), (3, 2, -1), (3, 3, 10), (4, 3, -1), (4, 4, 10)]
)
def test_capture_size_is_how_many_must_catch_together(capture_size, catchers, reward):
    game = world("""
        . . 0 . .
        . 3 * 1 .
        . . 2 . .
        . . . . .
        . . . . *
    """, capture_size=capture_size, penalty=-1)  # fmt: skip
    actions = [CATCH] * catchers + [STAY] * (4 - catchers)
    assert play(game, *actions)[0] == reward
    assert len(prey_cells(game)) == (1 if reward == 10 else 2)


def test_on_a_torus_a_prey_is_caught_across_the_edges():
    game = world("""
        * . 0
        . . .
        1 . .
    """, sight=1, capture_size=2, toroidal=True)  # fmt: skip
    assert [row[CATCH] for row in legal(game)] == [1, 1]
    assert play(game, CATCH, CATCH) == (10.0, True)


def test_a_prey_moves_to_each_free_cell_beside_it_as_likely():
    seen = Counter()
    for seed in range(3000):
        game = world("""
            . 0 .
            . * .
            . . .
        """, seed)  # fmt: skip
        play(game, STAY)
        seen[next(iter(prey_cells(game)))] += 1
    assert set(seen) == {(1, 2), (2, 1), (1, 0)}
    assert all(abs(count - 1000) < 130 for count in seen.values())  # five standard deviations


def test_a_prey_in_a_corner_does_not_leave_the_board():
    seen = {
        cell
        for seed in range(200)
        for game in [world("* . .\n. . .\n. . 0", seed)]
        for _ in [play(game, STAY)]
        for cell in prey_cells(game)
    }
    assert seen == {(0, 1), (1, 0)}


def test_a_prey_without_a_free_cell_beside_it_stays():
    game = world("""
        * 0 .
        1 . .
        . . .
    """)
    assert play(game, STAY, STAY) == (0.0, False)
    assert prey_cells(game) == {(0, 0)}


def test_the_prey_move_in_random_order():
    moved = 0
    for seed in range(1000):
        game = world("""
            * * 0
            1 2 .
            . . 3
        """, seed)  # fmt: skip
        play(game, STAY, STAY, STAY, DOWN)
        assert prey_cells(game) == {(0, 0), (0, 1)}  # both are shut in
        game = world("""
            * * .
            1 2 0
            . . 3
        """, seed)  # fmt: skip
        play(game, STAY, STAY, STAY, STAY)
        moved += (0, 0) not in prey_cells(game)  # the left one follows only if the right one has made room before
    assert abs(moved - 500) < 80  # five standard deviations


def test_the_game_ends_with_the_last_prey():
    game = world("""
        . 0 .
        . * .
        2 . 1
        x
    """)
    assert game.env.params.n_prey == 2
    assert play(game, CATCH, STAY, STAY) == (10.0, True)
    assert [position(game, i) for i in range(3)] == [None, (2, 2), (2, 0)]


def test_the_game_ends_when_all_predators_are_frozen():
    game = world("""
        . 0 . .
        . * 1 .
        . . . .
        . . . *
    """, capture_size=2)  # fmt: skip
    assert play(game, CATCH, CATCH) == (10.0, True)
    assert len(prey_cells(game)) == 1


def test_the_time_limit_truncates_and_does_not_terminate():
    batch = Batch(environment("predator_prey_v1", horizon=7), 3, seed=1)
    batch.reset()
    for t in range(1, 8):
        out = batch.step(np.full((3, 8), STAY))
        assert out.truncated.tolist() == [t == 7] * 3
        assert not out.terminated.any()


def test_an_observation_holds_the_window_row_by_row_with_two_features_for_each_cell():
    game = world("""
        0 . * .
        . 1 . .
        * . . .
        . . . *
    """, sight=1)  # fmt: skip
    first = [[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
    second = [[1, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(observed(game)[:, :-1].reshape(2, 3, 6), [first, second])
    np.testing.assert_array_equal(observed(game)[:, -1], [0, 0])


def test_on_a_torus_the_window_wraps_around_the_edges():
    game = world("""
        0 . . *
        . . . .
        . . . .
        1 . . .
    """, sight=1, toroidal=True)  # fmt: skip
    first = [[0, 0, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    second = [[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]]
    np.testing.assert_array_equal(observed(game)[:, :-1].reshape(2, 3, 6), [first, second])


def test_the_state_is_the_whole_board_row_by_row():
    game = world("""
        0 . *
        . 1 .
        * . .
    """)
    state = np.full(game.env.state_size, np.nan, np.float32)
    python_function(game.env.kernels.summarise)(game.params, game.arrays, 0, state)
    np.testing.assert_array_equal(state.reshape(3, 6), [[1, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]])


def test_the_state_does_not_depend_on_sight():
    near, far = (Batch(environment("predator_prey_v1", sight=sight), 20, seed=3) for sight in (1, 12))
    policy = np.random.default_rng(0)
    first = near.reset().state.copy()
    far.reset()
    for _ in range(50):
        actions = policy.integers(0, 6, (20, 8))
        np.testing.assert_array_equal(near.step(actions).state, far.step(actions).state)
    assert (near.out.state != first).any()


def test_whoever_sees_the_whole_board_sees_the_state():
    batch = Batch(environment("predator_prey_v1", sight=9), 5, seed=3)
    out = batch.reset()
    state = out.state.reshape(5, 10, 10, 2)
    for e in range(5):
        for i in range(8):
            row, column = divmod(int(batch.arrays.predator[e, i]), 10)
            window = out.obs[e, i, :-1].reshape(19, 19, 2)
            np.testing.assert_array_equal(window[9 - row : 19 - row, 9 - column : 19 - column], state[e])
            assert window.sum() == 16


def test_every_start_is_as_likely():
    batch = Batch(environment("predator_prey_v1", size=3, n_predators=1, n_prey=1, capture_size=1), 7200, seed=0)
    batch.reset()
    starts = Counter(zip(batch.arrays.predator[:, 0].tolist(), batch.arrays.prey[:, 0].tolist(), strict=True))
    assert len(starts) == 9 * 8
    assert all(abs(count - 100) < 50 for count in starts.values())  # five standard deviations


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 3, "n_predators": 5, "n_prey": 5}, "a board of size 3 has 9 cells"),
        ({"n_predators": 2, "capture_size": 3}, "capture_size is 3; it must be at most n_predators, 2"),
        ({"size": 6, "sight": 3, "toroidal": True}, "sight is 3; on a torus of size 6 it must be at most 2"),
        ({"penalty": 1.0}, "penalty is 1.0; it must be -1000 to 0 reward"),
        ({"capture_size": 5}, "capture_size is 5; it must be 1 to 4"),
    ],
)
def test_impossible_worlds_are_refused_with_the_reason(params, message):
    with pytest.raises(ValueError, match=message):
        environment("predator_prey_v1", **params)


def test_a_board_may_be_full_and_a_predator_may_see_beyond_the_walls():
    batch = Batch(environment("predator_prey_v1", size=4, sight=6), 2, seed=0)
    out = batch.reset()
    assert (out.state.sum(1) == 16).all()
    assert (out.obs.sum(2) == 16).all()


def test_the_text_shows_who_is_where_and_what_happened():
    batch = Batch(environment("predator_prey_v1", "stag_p-2", size=5, n_predators=2, n_prey=1), 1, seed=4)
    batch.reset()
    batch.step(np.full((1, 2), STAY))
    *board, actions, score = batch.env.describe(batch.scene()).splitlines()
    assert actions == "last actions: 0 stay, 1 stay"
    assert score == "step 1, reward 0, team return 0"
    shown = "".join(board).replace(" ", "")
    assert Counter(shown) == {".": 22, "0": 1, "1": 1, "*": 1}
    assert [shown.index(sign) for sign in "01"] == batch.arrays.predator[0].tolist()
    assert shown.index("*") == batch.arrays.prey[0, 0]


def test_the_text_names_the_frozen():
    game = world("""
        . 0 .
        . * 1
        2 . .
    """, capture_size=2)  # fmt: skip
    batch = Batch(game.env, 1, seed=0)
    batch.reset()
    play(game, CATCH, CATCH, STAY)
    text = game.env.describe(batch.scene()._replace(arrays=game.arrays))
    assert "frozen: 0, 1" in text
    assert text.startswith(". . .\n. . .\n2 . .\n")


def test_each_action_has_a_key():
    env = environment("predator_prey_v1")
    keys = env.keys()
    assert {keys[name] for name in ("right", "down", "left", "up")} == {RIGHT, DOWN, LEFT, UP}
    assert (keys["right"], keys["c"]) == (RIGHT, CATCH)
    assert sorted(set(keys.values())) == list(range(env.n_actions))


SETTINGS = [
    {"preset": "stag_p0"},
    {"preset": "stag_p-2"},
    {"preset": "stag_p-1.25", "horizon": 30},
    {"size": 4, "n_predators": 5, "n_prey": 5, "penalty": -0.3},
    {"size": 5, "n_predators": 6, "n_prey": 4, "toroidal": True, "penalty": -1.0},
    {"size": 9, "n_predators": 4, "n_prey": 12, "toroidal": True, "sight": 4, "capture_size": 1},
    {"size": 3, "n_predators": 3, "n_prey": 3, "sight": 1, "toroidal": True, "penalty": -0.7},
    {"size": 4, "n_predators": 9, "n_prey": 3, "capture_size": 3, "sight": 4, "penalty": -1.5},
    {"size": 4, "n_predators": 8, "n_prey": 8, "sight": 2},
    {"size": 3, "n_predators": 1, "n_prey": 1, "sight": 1, "capture_size": 1, "capture_reward": 2.5},
    {"size": 6, "n_predators": 12, "n_prey": 5, "capture_size": 4, "penalty": -1.0},
]


def eager(mask: np.ndarray, policy: np.random.Generator) -> np.ndarray:
    """Random legal actions, with `catch` three times as likely as another. mask: [..., A]."""
    return (policy.random(mask.shape) ** np.array([1, 1, 1, 1, 1, 1 / 3]) * mask).argmax(-1)


def compare_with_the_twin(params: dict[str, Any], episodes: int, seed: int) -> None:
    """Plays whole games next to the twin; every number must be the same."""
    batch = Batch(environment("predator_prey_v1", **params), 1, seed=seed, autoreset="next_step")
    twin = TWINS["predator_prey_v1"](batch.env.params, seed)
    policy = np.random.default_rng(seed)
    moved = 0
    for _ in range(episodes):
        out = batch.reset(np.array([True]))
        twin.reset()
        while not out.ended[0]:
            np.testing.assert_array_equal(out.obs[0], twin.obs())
            np.testing.assert_array_equal(out.state[0], twin.state())
            np.testing.assert_array_equal(out.action_mask[0], twin.mask())
            before = out.state.copy()
            actions = eager(out.action_mask, policy)
            batch.step(actions)
            assert (out.reward[0], out.terminated[0]) == twin.step(actions[0])
            moved += (out.state != before).any()
        np.testing.assert_array_equal(out.final_obs[0], twin.obs())
        np.testing.assert_array_equal(out.final_state[0], twin.state())
        np.testing.assert_array_equal(out.final_action_mask[0], twin.mask())
    assert moved >= episodes


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_games_are_those_of_the_plain_twin(params):
    compare_with_the_twin({"horizon": 60, **params}, episodes=4, seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_a_thousand_games_are_those_of_the_plain_twin(params):
    compare_with_the_twin(params, episodes=100, seed=77)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_invariants_hold_in_any_game(data):
    size = data.draw(st.integers(3, 8), "size")
    n_predators = data.draw(st.integers(1, min(9, size**2 - 1)), "n_predators")
    n_prey = data.draw(st.integers(1, min(9, size**2 - n_predators)), "n_prey")
    capture_size = data.draw(st.integers(1, min(4, n_predators)), "capture_size")
    toroidal = data.draw(st.booleans(), "toroidal")
    sight = data.draw(st.integers(1, (size - 1) // 2 if toroidal else 4), "sight")
    env = environment(
        "predator_prey_v1", size=size, n_predators=n_predators, n_prey=n_prey, capture_size=capture_size,
        toroidal=toroidal, sight=sight, penalty=-1.0, horizon=40,
    )  # fmt: skip
    batch = Batch(env, 8, seed=data.draw(st.integers(0, 1000), "seed"))
    out, policy, off = batch.reset(), np.random.default_rng(0), size**2
    for _ in range(60):
        for e in range(8):
            predator, prey = batch.arrays.predator[e], batch.arrays.prey[e]
            standing = [*predator[predator < off], *prey[prey < off]]
            assert len(set(standing)) == len(standing)  # never two in a cell
            grid = np.full(off + 1, EMPTY)
            grid[off] = OUTSIDE
            grid[prey[prey < off]] = PREY
            grid[predator[predator < off]] = np.flatnonzero(predator < off)
            np.testing.assert_array_equal(batch.arrays.grid[e], grid)
            captured, frozen = (prey == off).sum(), (predator == off).sum()
            assert capture_size * captured <= frozen <= 4 * captured
            assert out.state[e].sum() == len(standing)
        np.testing.assert_array_equal(out.obs[:, :, -1], batch.arrays.predator == off)
        assert ((out.obs == 0) | (out.obs == 1)).all()
        assert out.obs.any(2).all()
        assert out.action_mask.any(2).all()
        assert out.action_mask[:, :, STAY].all()
        assert (out.reward <= 10 * n_prey).all()
        batch.step(eager(out.action_mask, policy))
    assert out.steps.max() > 0


def uniform_weights(mask: np.ndarray) -> np.ndarray:
    return mask.astype(float)


def always_catch(mask: np.ndarray) -> np.ndarray:
    return mask * np.where(mask[..., CATCH:] == 1, [0, 0, 0, 0, 0, 1], 1)


def returns(weights: Any, episodes: int = 2000, **params: Any) -> np.ndarray:
    """The return of the first episode of each row, of agents that draw uniformly where weights(mask) is 1."""
    batch = Batch(environment("predator_prey_v1", **params), episodes, seed=5)
    out, policy = batch.reset(), np.random.default_rng(5)
    team_return = np.full(episodes, np.nan)
    while np.isnan(team_return).any():
        batch.step((weights(out.action_mask) * policy.random(out.action_mask.shape)).argmax(-1))
        over = (out.terminated | out.truncated) & np.isnan(team_return)
        team_return[over] = out.team_return[over]
    return team_return


@pytest.fixture(scope="module")
def counts() -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    """For each policy, the captures and the punished tries of 2,000 episodes."""
    return {
        policy: (returns(policy, capture_reward=1.0), -returns(policy, capture_reward=0.0, penalty=-1.0))
        for policy in (uniform_weights, always_catch)
    }


# Means of 60 episodes of the authors' class; their standard deviations are known for penalties of 0 and -2, and lie
# below the line between them for the others, since a standard deviation is convex in the penalty.
ANCHORS = [
    (uniform_weights, (5.0, 21.7), {0: 4.8, -0.5: -20.8, -1: -46.5, -1.5: -72.1, -2: -97.7}),
    (always_catch, (5.5, 69.0), {0: 28.8, -0.5: -18.1, -1: -64.9, -1.5: -111.8, -2: -158.7}),
]


@pytest.mark.parametrize(
    ("policy", "deviations", "penalty", "expected"),
    [(policy, deviations, p, mean) for policy, deviations, means in ANCHORS for p, mean in means.items()],
)
def test_simple_teams_earn_what_they_earn_in_the_authors_code(counts, policy, deviations, penalty, expected):
    captures, tries = counts[policy]
    ours = 10 * captures + penalty * tries
    theirs = deviations[0] + (deviations[1] - deviations[0]) * penalty / -2
    error = np.hypot(theirs / np.sqrt(60), ours.std() / np.sqrt(len(ours)))
    assert abs(ours.mean() - expected) < 4 * error


def test_the_return_is_linear_in_the_penalty(counts):
    captures, tries = counts[uniform_weights]
    np.testing.assert_allclose(returns(uniform_weights, penalty=-1.25), 10 * captures - 1.25 * tries)
    assert tries.mean() > 40


def test_a_team_that_never_catches_earns_nothing():
    assert (returns(lambda mask: mask * [1, 1, 1, 1, 1, 0], 50, penalty=-2.0) == 0).all()


def test_four_captures_are_the_most_that_eight_predators_can_make(counts):
    captures, _ = counts[always_catch]
    assert captures.max() == 4
