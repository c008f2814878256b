"""Dec-POMDPs: the kernels against their plain twin and against their tables, positions by hand, and known optima."""

import copy
import itertools
import json
import math
import pickle
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coopgym
from coopgym.cli import main
from coopgym.envs import environment
from coopgym.envs.core import Batch, Environment
from coopgym.envs.dec_pomdp import COUNTED, PRESETS, Constant, Planned, Shipped
from coopgym.envs.dec_pomdp_problems import OPTIMA, PLANS, PROBLEMS, VERIFIED
from coopgym.envs.rendering import Renderer
from tests.games import choose
from tests.oracle import TWINS
from tests.planning import Planner, best_by_trying, expected_reward, worth, written
from tests.test_dpomdp_format import TIGER

LISTEN, LEFT, RIGHT = range(3)  # of Dec-Tiger
NAMES = sorted(PROBLEMS)
every_problem = pytest.mark.parametrize("name", NAMES)


def dec_pomdp(preset: str | None = None, **params: Any) -> Any:
    return environment("dec_pomdp_v1", preset, **params)


def batch(env: Environment, num_envs: int = 1, seed: int = 0) -> Batch:
    """A batch that has begun and stays at the end of its episodes."""
    made = Batch(env, num_envs, seed, autoreset="disabled")
    made.reset()
    return made


def random_tables(
    seed: int,
    n_states: int = 3,
    sizes: tuple[int, ...] = (2, 3),
    seen: tuple[int, ...] = (3, 2),
    axes: int | None = None,
    share: float = 0.5,
) -> dict[str, np.ndarray]:
    """Tables in which about this share of the outcomes is possible. axes: how many the reward has, None for all."""
    rng = np.random.default_rng(seed)

    def chances(given: tuple[int, ...], outcomes: tuple[int, ...]) -> np.ndarray:
        table = rng.random((math.prod(given), math.prod(outcomes)))
        table *= rng.random(table.shape) < share
        table[range(len(table)), rng.integers(table.shape[1], size=len(table))] += 0.1
        return (table / table.sum(axis=1, keepdims=True)).reshape(given + outcomes)

    return {
        "transition": chances((n_states, *sizes), (n_states,)),
        "observation": chances((*sizes, n_states), seen),
        "reward": rng.normal(size=(n_states, *sizes, n_states, *seen)[:axes]),
        "start": chances((), (n_states,)),
    }


RANDOM: list[dict[str, Any]] = [
    {"seed": 0},
    {"seed": 1, "axes": 3},
    {"seed": 2, "axes": 4},
    {"seed": 3, "sizes": (4,), "seen": (1,)},
    {"seed": 4, "n_states": 1, "sizes": (1, 2, 3), "seen": (2, 1, 3)},
    {"seed": 5, "n_states": 100, "sizes": (3, 1), "seen": (7, 9), "axes": 4, "share": 1.0},
    {"seed": 6, "n_states": 7, "sizes": (2,) * 4, "seen": (2, 1, 3, 2), "axes": 5},
]
GAMES = [*({"problem": name} for name in NAMES), *RANDOM]


def game(described: dict[str, Any], **params: Any) -> Any:
    """A preset's problem, or one of random tables."""
    return dec_pomdp(**(described if "problem" in described else random_tables(**described)), **params)


# --- against the twin ---


