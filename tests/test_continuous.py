"""Games of continuous actions: every face, every check, and the physics of mpe2."""

import copy
import pickle
import re
import warnings
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

import coopgym
from coopgym.envs import environment
from coopgym.envs.core import Batch
from coopgym.envs.play import Game
from coopgym.envs.recording import record
from coopgym.envs.teams import RANDOM, RandomTeam, named_team
from tests.games import digest
from tests.oracle import TWINS

with warnings.catch_warnings():  # PettingZoo's tests import its games in a way that it has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test, state_test

HORIZON = 9
GAMES = {"spread_v1": {"continuous_actions": True}, "tag_v1": {"continuous_actions": True, "n_prey": 2}}
every_game = pytest.mark.parametrize("id", GAMES)
IDLE, LEFT, RIGHT, DOWN, UP = range(5)


def game(id: str, **params: Any) -> Any:
    return environment(id, **{**GAMES[id], "horizon": HORIZON, **params})


def vectors(rng: np.random.Generator, *axes: int) -> np.ndarray:
    """Actions [*axes, 5], some of them at the ends of what is allowed."""
    return rng.uniform(-0.2, 1.2, (*axes, 5)).clip(0, 1)


def play(env: Any, seed: int, steps: int) -> str:
    """A word for all that a ParallelEnv returns in so many steps, restarts included."""
    rng = np.random.default_rng(seed)
    seen: list[Any] = [env.reset(seed=seed), env.state()]
    for _ in range(steps):
        if not env.agents:
            seen.append(env.reset())
        seen += [env.step(dict(zip(env.agents, vectors(rng, len(env.agents)), strict=True))), env.state()]
    return digest(seen)


def says(*words: str) -> Any:
    """A pattern that finds all the words, in order."""
    return re.compile(".*".join(map(re.escape, words)), re.DOTALL)


# --- the checks of PettingZoo and Gymnasium ---


@every_game
def test_pettingzoo_finds_nothing_wrong(id):
    make = partial(coopgym.make, id, **GAMES[id])
    parallel_api_test(make(), num_cycles=60)
    parallel_seed_test(make, num_cycles=30)
    api_test(coopgym.aec_env(id, **GAMES[id]), num_cycles=30)
    seed_test(partial(coopgym.aec_env, id, **GAMES[id]), num_cycles=30)
    state_test(coopgym.aec_env(id, **GAMES[id]), make())


@every_game
def test_gymnasium_finds_nothing_wrong(id):
    check_env(gymnasium.make(f"coopgym/{id.replace('_', '-')}", **GAMES[id]).unwrapped, skip_render_check=True)


@every_game
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_batch_answers_as_gymnasiums_own_vector_of_joint_games(id, mode):
    options = {"num_envs": 3, "horizon": 4, **GAMES[id]}
    name = f"coopgym/{id.replace('_', '-')}"
    ours = gymnasium.make_vec(name, autoreset_mode=mode, **options)
    theirs = gymnasium.make_vec(name, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **options)
    assert ours.action_space == theirs.action_space and isinstance(ours.action_space, Box)
    ours.action_space.seed(0)
    assert np.array_equal(ours.reset(seed=5)[0], theirs.reset(seed=5)[0])
    ended = 0
    for _ in range(9):
        actions = ours.action_space.sample()
        (*answer, infos), (*expected, _) = ours.step(actions), theirs.step(actions)
        assert all(data_equivalence(a, b, exact=True) for a, b in zip(answer, expected, strict=True))
        over = answer[2] | answer[3]
        assert not any("mask" in key for key in [*infos, *infos.get("final_info", {})])
        assert ("final_obs" in infos) == over.any()
        ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            obs = [env.reset(options={"reset_mask": over.copy()})[0] for env in (ours, theirs)]
            assert np.array_equal(*obs)
    assert ended >= 6


@every_game
def test_gymnasiums_vector_wrappers_fit(id):
    env = DictInfoToList(RecordEpisodeStatistics(coopgym.make_vec(id, 3, **{**GAMES[id], "horizon": 2})))
    env.reset(seed=0)
    infos = [env.step(env.action_space.sample())[4] for _ in range(2)][-1]
    assert all({"final_obs", "final_info", "episode"} <= info.keys() for info in infos)


# --- spaces, masks, specifications ---


