"""What the engine promises, whatever the game: the same seed is the same game, alone or in a batch, now or later."""

import copy
import functools
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import coopgym
from coopgym.envs import ids
from coopgym.envs.core import Batch, Environment
from coopgym.envs.vector import VectorEnv
from tests.games import EVERY_GAME, HORIZON, choose, digest, few_games, name_of, play

GAMES = few_games()
games = pytest.mark.parametrize("env", GAMES, ids=name_of)
MODES = ("same_step", "next_step", "disabled")


def python(code: str, **variables: str) -> str:
    """What a new Python prints. Fails where it fails."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the same seed is the same game ---


@pytest.mark.parametrize("game", EVERY_GAME, ids=name_of)
def test_the_same_seed_is_the_same_game(game):
    one, other = coopgym.make(*game), coopgym.make(*game)
    words = {play(one, seed, 2 * min(one.max_cycles, 60) + 3) for seed in range(4)}
    assert words == {play(other, seed, 2 * min(one.max_cycles, 60) + 3) for seed in range(4)}
    assert len(words) > 1, "nothing ever changed"


@pytest.mark.slow
@pytest.mark.parametrize("game", EVERY_GAME, ids=name_of)
def test_twenty_seeds_are_the_same_games_in_full_episodes(game):
    one, other = coopgym.make(*game), coopgym.make(*game)
    for seed in range(20):
        assert play(one, seed, one.max_cycles) == play(other, seed, one.max_cycles)


@games
def test_full_episodes_are_the_same_whatever_was_played_before(env):
    used = coopgym.make(env)
    play(used, 99, 7)
    for seed in range(20):
        assert play(used, seed, HORIZON) == play(coopgym.make(env), seed, HORIZON)


EPISODES = """
import coopgym
from tests.games import EVERY_GAME, play
print([play(coopgym.make(*game), 7, 40) for game in EVERY_GAME])
"""


def test_the_same_seed_is_the_same_game_in_every_process():
    here = str([play(coopgym.make(*game), 7, 40) for game in EVERY_GAME])
    assert here == python(EPISODES, PYTHONHASHSEED="1") == python(EPISODES, PYTHONHASHSEED="2")


@games
def test_without_a_seed_games_differ_and_go_on_with_their_stream(env):
    first, second = (Batch(env, 64) for _ in range(2))
    assert not np.array_equal(first.arrays.rng, second.arrays.rng)
    seeded = [coopgym.make(env) for _ in range(2)]
    for one in seeded:
        one.reset(seed=5)
    again = [[digest(one.reset(), one.state()) for _ in range(5)] for one in seeded]
    assert again[0] == again[1]


def test_the_seed_that_was_given_is_told():
    env = coopgym.make("spread_v1")
    assert 0 <= env.np_random_seed < 2**63
    env.reset(seed=np.int64(12))
    assert env.np_random_seed == 12
    envs = coopgym.make_vec("spread_v1", 3)
    envs.reset(seed=4)
    envs.reset(seed=[None, 90, None])
    assert envs.np_random_seed == (4, 90, 6)


# --- a row of a batch is a single game ---

ROWS, STEPS = 64, 25


def event(obs: Any, state: Any, mask: Any, *rest: Any) -> str:
    return digest(np.asarray(obs), np.asarray(state), np.asarray(mask), *map(float, rest))


@functools.cache
def ranks(row: int) -> np.ndarray:
    """What a row would like to play, step by step: [T, N, A], with room to spare."""
    return np.random.default_rng(row).random((STEPS, 16, 16))


@functools.cache
def single_events(env: Environment, seed: int, row: int) -> list[str]:
    """What a single game shows: after each start of an episode and after each step."""
    one = coopgym.make(env)
    infos = one.reset(seed=seed)[1]
    events = [event(list(one.reset(seed=seed)[0].values()), one.state(), one.action_masks())]
    for wanted in ranks(row):
        if not one.agents:
            obs, infos = one.reset()
            events.append(event(list(obs.values()), one.state(), one.action_masks()))
        mask = np.array([infos[agent]["action_mask"] for agent in one.agents])
        actions = choose(mask, wanted[: mask.shape[0], : mask.shape[1]])
        obs, reward, terminated, truncated, infos = one.step(dict(zip(one.agents, actions, strict=True)))
        first = one.possible_agents[0]
        shown = list(obs.values()), one.state(), one.action_masks()
        events.append(event(*shown, reward[first], terminated[first], truncated[first]))
    return events


def batch_events(envs: VectorEnv, seed: int, rows: list[int] | None = None) -> dict[int, list[str]]:
    """The same for these rows of a batch, or for all of them."""
    every, n_actions = range(envs.num_envs), envs.environment.n_actions
    rows = [*every] if rows is None else rows
    wanted = np.array([ranks(row)[:, : envs.environment.n_agents, :n_actions] for row in every])
    obs, infos = envs.reset(seed=seed)
    masks, state, ended = infos["action_mask"], envs.state(), np.zeros(envs.num_envs, bool)
    events = {e: [event(obs[e], state[e], masks[e])] for e in rows}
    taken = np.zeros(envs.num_envs, int)
    mode = envs._batch.autoreset
    while taken.min() < STEPS:
        actions = choose(masks, wanted[every, np.minimum(taken, STEPS - 1)])
        if mode == "disabled" and ended.any():
            obs, infos = envs.reset(options={"reset_mask": ended.copy()})
            masks, state = infos["action_mask"], envs.state()
            for e in (e for e in rows if ended[e]):
                events[e].append(event(obs[e], state[e], masks[e]))
            ended[:] = False
            continue
        waiting = ended & (mode == "next_step")
        obs, reward, terminated, truncated, infos = envs.step(actions)
        masks, state, ended = infos["action_mask"], envs.state(), terminated | truncated
        taken += ~waiting
        for e in rows:
            now = obs[e], state[e], masks[e]
            last = now
            if ended[e]:
                final = infos["final_info"]
                last = infos["final_obs"][e], final["state"][e], final["action_mask"][e]
                assert mode == "same_step" or all(np.array_equal(a, b) for a, b in zip(last, now, strict=True))
            if waiting[e]:
                assert reward[e] == 0.0 and not ended[e]
                events[e].append(event(*now))
                continue
            events[e].append(event(*last, reward[e], terminated[e], truncated[e]))
            if ended[e] and mode == "same_step":
                events[e].append(event(*now))
    return events


@games
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [1, 2, 7, ROWS])
def test_a_row_is_the_single_game_of_its_own_seed(env, mode, num_envs):
    see_that_rows_are_single_games(env, mode, num_envs, 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [7, ROWS])
@pytest.mark.parametrize("id", ("matrix_game_v1", "spread_v1"))
def test_threads_change_no_game(id, mode, num_envs):
    see_that_rows_are_single_games(coopgym.environment(id, horizon=HORIZON), mode, num_envs, 2)


@pytest.mark.slow  # loops on threads take long to compile
@games
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [7, ROWS])
def test_threads_change_no_game_of_any_family(env, mode, num_envs):
    see_that_rows_are_single_games(env, mode, num_envs, 2)


MANY = 1024
SOME = [0, 1, 2, 3, 62, 63, 64, 65, 511, 512, 1022, 1023]  # of many rows


@games
def test_some_rows_of_many_are_the_single_games_of_their_own_seeds(env):
    see_that_rows_are_single_games(env, "same_step", MANY, 1, SOME)


@pytest.mark.slow
@games
@pytest.mark.parametrize("mode", MODES)
def test_each_of_many_rows_is_the_single_game_of_its_own_seed(env, mode):
    see_that_rows_are_single_games(env, mode, MANY, 1)


def see_that_rows_are_single_games(env, mode, num_envs, num_threads, rows=None):
    envs = coopgym.make_vec(env, num_envs, autoreset_mode=mode, num_threads=num_threads)
    for row, events in batch_events(envs, 1000, rows).items():
        alone = single_events(env, 1000 + row, row)
        length = min(len(events), len(alone))
        assert length > STEPS and events[:length] == alone[:length], f"row {row}"
        assert len(set(events)) > 1, "nothing ever changed"


@games
def test_seeds_may_be_given_row_by_row(env):
    envs, one = coopgym.make_vec(env, 3), coopgym.make(env)
    envs.reset(seed=[11, 3, 7])
    for row, seed in enumerate([11, 3, 7]):
        one.reset(seed=seed)
        assert np.array_equal(envs.state()[row], one.state())


# --- where an episode ends ---

# Two steps: agent 0's first action A leads to a state that pays 7, whatever is played; then the game is over.
LEFT = np.zeros((1, 2), int)


def two_step(mode: str) -> tuple[VectorEnv, Any]:
    """A two-step game, one step before its end."""
    envs = coopgym.make_vec("matrix_game_v1", 1, "two_step", autoreset_mode=mode)
    start = envs.reset(seed=0)[0]
    middle = envs.step(LEFT)
    assert start.tolist() == [[[1, 0, 0, 0]] * 2] and middle[0].tolist() == [[[0, 1, 0, 0]] * 2]
    assert middle[1:4] == (0.0, False, False) and "final_obs" not in middle[4]
    return envs, envs.step(LEFT)


def test_same_step_shows_the_next_episode_and_keeps_the_last_of_the_old_one():
    envs, (obs, reward, terminated, truncated, infos) = two_step("same_step")
    assert (reward, terminated, truncated) == (7.0, True, False)
    assert obs.tolist() == [[[1, 0, 0, 0]] * 2] and envs.state().tolist() == [[1, 0, 0, 0]]
    assert infos["final_obs"][0].tolist() == [[0, 0, 0, 1]] * 2 and infos["_final_obs"].tolist() == [True]
    assert infos["final_info"]["state"].tolist() == [[0, 0, 0, 1]]
    assert infos["final_info"]["action_mask"].tolist() == [[[1, 1]] * 2]
    assert infos["_final_info"].tolist() == [True] and infos["action_mask"].tolist() == [[[1, 1]] * 2]
    obs, reward, terminated, _, infos = envs.step(LEFT)
    assert obs.tolist() == [[[0, 1, 0, 0]] * 2] and (reward, terminated) == (0.0, False) and "final_obs" not in infos


def test_next_step_shows_the_end_and_then_a_step_that_only_restarts():
    envs, (obs, reward, terminated, _, infos) = two_step("next_step")
    assert obs.tolist() == [[[0, 0, 0, 1]] * 2] and (reward, terminated) == (7.0, True)
    assert envs.state().tolist() == [[0, 0, 0, 1]] and infos["final_obs"][0].tolist() == [[0, 0, 0, 1]] * 2
    obs, reward, terminated, truncated, infos = envs.step(LEFT + 1)
    assert obs.tolist() == [[[1, 0, 0, 0]] * 2]
    assert (reward, terminated, truncated) == (0.0, False, False) and "final_obs" not in infos
    assert envs.step(LEFT)[0].tolist() == [[[0, 1, 0, 0]] * 2]


def test_disabled_waits_for_a_reset_of_the_ended_rows():
    envs, (obs, *_) = two_step("disabled")
    assert obs.tolist() == [[[0, 0, 0, 1]] * 2]
    with pytest.raises(RuntimeError, match=r"rows \[0\] have ended"):
        envs.step(LEFT)
    obs, _ = envs.reset(options={"reset_mask": np.array([True])})
    assert obs.tolist() == [[[1, 0, 0, 0]] * 2] and envs.step(LEFT)[1] == 0.0


def test_the_time_limit_truncates_and_does_not_terminate():
    env = coopgym.make("matrix_game_v1", "two_state_mmdp", horizon=3)
    env.reset(seed=0)
    flags = []
    while env.agents:
        _, reward, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
        flags.append((reward["agent_0"], terminated["agent_1"], truncated["agent_1"]))
    assert flags == [(1.0, False, False), (1.0, False, False), (1.0, False, True)]
    assert env.state().tolist() == [1.0, 0.0, 0.0]  # the game is not over


def test_an_end_by_the_rules_in_the_last_step_is_no_truncation():
    env = coopgym.make("matrix_game_v1", "two_step")
    assert env.max_cycles == 2
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, 0))
    _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
    assert set(terminated.values()) == {True} and set(truncated.values()) == {False}


@pytest.mark.parametrize("mode", MODES)
def test_own_rewards_outlive_the_end(mode):
    envs = coopgym.make_vec("spread_v1", 5, reward_mode="per_agent", horizon=2, autoreset_mode=mode)
    one = coopgym.make("spread_v1", reward_mode="per_agent", horizon=2)
    envs.reset(seed=3)
    one.reset(seed=5)
    for _ in range(2):
        rewards = envs.step(np.full((5, 3), 2))[1]
        alone = one.step(dict.fromkeys(one.agents, 2))[1]
        assert rewards.shape == (5, 3) and rewards[2].tolist() == list(alone.values())
        assert len(set(rewards.ravel())) > 1
    if mode == "next_step":
        assert not envs.step(np.zeros((5, 3), int))[1].any()


@games
def test_a_reset_mask_restarts_the_marked_rows_only(env):
    envs = coopgym.make_vec(env, 4, autoreset_mode="disabled")
    obs, infos = envs.reset(seed=0)
    mask = np.array([False, True, False, True])
    rng = np.random.default_rng(0)
    for _ in range(min(env.horizon, 3)):
        before = envs.step(choose(infos["action_mask"], rng.random(infos["action_mask"].shape)))
        infos = before[4]
        if (before[2] | before[3]).any():
            break
    state, streams = envs.state(), envs._batch.arrays.rng.copy()
    options = {"reset_mask": mask, "unknown": 1}
    obs, infos = envs.reset(seed=50, options=options)
    assert options.keys() == {"reset_mask", "unknown"} and mask.tolist() == [False, True, False, True]
    assert np.array_equal(obs[~mask], before[0][~mask]) and np.array_equal(envs.state()[~mask], state[~mask])
    assert np.array_equal(envs._batch.arrays.rng[~mask], streams[~mask])
    one = coopgym.make(env)
    for row in np.flatnonzero(mask):
        fresh, _ = one.reset(seed=50 + int(row))
        assert np.array_equal(obs[row], list(fresh.values()))


# --- snapshots and copies ---


def continuation(env: Any, steps: int) -> str:
    """A word for how a ParallelEnv goes on."""
    rng = np.random.default_rng(0)
    seen: list[Any] = [env.state()]
    for _ in range(steps):
        if not env.agents:
            seen.append(env.reset())
        mask = env.action_masks()
        seen.append(env.step(dict(zip(env.agents, choose(mask, rng.random(mask.shape)), strict=True))))
    return digest(seen, env.state())


@games
def test_a_game_goes_on_alike_from_every_kind_of_copy_at_every_step(env):
    one = coopgym.make(env)
    one.reset(seed=1)
    words, rng = set(), np.random.default_rng(1)
    for _ in range(2 * HORIZON):
        snapshot = one.snapshot()
        copies = [copy.deepcopy(one), pickle.loads(pickle.dumps(one)), coopgym.make(env), one]
        copies[2].restore(pickle.loads(pickle.dumps(snapshot)))
        assert [twin.agents for twin in copies[:3]] == [one.agents] * 3
        goes_on = {continuation(twin, HORIZON + 2) for twin in copies}
        assert len(goes_on) == 1
        words |= goes_on
        one.restore(snapshot)
        if not one.agents:
            one.reset()
        mask = one.action_masks()
        one.step(dict(zip(one.agents, choose(mask, rng.random(mask.shape)), strict=True)))
    assert len(words) > 1, "nothing ever changed"


@games
@pytest.mark.parametrize("mode", MODES[:2])
def test_a_batch_goes_on_alike_from_every_kind_of_copy(env, mode):
    def goes_on(envs: VectorEnv) -> str:
        rng, seen = np.random.default_rng(2), [envs.state()]
        for _ in range(HORIZON + 3):
            mask = envs.action_masks()
            seen += [*envs.step(choose(mask, rng.random(mask.shape))), envs.state()]
        return digest(seen)

    envs = coopgym.make_vec(env, 5, autoreset_mode=mode)
    envs.reset(seed=1)
    for _ in range(HORIZON + 2):
        snapshot = envs.snapshot()
        copies = [copy.deepcopy(envs), pickle.loads(pickle.dumps(envs)), coopgym.make_vec(env, 5, autoreset_mode=mode)]
        copies[2].restore(snapshot)
        words = {goes_on(twin) for twin in [*copies, envs]}
        assert len(words) == 1
        envs.restore(snapshot)
        envs.step(np.zeros((5, env.n_agents), int))


def test_what_ended_episodes_show_last_is_the_same_without_copies_and_a_copys_own():
    envs = [coopgym.make_vec("spread_v1", 3, copy=copies, horizon=2) for copies in (True, False)]
    for one in envs:
        one.reset(seed=1)
        for _ in range(2):
            *_, infos = one.step(np.ones((3, 3), int))
    envs += [copy.deepcopy(envs[1]), pickle.loads(pickle.dumps(envs[1]))]
    shown = []
    for one in envs:  # after a first end: what was made for it must not be taken along
        for _ in range(2):
            *_, infos = one.step(np.full((3, 3), 2))
        shown.append(infos)
    for infos in shown[1:]:
        assert [obs.tolist() for obs in infos["final_obs"]] == [obs.tolist() for obs in shown[0]["final_obs"]]
        assert np.array_equal(infos["final_info"]["state"], shown[0]["final_info"]["state"])
    assert all(infos["final_obs"].dtype == object and infos["_final_obs"].all() for infos in shown)


@games
def test_the_snapshot_of_a_row_goes_into_one_row_or_into_all(env):
    envs = coopgym.make_vec(env, 4)
    envs.reset(seed=1)
    envs.step(np.zeros((4, env.n_agents), int))
    before, row = envs.state(), envs.snapshot(row=2)
    envs.restore(row, row=0)
    assert np.array_equal(envs.state(), before[[2, 1, 2, 3]])
    envs.restore(row)
    for _ in range(HORIZON):
        obs, *_ = envs.step(np.zeros((4, env.n_agents), int))
        assert all(np.array_equal(obs[e], obs[2]) and envs.state()[e].tobytes() for e in range(4))
    other = coopgym.make_vec(env, 1)
    other.reset(seed=77)
    other.restore(row)
    assert np.array_equal(other.state()[0], before[2])


@games
def test_copies_share_nothing(env):
    one = coopgym.make(env)
    one.reset(seed=1)
    twin = copy.deepcopy(one)
    before = digest(twin.state(), twin.action_masks())
    for a, b in zip(one._batch._arrays(), twin._batch._arrays(), strict=True):
        assert a[0] == b[0] and not np.shares_memory(a[1], b[1])
    one.step(dict.fromkeys(one.agents, 0))
    one.reset(seed=9)
    assert digest(twin.state(), twin.action_masks()) == before


def test_a_changed_time_limit_is_another_game_with_the_same_stream():
    env = coopgym.make("spread_v1")
    env.reset(seed=3)
    env.max_cycles = 40
    assert (env.max_cycles, env.agents) == (40, [])
    assert env.observation_space("agent_0") == coopgym.make("spread_v1", horizon=40).observation_space("agent_0")
    expected = coopgym.make("spread_v1")
    expected.reset(seed=3)
    assert digest(env.reset()) == digest(expected.reset())
    steps = 0
    while env.agents:
        env.step(dict.fromkeys(env.agents, 0))
        steps += 1
    assert steps == 40


# --- what is returned belongs to the caller ---


def arrays_in(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value] if value.dtype != object else [one for one in value if one is not None]
    if isinstance(value, dict):
        value = list(value.values())
    return [array for one in value for array in arrays_in(one)] if isinstance(value, list | tuple) else []


@games
def test_what_was_returned_never_changes(env):
    one, vector = coopgym.make(env), coopgym.make_vec(env, 3)
    returned: list[np.ndarray] = []
    for start in (one.reset(seed=0), vector.reset(seed=0)):
        returned += arrays_in(start)
    for _ in range(HORIZON + 2):
        if not one.agents:
            returned += arrays_in(one.reset())
        returned += arrays_in(one.step(dict.fromkeys(one.agents, 0)))
        returned += arrays_in(vector.step(np.zeros((3, env.n_agents), int)))
        returned += [one.state(), one.action_masks(), vector.state(), vector.action_masks()]
        if len(returned) < 200:
            kept = [array.copy() for array in returned]
    own = [array for batch in (one._batch, vector._batch) for _, array in batch._arrays()]
    assert len(kept) > 20
    assert all(np.array_equal(now, then) for now, then in zip(returned, kept, strict=False))
    assert not any(np.shares_memory(array, inside) for array in returned for inside in own)
    assert not any(np.shares_memory(a, b) for k, a in enumerate(returned[:60]) for b in returned[:k])


@games
def test_callers_may_do_with_dictionaries_and_arrays_as_they_like(env):
    one, untouched = coopgym.make(env), coopgym.make(env)
    for game in (one, untouched):
        game.reset(seed=0)
    for _ in range(min(env.horizon, 5) - 1):
        answer = one.step(dict.fromkeys(one.agents, 0))
        assert digest(answer) == digest(untouched.step(dict.fromkeys(untouched.agents, 0)))
        for dictionary in answer:
            for value in arrays_in(dictionary):
                value[...] = 99
            dictionary["__all__"] = True
            dictionary.pop(one.possible_agents[0])
        if not one.agents:
            break
        assert one.agents == untouched.agents == one.possible_agents


@games
def test_without_copies_the_arrays_are_the_engines_own(env):
    envs = coopgym.make_vec(env, 2, copy=False)
    obs, infos = envs.reset(seed=0)
    again, reward, *_, new = envs.step(np.zeros((2, env.n_agents), int))
    assert obs is again and infos["action_mask"] is new["action_mask"] and reward is envs._batch.out.reward


@games
def test_without_copies_a_step_allocates_nothing_unless_episodes_end(env):
    envs = coopgym.make_vec(env, 4096, copy=False)
    envs.reset(seed=0)
    actions = np.zeros((4096, env.n_agents), int)
    envs.step(actions)
    tracemalloc.start()
    try:
        for _ in range(4):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            _, _, terminated, truncated, _ = envs.step(actions)
            taken = tracemalloc.get_traced_memory()[1] - before
            assert taken < 2500 or (terminated | truncated).any()  # Python's own objects, not a byte for each row
    finally:
        tracemalloc.stop()


# --- what is returned is what was declared ---


@games
def test_everything_lies_in_its_space_and_somebody_can_always_act(env):
    env = env.with_params(horizon=25)
    envs = coopgym.make_vec(env, 500)
    rng = np.random.default_rng(0)
    obs, infos = envs.reset(seed=0)
    low, high = envs.single_observation_space.low, envs.single_observation_space.high
    ended = changed = 0
    for _ in range(200):
        mask, state = infos["action_mask"], envs.state()
        assert obs.dtype == state.dtype == np.float32 and mask.dtype == np.int8
        assert ((low <= obs) & (obs <= high)).all() and state in envs.state_space
        assert np.isin(mask, (0, 1)).all() and mask.any(axis=2).all() and mask[:, :, env.noop].all()
        before = obs
        obs, reward, terminated, truncated, infos = envs.step(choose(mask, rng.random(mask.shape)))
        assert reward.dtype == np.float64 and np.isfinite(reward).all()
        assert terminated.dtype == truncated.dtype == bool and not (terminated & truncated).any()
        for one in infos.get("final_obs", [])[:5]:
            assert one is None or one in envs.single_observation_space
        ended += (terminated | truncated).sum()
        changed += not np.array_equal(before, obs) or len(np.unique(reward)) > 1
    assert obs in envs.observation_space and ended > 500 and changed > 0


@games
def test_an_illegal_action_counts_as_the_no_op(env):
    one, same = coopgym.make(env), coopgym.make(env)
    rng, tried = np.random.default_rng(0), 0
    for seed in range(5):
        one.reset(seed=seed)
        same.reset(seed=seed)
        while one.agents:
            mask = one.action_masks()
            actions = rng.integers(0, env.n_actions, env.n_agents)
            legal = np.take_along_axis(mask, actions[:, None], 1)[:, 0]
            answer = one.step(dict(zip(one.agents, actions, strict=True)))
            replaced = np.where(legal, actions, env.noop)
            assert digest(answer) == digest(same.step(dict(zip(same.agents, replaced, strict=True))))
            tried += int((legal == 0).sum())
    if not coopgym.make_vec(env, 1).reset(seed=0)[1]["action_mask"].all():
        assert tried > 0


# --- threads, processes, and the cache of compiled code ---


@games
def test_threads_may_step_batches_of_their_own(env):
    expected = {seed: digest(batch_events(coopgym.make_vec(env, 3), seed)) for seed in range(4)}
    found: dict[int, str] = {}

    def run(seed: int) -> None:
        found[seed] = digest(batch_events(coopgym.make_vec(env, 3, num_threads=1 + seed % 2), seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert found == expected


LIGHT = """
import time
start = time.process_time()
import coopgym
took = time.process_time() - start
import sys
heavy = {"torch", "pygame", "matplotlib", "numba", "scipy", "pandas", "envs", "baselines"}
print(took, sorted(heavy & sys.modules.keys()))
"""


def test_importing_is_quick_and_loads_nothing_heavy():
    seconds, modules = zip(*(python(LIGHT).split(" ", 1) for _ in range(3)), strict=True)
    assert set(modules) == {"[]"}
    assert min(map(float, seconds)) <= 0.35


ONE_NAME = """
import sys
import coopgym
for id in coopgym.ids():
    env = coopgym.make(id)
    env.reset(seed=0)
    env.step({agent: 0 for agent in env.agents})
    coopgym.make_vec(id, 2).reset()
    coopgym.spec(id)