def agrees_with_the_twin(env: Any, episodes: int, rows: int = 4) -> None:
    playing = batch(env, rows, seed=11)
    declared = SimpleNamespace(**env.problem._asdict(), horizon=env.horizon, time_limit=env.params.time_limit)
    twins = [TWINS["dec_pomdp_v1"](declared, 11 + e) for e in range(rows)]
    rng, shown, rewards = np.random.default_rng(5), set(), 0.0
    for episode in range(episodes // rows):
        if episode:
            playing.reset()
        for twin in twins:
            twin.reset()
        for _ in range(env.horizon):
            for e, twin in enumerate(twins):
                np.testing.assert_array_equal(playing.out.obs[e], twin.obs())
                np.testing.assert_array_equal(playing.out.state[e], twin.state())
                np.testing.assert_array_equal(playing.out.action_mask[e], twin.mask())
                shown.add(playing.out.obs[e].tobytes())
            mask = playing.out.action_mask
            actions = choose(mask, rng.random(mask.shape))
            out = playing.step(actions)
            for e, twin in enumerate(twins):
                assert (out.reward[e], out.terminated[e]) == twin.step(actions[e])
                rewards += abs(out.reward[e])
        assert (out.truncated if env.params.time_limit == "truncates" else out.terminated).all()
    assert len(shown) > 1 and rewards > 0


@pytest.mark.parametrize("described", GAMES, ids=str)
@pytest.mark.parametrize("time_limit", ["terminates", "truncates"])
def test_kernels_play_as_the_twin_does(described, time_limit):
    agrees_with_the_twin(game(described, horizon=23, time_limit=time_limit), episodes=20)


@pytest.mark.slow
@pytest.mark.parametrize("described", GAMES, ids=str)
def test_kernels_play_a_thousand_episodes_as_the_twin_does(described):
    agrees_with_the_twin(game(described, horizon=23), episodes=1000)


sizes_of_agents = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3).filter(
    lambda agents: max(actions for actions, _ in agents) > 1
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    n_states=st.integers(1, 2 * COUNTED),
    agents=sizes_of_agents,
    reward=st.sampled_from(["s, a", "s, a, s'", "s, a, s', o"]),
    share=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_tables_are_played_as_the_twin_does(seed, n_states, agents, reward, share):
    sizes, seen = zip(*agents, strict=True)
    axes = {"s, a": 1 + len(sizes), "s, a, s'": 2 + len(sizes), "s, a, s', o": None}[reward]
    env = dec_pomdp(**random_tables(seed, n_states, sizes, seen, axes, share), horizon=9)
    playing = batch(env, 2, seed)
    declared = SimpleNamespace(**env.problem._asdict(), horizon=9, time_limit="terminates")
    twins = [TWINS["dec_pomdp_v1"](declared, seed + e) for e in range(2)]
    for twin in twins:
        twin.reset()
    for step in range(9):
        mask = playing.out.action_mask
        actions = choose(mask, np.random.default_rng(step).random(mask.shape))
        out = playing.step(actions)
        for e, twin in enumerate(twins):
            assert (out.reward[e], out.terminated[e]) == twin.step(actions[e])
            np.testing.assert_array_equal(out.obs[e], twin.obs())
            np.testing.assert_array_equal(out.state[e], twin.state())


# --- against the tables ---


def fits(counts: np.ndarray, chances: np.ndarray) -> None:
    """Counts [rows, outcomes] come from these chances: Pearson's sum lies within 5 deviations of its mean.

    The sum is over outcomes that are expected 10 times or more; they must be most of all.
    """
    assert (counts[chances == 0] == 0).all()
    expected = counts.sum(axis=1, keepdims=True) * chances
    often = expected >= 10
    assert often.sum() > 0.7 * (chances > 0).sum()
    total = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert abs(total - (1 - chances[often]).sum()) < 5 * math.sqrt(2 * often.sum())


def reordered(tables: dict[str, np.ndarray], order: list[int]) -> dict[str, np.ndarray]:
    """The tables of the same problem with its agents in this order."""
    n, actions = len(order), [1 + i for i in order]
    whole = [0, *actions, 1 + n, *(1 + n + one for one in actions)]  # state, actions, next state, observations
    axes = {"transition": whole, "observation": [axis - 1 for axis in whole[1:]], "reward": whole, "start": [0]}
    return {name: table.transpose(axes[name][: table.ndim]) for name, table in tables.items()}


problems_and_orders = {
    "seed": st.integers(0, 10**6),
    "n_states": st.integers(1, 4),
    "agents": sizes_of_agents,
    "reward": st.sampled_from(["s, a", "s, a, s'", "s, a, s', o"]),
    "certain": st.booleans(),
    "data": st.data(),
}


def play_the_same_in_another_order(seed, n_states, agents, reward, certain, data):
    sizes, seen = zip(*agents, strict=True)
    order = data.draw(st.permutations(range(len(agents))), "order")
    axes = {"s, a": 1 + len(sizes), "s, a, s'": 2 + len(sizes), "s, a, s', o": None}[reward]
    tables = random_tables(seed, n_states, sizes, seen, axes)
    certain = certain or axes is None  # else a draw is another joint observation where agents are in another order
    if certain:
        tables["observation"] = random_tables(seed, n_states, sizes, seen, share=0.0)["observation"]
    games = [batch(dec_pomdp(**these, horizon=6), 8, seed % 1000) for these in (tables, reordered(tables, order))]
    assert games[1].env.n_agents == len(order)
    rng = np.random.default_rng(seed)
    for _ in range(6):
        one, other = (playing.out for playing in games)
        np.testing.assert_array_equal(other.state, one.state)
        np.testing.assert_array_equal(other.action_mask, one.action_mask[:, order])
        if certain:
            np.testing.assert_array_equal(other.obs, one.obs[:, order])
        actions = choose(one.action_mask, rng.random(one.action_mask.shape))
        for playing, these in zip(games, (actions, actions[:, order]), strict=True):
            playing.step(these)
        np.testing.assert_array_equal(other.reward, one.reward)
        np.testing.assert_array_equal(other.terminated, one.terminated)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(**problems_and_orders)
def test_agents_in_another_order_play_the_same_game(**drawn):
    play_the_same_in_another_order(**drawn)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True)