@every_game
def test_spaces_are_boxes_and_there_are_no_masks_in_infos(id):
    env = game(id)
    one, vector = coopgym.make(env), coopgym.make_vec(env, 4)
    assert one.action_space("agent_0") == Box(0, 1, (5,), np.float32)
    assert vector.single_action_space == Box(0, 1, (3, 5), np.float32)
    assert vector.action_space == Box(0, 1, (4, 3, 5), np.float32)
    assert one.reset(seed=0)[1] == {agent: {} for agent in one.possible_agents}
    assert vector.reset(seed=0)[1] == {}
    assert (one.action_masks() == 1).all() and one.action_masks().shape == (3, 5)
    assert (vector.action_masks() == 1).all() and vector.action_masks().shape == (4, 3, 5)
    for _ in range(HORIZON):
        answer = vector.step(vector.action_space.sample())
    assert answer[3].all() and answer[4]["final_info"].keys() == {"state", "_state"}


@every_game
def test_a_spec_says_what_an_action_is(id):
    spec = coopgym.spec(id, **GAMES[id])
    assert spec.to_dict()["action_bounds"] == [0.0, 1.0] and coopgym.spec(id).to_dict()["action_bounds"] is None
    assert "continuous, components 5: noop, left, right, down, up; each from 0 to 1" in str(spec)
    assert "actions      5: noop, left" in str(coopgym.spec(id))


# --- what the engine promises ---


@every_game
def test_the_same_seed_is_the_same_game(id):
    one, other = coopgym.make(game(id)), coopgym.make(game(id))
    words = {play(one, seed, 2 * HORIZON + 3) for seed in range(4)}
    assert words == {play(other, seed, 2 * HORIZON + 3) for seed in range(4)} and len(words) == 4


@pytest.mark.parametrize(("id", "num_threads"), [("spread_v1", 1), ("spread_v1", 2), ("tag_v1", 1)])
def test_a_row_is_the_single_game_of_its_own_seed(id, num_threads):
    env, rng = game(id), np.random.default_rng(0)
    batch = Batch(env, 7, 40, autoreset="disabled", num_threads=num_threads)
    singles = [Batch(env, 1, 40 + e, autoreset="disabled") for e in range(7)]
    for one in (batch, *singles):
        one.reset()
    for _ in range(HORIZON):
        actions = vectors(rng, 7, 3)
        out = batch.step(actions)
        for e, single in enumerate(singles):
            single.step(actions[e : e + 1])
            for name in ("obs", "state", "reward", "action", "truncated"):
                assert np.array_equal(getattr(out, name)[e], getattr(single.out, name)[0])
    np.testing.assert_array_equal(out.action, actions)
    assert out.truncated.all()


@every_game
def test_a_game_goes_on_alike_from_every_kind_of_copy(id):
    one = coopgym.make(game(id))
    one.reset(seed=1)
    rng = np.random.default_rng(1)
    for _ in range(HORIZON - 1):
        one.step(dict(zip(one.agents, vectors(rng, 3), strict=True)))
        snapshot = one.snapshot()
        copies = [copy.deepcopy(one), pickle.loads(pickle.dumps(one)), coopgym.make(game(id)), one]
        copies[2].restore(snapshot)
        actions = vectors(rng, 3)
        words = {digest(twin.step(dict(zip(twin.agents, actions, strict=True))), twin.state()) for twin in copies}
        assert len(words) == 1
        one.restore(snapshot)
    discrete = coopgym.make(game(id, continuous_actions=False))
    with pytest.raises(ValueError, match=says("the snapshot is of", "continuous_actions=True")):
        discrete.restore(snapshot)


@every_game
def test_a_push_at_full_strength_is_the_discrete_action(id):
    games = [Batch(game(id, continuous_actions=chosen), 20, 3) for chosen in (True, False)]
    for one in games:
        one.reset()
    rng = np.random.default_rng(0)
    for _ in range(2 * HORIZON):
        actions = rng.integers(0, 5, (20, 3))
        games[0].step(np.eye(5)[actions])
        games[1].step(actions)
        for name in ("obs", "state", "reward", "team_return"):
            np.testing.assert_array_equal(*(getattr(one.out, name) for one in games))


# --- the rules ---


@pytest.mark.parametrize(
    ("id", "params"),
    [
        ("spread_v1", {}),
        ("spread_v1", {"preset": "openai", "n_agents": 5}),
        ("spread_v1", {"sight": 1.0}),
        ("tag_v1", {}),
        ("tag_v1", {"preset": "facmac_6a"}),
    ],
    ids=str,
)
def test_kernels_play_as_the_twin_does(id, params):
    batch = Batch(game(id, **params), 3, 8, autoreset="disabled")
    twins = [TWINS[id](batch.env.params, 8 + e) for e in range(3)]
    rng = np.random.default_rng(0)
    for _ in range(4):
        out = batch.reset()
        for twin in twins:
            twin.reset()
        for _ in range(HORIZON):
            actions = vectors(rng, 3, batch.env.n_agents)
            batch.step(actions)
            for e, twin in enumerate(twins):
                reward, _ = twin.step(actions[e])
                np.testing.assert_allclose(out.reward[e], reward, atol=1e-9)
                np.testing.assert_allclose(out.state[e], twin.state(), atol=1e-6)
                np.testing.assert_allclose(out.obs[e], twin.obs(), atol=1e-6)


