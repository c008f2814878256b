"""Matrix games: the twin, published and random tables, noise, what agents see, and what can be earned at best."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest

import coopgym
from coopgym.envs import environment, matrix_game
from coopgym.envs.core import Batch, Environment
from coopgym.envs.matrix_game import END, PRESETS, Best, coordination, stag_hunt
from tests.games import choose
from tests.oracle import TWINS, SplitMix64


def game(preset: str | None = None, **params: Any) -> Environment:
    return environment("matrix_game_v1", preset, **params)


def batch(num_envs: int = 1, seed: int = 0, preset: str | None = None, **params: Any) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(game(preset, **params), num_envs, seed=seed, autoreset="disabled")
    made.reset()
    return made


def test_a_game_looks_the_same_however_its_table_was_given() -> None:
    tables: list[Any] = [((1, 2.5), (0, 3)), [[1, 2.5], [0, 3]], np.array([[1, 2.5], [0, 3]])]
    assert {repr(game(payoff=table)) for table in tables} == {"MatrixGame(payoff=[[1.0, 2.5], [0.0, 3.0]])"}


# --- against the twin ---------------------------------------------------------------------------------------------

TURNING: Any = (((1, 2), (3, 4)), ((5, 6), (7, 8)), ((9, 10), (11, 12)))  # payoffs of three states
WANDERING: Any = (((1, 2), (0, -1)), ((2, 0), (1, -1)), ((0, 0), (1, 2)))  # and where they lead

ODD_PARAMS: list[dict[str, Any]] = [
    *({"preset": name} for name in PRESETS),
    {"payoff": [1, 2.5, -3], "horizon": 4},
    {"payoff": np.arange(12).reshape(2, 3, 2), "horizon": 3, "observe_last_actions": True, "noise": 0.5},
    {"payoff": TURNING, "transition": WANDERING, "n_states": 3, "n_starts": 2, "horizon": 12},
    {
        "payoff": TURNING,
        "transition": WANDERING,
        "n_states": 3,
        "n_starts": 3,
        "horizon": 9,
        "observe_state": "first",
        "observe_last_actions": True,
        "noise": 3,
    },
    {"payoff": TURNING, "n_states": 3, "n_starts": 3, "observe_state": "none", "horizon": 2, "noise": 1e6},
    {"payoff": np.zeros((2, 4, 3)), "n_states": 2, "n_starts": 2, "payoff_seed": 2**63 - 1, "noise": 1e-3},
]


@pytest.mark.parametrize("params", ODD_PARAMS, ids=lambda params: params.get("preset") or str(sorted(params)))
def test_kernels_play_as_the_twin_does(params):
    rng, rewards = np.random.default_rng(2), []
    for seed in range(3):
        made = batch(1, seed, **params)
        twin = TWINS["matrix_game_v1"](made.env.params, seed)
        for episode in range(max(2, 30 // made.horizon)):
            if episode:
                made.reset()
            twin.reset()
            ended = False
            while not ended:
                looks_like(made, twin)
                actions = choose(made.out.action_mask, rng.random(made.out.action_mask.shape))
                made.step(actions)
                reward, terminated = twin.step(actions[0])
                assert made.out.reward[0] == pytest.approx(reward, rel=1e-12, abs=1e-12)
                assert made.out.terminated[0] == terminated
                assert made.out.truncated[0] == (made.arrays.t[0] == made.horizon and not terminated)
                rewards.append(reward)
                ended = bool(made.out.ended[0])
            looks_like(made, twin)
    assert len(set(rewards)) > 1


def looks_like(made: Batch, twin: Any) -> None:
    np.testing.assert_array_equal(made.out.obs[0], twin.obs())
    np.testing.assert_array_equal(made.out.state[0], twin.state())
    np.testing.assert_array_equal(made.out.action_mask[0], twin.mask())


# --- tables -------------------------------------------------------------------------------------------------------


def test_payoffs_are_those_of_the_literature():
    tables = {
        "qtran3x3": [[8, -12, -12], [-12, 0, 0], [-12, 0, 0]],
        "qplex_hard3x3": [[8, -12, -12], [-12, 6, 0], [-12, 0, 6]],
        "qplex_w3x3": [[10.4, 0, 10], [0, 10, 10], [10, 10, 10]],
        "climbing": [[11, -30, 0], [-30, 7, 6], [0, 0, 5]],
        "climbing_uoe": [[11, -30, 0], [-30, 7, 0], [0, 6, 5]],
        "penalty_-25": [[10, 0, -25], [0, 2, 0], [-25, 0, 10]],
        "penalty_uoe_25": [[-25, 0, 10], [0, 2, 0], [10, 0, -25]],
        "almost_monotone": [[12, -0.1, -0.1], [-0.1, 0, 0], [-0.1, 0, 0]],
    }
    for name, table in tables.items():
        made = batch(9, preset=name)
        cells = np.array(list(itertools.product(range(3), repeat=2)))
        assert made.step(cells).reward.tolist() == np.ravel(table).tolist()
    assert {f"penalty_{k}" for k in (0, -25, -50, -75, -100)} <= set(PRESETS)
    assert {f"penalty_uoe_{k}" for k in (0, 25, 50, 75, 100)} <= set(PRESETS)


def test_the_two_layouts_are_one_game_with_agents_or_actions_renamed():
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 3, (50, 2))
    climbing, transposed = (batch(50, preset=name) for name in ("climbing", "climbing_uoe"))
    np.testing.assert_array_equal(climbing.step(actions).reward, transposed.step(actions[:, ::-1].copy()).reward)
    for k in (0, 25, 50, 75, 100):
        penalty, mirrored = (batch(50, preset=name) for name in (f"penalty_{-k}", f"penalty_uoe_{k}"))
        renamed = np.stack([actions[:, 0], 2 - actions[:, 1]], axis=1)
        np.testing.assert_array_equal(penalty.step(actions).reward, mirrored.step(renamed).reward)
        assert penalty.out.reward.max() == 10 and penalty.out.reward.min() == -k


def test_agents_can_change_places():
    payoff, rng = np.arange(24.0).reshape(2, 3, 4), np.random.default_rng(1)
    for order in itertools.permutations(range(3)):
        one, other = batch(40, payoff=payoff), batch(40, payoff=payoff.transpose(order))
        actions = np.stack([rng.integers(0, size, 40) for size in (2, 3, 4)], axis=1)
        rewards = one.step(actions).reward
        np.testing.assert_array_equal(rewards, other.step(actions[:, order]).reward)
        assert len(set(rewards)) > 10


@pytest.mark.parametrize("name", [name for name in PRESETS if environment("matrix_game_v1", name).horizon == 1])
def test_every_one_step_game_is_played_25_times_by_its_horizon(name):
    once, often = batch(50, 3, preset=name), batch(50, 3, preset=name, horizon=25)
    joint = np.random.default_rng(4).integers(0, np.array(once.env.payoff.shape[1:]), (50, once.env.n_agents))
    paid = once.step(joint).reward.copy()
    assert once.out.terminated.all() and len(set(paid)) > 1
    for _ in range(25):
        assert not often.out.ended.any()
        np.testing.assert_array_equal(often.step(joint).reward, paid)
    np.testing.assert_allclose(often.out.team_return, 25 * paid)
    assert often.out.truncated.all() and not often.out.terminated.any()
    if once.env.optimum() and often.env.optimum():
        assert often.env.optimum()[0] == pytest.approx(25 * once.env.optimum()[0])


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("_repeated_25")])
def test_repeated_games_pay_25_times_the_payoff(name):
    best = {"climbing_uoe_repeated_25": (0, 0)}.get(name, (0, 2))
    made = batch(preset=name)
    ends = []
    for _ in range(25):
        made.step(np.array([best]))
        ends.append((bool(made.out.terminated[0]), bool(made.out.truncated[0])))
    assert ends == [(False, False)] * 24 + [(False, True)]
    assert made.out.team_return[0] == (275 if name.startswith("climbing") else 250)


def test_exactly_k_of_n_must_play_a():
    made = batch(5, payoff=coordination(2, 4))
    plays = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert made.step(np.array(plays)).reward.tolist() == [0, 0, 1, 1, 0]
    for k, n in ((1, 3), (2, 4), (3, 6), (0, 2), (5, 5)):
        assert np.sum(coordination(k, n)) == math.comb(n, k)


def test_the_stag_takes_all_and_a_hare_but_one():
    made = batch(4, preset="stag_hunt_4")
    plays = [[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]]
    assert made.step(np.array(plays)).reward.tolist() == [16, 3, 9, 12]


@pytest.mark.parametrize(("n", "stag", "hare"), [(2, 5.5, 4.5), (3, 6, 6), (4, 6.5, 7.5)])
def test_the_more_hunt_the_less_the_stag_is_worth_on_average(n, stag, hare):
    table = np.array(stag_hunt(n))
    for i in range(n):
        assert [table.take(a, axis=i).mean() for a in (0, 1)] == [stag, hare]


def test_the_text_names_the_functions_that_build_tables_with_lines_that_work():
    lines = re.findall(r"`(coopgym\.make\(.*?\))`", matrix_game.__doc__)
    agents = [len(eval(line, {"coopgym": coopgym, **vars(matrix_game)}).possible_agents) for line in lines]
    assert agents == [2, 5, 3]


# --- random tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("random_3x3", 3), ("random_5x5", 5), ("random_10x10", 10)])
def test_a_random_table_is_named_by_its_seed_alone(name, size):
    for payoff_seed in (0, 1, 12345):
        stream = SplitMix64(payoff_seed)
        table = [[stream.uniform(0, 10) for _ in range(size)] for _ in range(size)]
        made = [batch(size**2, seed, name, payoff_seed=payoff_seed) for seed in (0, 99)]
        cells = np.array(list(itertools.product(range(size), repeat=2)))
        for one in made:
            assert one.step(cells).reward.tolist() == pytest.approx(np.ravel(table), rel=1e-15)
        assert 0 <= made[0].out.reward.min() < made[0].out.reward.max() < 10


def test_a_payoff_seed_of_minus_one_takes_the_table():
    assert game("random_3x3", payoff_seed=-1).payoff.tolist() == [[[0] * 3] * 3]
    assert game("climbing", payoff_seed=3).payoff.tolist() == game("random_3x3", payoff_seed=3).payoff.tolist()


@pytest.mark.parametrize(("size", "solved", "earned"), [(2, 0.677, 0.921), (3, 0.379, 0.850), (5, 0.161, 0.800)])
def test_an_additive_fit_solves_as_many_random_tables_as_elsewhere(size, solved, earned):
    tables = np.array([game(payoff=np.zeros((size, size)), payoff_seed=seed).payoff[0] for seed in range(2000)])
    fit = tables.mean(1, keepdims=True) + tables.mean(2, keepdims=True)  # but for a constant
    share = tables.reshape(2000, -1)[np.arange(2000), fit.reshape(2000, -1).argmax(1)] / tables.max((1, 2))
    error = math.sqrt(1 / 2000 + 1 / 4000)  # of ours and of theirs, for each unit of standard deviation
    assert abs((share == 1).mean() - solved) < 4 * error * math.sqrt(solved * (1 - solved))
    assert abs(share.mean() - earned) < 4 * error * share.std()


# --- noise --------------------------------------------------------------------------------------------------------


def test_noise_adds_draws_of_its_standard_deviation_to_the_payoff():
    made = batch(40_000, preset="climbing", noise=2.0)
    reward = made.step(np.full((40_000, 2), 1)).reward
    error = 2 / math.sqrt(40_000)
    assert abs(reward.mean() - 7) < 4.5 * error
    assert abs(reward.std() - 2) < 4.5 * error / math.sqrt(2)
    assert abs((np.abs(reward - 7) < 2).mean() - 0.682689) < 4.5 * math.sqrt(0.68 * 0.32 / 40_000)
    assert np.abs(reward - 7).max() < 2 * 8.6


def test_each_step_and_row_has_noise_of_its_own_and_a_seed_names_it():
    rewards = []
    for _ in range(2):
        made = batch(50, 5, "climbing", noise=1.0, horizon=20)
        rewards.append(np.array([made.step(np.zeros((50, 2), int)).reward.copy() for _ in range(20)]))
    np.testing.assert_array_equal(*rewards)
    assert len(np.unique(rewards[0])) == 1000


def test_without_noise_nothing_is_drawn():
    for noise, drawn in ((0.0, False), (0.5, True)):
        made = batch(4, preset="additive_ok", noise=noise)
        before, start = made.arrays.rng.copy(), made.out.state.copy()
        made.step(np.zeros((4, 2), int))
        assert (made.arrays.rng != before).all() == drawn
        assert np.array_equal(start, batch(4, preset="additive_ok").out.state)


@pytest.mark.parametrize("noise", [-1, math.nan, math.inf, 1e300])
def test_noise_that_is_not_finite_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise is .*; it must be 0 to 1e\+06 reward"):
        game("climbing", noise=noise)


# --- what agents see ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "informed"), [("additive_ok", 2), ("additive_one_informed", 1), ("additive_hidden", 0)]
)
def test_the_state_is_seen_by_whom_it_is_shown_to(name, informed):
    made = batch(64, preset=name)
    state = made.out.state[:, :2]
    assert set(map(tuple, state.tolist())) == {(1, 0), (0, 1)}
    for i in range(2):
        np.testing.assert_array_equal(made.out.obs[:, i, :2], state if i < informed else np.full((64, 2), 0.5))
    np.testing.assert_array_equal(made.out.state, batch(64, preset="additive_ok").out.state)
    assert not made.out.obs[:, :, 2].any()


# --- what can be earned at best -----------------------------------------------------------------------------------


def best_by_trial(env: Environment) -> float:
    """The best mean return over the starts, of all that agents can do who know the time and what they see."""
    p = env.params
    transition = np.broadcast_to(np.arange(p.n_states)[:, None], (p.n_states, 4)).reshape(-1, 2, 2)
    transition = transition if p.transition is None else np.array(p.transition)
    sees = [{"all": True, "first": i == 0, "none": False}[p.observe_state] for i in range(2)]
    cases = [list(itertools.product(range(p.horizon), range(p.n_states) if seen else [0])) for seen in sees]
    plans = [
        [dict(zip(case, choice, strict=True)) for choice in itertools.product((0, 1), repeat=len(case))]
        for case in cases
    ]
    best = -math.inf
    for plan in itertools.product(*plans):
        total = 0.0
        for state in range(p.n_starts):
            for t in range(p.horizon):
                actions = tuple(plan[i][t, state if sees[i] else 0] for i in range(2))
                total += env.payoff[(state, *actions)]
                state = transition[(state, *actions)]
                if state == END:
                    break
        best = max(best, total / p.n_starts)
    return best


def earned_by_the_best_team(env: Environment) -> float:
    """On average over the starts."""
    made = Batch(env, 64, 0, autoreset="disabled")
    made.reset()
    starts, team = made.arrays.state.copy(), Best(env)
    team.reset(64)
    returns = np.full(64, np.nan)
    for _ in range(env.horizon):
        made.advance(team.act(made.out.obs, made.out.action_mask))
        returns = np.where(made.out.ended & np.isnan(returns), made.out.team_return, returns)
        made.out.ended[:] = False
        made.arrays.state[made.arrays.state == END] = 0  # what is over plays on, and no longer counts
    by_start = [np.unique(returns[starts == start]) for start in range(env.params.n_starts)]
    assert all(len(values) == 1 for values in by_start)
    return float(np.mean(by_start))


SMALL: list[dict[str, Any]] = [
    {"n_states": 1, "horizon": 1},
    {"n_states": 3, "n_starts": 3, "horizon": 1},
    {"n_states": 3, "n_starts": 3, "horizon": 1, "observe_state": "first"},
    {"n_states": 3, "n_starts": 2, "horizon": 1, "observe_state": "none"},
    {"n_states": 2, "n_starts": 2, "horizon": 2, "observe_state": "first"},
    {"n_states": 2, "n_starts": 2, "horizon": 2, "observe_state": "none", "observe_last_actions": True},
    {"n_states": 3, "n_starts": 2, "horizon": 2, "turns": True},
    {"n_states": 3, "n_starts": 1, "horizon": 3, "turns": True, "observe_state": "none"},
    {"n_states": 3, "n_starts": 1, "horizon": 2, "turns": True, "observe_state": "first"},
    {"n_states": 2, "n_starts": 2, "horizon": 1, "turns": True, "observe_state": "none"},
]


@pytest.mark.parametrize("params", SMALL, ids=str)
def test_the_optimum_is_the_best_that_any_plan_earns_and_the_best_team_earns_it(params):
    rng = np.random.default_rng(4)
    params = dict(params)
    shape = (params["n_states"], 2, 2)
    turns = params.pop("turns", False)
    for _ in range(3):
        payoff = rng.integers(-9, 10, shape)
        if turns:
            params["transition"] = rng.integers(-1, params["n_states"], shape)
        env = game(payoff=payoff if params["n_states"] > 1 else payoff[0], **params)
        optimum = env.optimum()
        assert optimum is not None and optimum[0] == pytest.approx(best_by_trial(env), rel=1e-12)
        assert earned_by_the_best_team(env) == pytest.approx(optimum[0], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("qtran3x3", 8),
        ("climbing", 11),
        ("penalty_-100", 10),
        ("qplex_w3x3", 10.4),
        ("additive_ok", 10),
        ("additive_hidden", 6),  # the tables' average is at most 6, at (B, B)
        ("additive_one_informed", 8),  # agent 1 plays B, agent 0 plays A or C: (8 + 8) / 2
        ("climbing_uoe_repeated_25", 275),
        ("penalty_uoe_50_repeated_25", 250),
        ("coordination_3_of_6", 1),
        ("stag_hunt_6", 24),
        ("two_step", 8),
        ("two_state_mmdp", 100),
    ],
)
def test_the_optimum_is_the_known_one(name, value):
    optimum = game(name).optimum()
    assert optimum is not None and optimum[0] == pytest.approx(value)
    noisy = game(name, noise=3.0).optimum()
    assert noisy is not None and noisy[0] == optimum[0]


def test_every_preset_has_a_team_that_earns_its_optimum():
    for name in PRESETS:
        env = game(name)
        optimum = env.optimum()
        assert optimum is not None
        assert earned_by_the_best_team(env) == pytest.approx(optimum[0])


@pytest.mark.parametrize(
    "params",
    [
        {"observe_state": "first", "observe_last_actions": True, "horizon": 2},
        {"observe_state": "none", "transition": np.ones((2, 3, 3), int), "horizon": 2},
        {"observe_state": "first", "transition": np.ones((2, 3, 3), int), "horizon": 2},
    ],
    ids=str,
)
def test_no_optimum_is_claimed_where_agents_could_tell_each_other_or_must_guess(params):
    env = game("additive_hidden", **params)
    assert env.optimum() is None
    with pytest.raises(ValueError, match="optimum of MatrixGame"):
        Best(env)


# --- shown --------------------------------------------------------------------------------------------------------


def test_a_long_table_is_told_by_its_shape():
    assert "payoff=table 2 x 2 x 2 x 2 x 2 x 2" in str(coopgym.spec("matrix_game_v1", "stag_hunt_6"))
    assert "[[11, -30, 0], [-30, 7, 6], [0, 0, 5]]" in str(coopgym.spec("matrix_game_v1"))