@given(**problems_and_orders)
def test_agents_in_another_order_play_hundreds_of_games_alike(**drawn):
    play_the_same_in_another_order(**drawn)


@pytest.mark.parametrize(
    "described", [{"problem": "dec_tiger"}, {"problem": "broadcast_channel"}, {"seed": 0}], ids=str
)
def test_states_and_observations_are_as_frequent_as_their_tables_say(described):
    env = game(described, horizon=30)
    problem, rows = env.problem, 4000
    playing = batch(env, rows, seed=1)
    n_states, sizes, seen = len(problem.states), problem.transition.shape[1:-1], problem.observation.shape[3:]
    starts, moves, sights = np.zeros(n_states), np.zeros(problem.transition.shape), np.zeros(problem.observation.shape)
    np.add.at(starts, playing.arrays.state, 1)
    rng = np.random.default_rng(2)
    for _ in range(env.horizon):
        actions = np.stack([rng.integers(0, size, rows) for size in sizes], axis=1)
        playing.step(actions)
        s = playing.arrays
        np.add.at(moves, (s.previous, *actions.T, s.state), 1)
        np.add.at(sights, (*actions.T, s.state, *s.seen.T), 1)
    fits(starts[None], problem.start[None])
    fits(moves.reshape(-1, n_states), problem.transition.reshape(-1, n_states))
    fits(sights.reshape(-1, math.prod(seen)), problem.observation.reshape(-1, math.prod(seen)))


@every_problem
def test_the_tables_of_a_preset_are_probabilities(name):
    problem = PROBLEMS[name]()
    for table, axes in ((problem.transition, 1), (problem.observation, 2), (problem.start, 1)):
        assert table.min() >= 0
        np.testing.assert_allclose(table.sum(axis=tuple(range(-axes, 0))), 1, rtol=0, atol=1e-12)


def test_a_row_is_divided_by_its_sum():
    thirds = dec_pomdp(transition=np.full((3, 2, 3), 0.33333), observation=np.ones((2, 3, 1)), reward=np.zeros((3, 2)))
    np.testing.assert_allclose(thirds.problem.transition, 1 / 3, rtol=0, atol=1e-15)


# --- what agents are shown ---


def test_the_state_is_one_hot_and_the_observation_says_at_first_that_there_is_none():
    playing = batch(dec_pomdp("dec_tiger"), 50)
    assert playing.out.obs.tolist() == [[[0, 0, 1]] * 2] * 50
    states = playing.arrays.state
    assert {*states.tolist()} == {0, 1}
    assert np.array_equal(playing.out.state, np.eye(2)[states])
    playing.step(np.zeros((50, 2), int))
    assert np.array_equal(playing.out.obs, np.eye(3)[playing.arrays.seen]) and playing.out.obs[:, :, 2].max() == 0


def test_a_state_that_is_not_heard_changes_no_observation():
    """All that differs is where the problem is; the same luck shows the same to the agents."""
    tables = random_tables(0, n_states=4)
    tables["observation"][:] = tables["observation"][:, :, :1]  # whatever the next state
    other = {**tables, "transition": np.roll(tables["transition"], 1, axis=-1), "start": np.array([0, 0, 0, 1.0])}
    one, same = (batch(dec_pomdp(**one, horizon=20), 50, seed=3) for one in (tables, other))
    rng, apart = np.random.default_rng(0), 0
    for _ in range(20):
        actions = rng.integers(0, (2, 3), (50, 2))
        one.step(actions)
        same.step(actions)
        assert np.array_equal(one.out.obs, same.out.obs)
        apart += int((one.out.state != same.out.state).any(axis=1).sum())
    assert apart > 300