def test_opposite_pushes_cancel_and_the_axes_add():
    batch = Batch(game("spread_v1", n_agents=1), 1, 0)
    batch.reset()
    batch.step([[[0.7, 0.25, 1.0, 0.5, 0.5]]])
    np.testing.assert_allclose(batch.arrays.velocity[0, 0], (0.5 * 0.75, 0))
    batch.step([[[0.0, 0.0, 0.0, 0.0, 0.1]]])
    np.testing.assert_allclose(batch.arrays.velocity[0, 0], (0.75 * 0.375, 0.05))


@every_game
def test_whole_episodes_are_those_of_mpe2(id):
    """With the actions of our prey, which chooses one of five, given to theirs as vectors."""
    module = {"spread_v1": "mpe2.simple_spread_v3", "tag_v1": "mpe2.simple_tag_v3"}[id]
    sizes = {"spread_v1": {"N": 3}, "tag_v1": {"num_good": 2}}[id]
    peer = pytest.importorskip(module).parallel_env(continuous_actions=True, **sizes)
    options = {"reward_mode": "per_agent"} if id == "spread_v1" else {}
    batch = Batch(game(id, horizon=25, **options), 1, 0, autoreset="disabled")
    rng = np.random.default_rng(0)
    total = 0.0
    for episode in range(20):
        batch.reset()
        peer.reset(seed=0)
        batch.arrays.position[:] *= 0.3 if episode % 2 else 1.0
        world = peer.unwrapped.world
        places = batch.arrays.landmark if id == "spread_v1" else batch.arrays.obstacle
        for body, place in zip(world.agents + world.landmarks, [*batch.arrays.position[0], *places[0]], strict=True):
            body.state.p_pos = place.copy()
        names = list(peer.agents)
        for _ in range(25):
            actions = vectors(rng, 1, 3).astype(np.float32)
            out = batch.step(actions)
            prey = np.eye(5, dtype=np.float32)[batch.arrays.prey_action[0]] if id == "tag_v1" else []
            obs, rewards, *_ = peer.step(dict(zip(names, [*actions[0], *prey], strict=True)))
            np.testing.assert_allclose(out.obs[0], [obs[name] for name in names[:3]], rtol=0, atol=1e-5)
            np.testing.assert_allclose(out.agent_reward[0], [rewards[name] for name in names[:3]], rtol=0, atol=1e-5)
            total += abs(out.reward[0])
    peer.close()
    assert total > 50


# --- bad input ---


GOOD = [0.0, 0.0, 1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (GOOD[:4], TypeError, ("agent_1 is [0.0, 0.0, 1.0, 0.5]", "5 numbers")),
        ([GOOD], TypeError, ("agent_1 is [[", "5 numbers")),
        (2, TypeError, ("agent_1 is 2", "5 numbers")),
        (None, TypeError, ("agent_1 is None", "5 numbers")),
        ("right", TypeError, ("agent_1 is 'right'", "5 numbers")),
        ([[0], [0, 1], 0, 0, 0], TypeError, ("agent_1 is [[0]", "5 numbers")),
        (np.zeros(5, bool), TypeError, ("agent_1 is array", "5 numbers")),
        ([0, 0, 1.01, 0, 0], ValueError, ("agent_1 is [0.0, 0.0, 1.01", "[0, 1]")),
        ([0, 0, -0.01, 0, 0], ValueError, ("agent_1 is", "-0.01", "[0, 1]")),
        ([0, 0, 0, 0, np.nan], ValueError, ("agent_1 is", "nan", "[0, 1]")),
        ([0, 0, 0, 0, np.inf], ValueError, ("agent_1 is", "inf", "[0, 1]")),
    ],
)
def test_wrong_actions_are_refused_and_change_nothing(action, error, words):
    env = coopgym.make(game("spread_v1"))
    env.reset(seed=0)
    before = env.snapshot()
    with pytest.raises(error, match=says(*words)):
        env.step({"agent_0": GOOD, "agent_1": action, "agent_2": GOOD})
    after = env.snapshot()
    assert env.agents and all(np.array_equal(before.arrays[name], after.arrays[name]) for name in before.arrays)
    with pytest.raises(ValueError, match=says("no action for agent_2")):
        env.step({"agent_0": GOOD, "agent_1": GOOD})


