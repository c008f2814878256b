"""The checks of PettingZoo and Gymnasium, over every id and preset. Warnings are errors here."""

import json
import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

import coopgym
from coopgym.envs.core import Environment
from tests.games import EVERY_GAME, FEW_GAMES, choose, name_of

with warnings.catch_warnings():  # PettingZoo's tests import its games in a way that it has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
        state_test,
    )

every_game = pytest.mark.parametrize("game", EVERY_GAME, ids=name_of)
few_games = pytest.mark.parametrize("game", FEW_GAMES, ids=name_of)
every_id = pytest.mark.parametrize("id", coopgym.ids())
zeros_may_be_seen = pytest.mark.filterwarnings("ignore:Observation numpy array is all zeros")  # in switch_v1's corner


def public(id: str) -> str:
    """spread_v1 as Gymnasium and PettingZoo know it."""
    name, version = id.rsplit("_v", 1)
    return f"coopgym/{name}-v{version}"


def drawable(id: str) -> bool:
    return "rgb_array" in coopgym.make(id).metadata["render_modes"]


@every_game
def test_pettingzoo_finds_nothing_wrong_with_the_parallel_form(game):
    parallel_api_test(coopgym.make(*game), num_cycles=200)
    parallel_seed_test(partial(coopgym.make, *game), num_cycles=50)


@few_games
@zeros_may_be_seen
def test_pettingzoo_finds_nothing_wrong_with_the_sequential_form(game):
    api_test(coopgym.aec_env(*game), num_cycles=50)
    seed_test(partial(coopgym.aec_env, *game), num_cycles=50)
    state_test(coopgym.aec_env(*game), coopgym.make(*game))


@every_id
def test_max_cycles_cuts_an_episode_off(id):
    max_cycles_test(SimpleNamespace(parallel_env=partial(coopgym.parallel_env, id), env=partial(coopgym.aec_env, id)))


@every_id
def test_pettingzoo_renders(id, monkeypatch):
    if not drawable(id):
        pytest.skip("the family has no drawing")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    render_test(partial(coopgym.aec_env, id))


@every_id
@zeros_may_be_seen
def test_pettingzoo_makes_it_by_name(id):
    if not hasattr(pettingzoo, "make"):
        pytest.skip("this PettingZoo has no registry")
    env: Any = pettingzoo.make("parallel", public(id), max_cycles=3)
    assert (str(env), env.max_cycles) == (id, 3)
    api_test(pettingzoo.make("aec", public(id)), num_cycles=5)


@every_game
def test_gymnasium_finds_nothing_wrong_with_the_joint_form(game):
    id, preset = game
    check_env(gymnasium.make(public(id), preset=preset).unwrapped, skip_render_check=True)


@every_id
def test_gymnasium_renders(id, monkeypatch):
    if not drawable(id):
        pytest.skip("the family has no drawing")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(public(id), render_mode="rgb_array")
    check_env(env.unwrapped)
    vector = gymnasium.make_vec(public(id), num_envs=2, render_mode="rgb_array")
    vector.reset(seed=0)
    frames = vector.render()
    assert [frame.shape for frame in frames] == [frames[0].shape] * 2 and frames[0].dtype == np.uint8
    vector.close()
    vector.close()


@few_games
def test_a_game_made_by_gymnasium_ends_where_ours_does(game):
    id, preset = game
    env, same = gymnasium.make(public(id), preset=preset), coopgym.make(id, preset)
    rng = np.random.default_rng(0)
    obs, info = env.reset(seed=3)
    same.reset(seed=3)
    steps, over, total = 0, False, 0.0
    while not over:
        actions = choose(info["action_mask"], rng.random(info["action_mask"].shape))
        obs, reward, terminated, truncated, info = env.step(actions)
        by_agent = same.step(dict(zip(same.agents, actions, strict=True)))
        assert np.array_equal(obs, list(by_agent[0].values())) and {reward} == set(by_agent[1].values())
        steps, over, total = steps + 1, terminated or truncated, total + abs(reward)
    assert not same.agents and 0 < steps <= same.max_cycles
    assert np.array_equal(info["state"], same.state())


@every_id
def test_a_spec_survives_json(id):
    env = gymnasium.make(public(id), horizon=7)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.environment.horizon == 7


@few_games
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_batch_answers_as_gymnasiums_own_vector_of_joint_games(game, mode):
    """Except that our infos name what ended in every mode, and leave the state to `state()`."""
    id, preset = game
    options = {"num_envs": 3, "preset": preset, "horizon": 4}
    ours = gymnasium.make_vec(public(id), autoreset_mode=mode, **options)
    theirs = gymnasium.make_vec(
        public(id), vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **options
    )
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    ours.action_space.seed(0)
    answers = [(*env.reset(seed=5),) for env in (ours, theirs)]
    ended = 0
    for _ in range(13):
        same_infos(*(answer[-1] for answer in answers), mode)
        assert all(data_equivalence(a, b, exact=True) for a, b in zip(*(one[:-1] for one in answers), strict=True))
        assert answers[0][0] in ours.observation_space
        over = answers[0][2] | answers[0][3] if len(answers[0]) == 5 else np.zeros(3, bool)
        ended += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            answers = [(*env.reset(options={"reset_mask": over.copy()}),) for env in (ours, theirs)]
            assert np.array_equal(answers[0][0], answers[1][0])
            answers = [(obs, infos | theirs_everywhere(infos, answers[0][1])) for obs, infos in answers]
        else:
            actions = ours.action_space.sample()
            answers = [env.step(actions) for env in (ours, theirs)]
    assert ended >= 6