def test_an_observation_is_the_agents_own():
    """Each robot sees its own battery, whatever the other's."""
    playing = batch(dec_pomdp("recycling_robots"), 200)
    playing.step(np.tile([2, 1], (200, 1)))
    low = playing.arrays.state[:, None] // np.array([2, 1]) % 2  # [E, N]
    assert np.array_equal(playing.out.obs[:, :, :2].argmax(-1), low)
    assert {*map(tuple, low.tolist())} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_agents_may_differ_in_their_actions_and_observations():
    env = dec_pomdp(
        **random_tables(0, sizes=(1, 3), seen=(2, 4)),
        names={"actions": [["wait"], ["wait", "push", "pull"]]},
    )
    assert env.action_names == ("wait", "push", "pull") and env.obs_size == 5
    playing = batch(env)
    assert playing.out.action_mask.tolist() == [[[1, 0, 0], [1, 1, 1]]]
    twin = batch(env)
    assert playing.step(np.array([[2, 2]])).reward == twin.step(np.array([[0, 2]])).reward  # counts as action 0
    assert playing.out.action.tolist() == [[0, 2]]
    named = dec_pomdp(**random_tables(0), names={"actions": [["go", "stay"], ["walk", "stay", "run"]]})
    assert named.action_names == ("go/walk", "stay", "run")


# --- worked out by hand ---


def test_what_the_doors_of_dec_tiger_pay():
    """The tiger is left (0)."""
    paid = {
        (LISTEN, LISTEN): -2,
        (RIGHT, RIGHT): 20,
        (LEFT, LEFT): -50,
        (LEFT, RIGHT): -100,
        (RIGHT, LEFT): -100,
        (LISTEN, RIGHT): 9,
        (RIGHT, LISTEN): 9,
        (LISTEN, LEFT): -101,
        (LEFT, LISTEN): -101,
    }
    mirrored = {LISTEN: LISTEN, LEFT: RIGHT, RIGHT: LEFT}
    for (one, other), reward in paid.items():
        for tiger, actions in ((0, (one, other)), (1, (mirrored[one], mirrored[other]))):
            playing = batch(dec_pomdp("dec_tiger"))
            playing.arrays.state[0] = tiger
            assert playing.step(np.array([actions])).reward == reward


def test_the_tiger_stays_while_all_listen_and_moves_when_a_door_is_opened():
    playing = batch(dec_pomdp("dec_tiger", horizon=3), 2000)
    before = playing.arrays.state.copy()
    playing.step(np.zeros((2000, 2), int))
    assert np.array_equal(playing.arrays.state, before)
    rightly = (playing.arrays.seen == before[:, None]).mean(axis=0)
    np.testing.assert_allclose(rightly, 0.85, atol=4 * math.sqrt(0.85 * 0.15 / 2000))
    playing.step(np.tile([LISTEN, LEFT], (2000, 1)))
    for noise in (playing.arrays.state == before, *(playing.arrays.state == playing.arrays.seen.T)):
        assert abs(noise.mean() - 0.5) < 4 * math.sqrt(0.25 / 2000)


def test_what_the_channel_carries():
    """Both buffers are full. Alone, agent 0 gets its message through; its buffer is full again with chance 0.9."""
    playing = batch(dec_pomdp("broadcast_channel"), 2000)
    assert (playing.arrays.state == 3).all()
    assert (playing.step(np.tile([0, 1], (2000, 1))).reward == 1).all()
    assert {*playing.arrays.state.tolist()} == {1, 3}
    assert abs((playing.arrays.state == 3).mean() - 0.9) < 4 * math.sqrt(0.09 / 2000)
    assert abs((playing.arrays.seen == 1).mean() - 0.9) < 4 * math.sqrt(0.09 / 4000)  # no collision
    earned = playing.step(np.tile([0, 1], (2000, 1))).reward
    assert np.array_equal(earned, playing.arrays.previous == 3)  # an empty buffer earns nothing
    assert (playing.step(np.zeros((2000, 2), int)).reward == 0).all()  # a collision neither
    assert abs((playing.arrays.seen == 0).mean() - 0.9) < 4 * math.sqrt(0.09 / 4000)


def test_what_robots_earn_with_low_batteries():
    """Big cans together: 5 x 0.7 x 0.7 - 10 x (0.3 + 0.3); small ones: 4 x 0.8 x 0.8 - 10 x (0.2 + 0.2)."""
    reward = PROBLEMS["recycling_robots"]().reward
    assert reward[3, 2, 2] == pytest.approx(-3.55)
    assert reward[3, 1, 1] == pytest.approx(-1.44)
    assert reward[1, 1, 2] == pytest.approx(2 * 0.7 - 10 * 0.3)  # robot 1's is low
    assert reward[0, 2, 2] == 5 and reward[0, 2, 1] == 2 and reward[3, 0, 0] == 0