print(sorted({"envs", "baselines", "torch", "pygame", "matplotlib"} & sys.modules.keys()))
"""


def test_playing_loads_no_second_copy_of_the_package_and_nothing_to_draw_with():
    assert python(ONE_NAME) == "[]"


UNWRITABLE = """
import warnings
import numba.core.caching

def refuse(self):
    raise OSError("read-only")

for locator in numba.core.caching._CacheLocator.__subclasses__():
    for one in (locator, *locator.__subclasses__()):
        one.ensure_cache_path = refuse

import coopgym
from tests.games import play

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    word = play(coopgym.make("matrix_game_v1", "two_step"), 3, 10)
print(word, *[str(one.message) for one in caught], sep="\\n")
"""


def test_a_cache_that_cannot_be_written_costs_one_warning():
    word, *warnings = python(UNWRITABLE).splitlines()
    assert word == play(coopgym.make("matrix_game_v1", "two_step"), 3, 10)
    assert len(warnings) == 1 and "NUMBA_CACHE_DIR" in warnings[0]


EDITED = """
from coopgym.envs.compiling import fingerprint, kernel

CONSTANT = {constant}

@kernel
def helper(x):
    return x + {added}

@kernel
def rule(x):
    return helper(x) * CONSTANT

print(fingerprint((rule,)))
"""


def test_the_name_of_cached_code_follows_every_change_in_what_it_calls():
    words = set()
    for constant, added in ((1, 1), (2, 1), (1, 2)):
        space: dict[str, Any] = {"__name__": "edited", "print": lambda word: words.add(word)}
        exec(EDITED.format(constant=constant, added=added), space)
    assert len(words) == 3


def test_every_id_is_played():
    assert {env.id for env in GAMES} == set(ids()) - {"mine_for_a_test_v3"}