def theirs_everywhere(infos: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """After a partial reset, Gymnasium's infos hold the restarted rows only; ours hold all."""
    marked = infos["_action_mask"]
    assert np.array_equal(infos["action_mask"][marked], ours["action_mask"][marked])
    return {"action_mask": ours["action_mask"], "_action_mask": np.ones(3, bool)}


def same_infos(ours: dict[str, Any], theirs: dict[str, Any], mode: AutoresetMode) -> None:
    wanted = {key: value for key, value in theirs.items() if key not in ("state", "_state")}
    if mode is not AutoresetMode.SAME_STEP:
        ours = {key: value for key, value in ours.items() if "final" not in key}
    assert ours.keys() == wanted.keys()
    for key, value in wanted.items():
        assert data_equivalence(ours[key], value, exact=True), key


@every_id
def test_gymnasiums_vector_wrappers_fit(id):
    env = DictInfoToList(RecordEpisodeStatistics(coopgym.make_vec(id, 3, horizon=2)))
    env.reset(seed=0)
    infos = [env.step(env.action_space.sample())[4] for _ in range(2)][-1]
    assert len(infos) == 3
    assert all({"action_mask", "final_obs", "final_info", "episode"} <= info.keys() for info in infos)
    assert infos[0]["final_info"].keys() == {"action_mask", "state"}


def test_gymnasiums_processes_play_the_same_games():
    options = {"num_envs": 2, "preset": "two_step"}
    env = gymnasium.make_vec(
        public("matrix_game_v1"), vectorization_mode="async", vector_kwargs={"context": "spawn"}, **options
    )
    same = gymnasium.make_vec(public("matrix_game_v1"), autoreset_mode="next_step", **options)
    try:
        assert np.array_equal(env.reset(seed=1)[0], same.reset(seed=1)[0])
        for action in (1, 1, 0):
            actions = np.full((2, 2), action)
            ours, theirs = same.step(actions), env.step(actions)
            assert all(np.array_equal(ours[k], theirs[k]) for k in range(4))
    finally:
        env.close()


@few_games
def test_a_vector_and_a_joint_game_are_described_alike(game):
    id, preset = game
    env, vector = coopgym.make(id, preset), coopgym.make_vec(id, 2, preset)
    joint = gymnasium.make(public(id), preset=preset)
    assert vector.possible_agents == env.possible_agents
    assert vector.observation_layout == env.observation_layout and vector.state_layout == env.state_layout
    assert vector.state_space.shape == (2, *env.state_space.shape)
    assert joint.metadata["render_modes"] == env.metadata["render_modes"]
    assert env.metadata["is_parallelizable"] and env.metadata["name"] == id
    joint.reset(seed=0)
    vector.reset(seed=0)
    assert joint.get_wrapper_attr("action_masks")().shape == vector.action_masks()[0].shape


@every_id
def test_text_tells_every_row(id):
    env = coopgym.make(id, render_mode="ansi")
    if type(env.environment).describe is Environment.describe:
        pytest.skip("the family has no text")
    env.reset(seed=0)
    vector = coopgym.make_vec(id, 2, render_mode="ansi")
    vector.reset(seed=0)
    texts = vector.render()
    assert len(texts) == 2 and texts[0] == env.render() and "\n" in texts[0]


@every_id
def test_nothing_is_rendered_without_a_mode(id):
    env = coopgym.make(id)
    env.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


@every_game
def test_a_spec_describes_the_game(game):
    id, preset = game
    spec, env = coopgym.spec(id, preset), coopgym.make(id, preset)
    told = json.loads(json.dumps(spec.to_dict(), allow_nan=False))
    assert told["id"] == id and told["preset"] == preset and preset in (None, *told["presets"])
    assert told["agents"] == env.possible_agents and told["horizon"] == env.max_cycles
    assert len(told["action_names"]) == env.action_space(env.possible_agents[0]).n
    assert (spec.obs_size, spec.state_size) == (
        env.observation_space(env.possible_agents[0]).shape[0],
        env.state_space.shape[0],
    )
    assert all(info["meaning"] for info in told["parameters"].values())
    text = str(spec)
    assert max(map(len, text.splitlines()[1:])) <= 120
    for name in (*spec.parameters, *spec.presets, *(part.name for part in spec.observation_layout + spec.state_layout)):
        assert name in text


@every_game
def test_a_layout_covers_every_feature_once(game):
    spec = coopgym.spec(*game)
    for layout, size in ((spec.observation_layout, spec.obs_size), (spec.state_layout, spec.state_size)):
        covered = [k for part in layout for k in range(part.slice.start, part.slice.stop)]
        assert covered == list(range(size))
        assert all(np.isfinite([part.low, part.high]).all() and part.low <= part.high for part in layout)
        assert len({part.name for part in layout}) == len(layout)


def test_a_family_of_ones_own_is_known_everywhere():
    from coopgym.envs.spread import Spread

    @coopgym.register
    class Mine(Spread):
        """Spread under another name."""

        id = "mine_for_a_test_v3"

    assert coopgym.make("mine_for_a_test_v3", n_agents=2).max_num_agents == 2
    assert coopgym.spec("mine_for_a_test_v3").docstring == "Spread under another name."
    assert gymnasium.make("coopgym/mine_for_a_test-v3").unwrapped.environment.id == Mine.id
    assert coopgym.make_vec("coopgym/mine_for_a_test-v3", 2).num_envs == 2

    def again() -> None:
        @coopgym.register
        class Other(Spread):
            id = "mine_for_a_test_v3"

    with pytest.raises(ValueError, match="mine_for_a_test_v3' is taken"):
        again()