def test_where_moves_on_the_grid_lead():
    """Down and right from the corners: the robots meet below with chance 0.6 x 0.6, above with 0.1 x 0.1."""
    problem = PROBLEMS["grid_meeting_2x2"]()
    after = problem.transition[problem.start.argmax(), 1, 3].reshape(4, 4)
    assert after[3, 3] == pytest.approx(0.36) and after[0, 0] == pytest.approx(0.01)
    assert after[1, 2] == pytest.approx(0.3 * 0.3)  # each stays, or bumps into one of two walls
    assert after[1, 1] == after[2, 2] == 0
    assert problem.transition[0, 4, 4, 0] == 1
    assert (problem.reward[..., 15] == 1).all() and (problem.reward[..., 6] == 0).all()
    large = PROBLEMS["grid_meeting_3x3"]()
    assert large.start.argmax() == 2 * 9 + 6
    assert np.argwhere(large.reward[:, 0, 0]).ravel().tolist() == [0, 80]
    assert large.transition[4 * 9 + 4, 0, 0, 1 * 9 + 1] == pytest.approx(0.36)  # both up from the middle


def test_rewards_may_depend_on_what_follows_and_on_what_is_seen():
    tables = random_tables(3)
    playing = batch(dec_pomdp(**tables, horizon=40), 30)
    for _ in range(40):
        out = playing.step(np.tile([1, 2], (30, 1)))
        s = playing.arrays
        assert np.array_equal(out.reward, tables["reward"][s.previous, 1, 2, s.state, s.seen[:, 0], s.seen[:, 1]])


# --- known optima ---

QUICK = {**VERIFIED, "grid_meeting_2x2": 3, "grid_meeting_3x3": 3}


@every_problem
def test_an_exact_search_finds_the_optimum_that_ships(name):
    planner = Planner(PROBLEMS[name]())
    for horizon in range(1, QUICK[name] + 1):
        value, *trees = planner.plan(horizon)
        assert value == pytest.approx(OPTIMA[name][horizon], abs=1e-9)
        found = tuple(written(tree, n) for tree, n in zip(trees, planner.n_seen, strict=True))
        assert worth(PROBLEMS[name](), team_of(found)) == pytest.approx(value, abs=1e-9)


def team_of(words: tuple[str, str]) -> Any:
    """The words of a plan as `worth` takes them."""
    rows = [one.split() for one in words]
    widest = max(len(word) for row in rows for word in row)
    steps = list(zip(*rows, strict=True))
    return SimpleNamespace(
        begins=[t == 0 for t in range(len(steps))],
        widths=np.array([[len(word) for word in step] for step in steps]),
        actions=np.array([[[*map(int, word.ljust(widest, "0"))] for word in step] for step in steps]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if VERIFIED[name] > QUICK[name]])
def test_a_long_exact_search_finds_the_optimum_that_ships(name):
    value, *_ = Planner(PROBLEMS[name]()).plan(VERIFIED[name])
    assert value == pytest.approx(OPTIMA[name][VERIFIED[name]], abs=1e-9)


def test_the_values_of_the_literature():
    """As the papers round them."""
    values = [dec_pomdp("dec_tiger", horizon=h).optimum()[0] for h in (2, 3, 4)]
    assert [round(value, 2) for value in values] == [-4.00, 5.19, 4.80]
    assert dec_pomdp("broadcast_channel", horizon=4).optimum()[0] == pytest.approx(3.89)
    assert dec_pomdp("recycling_robots", horizon=3).optimum()[0] == pytest.approx(10.660125)
    assert dec_pomdp("grid_meeting_2x2", horizon=3).optimum()[0] == pytest.approx(1.550444)
    assert "exact search" in dec_pomdp("dec_tiger", horizon=4).optimum()[1]
    assert "exact search" not in dec_pomdp("dec_tiger", horizon=6).optimum()[1]
    assert dec_pomdp("dec_tiger", horizon=50).optimum() is None
    assert dec_pomdp(**random_tables(0)).optimum() is None


@pytest.mark.parametrize("seed", range(5))
def test_the_search_is_exact(seed):
    """Against trying all plans of two steps."""
    env = dec_pomdp(**random_tables(seed, sizes=(2, 2), seen=(2, 2), axes=[3, 4, None][seed % 3]))
    assert Planner(env.problem).plan(2)[0] == pytest.approx(best_by_trying(env.problem, 2), abs=1e-9)


def test_the_search_is_exact_for_three_steps():
    env = dec_pomdp(**random_tables(9, n_states=2, sizes=(2, 2), seen=(2, 1)))
    assert Planner(env.problem).plan(3)[0] == pytest.approx(best_by_trying(env.problem, 3), abs=1e-9)