@pytest.mark.parametrize("one", [GOOD, tuple(GOOD), np.array(GOOD, np.float32), np.array([0, 0, 1, 1, 0], np.int8)])
def test_any_five_numbers_will_do(one):
    env = coopgym.make(game("spread_v1"))
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, one))
    np.testing.assert_array_equal(env._batch.out.action[0], [np.asarray(one, float)] * 3)


@pytest.mark.parametrize(
    ("actions", "error", "words"),
    [
        (np.zeros((2, 3), int), ValueError, ("(2, 3)", "(2, 3, 5)", "environments, agents, components")),
        (np.zeros((2, 3, 4)), ValueError, ("(2, 3, 4)", "(2, 3, 5)")),
        (np.zeros((2, 3, 5), bool), TypeError, ("bool", "numbers")),
        (np.zeros((2, 3, 5), object), TypeError, ("object", "numbers")),
        (np.zeros((2, 3, 5), complex), TypeError, ("complex", "numbers")),
        (np.full((2, 3, 5), np.nan), ValueError, ("agent_0 in environment 0 is [nan", "[0, 1]")),
        ([[GOOD] * 3, [GOOD, GOOD, [0, 0, 0, 0, 7]]], ValueError, ("agent_2 in environment 1 is", "7.0", "[0, 1]")),
    ],
)
def test_wrong_arrays_of_actions_are_refused_and_change_nothing(actions, error, words):
    envs = coopgym.make_vec(game("spread_v1"), 2)
    envs.reset(seed=0)
    before = envs.snapshot()
    with pytest.raises(error, match=says(*words)):
        envs.step(actions)
    after = envs.snapshot()
    assert all(np.array_equal(before.arrays[name], after.arrays[name]) for name in before.arrays)
    joint = gymnasium.make("coopgym/spread-v1", continuous_actions=True).unwrapped
    joint.reset(seed=0)
    with pytest.raises(error):
        joint.step(np.asarray(actions)[-1])


# --- who plays ---


@every_game
def test_a_random_team_pushes_anyhow_within_the_bounds(id):
    env = game(id)
    team = named_team(RANDOM, env, 3)
    actions = team.act(np.zeros((500, 3, env.obs_size)), np.ones((500, 3, 5)))
    assert actions.shape == (500, 3, 5) and 0 <= actions.min() < 0.01 and 0.99 < actions.max() <= 1
    assert abs(actions.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 7500)
    assert coopgym.evaluate("random", env, episodes=20).episodes == 20


@pytest.mark.parametrize(("id", "room"), [("spread_v1", 2.0), ("tag_v1", 10.0)])
def test_scripted_teams_do_better_with_both_axes(id, room):
    discrete, continuous = (
        coopgym.evaluate("heuristic", environment(id, continuous_actions=chosen), episodes=500)
        for chosen in (False, True)
    )
    assert continuous.mean > discrete.mean + room


def test_a_function_may_act():
    right = np.eye(5)[RIGHT]
    score = coopgym.evaluate(lambda obs, mask: np.broadcast_to(right, mask.shape), game("spread_v1"), episodes=3)
    assert (score.lengths == HORIZON).all()


@pytest.mark.parametrize("algorithm", ["iql", "vdn", "qmix", "qtran"])
def test_the_algorithms_refuse_in_one_sentence(algorithm, tmp_path):
    with pytest.raises(ValueError, match="spread_v1 has continuous actions") as caught:
        coopgym.train(algorithm, game("spread_v1"), out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_a_team_that_chooses_does_not_fit_a_game_of_continuous_actions(tmp_path):
    discrete = game("spread_v1", continuous_actions=False)
    coopgym.train("vdn", discrete, out=tmp_path / "run", env_steps=50, evaluation_episodes=2)
    with pytest.raises(ValueError, match="action_bounds None"):
        coopgym.evaluate(tmp_path / "run", game("spread_v1"))


# --- by hand, and filmed ---


def test_a_key_pushes_at_full_strength_and_no_key_not_at_all():
    played = Game(game("spread_v1"), RandomTeam(0, (0.0, 1.0)), seed=0, fps=100)
    try:
        played.press("left")
        played.turn()
        assert played.batch.out.action[0, 0].tolist() == [0, 1, 0, 0, 0]
        played.release("left")
        played.turn()
        assert played.batch.out.action[0, 0].tolist() == [1, 0, 0, 0, 0]
    finally:
        played.window.close()


@every_game
def test_an_episode_can_be_filmed(id, tmp_path):
    record(game(id, horizon=3), tmp_path / "a.gif", seed=0)
    assert (tmp_path / "a.gif").stat().st_size > 1000