@every_problem
def test_the_plans_that_ship_are_worth_the_optimum(name):
    for horizon in PLANS[name]:
        env = dec_pomdp(name, horizon=horizon)
        assert worth(env.problem, Planned(env)) == pytest.approx(OPTIMA[name][horizon], abs=1e-9)


@every_problem
def test_plans_put_together_do_not_beat_the_published_optimum(name):
    for horizon in {*OPTIMA[name]} - {*PLANS[name]}:
        env = dec_pomdp(name, horizon=horizon)
        assert worth(env.problem, Planned(env)) <= OPTIMA[name][horizon] + 1e-9
    twice = dec_pomdp("dec_tiger", horizon=6)  # the plan for three steps, twice
    assert worth(twice.problem, Planned(twice)) == pytest.approx(OPTIMA["dec_tiger"][6], abs=1e-9)


# --- scripted teams ---


def returns(env: Any, team: Any, rows: int, seed: int = 0) -> np.ndarray:
    """The returns of one episode in each row, [E]."""
    playing = batch(env, rows, seed)
    team.reset(rows)
    while not playing.out.ended.all():
        playing.step(team.act(playing.out.obs, playing.out.action_mask))
    return playing.out.team_return.copy()


@every_problem
def test_the_planned_team_earns_the_optimum(name):
    env = dec_pomdp(name)
    earned = returns(env, Planned(env), 20_000)
    assert earned.std() > 0
    assert abs(earned.mean() - env.optimum()[0]) < 4 * earned.std() / math.sqrt(20_000)


def test_the_planned_team_knows_where_an_episode_begins():
    """In a batch whose rows begin at different times, each plays as it would alone."""
    env = dec_pomdp("grid_meeting_2x2", horizon=4)
    playing = Batch(env, 3, 0)
    out = playing.reset()
    team, alone = Planned(env), [Planned(env) for _ in range(3)]
    team.reset(3)
    for one in alone:
        one.reset(1)
    for t in range(30):
        actions = team.act(out.obs, out.action_mask)
        for e, one in enumerate(alone):
            if out.steps[e] in (0, env.horizon):
                one.reset(1)
            assert np.array_equal(one.act(out.obs[e : e + 1], out.action_mask[e : e + 1])[0], actions[e])
        out = playing.step(actions)
        if t % 5 == 2:
            out = playing.reset(np.arange(3) == t % 3)
    assert len({*out.steps.tolist()}) > 1


RETURNS = {  # the page's table: random actions, the best joint action without end
    "dec_tiger": (-184.89, -8),
    "broadcast_channel": (1.4997, 3.7),
    "recycling_robots": (3.6817, 8.9509),
    "grid_meeting_2x2": (0.6841, 1.7165),
    "grid_meeting_3x3": (0.0085, 0.3488),
}


@every_problem
def test_the_returns_of_the_page_are_true(name):
    """Exactly, by the distribution of the state after each step."""
    env = dec_pomdp(name)
    problem, reward, joint = env.problem, expected_reward(env.problem), Constant(env).action
    always = (slice(None), *joint)
    for value, paid, moves in (
        (RETURNS[name][0], reward.mean(axis=(1, 2)), problem.transition.mean(axis=(1, 2))),
        (RETURNS[name][1], reward[always], problem.transition[always]),
    ):
        found = sum(problem.start @ np.linalg.matrix_power(moves, t) @ paid for t in range(4))
        assert found == pytest.approx(value, abs=0.006 if abs(value) > 100 else 6e-5)


def test_the_constant_team_listens_to_the_tiger_for_ever():
    env = dec_pomdp("dec_tiger", horizon=7)
    assert (returns(env, Constant(env), 100) == -14).all()


@pytest.mark.parametrize("axes", [3, 4, None])
def test_the_constant_team_repeats_the_best_joint_action(axes):
    env = dec_pomdp(**random_tables(1, axes=axes), horizon=6)
    team, means = Constant(env), {}
    for action in itertools.product(range(2), range(3)):
        team.action = np.array(action)
        earned = returns(env, team, 20_000)
        means[action] = earned.mean(), earned.std() / math.sqrt(20_000)
    best = max(means, key=lambda action: means[action][0])
    chosen = tuple(Constant(env).action.tolist())
    assert means[best][0] - means[chosen][0] < 4 * means[best][1]
    assert means[best][0] - min(mean for mean, _ in means.values()) > 10 * means[best][1]


def test_there_is_no_plan_for_tables_of_ones_own():
    with pytest.raises(ValueError, match=r"no plan for the problem 'custom'; there is one for dec_tiger"):
        Planned(dec_pomdp(**random_tables(0)))


# --- parameters ---


def test_presets_and_problems_have_the_same_names():
    assert [*PRESETS] == [*PROBLEMS] == [*PLANS] == [*OPTIMA] == [*VERIFIED] and get_args(Shipped) == (
        *PROBLEMS,
        "custom",
    )


TABLES = random_tables(0)


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"problem": "custom"}, ValueError, "problem is 'custom'; that needs file, or transition"),
        ({"problem": "tiger"}, ValueError, "problem is 'tiger'; it must be one of dec_tiger"),
        ({"transition": TABLES["transition"]}, ValueError, "observation is missing"),
        ({"start": [1.0]}, ValueError, "transition is missing"),
        ({**TABLES, "problem": "recycling_robots"}, ValueError, "'recycling_robots' has tables of its own"),
        ({**TABLES, "preset": "dec_tiger"}, ValueError, "'dec_tiger' has tables of its own"),
        ({**TABLES, "file": "x.dpomdp"}, ValueError, "file and transition both tell the problem"),
        ({"file": 3}, TypeError, "file is 3; it must be the path"),
        ({"file": "nowhere.dpomdp"}, ValueError, "file is 'nowhere.dpomdp'; there is no such file"),
        ({**TABLES, "transition": "high"}, TypeError, "transition must be nested lists"),
        ({**TABLES, "transition": [[1, 2], [3]]}, TypeError, "transition must be nested lists"),
        ({**TABLES, "transition": 1.0}, ValueError, r"transition has shape \(\); it must be \[S, A1"),
        ({**TABLES, "transition": np.ones((2, 2))}, ValueError, r"transition has shape \(2, 2\)"),
        ({**TABLES, "transition": np.ones((3, 2, 4))}, ValueError, r"transition has shape \(3, 2, 4\)"),
        ({**TABLES, "transition": np.ones((3, 0, 3))}, ValueError, "no axis may be empty"),
        ({**TABLES, "transition": TABLES["transition"] * 0.9}, ValueError, r"transition\[0, 0, 0\] is .* sum to 1"),
        ({**TABLES, "transition": TABLES["transition"] * math.nan}, ValueError, "transition holds a value that is not"),
        ({**TABLES, "observation": TABLES["transition"]}, ValueError, r"observation has shape .* \[2, 3, 3, O1, O2\]"),
        ({**TABLES, "observation": -TABLES["observation"]}, ValueError, r"observation\[0, 0, 0\] is .* sum to 1"),
        (
            {**TABLES, "reward": np.zeros((3, 2))},
            ValueError,
            r"reward has shape \(3, 2\); it must be \(3, 2, 3\), \(3,",
        ),
        ({**TABLES, "reward": np.zeros((3, 2, 3, 3, 3))}, ValueError, "reward has shape"),
        ({**TABLES, "start": [0.5, 0.5]}, ValueError, r"start has shape \(2,\); it must be \(3,\)"),
        ({**TABLES, "start": [0.5, 0.4, 0]}, ValueError, r"start is \[0.5, 0.4, 0.0\]; it must be probabilities"),
        ({**TABLES, "names": ["a", "b"]}, TypeError, "names must be a dictionary"),
        ({**TABLES, "names": {"agents": ["a", "b"]}}, TypeError, "names must be a dictionary"),
        ({**TABLES, "names": {"states": ["a", "b"]}}, TypeError, r"names\['states'\] must be 3 words"),
        ({**TABLES, "names": {"states": ["a", "b", 3]}}, TypeError, r"names\['states'\] must be 3 words"),
        ({**TABLES, "names": {"actions": [["a", "b"]]}}, TypeError, r"names\['actions'\] must be 2 lists"),
        ({**TABLES, "names": {"actions": [["a"], ["b"]]}}, TypeError, "of agent 0 must be 2 words"),
        (
            {"transition": [[[1.0]]], "observation": [[[1.0]]], "reward": [[0.0]]},
            ValueError,
            "transition gives each agent one action",
        ),
    ],
)
def test_tables_that_make_no_problem_are_refused_by_name(params, error, words):
    with pytest.raises(error, match=words):
        dec_pomdp(**params)


def test_tables_may_be_lists_and_are_not_touched():
    tables = {name: table.tolist() for name, table in random_tables(0).items()}
    env = dec_pomdp(**copy.deepcopy(tables))
    assert repr(env) == repr(dec_pomdp(**random_tables(0))) != repr(dec_pomdp(**random_tables(1)))
    given = random_tables(0)
    made = dec_pomdp(**given)
    given["reward"][:] = 99
    assert made.problem.reward.max() < 99 and made.params.problem == "custom"


def test_without_a_start_all_states_are_as_likely():
    tables = random_tables(0)
    del tables["start"]
    assert dec_pomdp(**tables).problem.start.tolist() == [1 / 3] * 3


def test_tables_of_ones_own_survive_json_pickles_and_other_parameters():
    from coopgym.envs.parameters import json_params, tupled

    env = dec_pomdp(**random_tables(0), names={"states": ["here", "there", "away"]}, horizon=5)
    told = json.loads(json.dumps(json_params(env)))
    for again in (dec_pomdp(**tupled(told)), pickle.loads(pickle.dumps(env)), env.with_params(horizon=5)):
        assert repr(again) == repr(env) and again.problem.states == ("here", "there", "away")
    assert env.with_params(horizon=6).problem.states == env.problem.states
    text = str(coopgym.spec(env))
    assert "table 3 x 2 x 3 x 3" in text and max(map(len, text.splitlines())) <= 120


def test_a_game_from_a_file_needs_the_file_only_once(tmp_path):
    path = tmp_path / "tiger.dpomdp"
    path.write_text(TIGER)
    env = dec_pomdp(file=path, horizon=3)
    path.unlink()
    longer = env.with_params(horizon=7)
    assert (longer.horizon, env.params.file, env.params.problem) == (7, None, "custom")
    assert longer.problem.actions[0] == ("listen", "open-left", "open-right") == env.action_names
    assert repr(pickle.loads(pickle.dumps(env))) == repr(env)


# --- pictures and words ---


def test_words_tell_the_hidden_state_and_what_was_heard():
    playing = batch(dec_pomdp("dec_tiger"))
    playing.arrays.state[0] = 1
    assert playing.env.describe(playing.scene()).splitlines() == [
        "state tiger-right (hidden from the agents)",
        "agent_0 sees nothing yet",
        "agent_1 sees nothing yet",
        "step 0 of 4, reward 0, return 0",
    ]
    playing.step(np.array([[LISTEN, LEFT]]))
    heard = ["hear-left", "hear-right"]
    now, *seen = (int(one) for one in (playing.arrays.state[0], *playing.arrays.seen[0]))
    assert playing.env.describe(playing.scene()).splitlines() == [
        f"state {['tiger-left', 'tiger-right'][now]}, before it tiger-right (hidden from the agents)",
        f"agent_0 does listen, then sees {heard[seen[0]]}",
        f"agent_1 does open-left, then sees {heard[seen[1]]}",
        "step 1 of 4, reward 9, return 9",
    ]


@pytest.mark.parametrize("described", GAMES, ids=str)
def test_every_problem_can_be_drawn_within_its_margins(described):
    playing = batch(game(described, horizon=5))
    renderer = Renderer(playing.env)
    for _ in range(3):
        frame = renderer.render(playing.scene(show_sight=True))
        assert (frame[40 : 680 - 40, :8] == 255).all() and (frame[40 : 680 - 40, -8:] == 255).all()
        assert (frame[40:52] == 255).all() and frame.min() < 50
        playing.step(np.zeros((1, playing.env.n_agents), int))


def test_the_view_of_an_agent_on_the_grid_hides_where_all_are():
    """Two games in which agent 1 has seen the same look the same to it."""
    playing = batch(dec_pomdp("grid_meeting_2x2"))
    playing.step(np.array([[4, 4]]))
    frames = []
    for state in (6, 14, 4):  # agent 1 stays in the left column, agent 0 is anywhere
        playing.arrays.state[0] = state
        scene = playing.scene()
        frames.append(Renderer(playing.env).render(scene._replace(viewer=1)))
    assert np.array_equal(frames[0], frames[1]) and np.array_equal(frames[0], frames[2])
    assert not np.array_equal(frames[0], Renderer(playing.env).render(playing.scene()))


# --- the command line ---


def test_a_file_can_be_played_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "own.dpomdp"
    path.write_text(TIGER)
    assert main(["info", "dec_pomdp_v1", "--env.file", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "custom *" in printed and "table 3 x 3 x 2 x 2 x 2 *" in printed
    assert main(["evaluate", "random", "dec_pomdp_v1", "--env.file", str(path), "--episodes", "20"]) == 0
    assert "DecPOMDP(tables " in capsys.readouterr().out
    path.write_text(TIGER.replace("identity", "identities"))
    assert main(["info", "dec_pomdp_v1", "--env.file", str(path)]) == 2
    error = capsys.readouterr().err
    assert "own.dpomdp, line" in error and "'identities'" in error and len(error.splitlines()) == 1
